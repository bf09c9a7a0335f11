"""Waiting for what happens elsewhere: by looking, never by sleeping long enough."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


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
