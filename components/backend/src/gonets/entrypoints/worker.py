"""gonets worker: takes tasks and notifications from their queues, asks the providers and sends."""

import asyncio
import os
import sys
from collections.abc import Sequence, Set

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.consumer import TaskConsumer
from gonets.adapters.rabbitmq.receiver import Receiver
from gonets.adapters.telemetry import metrics
from gonets.bootstrap.worker import WorkerContainer
from gonets.entrypoints.process import configured, every, run, settled

_LISTEN_EVERY = 60.0  # seconds


def _wanted(receivers: Sequence[TaskConsumer | Receiver], queues: Set[str]) -> Sequence[TaskConsumer | Receiver]:
    """Those of these queues; all of them where none is named."""
    known = [receiver.queue for receiver in receivers]
    if unknown := sorted(queues - set(known)):
        sys.exit(f"WORKER_QUEUES: no worker takes from {', '.join(unknown)}; there are {', '.join(known)}")
    return [receiver for receiver in receivers if not queues or receiver.queue in queues]


def _sends(receivers: Sequence[TaskConsumer | Receiver]) -> bool:
    """Whether messages leave by this worker. One by which none leave keeps no session with an SMS centre: some centres
    permit a single one."""
    return any(receiver.queue in topology.SENDING for receiver in receivers)


def main() -> None:
    """Works until SIGTERM; then takes nothing new, finishes what is in hand within the deadline, and leaves."""
    settings = configured()
    container = WorkerContainer()

    async def work(stop: asyncio.Event) -> None:
        end_metrics = metrics.serve(container.registry(), settings.metrics.host, settings.metrics.port)
        pools = [container.pool(), container.lazy_pool(), container.import_pool()]
        lifeline, publisher = container.lifeline(), container.publisher()
        notifications = container.notifications()
        receivers = _wanted(
            [container.consumer(), *notifications.receivers, container.campaigns(), container.import_receiver()],
            settings.worker.takes_from,
        )
        os.nice(settings.worker.nice)
        for pool in pools:
            await pool.open()
        await lifeline.start()
        for receiver in receivers:
            await receiver.start()
        settled()

        async def refresh() -> None:
            await container.gates().refresh()
            await notifications.turns.refresh()

        async def listen() -> None:
            if _sends(receivers):
                await notifications.listen()

        # Beside the rest: a centre that does not answer holds nothing up, neither now nor at the end.
        listening = asyncio.create_task(every(_LISTEN_EVERY, listen, stop))
        await every(1.0, refresh, stop)
        listening.cancel()
        container.dispatch().lanes.stop()
        await asyncio.gather(
            asyncio.wait([listening]),
            *(receiver.stop(settings.worker.graceful_timeout) for receiver in receivers),
        )
        await asyncio.gather(container.gates().rest(), notifications.turns.rest())
        await lifeline.stop()
        await publisher.close()
        await container.transport().close()
        await container.senders().close()
        for pool in pools:
            await pool.close()
        if tracing := container.tracing():
            await asyncio.to_thread(tracing.close)
        end_metrics()

    run(work)
