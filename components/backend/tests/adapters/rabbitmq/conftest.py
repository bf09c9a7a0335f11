"""A worker's queue side, on the real broker, with everything behind it in memory."""

import asyncio
import itertools

import pytest

from eventually import eventually
from fakes import FakeTaskTable
from foreign import TASKS, broker  # noqa: F401 - a fixture
from gonets.adapters.rabbitmq.announcements import RabbitAnnouncements
from gonets.adapters.rabbitmq.consumer import TaskConsumer
from gonets.adapters.rabbitmq.outcomes import DeadLetters
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.core.tasks.use_cases import TakeTask, TellTask


class Worker:
    """Claims tasks in memory and "runs" them: `ran` says which; the provider takes as long as `free` is cleared,
    what follows as long as `may_finish` is."""

    def __init__(self, url, *, concurrency=5):
        self.url = url
        self.table = FakeTaskTable()
        self.publisher = Publisher(url, timeout=5)
        announcements = RabbitAnnouncements(self.publisher)
        take = TakeTask(self.table, announcements, TellTask(announcements, self.table))
        self.ran = []
        self.alone = []
        self.running = 0
        self.most_running = 0
        self.free = asyncio.Event()
        self.free.set()
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.consumer = TaskConsumer(
            url,
            take,
            self.run,
            self.run_alone,
            DeadLetters(self.publisher),
            concurrency=concurrency,
            new_token=itertools.count(1).__next__,
        )

    async def run(self, claim, asked):
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.free.wait()
            self.ran.append(claim.task.task_id)
        finally:
            self.running -= 1
        asked()
        await self.may_finish.wait()
        await self.table.told(await self.table.answer(claim, {}))

    async def run_alone(self, suspect):
        assert self.running == 0
        assert self.consumer._in_hand.locked()
        self.alone.append(suspect.task.task_id)
        await self.run(suspect, lambda: None)

    async def has_run(self, *task_ids):
        await eventually(lambda: set(task_ids) <= set(self.ran), f"{len(task_ids)} tasks are run, as {self.ran} are")


@pytest.fixture
async def make_worker(broker):  # noqa: F811
    workers = []

    async def make(url=broker.url, **options):
        workers.append(Worker(url, **options))
        await workers[-1].consumer.start()
        consumers = len([worker for worker in workers if worker.url == url])

        async def listening():
            return await broker.consumers(TASKS) >= consumers

        await eventually(listening, "the consumer listens")
        return workers[-1]

    yield make
    for worker in workers:
        worker.free.set()
        worker.may_finish.set()
        await worker.consumer.stop(5)
        await worker.publisher.close()


@pytest.fixture
async def worker(make_worker):
    return await make_worker()
