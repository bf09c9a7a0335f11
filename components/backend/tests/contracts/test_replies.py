"""What ReplyInbox promises."""

import asyncio
from datetime import timedelta

import pytest

from eventually import eventually
from fakes import FakeReplyInbox
from gonets.adapters.rabbitmq.announcements import RabbitAnnouncements
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.replies import RabbitReplyInbox
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.model import Failure, Waiter

REFUSED = Failure(Category.REFUSED, "нет")
LONG, SHORT = timedelta(seconds=15), timedelta(milliseconds=20)


class FakeSide:
    def __init__(self):
        self.inbox = FakeReplyInbox()

    async def answer(self, waiter, outcome):
        self.inbox.answer(waiter, outcome)


class RabbitSide:
    def __init__(self, inbox, announcements):
        self.inbox = inbox
        self._announcements = announcements

    async def answer(self, waiter, outcome):
        await self._announcements.reply(waiter, 7, outcome)


@pytest.fixture
def fake():
    return FakeSide()


@pytest.fixture
async def rabbit(broker):
    inbox, publisher = RabbitReplyInbox(broker.url), Publisher(broker.url, timeout=5)
    await inbox.start()
    await eventually(inbox.open, "the inbox listens")
    yield RabbitSide(inbox, RabbitAnnouncements(publisher))
    await inbox.stop()
    await publisher.close()


@pytest.fixture(params=["fake", "rabbit"])
def side(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("outcome", [42, 2**63 - 1, REFUSED], ids=["result", "large result", "failure"])
async def test_the_end_is_heard(side, outcome):
    with side.inbox.open() as reply:
        await side.answer(reply.waiter, outcome)
        assert await reply.wait(LONG) == outcome


async def test_the_end_is_heard_by_who_waits_already(side):
    with side.inbox.open() as reply:
        waiting = asyncio.create_task(reply.wait(LONG))
        await asyncio.sleep(0)
        await side.answer(reply.waiter, 42)
        assert await waiting == 42


async def test_when_the_time_is_over_nothing_was_heard(side):
    with side.inbox.open() as reply:
        assert await reply.wait(SHORT) is None


async def test_each_hears_its_own(side):
    with side.inbox.open() as one, side.inbox.open() as two:
        await side.answer(two.waiter, 2)
        await side.answer(one.waiter, 1)
        assert await one.wait(LONG) == 1
        assert await two.wait(LONG) == 2


async def test_the_first_of_two_ends_counts(side):
    with side.inbox.open() as reply:
        await side.answer(reply.waiter, 1)
        await side.answer(reply.waiter, 2)
        assert await reply.wait(LONG) == 1


async def test_an_end_for_nobody_is_ignored(side):
    with side.inbox.open() as gone:
        pass
    with side.inbox.open() as reply:
        await side.answer(gone.waiter, 1)
        await side.answer(Waiter(reply.waiter.reply_to, "never heard of"), 2)
        await side.answer(reply.waiter, 3)
        assert await reply.wait(LONG) == 3


def test_while_no_reply_could_arrive_nothing_is_opened():
    fake = FakeReplyInbox()
    fake.available = False
    assert fake.open() is None


# --- the real one ---


async def test_without_a_broker_nothing_is_opened_and_the_check_says_so(servers, unused_tcp_port):
    nowhere = servers.rabbit.model_copy(update={"host": "127.0.0.1", "amqp_port": unused_tcp_port})
    inbox = RabbitReplyInbox(nowhere.url)
    await inbox.start()
    assert inbox.open() is None
    with pytest.raises(Unavailable):
        await inbox.check()
    await inbox.stop()


@pytest.mark.parametrize(
    "garbage",
    [b"", b"no json", b"\xff", b"{}", b'{"task_id":1,"id":"42"}', b'{"task_id":1,"error":{"category":"x","reason":1}}'],
)
async def test_garbage_is_ignored(rabbit, broker, garbage):
    with rabbit.inbox.open() as reply:
        await broker.publish(reply.waiter.reply_to, garbage, correlation_id=reply.waiter.correlation_id)
        await broker.publish(reply.waiter.reply_to, garbage)
        await rabbit.answer(reply.waiter, 42)
        assert await reply.wait(LONG) == 42


async def _broken(rabbit):
    return rabbit.inbox.open() is None


async def test_it_listens_again_after_its_connection_was_closed(rabbit, broker):
    await rabbit.inbox.check()
    # Looked for from the beginning: it may listen again before the broker's answer is here.
    looking = asyncio.create_task(eventually(lambda: _broken(rabbit), "it knows that it hears nothing", timeout=90))
    await eventually(lambda: broker.close_connections("gonets replies"), "the connection is listed", timeout=60)
    await looking
    reply = await eventually(rabbit.inbox.open, "the inbox listens again")
    with reply:
        await rabbit.answer(reply.waiter, 42)
        assert await reply.wait(LONG) == 42


async def test_two_processes_hear_each_its_own(rabbit, broker):
    other = RabbitReplyInbox(broker.url)
    await other.start()
    theirs = await eventually(other.open, "the other listens")
    with theirs, rabbit.inbox.open() as ours:
        await rabbit.answer(theirs.waiter, 1)
        await rabbit.answer(ours.waiter, 2)
        assert await theirs.wait(LONG) == 1
        assert await ours.wait(LONG) == 2
    await other.stop()
