"""Waiting for what happens elsewhere: by looking, never by sleeping long enough."""

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

_TICK = 0.02  # seconds


async def eventually(look: Callable[[], Any], what: str, *, timeout: float = 15.0) -> Any:
    """Looks (a function or a coroutine function) until it finds something true, and returns that. Fails after
    `timeout` seconds, naming `what`."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def own_clock() -> AsyncIterator[Callable[[], float]]:
    """Shows seconds in which this process got to run: it stands still while the machine gives it nothing, so that
    nobody is taken for slow who was only kept waiting. It never runs ahead of the true time."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(_TICK)
            ticks += 1

    ticking = asyncio.create_task(tick())
    try:
        yield lambda: ticks * _TICK
    finally:
        ticking.cancel()
