"""gonets scheduler: wakes what is due. Any number may run; one leads."""

import asyncio

from gonets.bootstrap.scheduler import SchedulerContainer
from gonets.entrypoints.process import configured, every, run


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

        async def once() -> None:
            while await leader.leads() and await wake() == wake.limit and not stop.is_set():
                pass  # there is more

        await every(settings.scheduler.interval, once, stop)
        await leader.close()
        await publisher.close()
        await pool.close()

    run(sweep)
