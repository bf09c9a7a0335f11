"""The REST door, counted and logged: around the whole application, so that its last resorts are too."""

import logging
import re
import time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gonets.adapters.telemetry.metrics import HttpMetrics
from gonets.core.shared.concerning import concerning

log = logging.getLogger(__name__)

PATH = "/metrics"
# What is followed by its id; the rest of an installation's requests are counted only.
_FOLLOWED = re.compile(r"/(campaign|contact|notification)s/(\d{1,18})(?:/|$)")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MeteredApp:
    """An ASGI application that answers GET /metrics and counts everything else."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry, metrics: HttpMetrics) -> None:
        self._app = app
        self._registry = registry
        self._requests = metrics.requests
        self._duration = metrics.duration

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] == PATH and scope["method"] == "GET":
            await self._show(send)
        else:
            await self._count(scope, receive, send)

    async def _show(self, send: Send) -> None:
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": generate_latest(self._registry)})

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0  # the client left before it was answered

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        since = time.perf_counter()
        try:
            await self._app(scope, receive, noted)
        finally:
            # Only what we chose ourselves becomes a label: anybody may send any path and any method.
            route = route_of(scope)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._requests[method, route, str(status)].inc()
            self._duration[method, route].observe(time.perf_counter() - since)


def route_of(scope: Scope) -> str:
    """The pattern of the route that answered, known after the application ran.

    The framework names it without the prefix under which its router was included: that is the rest of the path. None of
    our patterns stretches over more segments than it has.
    """
    pattern: str = getattr(scope.get("route"), "path", "")
    if not pattern:
        return "unmatched"
    segments = scope["path"].split("/")
    return "/".join(segments[: len(segments) - pattern.count("/")]) + pattern


class LoggedApp:
    """An ASGI application whose requests are lines in the log where they are about a campaign, a contact or a
    notification; whatever else is logged meanwhile carries the id, too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, made = 0, ""

        async def noted(message: Message) -> None:
            nonlocal status, made
            if message["type"] == "http.response.start":
                status = message["status"]
                made = next((value for name, value in message["headers"] if name == b"location"), b"").decode("latin-1")
            await send(message)

        since = time.perf_counter()
        with concerning(**_ids(scope["path"])):
            try:
                await self._app(scope, receive, noted)
            finally:
                # What was made has its id from now on.
                if ids := _ids(made) | _ids(scope["path"]):
                    facts = {"method": scope["method"], "route": route_of(scope), "status": status}
                    log.info("request", extra=ids | facts | {"duration_s": round(time.perf_counter() - since, 4)})


def _ids(path: str) -> dict[str, int]:
    found = _FOLLOWED.search(path)
    return {f"{found[1]}_id": int(found[2])} if found else {}
