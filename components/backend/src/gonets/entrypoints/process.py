"""What every process does at its start and its end."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

from gonets import settings
from gonets.adapters.telemetry import logs
from gonets.core.shared.errors import Unavailable
from gonets.core.shared.masking import Masking
from gonets.settings import Settings

log = logging.getLogger(__name__)


def configured() -> Settings:
    """The settings, with the logs set up. A wrong variable ends the process with a line that names it."""
    try:
        loaded = settings.load()
    except settings.SettingsError as error:
        sys.exit(str(error))
    logs.configure(loaded.log_level, as_json=loaded.logs_as_json, masking=Masking(loaded.secrets))
    return loaded


def settled() -> None:
    """What is there now stays: the collector need not look at it again, nor stop the loop for every 700 new objects."""
    gc.freeze()
    gc.set_threshold(20_000)


async def every(seconds: float, action: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
    """Repeats the action until the event is set. What is unavailable now is tried again next time."""
    while not stop.is_set():
        try:
            await action()
        except Unavailable as error:
            log.warning("not done this time", extra={"what": action.__qualname__, "reason": error.reason})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stop.wait()


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `main` with an event that SIGTERM or SIGINT sets: time to finish what is in hand and leave."""

    async def supervised() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    uvloop.run(supervised())
