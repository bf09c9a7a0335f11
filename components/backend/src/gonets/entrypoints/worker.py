"""gonets worker: takes tasks from the queue and asks the providers."""

import asyncio
import gc

from gonets.bootstrap.worker import WorkerContainer
from gonets.entrypoints.process import configured, every, run


def main() -> None:
    """Works until SIGTERM; then takes nothing new, finishes what is in hand within the deadline, and leaves."""
    settings = configured()
    container = WorkerContainer()

    async def work(stop: asyncio.Event) -> None:
        pools = [container.pool(), container.lazy_pool()]
        lifeline, consumer, publisher = container.lifeline(), container.consumer(), container.publisher()
        for pool in pools:
            await pool.open()
        await lifeline.start()
        await consumer.start()
        # What is there now stays: the collector need not look at it again, nor stop the loop for every 700 new objects.
        gc.freeze()
        gc.set_threshold(20_000)
        await every(1.0, container.gates().refresh, stop)
        await consumer.stop(settings.worker.graceful_timeout)
        await lifeline.stop()
        await publisher.close()
        await container.transport().close()
        for pool in pools:
            await pool.close()

    run(work)
