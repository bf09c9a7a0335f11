"""The REST door, counted: around the whole application, so that its last resorts are counted too."""

import time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gonets.adapters.telemetry.metrics import HttpMetrics

PATH = "/metrics"
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
