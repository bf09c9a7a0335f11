"""The queue door."""

import asyncio
import json
from datetime import UTC, datetime

import aio_pika
import pytest

from eventually import eventually
from foreign import DEAD, RESULTS, TASKS
from gonets.core.tasks.model import Task, TaskStatus, TaskType, Waiter
from proxy import Proxy

REASON, CATEGORY, QUEUE = "x-gonets-reason", "x-gonets-category", "x-gonets-queue"


def _task(task_id=1, **changes):
    return {"task_id": task_id, "task_type": "phone", "data": "8 916 823 34 54"} | changes


async def _quiet(broker):
    await eventually(lambda: _is_empty(broker), "the queue is empty")


async def _nothing_comes_back(worker, broker):
    """Everything that was delivered was acknowledged."""
    # What a test sees of a message set aside, it may see before the worker has the broker's confirm.
    await eventually(lambda: not worker.consumer._taking, "nothing is being taken")
    await worker.consumer.stop(0.1)
    await eventually(lambda: _gone(broker), "the consumer is gone")
    assert await broker.ready(TASKS) == 0


async def _gone(broker):
    return await broker.consumers(TASKS) == 0


async def _is_empty(broker):
    return await broker.ready(TASKS) == 0


# --- taking ---


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"content_type": "application/json", "delivery_mode": aio_pika.DeliveryMode.PERSISTENT},
        {"content_type": "text/plain; charset=koi8-r", "delivery_mode": aio_pika.DeliveryMode.NOT_PERSISTENT},
        {"content_encoding": "gzip", "priority": 9, "type": "whatever", "app_id": "их приложение", "expiration": 60},
        {"headers": {"any": "thing", "deep": {"list": [1, 2.5, None, True, "x"]}}},
    ],
    ids=["none", "usual", "odd", "many", "headers"],
)
async def test_a_task_is_taken_whatever_the_properties_of_its_message(worker, broker, properties):
    await broker.publish(TASKS, _task(), **properties)
    await worker.has_run(1)


async def test_the_sender_s_address_and_mark_are_kept_with_the_task(worker, broker):
    worker.free.clear()
    await broker.publish(TASKS, _task(1), reply_to="anna", correlation_id="a-1")
    await broker.publish(TASKS, _task(2), reply_to="bert")
    await broker.publish(TASKS, _task(3), correlation_id="a mark without an address")
    await eventually(lambda: worker.running == 3, "all are taken")
    assert [worker.table.rows[n].waiters for n in (1, 2, 3)] == [[Waiter("anna", "a-1")], [Waiter("bert")], []]


async def test_a_message_is_acknowledged_when_it_is_taken_and_before_it_is_run(worker, broker):
    worker.free.clear()
    await broker.publish(TASKS, _task())
    await eventually(lambda: worker.running == 1, "it is run")
    await _nothing_comes_back(worker, broker)


async def test_no_more_tasks_are_run_than_there_are_slots_and_messages_held_are_twice_as_many(make_worker, broker):
    worker = await make_worker(concurrency=3)
    worker.free.clear()
    for number in range(1, 21):
        await broker.publish(TASKS, _task(number))

    async def filled():
        return worker.running == 3 and await broker.ready(TASKS) == 20 - 3 - 6

    await eventually(filled, "three are run, six wait here, the others in the queue")
    worker.free.set()
    await worker.has_run(*range(1, 21))
    assert worker.most_running == 3


async def test_a_slot_is_free_when_the_provider_has_answered_but_no_more_than_twice_as_many_are_in_hand(
    make_worker, broker
):
    worker = await make_worker(concurrency=3)
    worker.may_finish.clear()
    for number in range(1, 21):
        await broker.publish(TASKS, _task(number))

    async def filled():
        return len(worker.ran) == 6 and await broker.ready(TASKS) == 20 - 6 - 6

    await eventually(filled, "six are asked though none is told, six wait here, the others in the queue")
    assert worker.running == 0
    worker.may_finish.set()
    await worker.has_run(*range(1, 21))
    assert worker.most_running <= 3


async def test_a_copy_of_a_task_in_hand_is_not_run_again(worker, broker):
    worker.free.clear()
    for _ in range(3):
        await broker.publish(TASKS, _task(), reply_to="anna", correlation_id="a")
    await eventually(lambda: worker.running == 1, "it is run")
    await _quiet(broker)
    worker.free.set()
    await broker.publish(TASKS, _task(2))
    await worker.has_run(2)
    assert sorted(worker.ran) == [1, 2]


async def test_a_copy_of_a_done_task_is_told_again(worker, broker):
    await broker.publish(TASKS, _task())
    await worker.has_run(1)
    await eventually(lambda: worker.table.rows[1].status is TaskStatus.DONE, "it is done")
    replies = await broker.declare("replies", durable=False, auto_delete=True)
    await broker.publish(TASKS, _task(), reply_to=replies.name, correlation_id="again")
    told, reply = await broker.wait_for(RESULTS), await broker.wait_for(replies.name)
    assert json.loads(told.body) == json.loads(reply.body) == {"task_id": 1, "id": 1}
    assert reply.correlation_id == "again"
    assert worker.ran == [1]
    await _nothing_comes_back(worker, broker)


async def test_two_workers_share_the_work(make_worker, broker):
    one, two = await make_worker(concurrency=1), await make_worker(concurrency=1)
    one.free.clear()
    two.free.clear()
    for number in range(1, 7):
        await broker.publish(TASKS, _task(number))
    await eventually(lambda: one.running == two.running == 1, "both have work")


# --- what is no task ---


BAD = {
    "nothing": b"",
    "no JSON": b"hello",
    "a list": b"[1, 2]",
    'task_id "7"': json.dumps(_task("7")).encode(),
    "task_id 0": json.dumps(_task(0)).encode(),
    "unknown task_type": json.dumps(_task(task_type="fax")).encode(),
    "empty data": json.dumps(_task(data="")).encode(),
    "data of a wrong type": json.dumps(_task(data=7)).encode(),
    "1 MiB of data": json.dumps(_task(data="x" * 2**20)).encode(),
    "invalid UTF-8": b'{"task_id": 1, "task_type": "phone", "data": "\xff\xfe"}',
    "NUL": json.dumps(_task(data="a\0b")).encode(),
    "a raw NUL": b"\0" * 10,
    "a lone surrogate": json.dumps(_task(data="\ud800")).encode(),
    "deep nesting": b"[" * 100_000,
    "any bytes": bytes(range(256)),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
async def test_what_is_no_task_is_set_aside_untouched_with_a_reason_and_the_work_goes_on(worker, broker, body):
    await broker.publish(TASKS, body)
    await broker.publish(TASKS, _task())
    message = await broker.wait_for(DEAD)
    assert message.body == body
    assert message.headers[CATEGORY] == "invalid"
    assert message.headers[QUEUE] == TASKS
    assert len(message.headers[REASON]) > 10
    assert message.headers[REASON].isprintable()
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    await worker.has_run(1)
    await _nothing_comes_back(worker, broker)


async def test_many_bad_messages_are_each_set_aside_once(worker, broker):
    for _ in range(3):
        await asyncio.gather(*(broker.publish(TASKS, body) for body in BAD.values()))
    await broker.publish(TASKS, _task())
    await worker.has_run(1)

    async def all_there():
        return await broker.ready(DEAD) == 3 * len(BAD)

    await eventually(all_there, "all are set aside")
    assert sorted(m.body for m in await broker.all(DEAD)) == sorted([*BAD.values()] * 3)


async def test_the_properties_of_what_is_set_aside_are_kept(worker, broker):
    sent_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    await broker.publish(
        TASKS,
        b"no task",
        content_type="text/plain",
        content_encoding="identity",
        correlation_id="их метка",
        reply_to="anna",
        message_id="m-1",
        timestamp=sent_at,
        type="their type",
        app_id="their app",
        headers={"theirs": "kept", "number": 2**40, "deep": {"list": [1, None, "x"]}},
    )
    message = await broker.wait_for(DEAD)
    assert message.content_type == "text/plain"
    assert message.content_encoding == "identity"
    assert message.correlation_id == "их метка"
    assert message.reply_to == "anna"
    assert message.message_id == "m-1"
    assert message.timestamp == sent_at
    assert message.type == "their type"
    assert message.app_id == "their app"
    theirs = {name: value for name, value in message.headers.items() if not name.startswith("x-gonets")}
    assert theirs == {"theirs": "kept", "number": 2**40, "deep": {"list": [1, None, "x"]}}


async def test_what_is_set_aside_does_not_expire_there(worker, broker):
    await broker.publish(TASKS, b"no task", expiration=60)
    assert (await broker.wait_for(DEAD)).expiration is None


async def test_a_dead_queue_that_was_deleted_is_made_again(worker, broker):
    await broker.delete(DEAD)
    await broker.publish(TASKS, b"no task")
    assert (await broker.wait_for(DEAD)).body == b"no task"


async def test_a_conflict_is_set_aside_and_told_to_its_sender(worker, broker):
    replies = await broker.declare("replies", durable=False, auto_delete=True)
    await broker.publish(TASKS, _task())
    await worker.has_run(1)
    await broker.publish(TASKS, _task(data="another number"), reply_to=replies.name, correlation_id="c-1")
    dead, reply = await broker.wait_for(DEAD), await broker.wait_for(replies.name)
    assert json.loads(dead.body) == _task(data="another number")
    assert dead.headers[CATEGORY] == "conflict"
    assert "task_id 1" in dead.headers[REASON]
    assert (dead.reply_to, dead.correlation_id) == (replies.name, "c-1")
    assert json.loads(reply.body) == {
        "task_id": 1,
        "error": {"category": "conflict", "reason": dead.headers[REASON]},
    }
    assert reply.correlation_id == "c-1"
    assert worker.ran == [1]
    await _nothing_comes_back(worker, broker)


# --- the database is away ---


async def test_while_the_database_is_away_messages_are_held_and_go_on_later(worker, broker):
    worker.table.available = False
    for number in range(1, 31):
        await broker.publish(TASKS, _task(number))

    async def held():
        return await broker.ready(TASKS) == 30 - 10

    await eventually(held, "ten are held, the others wait in the queue")
    assert worker.ran == []
    worker.table.available = True
    await worker.has_run(*range(1, 31))
    assert sorted(worker.ran) == list(range(1, 31))


async def test_what_is_held_while_the_database_is_away_goes_back_to_the_queue_on_stop(worker, broker):
    worker.table.available = False
    for number in range(1, 4):
        await broker.publish(TASKS, _task(number))
    await eventually(lambda: _is_empty(broker), "all are held")
    await asyncio.wait_for(worker.consumer.stop(120), 30)

    async def back():
        return await broker.ready(TASKS) == 3

    await eventually(back, "all are back")


# --- stopping ---


async def test_stopping_finishes_what_is_run_and_gives_back_the_rest(make_worker, broker):
    worker = await make_worker(concurrency=2)
    worker.free.clear()
    for number in range(1, 11):
        await broker.publish(TASKS, _task(number))
    await eventually(lambda: worker.running == 2, "two are run")
    stopping = asyncio.create_task(worker.consumer.stop(120))

    async def back():
        return await broker.ready(TASKS) == 8 and await broker.consumers(TASKS) == 0

    await eventually(back, "the rest is back at once")
    assert not stopping.done()
    worker.free.set()
    await asyncio.wait_for(stopping, 30)
    assert len(worker.ran) == 2


async def test_stopping_waits_no_longer_than_the_deadline(worker, broker):
    worker.free.clear()
    await broker.publish(TASKS, _task())
    await eventually(lambda: worker.running == 1, "it is run")
    await asyncio.wait_for(worker.consumer.stop(0.1), 30)
    assert worker.running == 0
    assert worker.ran == []


async def test_stopping_an_idle_consumer_leaves_no_connection(worker, broker):
    await worker.consumer.stop(5)
    assert await broker.consumers(TASKS) == 0


async def test_stopping_while_the_broker_is_away_is_quick(servers, unused_tcp_port):
    nowhere = servers.rabbit.model_copy(update={"host": "127.0.0.1", "amqp_port": unused_tcp_port})
    from .conftest import Worker

    worker = Worker(nowhere.url)
    await worker.consumer.start()
    await asyncio.sleep(0)
    await asyncio.wait_for(worker.consumer.stop(120), 30)


# --- the broker goes away ---


async def _one_consumer(broker):
    return await broker.consumers(TASKS) == 1


async def test_after_its_connection_was_closed_it_consumes_again_and_once(worker, broker):
    await broker.publish(TASKS, _task(1))
    await worker.has_run(1)
    await eventually(lambda: broker.close_connections("gonets worker"), "the connection is listed", timeout=60)
    await broker.publish(TASKS, _task(2))
    await worker.has_run(2)
    await eventually(lambda: _one_consumer(broker), "one consumer")
    await broker.publish(TASKS, _task(3))
    await worker.has_run(3)
    assert await broker.consumers(TASKS) == 1
    assert worker.ran == [1, 2, 3]


async def test_after_its_queue_was_deleted_it_consumes_from_a_new_one_and_once(worker, broker):
    await broker.delete(TASKS)

    async def again():
        return await broker.exists(TASKS) and await _one_consumer(broker)

    await eventually(again, "one consumer on a new queue")
    await broker.publish(TASKS, _task(1))
    await worker.has_run(1)
    assert await broker.consumers(TASKS) == 1


async def test_a_queue_of_another_kind_declared_in_place_of_a_deleted_one_is_consumed(worker, broker):
    await broker.delete(TASKS)
    await eventually(lambda: _declared(broker), "it is there as a quorum queue")
    await eventually(lambda: _one_consumer(broker), "one consumer")
    await broker.publish(TASKS, _task(1))
    await worker.has_run(1)


async def _declared(broker):
    """Whoever comes first declares it."""
    channel = await broker._connection.channel()
    try:
        await channel.declare_queue(TASKS, durable=True, arguments={"x-queue-type": "quorum"})
    except aio_pika.exceptions.ChannelPreconditionFailed:
        await broker.delete(TASKS)
        return False
    return True


@pytest.fixture
async def proxy(servers):
    async with Proxy(servers.rabbit.host, servers.rabbit.amqp_port) as proxy:
        yield proxy


@pytest.fixture
def through(servers, proxy):
    return servers.rabbit.model_copy(update={"host": "127.0.0.1", "amqp_port": proxy.port}).url


async def test_what_is_run_goes_on_while_the_broker_is_away_and_is_not_run_again(make_worker, broker, proxy, through):
    worker = await make_worker(through)
    worker.free.clear()
    for number in range(1, 4):
        await broker.publish(TASKS, _task(number))
    await eventually(lambda: worker.running == 3, "three are run")
    await proxy.cut()
    worker.free.set()
    await worker.has_run(1, 2, 3)
    await broker.publish(TASKS, _task(4))
    await proxy.restore()
    await worker.has_run(4)
    assert worker.ran == [1, 2, 3, 4]
    await eventually(lambda: _one_consumer(broker), "one consumer")


async def test_claims_whose_acknowledgement_was_too_late_are_run_once_all_the_same(make_worker, broker, proxy, through):
    worker = await make_worker(through, concurrency=100)
    worker.table.available = False
    for number in range(1, 101):
        await broker.publish(TASKS, _task(number))
    await eventually(lambda: _is_empty(broker), "all are in hand")
    await proxy.cut()
    worker.table.available = True
    await worker.has_run(*range(1, 101))
    await proxy.restore()
    await broker.publish(TASKS, _task(101))
    await worker.has_run(101)
    assert sorted(worker.ran) == list(range(1, 102))
    await eventually(lambda: _is_empty(broker), "the second deliveries are acknowledged")


async def test_claims_made_in_the_moment_in_which_the_connection_dies_are_run(make_worker, broker, proxy, through):
    """No slot is lost to an acknowledgement that nobody writes any more."""
    worker = await make_worker(through, concurrency=100)
    gate, take = asyncio.Event(), worker.consumer._take

    async def taken_one_by_one(task, waiter, token):
        await gate.wait()
        for _ in range(task.task_id):
            await asyncio.sleep(0)
        return await take(task, waiter, token)

    worker.consumer._take = taken_one_by_one
    for number in range(1, 101):
        await broker.publish(TASKS, _task(number))
    await eventually(lambda: _is_empty(broker), "all are in hand")
    gate.set()
    await proxy.cut()
    await worker.has_run(*range(1, 101))
    await proxy.restore()
    await broker.publish(TASKS, _task(101))
    await worker.has_run(101)
    assert sorted(worker.ran) == list(range(1, 102))


async def test_a_task_of_our_own_wake_up_is_taken_like_any_other(worker, broker):
    from gonets.adapters.rabbitmq.announcements import RabbitAnnouncements

    await RabbitAnnouncements(worker.publisher).wake(Task(5, TaskType.GPT, "текст"))
    await worker.has_run(5)
    assert worker.table.rows[5].task == Task(5, TaskType.GPT, "текст")
