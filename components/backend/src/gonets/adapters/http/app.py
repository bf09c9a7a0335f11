"""The FastAPI application."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gonets.adapters.http import problems
from gonets.core.tasks.model import MAX_TASK_ID

PREFIX = "/api/v1"
MAX_BODY = 2**20  # bytes; the longest task, written with escapes, has some 120 000

_DESCRIPTION = """
Gonets asks providers about people's data, and gets messages through to people.

- **tasks**: a phone number, an e-mail address or a text, about which Dadata or YandexGPT is asked. The answer is kept
  in the table `integration_service` and said on the queue `TaskResultDeliveryQueue`; the same JSON is taken from
  `TaskProcessingQueue`.
- **notifications**: one message to one person, by the first channel of its route that gets it through. The same JSON is
  taken from `NotificationRequestQueue`.
- **channels**: configured ways to reach people: Telegram, e-mail, SMS, Slack, webhooks.
- **contacts**: people, their addresses and tags. **imports** bring them from CSV and XLSX files; **suppressions** are
  addresses that must not be written to.
- **templates**: texts with variables. **campaigns**: one message to a whole audience.

**Credentials.** `POST /api/v1/auth/signup`, later `/api/v1/auth/login`, with an e-mail address and a password answers
an `accessToken`, which goes into the header `Authorization: Bearer …` (here: *Authorize*) and lasts some minutes;
`/api/v1/auth/refresh` brings the next. Programs send an API key, from `POST /api/v1/api-keys`, as `X-API-Key`. What
you make is yours alone; only tasks are everybody's.
"""


def create_app(
    routers: Sequence[APIRouter],
    health: APIRouter,
    *,
    documentation: bool,
    longer: Mapping[str, int] = {},
    first: Sequence[Middleware] = (),
) -> FastAPI:
    """`documentation`: whether the OpenAPI document, Swagger and ReDoc are served. `longer`: how many bytes the bodies
    of some paths may have, which are not read into memory. `first`: what answers some requests before the framework
    looks for a route."""
    about: dict[str, Any] = {
        "title": "Gonets",
        "version": version("gonets"),
        "description": _DESCRIPTION,
        "license_info": {"name": "MIT", "identifier": "MIT"},
        # Requests are traced and counted around the application, and not a second time in it.
        "telemetry": {"tracing": False, "metrics": False, "logs": False},
        "middleware": [Middleware(_BodyLimit, longer={PREFIX + path: most for path, most in longer.items()}), *first],
    }
    if documentation:
        app: FastAPI = FastAPIOffline(
            openapi_url=f"{PREFIX}/openapi.json",
            docs_url=f"{PREFIX}/docs",
            redoc_url=f"{PREFIX}/redoc",
            static_url=f"{PREFIX}/docs/assets",
            **about,
        )
    else:
        app = FastAPI(openapi_url=None, **about)
    for router in routers:
        app.include_router(router, prefix=PREFIX)
    app.include_router(health)
    if documentation:
        app.add_api_route(
            "/docs",
            lambda: RedirectResponse(f"{PREFIX}/docs"),
            include_in_schema=False,
            response_class=RedirectResponse,
        )
    problems.install(app)
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document["components"]["schemas"]
        if "Problem" not in schemas:
            problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= problem.pop("$defs", {}) | {"Problem": problem}
            # FastAPI names its own form of 422 wherever there is a parameter; ours are problem documents.
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
            _exact(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _exact(node: Any) -> None:
    """FastAPI holds limits as floats, where the largest task id is rounded up to one that is not taken."""
    if isinstance(node, dict):
        for name in {"minimum", "maximum"} & node.keys():
            if isinstance(node[name], float) and node[name].is_integer():
                node[name] = min(int(node[name]), MAX_TASK_ID)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _exact(child)


class _BodyLimit:
    """Refuses bodies that are longer than anything the service takes, before they fill the memory."""

    def __init__(self, app: ASGIApp, longer: Mapping[str, int]) -> None:
        self._app = app
        self._longer = longer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._longer.get(scope["path"], MAX_BODY)
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if length.isdigit() and int(length) > most:
            await self._refuse(most, scope, receive, send)
            return
        received = 0
        refused = False

        async def counted() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                refused = True
                return {"type": "http.disconnect"}
            return message

        async def unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        try:
            await self._app(scope, counted, unless_refused)
        except ClientDisconnect:
            if not refused:
                raise
        finally:
            if refused:
                await self._refuse(most, scope, receive, send)

    async def _refuse(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        response = problems.problem(problems.TOO_LARGE, "invalid", f"body: must have at most {most} bytes")
        await response(scope, receive, send)
