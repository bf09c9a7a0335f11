"""Wake-ups of notifications: many in one message, and each worked on for itself."""

import asyncio
import itertools
import json

import pytest

from eventually import eventually
from gonets.adapters.rabbitmq.notifications import RabbitNotificationNews, TakeWake
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.receiver import Receiver

QUEUE = "NotificationDispatchQueue"


class Worker:
    """Claims whatever it is woken for but `broken`, and works on it as long as `free` is cleared."""

    def __init__(self, url, *, concurrency=5):
        self.claimed, self.ran, self.stamps = [], [], itertools.count(1)
        self.broken = None
        self.free = asyncio.Event()
        self.free.set()
        take = TakeWake(self.claim, self.run, self.stamps.__next__)
        self.receiver = Receiver(url, QUEUE, take, concurrency=concurrency)

    async def claim(self, number, _):
        if number == self.broken:
            raise ValueError("a bug")
        self.claimed.append(number)
        return number

    async def run(self, number):
        await self.free.wait()
        self.ran.append(number)

    async def has_run(self, *numbers):
        await eventually(lambda: sorted(self.ran) == sorted(numbers), f"{self.ran} become {numbers}")


@pytest.fixture
async def worker(broker):
    worker = Worker(broker.url)
    yield worker
    worker.free.set()
    await worker.receiver.stop(5)


@pytest.fixture
async def queue(broker):
    return await broker.declare(QUEUE, arguments={"x-queue-type": "quorum"})


@pytest.fixture
async def news(broker, queue):
    publisher = Publisher(broker.url, timeout=5)
    yield RabbitNotificationNews(publisher)
    await publisher.close()


async def wakes(broker):
    return [json.loads(message.body) for message in await broker.all(QUEUE)]


async def test_those_of_one_moment_travel_together(news, broker):
    await asyncio.gather(*(news.wake(number) for number in range(1, 48)))
    found = await wakes(broker)
    assert [len(wake["notificationIds"]) for wake in found] == [20, 20, 7]
    assert [number for wake in found for number in wake["notificationIds"]] == list(range(1, 48))


async def test_one_alone_travels_as_it_always_did(news, broker):
    await news.wake(7)
    assert await wakes(broker) == [{"notificationId": 7}]


async def test_each_is_worked_on_whatever_the_message_looks_like(news, broker, worker):
    await asyncio.gather(*(news.wake(number) for number in range(1, 31)))
    await broker.publish(QUEUE, {"notificationId": 31})
    await broker.publish(QUEUE, {"notificationIds": [32, "x"]})
    await broker.publish(QUEUE, b"no wake-up")
    await worker.receiver.start()
    await worker.has_run(*range(1, 32))
    await worker.receiver.stop(5)
    assert await wakes(broker) == []


async def test_never_more_are_in_hand_than_slots_and_what_was_not_begun_goes_back(news, broker, worker):
    worker.free.clear()
    await asyncio.gather(*(news.wake(number) for number in range(1, 13)))
    await worker.receiver.start()
    await eventually(lambda: len(worker.claimed) == 5, "five are claimed")
    stopping = asyncio.create_task(worker.receiver.stop(5))
    await eventually(lambda: worker.receiver._link.done(), "it takes nothing more")
    worker.free.set()
    await stopping
    assert sorted(worker.ran) == worker.claimed == [1, 2, 3, 4, 5]
    assert await wakes(broker) == [{"notificationIds": list(range(1, 13))}]


async def test_those_that_came_first_are_begun_first(broker, worker, queue):
    worker.free.clear()
    for first in (1, 21, 41):
        await broker.publish(QUEUE, {"notificationIds": list(range(first, first + 20))})
    await worker.receiver.start()
    await eventually(lambda: len(worker.claimed) == 5, "five are claimed")
    worker.free.set()
    await worker.has_run(*range(1, 61))
    assert worker.claimed == list(range(1, 61))


async def test_a_message_is_kept_until_all_are_claimed_and_no_bug_holds_up_the_others(news, broker, worker, caplog):
    worker.broken = 3
    await asyncio.gather(*(news.wake(number) for number in range(1, 13)))
    await worker.receiver.start()
    await worker.has_run(1, 2, *range(4, 13))
    await worker.receiver.stop(5)
    assert await wakes(broker) == [{"notificationIds": list(range(1, 13))}]
    assert "an error of ours" in caplog.text
