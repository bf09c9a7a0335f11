"""Going on when the database or the broker is away, for work that must not be dropped."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gonets.core.shared.errors import Unavailable, Unexplained

log = logging.getLogger(__name__)

Result = TypeVar("Result")


async def until_available(action: Callable[[], Awaitable[Result]], *, longest_pause: float = 1.0) -> Result:
    """Repeats an idempotent action until it no longer raises Unavailable. Ends only with it or by cancellation."""
    pause, told = 0.05, False
    while True:
        try:
            return await action()
        except Unavailable as error:
            # An outage is told elsewhere, once for all; this is told once for each action that is held up.
            level = logging.ERROR if isinstance(error, Unexplained) and not told else logging.DEBUG
            told = True
            log.log(level, "unavailable, trying again", extra={"reason": error.reason, "pause_s": pause})
        await asyncio.sleep(pause)
        pause = min(pause * 2, longest_pause)
