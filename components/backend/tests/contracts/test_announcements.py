"""What Announcements promises; and how it looks on the wire, to an independent client."""

import asyncio
import json
from collections import Counter

import aio_pika
import pytest

from eventually import eventually
from fakes import FakeAnnouncements
from foreign import DEAD, FAILURES, RESULTS, TASKS
from gonets.adapters.rabbitmq.announcements import RabbitAnnouncements
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.model import MAX_TASK_ID, Failure, Task, TaskType, Waiter
from proxy import Proxy

TASK = Task(7, TaskType.PHONE, 'тел "8 916"')
REFUSED = Failure(Category.REFUSED, "нет такого номера")
ANNA = Waiter("replies of anna", "a-1")


class FakeWire:
    def __init__(self):
        self.announcements = FakeAnnouncements()

    async def bodies(self, queue):
        fake = self.announcements
        match queue:
            case "TaskResultDeliveryQueue":
                return [_end(*told) for told in fake.results]
            case "TaskFailureDeliveryQueue":
                return [_end(*told) for told in fake.failures]
            case "TaskProcessingQueue":
                return [{"task_id": t.task_id, "task_type": t.task_type, "data": t.data} for t in fake.wakes]
        return [_end(task_id, end) for waiter, task_id, end in fake.replies if waiter.reply_to == queue]


class RabbitWire:
    def __init__(self, broker, announcements):
        self._broker = broker
        self.announcements = announcements

    async def bodies(self, queue):
        return [json.loads(message.body) for message in await self._broker.all(queue)]


def _end(task_id, outcome):
    if isinstance(outcome, Failure):
        return {"task_id": task_id, "error": {"category": outcome.category.value, "reason": outcome.reason}}
    return {"task_id": task_id, "id": outcome}


@pytest.fixture
async def announcements(broker):
    publisher = Publisher(broker.url, timeout=5)
    yield RabbitAnnouncements(publisher)
    await publisher.close()


@pytest.fixture
def fake():
    return FakeWire()


@pytest.fixture
async def rabbit(broker, announcements):
    await broker.declare(ANNA.reply_to, durable=False, auto_delete=True)
    yield RabbitWire(broker, announcements)
    await broker.delete(ANNA.reply_to)


@pytest.fixture(params=["fake", "rabbit"])
def wire(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def fake_away():
    announcements = FakeAnnouncements()
    announcements.available = False
    return announcements


@pytest.fixture
async def rabbit_away(servers, unused_tcp_port):
    nowhere = servers.rabbit.model_copy(update={"host": "127.0.0.1", "amqp_port": unused_tcp_port})
    publisher = Publisher(nowhere.url, timeout=1)
    yield RabbitAnnouncements(publisher)
    await publisher.close()


@pytest.fixture(params=["fake_away", "rabbit_away"])
def away(request):
    return request.getfixturevalue(request.param)


async def test_a_result_is_in_the_result_queue_when_the_call_returns(wire):
    await wire.announcements.result(1, 42)
    assert await wire.bodies(RESULTS) == [{"task_id": 1, "id": 42}]


async def test_a_failure_is_in_the_failure_queue_when_the_call_returns(wire):
    await wire.announcements.failure(1, REFUSED)
    assert await wire.bodies(FAILURES) == [
        {"task_id": 1, "error": {"category": "refused", "reason": "нет такого номера"}}
    ]


async def test_a_wake_up_is_the_task_itself_in_the_task_queue(wire):
    await wire.announcements.wake(TASK)
    assert await wire.bodies(TASKS) == [{"task_id": 7, "task_type": "phone", "data": 'тел "8 916"'}]


@pytest.mark.parametrize("outcome", [42, REFUSED], ids=["result", "failure"])
async def test_a_waiter_hears_the_end_on_its_own_queue(wire, outcome):
    await wire.announcements.reply(ANNA, 7, outcome)
    assert await wire.bodies(ANNA.reply_to) == [_end(7, outcome)]


async def test_a_waiter_that_is_gone_is_no_error(wire):
    await wire.announcements.reply(Waiter("nobody.listens.here"), 7, 42)


async def test_a_waiter_s_queue_that_is_full_is_no_error(announcements, broker):
    """Else the end would be told on its public queue again and again, by a worker that gets no further."""
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await broker.declare("full", durable=False, arguments=full)
    await broker.publish("full", b"the one that fits")
    await asyncio.gather(announcements.reply(Waiter("full"), 7, 42), announcements.result(7, 42))
    assert [message.body for message in await broker.all("full")] == [b"the one that fits"]
    assert len(await broker.all(RESULTS)) == 1
    await broker.delete("full")


async def test_telling_twice_tells_twice(wire):
    await wire.announcements.result(1, 42)
    await wire.announcements.result(1, 42)
    assert await wire.bodies(RESULTS) == [{"task_id": 1, "id": 42}] * 2


async def test_the_same_end_told_by_many_at_the_same_moment_is_told_as_often(wire):
    await asyncio.gather(*(wire.announcements.result(1, 42) for _ in range(20)))
    assert await wire.bodies(RESULTS) == [{"task_id": 1, "id": 42}] * 20


async def test_two_thousand_at_the_same_moment_all_arrive(wire):
    await asyncio.gather(*(wire.announcements.result(number, number + 1) for number in range(1, 2001)))
    found = await wire.bodies(RESULTS)
    assert sorted(body["task_id"] for body in found) == list(range(1, 2001))
    assert all(body["id"] == body["task_id"] + 1 for body in found)


@pytest.mark.parametrize(
    "tell",
    [
        lambda announcements: announcements.result(1, 42),
        lambda announcements: announcements.failure(1, REFUSED),
        lambda announcements: announcements.reply(ANNA, 1, 42),
        lambda announcements: announcements.wake(TASK),
    ],
    ids=["result", "failure", "reply", "wake"],
)
async def test_while_the_broker_is_away_every_call_is_unavailable(away, tell):
    async with asyncio.timeout(30):
        with pytest.raises(Unavailable):
            await tell(away)


# --- on the wire ---


async def test_a_result_is_exactly_the_contract_s_json_persistent_and_named(announcements, broker):
    await announcements.result(MAX_TASK_ID, 42)
    message = await broker.get(RESULTS)
    assert message.body == b'{"task_id":9223372036854775807,"id":42}'
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.content_type == "application/json"
    assert message.message_id == "task-9223372036854775807-result"


async def test_the_same_task_has_the_same_message_id_each_time_so_that_readers_can_tell(announcements, broker):
    for _ in range(2):
        await announcements.result(1, 42)
        await announcements.failure(2, REFUSED)
    assert {message.message_id for message in await broker.all(RESULTS)} == {"task-1-result"}
    assert {message.message_id for message in await broker.all(FAILURES)} == {"task-2-failure"}


@pytest.mark.parametrize("correlation_id", ["a-1", "", None, "я" * 100, "x" * 255])
async def test_a_reply_carries_the_waiter_s_own_mark(rabbit, announcements, broker, correlation_id):
    await announcements.reply(Waiter(ANNA.reply_to, correlation_id), 7, 42)
    message = await broker.get(ANNA.reply_to)
    assert (message.correlation_id or None) == (correlation_id or None)
    assert message.body == b'{"task_id":7,"id":42}'
    assert message.content_type == "application/json"
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


async def test_direct_reply_to_is_answered(announcements, broker):
    """RabbitMQ reports NO_ROUTE for it although it delivers."""
    heard = asyncio.get_running_loop().create_future()
    await broker.declare("relay", durable=False, auto_delete=True)
    direct = await broker.channel.get_queue("amq.rabbitmq.reply-to", ensure=False)

    async def hear(message):
        heard.set_result(message)

    await direct.consume(hear, no_ack=True)
    await broker.publish("relay", b"ask", reply_to="amq.rabbitmq.reply-to")
    address = (await broker.get("relay")).reply_to
    await announcements.reply(Waiter(address, "mark"), 7, 42)
    message = await asyncio.wait_for(heard, 30)
    assert (message.body, message.correlation_id) == (b'{"task_id":7,"id":42}', "mark")


@pytest.mark.parametrize("waiter", [Waiter("q", "\ufffd" * 255), Waiter("ю" * 255), Waiter("amq.rabbitmq.reply-to.x")])
async def test_a_waiter_that_no_message_can_reach_is_no_error_and_harms_no_other(announcements, broker, waiter):
    await asyncio.gather(announcements.reply(waiter, 7, 42), announcements.result(1, 42))
    await announcements.result(2, 42)
    assert [json.loads(message.body)["task_id"] for message in await broker.all(RESULTS)] == [1, 2]


async def test_a_queue_deleted_under_us_is_declared_again_and_the_message_is_there(announcements, broker):
    await announcements.result(1, 42)
    await broker.delete(RESULTS)
    await announcements.result(2, 43)
    assert [message.body for message in await broker.all(RESULTS)] == [b'{"task_id":2,"id":43}']
    assert await broker.arguments(RESULTS) == {"durable": True}


async def test_of_a_batch_that_comes_back_only_what_came_back_is_sent_again(announcements, broker):
    await announcements.failure(1, REFUSED)
    await announcements.result(1, 1)
    await broker.delete(RESULTS)
    await broker.all(FAILURES)
    await asyncio.gather(
        *(announcements.result(number, 1) for number in range(50)),
        *(announcements.failure(number, REFUSED) for number in range(50)),
    )
    for queue in (RESULTS, FAILURES):
        counted = Counter(json.loads(message.body)["task_id"] for message in await broker.all(queue))
        assert counted == Counter(range(50))


async def test_nothing_but_the_message_s_own_queue_is_made(announcements, broker):
    await announcements.result(1, 42)
    assert [await broker.exists(queue) for queue in (TASKS, DEAD, RESULTS, FAILURES)] == [False, False, True, False]


async def _told(announcements, number):
    try:
        await announcements.result(number, 42)
    except Unavailable:
        return False
    return True


async def test_a_connection_closed_by_an_operator_is_opened_again(announcements, broker):
    await announcements.result(1, 42)
    await eventually(lambda: broker.close_connections("gonets publisher"), "the connection is listed", timeout=60)
    await eventually(lambda: _told(announcements, 2), "told on a new connection")
    assert {json.loads(message.body)["task_id"] for message in await broker.all(RESULTS)} == {1, 2}


async def test_a_broker_that_went_silent_is_unavailable_in_time_and_spoken_to_again_when_it_is_back(servers, broker):
    async with Proxy(servers.rabbit.host, servers.rabbit.amqp_port) as proxy:
        through = servers.rabbit.model_copy(update={"host": "127.0.0.1", "amqp_port": proxy.port})
        publisher = Publisher(through.url, timeout=0.5)
        announcements = RabbitAnnouncements(publisher)
        await eventually(lambda: _told(announcements, 1), "told")
        proxy.freeze()
        async with asyncio.timeout(30):
            found = await asyncio.gather(*(announcements.result(n, 42) for n in (2, 3)), return_exceptions=True)
        assert [type(error) for error in found] == [Unavailable, Unavailable]
        proxy.thaw()
        await eventually(lambda: _told(announcements, 4), "told again")
        await publisher.close()
    assert {1, 4} <= {json.loads(message.body)["task_id"] for message in await broker.all(RESULTS)}


async def test_a_broker_cut_off_under_many_messages_is_unavailable_for_each_that_is_not_confirmed(servers, broker):
    async with Proxy(servers.rabbit.host, servers.rabbit.amqp_port) as proxy:
        through = servers.rabbit.model_copy(update={"host": "127.0.0.1", "amqp_port": proxy.port})
        publisher = Publisher(through.url, timeout=20)
        announcements = RabbitAnnouncements(publisher)
        await announcements.result(1, 42)
        telling = [asyncio.create_task(announcements.result(n, 42)) for n in range(2, 1002)]
        await telling[0]
        telling += [asyncio.create_task(announcements.result(n, 42)) for n in range(1002, 2002)]
        await asyncio.sleep(0)
        await proxy.cut()
        async with asyncio.timeout(60):
            found = await asyncio.gather(*telling, return_exceptions=True)
        assert {type(outcome) for outcome in found} <= {Unavailable, type(None)}
        assert Unavailable in {type(outcome) for outcome in found}
        arrived = {json.loads(message.body)["task_id"] for message in await broker.all(RESULTS)}
        confirmed = {number for number, outcome in enumerate(found, start=2) if outcome is None}
        assert confirmed <= arrived, "what was confirmed is there"
        await proxy.restore()
        await announcements.result(5000, 42)
        await publisher.close()


async def test_a_long_life_leaves_nothing_behind(announcements, broker):
    """Each batch watches its channel, and must stop watching it."""
    for number in range(1, 51):
        await announcements.result(number, 42)
    channel = announcements._publisher._channel
    assert len(channel._closing._callbacks or ()) < 10
    assert not channel.confirmations
    assert not channel.message_id_delivery_tag


async def test_a_connection_that_dies_under_the_opening_of_a_channel_is_unavailable(monkeypatch, announcements, broker):
    """aiormq raises CancelledError there, which must not pass for a cancellation of whoever publishes."""

    async def dies(*args, **kwargs):
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr("aiormq.Connection.channel", dies)
        with pytest.raises(Unavailable):
            await announcements.result(1, 42)
    await announcements.result(2, 42)
    assert await broker.ready(RESULTS) == 1


async def test_whoever_is_cancelled_while_publishing_is_cancelled(announcements, broker):
    await announcements.result(1, 42)
    telling = asyncio.create_task(announcements.result(2, 42))
    await asyncio.sleep(0)
    telling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await telling
    await announcements.result(3, 42)
