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
        pools = [container.pool(), container.watching_pool(), container.retention_pool()]
        leader, publisher, wake = container.leader(), container.publisher(), container.wake()
        wake_notifications, keep_campaigns = container.wake_notifications(), container.keep_campaigns()
        wake_imports = container.wake_imports()
        watcher, queues, follow_starts = container.watcher(), container.queues(), container.follow_starts()
        end_metrics = metrics.serve(container.registry(), settings.metrics.host, settings.metrics.port)
        for pool in pools:
            await pool.open()
        watching = asyncio.create_task(watcher.run(), name="watcher")
        leading = asyncio.Event()

        async def leads() -> bool:
            led = False
            try:
                led = await leader.leads()
            finally:
                watcher.lead(led)
                leading.set() if led else leading.clear()
            return led

        async def more() -> bool:
            tasks, notifications, _ = await wake(), await wake_notifications(), await keep_campaigns()
            await wake_imports()
            return tasks == wake.limit or notifications == wake_notifications.limit

        async def once() -> None:
            if not await leads():
                await wake.look_on()
                return
            while await more() and not stop.is_set() and await leads():
                pass

        async def follow() -> None:
            # Beside the rest: Telegram may be slow.
            if leading.is_set():
                await follow_starts()

        async def test_themselves() -> None:
            # Beside the rest, too: each test waits for its provider.
            if leading.is_set():
                await container.self_tests()()

        testing = asyncio.create_task(every(_SELF_TESTS_EVERY, test_themselves, stop), name="self-tests")

        remove_expired, erase = container.remove_expired(), container.erase_contact()

        async def expire() -> None:
            await leading.wait()
            await erase.again()
            await remove_expired(lambda: leading.is_set() and not stop.is_set())

        async def enrich() -> None:
            if leading.is_set():
                await container.follow_questions()()

        following = asyncio.create_task(every(settings.scheduler.listen_interval, follow, stop), name="starts")
        enriching = asyncio.create_task(every(1.0, enrich, stop), name="questions")
        forgetting = asyncio.create_task(every(_FORGET_EVERY, container.notification_wakes().forget, stop))
        forgetting_imports = asyncio.create_task(every(_FORGET_EVERY, wake_imports.forget, stop))
        expiring = asyncio.create_task(every(_FORGET_EVERY, expire, stop), name="retention")
        await every(settings.scheduler.interval, once, stop)
        await forgetting
        await enriching
        await container.engine().dispose()
        await forgetting_imports
        watching.cancel()
        following.cancel()
        testing.cancel()

        expiring.cancel()
        await container.senders().close()
        await leader.close()
        await publisher.close()
        await queues.close()
        for pool in pools:
            await pool.close()
        end_metrics()

    run(sweep)
