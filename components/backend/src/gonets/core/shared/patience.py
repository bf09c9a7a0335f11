"""Going on when the database or the broker is away, for work that must not be dropped."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gonets.core.shared.errors import Unavailable

log = logging.getLogger(__name__)

Result = TypeVar("Result")


async def until_available(action: Callable[[], Awaitable[Result]], *, longest_pause: float = 1.0) -> Result:
    """Repeats an idempotent action until it no longer raises Unavailable. Ends only with it or by cancellation."""
    pause = 0.05
    while True:
        try:
            return await action()
        except Unavailable as error:
            log.debug("unavailable, trying again", extra={"reason": error.reason, "pause_s": pause})
        await asyncio.sleep(pause)
        pause = min(pause * 2, longest_pause)
