"""What every process does at its start and its end."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

from gonets import settings
from gonets.adapters.telemetry import logs
from gonets.settings import Environment, Settings


def configured() -> Settings:
    """The settings, with the logs set up. A wrong variable ends the process with a line that names it."""
    try:
        loaded = settings.load()
    except settings.SettingsError as error:
        sys.exit(str(error))
    logs.configure(loaded.log_level, as_json=loaded.environment is Environment.PRODUCTION)
    return loaded


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `main` with an event that SIGTERM or SIGINT sets: time to finish what is in hand and leave."""

    async def supervised() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    uvloop.run(supervised())
