"""gonets scheduler: wakes what is due. Any number may run; one leads."""

import asyncio

from gonets.adapters.telemetry import metrics
from gonets.bootstrap.scheduler import SchedulerContainer
from gonets.entrypoints.process import configured, every, run

_FORGET_EVERY = 3600.0  # seconds
_SELF_TESTS_EVERY = 5.0


def main() -> None:
    """Sweeps until SIGTERM."""
    settings = configured()
    container = SchedulerContainer()

    async def sweep(stop: asyncio.Event) -> None:
        pools = [container.pool(), container.watching_pool()]
        leader, publisher, wake = container.leader(), container.publisher(), container.wake()
        wake_notifications = container.wake_notifications()
        watcher, queues, follow_starts = container.watcher(), container.queues(), container.follow_starts()
        end_metrics = metrics.serve(container.registry(), settings.metrics.host, settings.metrics.port)
        for pool in pools:
            await pool.open()
        watching = asyncio.create_task(watcher.run(), name="watcher")
        led = False

        async def leads() -> bool:
            nonlocal led
            led = False
            try:
                led = await leader.leads()
            finally:
                watcher.lead(led)
            return led

        async def more() -> bool:
            tasks, notifications = await wake(), await wake_notifications()
            return tasks == wake.limit or notifications == wake_notifications.limit

        async def once() -> None:
            if not await leads():
                await wake.look_on()
                return
            while await more() and not stop.is_set() and await leads():
                pass

        async def follow() -> None:
            # Beside the rest: Telegram may be slow.
            if led:
                await follow_starts()

        async def test_themselves() -> None:
            # Beside the rest, too: each test waits for its provider.
            if led:
                await container.self_tests()()

        testing = asyncio.create_task(every(_SELF_TESTS_EVERY, test_themselves, stop), name="self-tests")
        following = asyncio.create_task(every(settings.scheduler.listen_interval, follow, stop), name="starts")
        forgetting = asyncio.create_task(every(_FORGET_EVERY, container.notification_wakes().forget, stop))
        await every(settings.scheduler.interval, once, stop)
        await forgetting
        watching.cancel()
        following.cancel()
        testing.cancel()
        await container.senders().close()
        await leader.close()
        await publisher.close()
        await queues.close()
        for pool in pools:
            await pool.close()
        end_metrics()

    run(sweep)
