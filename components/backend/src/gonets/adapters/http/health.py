"""Liveness and readiness."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

Check = Callable[[], Awaitable[None]]
"""Returns when what it looks at works; raises with the reason otherwise."""


class Health(BaseModel):
    """What works and what does not."""

    status: Annotated[str, Field(examples=["ready"])]
    checks: Annotated[dict[str, str], Field(examples=[{"database": "ok", "broker": "ok"}])] = {}


def router(checks: Mapping[str, Check], *, timeout: float = 1.0) -> APIRouter:
    """`checks`: what readiness looks at, by name; `timeout`: seconds for all of them together."""
    health = APIRouter(prefix="/health", tags=["health"])

    async def look(check: Check) -> str:
        try:
            async with asyncio.timeout(timeout):
                await check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer says it
            return str(error) or type(error).__name__
        return "ok"

    @health.get("/live", summary="The process runs")
    async def live() -> Health:
        return Health(status="live")

    @health.get(
        "/ready",
        summary="What the process needs is there",
        responses={503: {"model": Health, "description": "Something is away; `checks` says what"}},
    )
    async def ready(response: Response) -> Health:
        results = await asyncio.gather(*map(look, checks.values()))
        found = dict(zip(checks, results, strict=True))
        if all(result == "ok" for result in results):
            return Health(status="ready", checks=found)
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Health(status="not ready", checks=found)

    return health
