"""gonets scheduler: wakes what is due. Any number may run; one leads."""

import asyncio
import contextlib
import logging

from gonets.bootstrap.scheduler import SchedulerContainer
from gonets.core.shared.errors import Unavailable
from gonets.entrypoints.process import configured, run

log = logging.getLogger(__name__)


def main() -> None:
    """Sweeps until SIGTERM."""
    settings = configured()
    container = SchedulerContainer()

    async def sweep(stop: asyncio.Event) -> None:
        pool, leader, publisher, wake = (
            container.pool(),
            container.leader(),
            container.publisher(),
            container.wake(),
        )
        await pool.open()
        while not stop.is_set():
            try:
                while await leader.leads() and await wake() == wake.limit and not stop.is_set():
                    pass  # there is more
            except Unavailable as error:
                log.warning("sweep failed", extra={"reason": error.reason})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(settings.scheduler.interval):
                    await stop.wait()
        await leader.close()
        await publisher.close()
        await pool.close()

    run(sweep)
