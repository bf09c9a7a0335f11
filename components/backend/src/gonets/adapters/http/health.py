"""Liveness and readiness."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from gonets.core.shared.errors import Category
from gonets.core.tasks.circuit import Circuit
from gonets.core.tasks.ports import Circuits
from gonets.core.tasks.survey import Queues

Check = Callable[[], Awaitable[None]]
"""Returns when what it looks at works; raises with the reason otherwise."""


class Health(BaseModel):
    """What works and what does not."""

    status: Annotated[str, Field(description="ready, degraded or not ready", examples=["ready"])]
    checks: Annotated[
        dict[str, str],
        Field(
            description="ok, or what is wrong",
            examples=[{"database": "ok", "broker": "ok", "queues": "ok", "providers": "ok"}],
        ),
    ] = {}


def router(needed: Mapping[str, Check], wanted: Mapping[str, Check], *, timeout: float = 1.0) -> APIRouter:
    """Readiness looks at all of them. Without one of `needed` no task can be taken: 503. Without one of `wanted` tasks
    are taken and wait: degraded, but 200. `timeout`: seconds for all of them together."""
    health = APIRouter(prefix="/health", tags=["health"])
    checks = {**needed, **wanted}

    async def look(check: Check) -> str:
        try:
            async with asyncio.timeout(timeout):
                await check()
        except TimeoutError:
            return f"no answer within {timeout:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer says it
            return str(error) or type(error).__name__
        return "ok"

    @health.get("/live", summary="The process runs")
    async def live() -> Health:
        return Health(status="live")

    @health.get(
        "/ready",
        summary="What the service needs is there",
        description="`degraded`: tasks are taken, and wait until what `checks` names is there again.",
        responses={503: {"model": Health, "description": "No task can be taken; `checks` says why"}},
    )
    async def ready(response: Response) -> Health:
        results = await asyncio.gather(*map(look, checks.values()))
        found = dict(zip(checks, results, strict=True))
        if any(found[name] != "ok" for name in needed):
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
            return Health(status="not ready", checks=found)
        degraded = any(result != "ok" for result in results)
        return Health(status="degraded" if degraded else "ready", checks=found)

    return health


def consumed(queues: Queues, *names: str) -> Check:
    """Whether somebody takes what is in these queues."""

    async def check() -> None:
        found = await queues.look()
        idle = [name for name in names if name not in found or not found[name].consumers]
        if idle:
            raise RuntimeError(f"no consumer: {', '.join(idle)} (does gonets worker run?)")

    return check


def closed(circuits: Circuits) -> Check:
    """Whether every provider is asked."""

    async def check() -> None:
        found = await circuits.read()
        opened = [_words(name, circuit) for name, circuit in sorted(found.items()) if circuit.opened]
        if opened:
            raise RuntimeError("; ".join(opened))

    return check


def _words(provider: str, circuit: Circuit) -> str:
    why = f": {circuit.failure.reason}" if circuit.failure else ""
    if circuit.failure and circuit.failure.category is Category.MISCONFIGURED:
        return f"{provider} needs an operator{why}"
    return f"{provider} is left in peace for a while{why}"
