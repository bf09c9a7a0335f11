"""Looking at the whole: what counts must be right, and must not change anything."""

from datetime import timedelta

import pytest

from eventually import eventually
from gonets.adapters.postgres.counts import PostgresTaskCounts
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.rabbitmq.queues import RabbitQueues
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.model import Failure, Task, TaskStatus, TaskType
from gonets.core.tasks.survey import Backlog, Queue

PASSING = Failure(Category.UNAVAILABLE, "away")


async def _one_of_each(postgres):
    worker = postgres.worker
    for task_id in range(1, 5):
        await postgres.intake.submit(Task(task_id, TaskType.PHONE, "8 916"), None)
    await worker.claim(Task(2, TaskType.PHONE, "8 916"), None, 2)
    await worker.park(await worker.claim(Task(3, TaskType.PHONE, "8 916"), None, 3), PASSING, timedelta(hours=1))
    await worker.fail(await worker.claim(Task(4, TaskType.PHONE, "8 916"), None, 4), PASSING)
    await worker.answer(await worker.claim(Task(5, TaskType.GPT, "text"), None, 5), {})
    await worker.told(await worker.answer(await worker.claim(Task(6, TaskType.GPT, "text"), None, 6), {}))


async def test_the_backlog_is_counted_by_type_and_status(pool, postgres):
    await _one_of_each(postgres)
    backlog = await PostgresTaskCounts(pool).backlog()
    phone = dict.fromkeys((TaskStatus.QUEUED, TaskStatus.PROCESSING, TaskStatus.PARKED, TaskStatus.FAILED), 1)
    assert backlog.tasks == {(TaskType.PHONE, status): 1 for status in phone} | {(TaskType.GPT, TaskStatus.ANSWERED): 1}
    assert backlog.oldest.keys() == {TaskType.PHONE}, "what is answered or failed waits for nothing"
    assert timedelta(0) < backlog.oldest[TaskType.PHONE] < timedelta(minutes=1)
    assert backlog.overdue == timedelta(0), "nothing is due yet"


async def test_what_is_overdue_shows_for_how_long(pool, postgres):
    await postgres.intake.submit(Task(1, TaskType.PHONE, "8 916"), None)
    await postgres.pass_time(timedelta(hours=1))
    counts = PostgresTaskCounts(pool)
    assert timedelta(minutes=59) < (await counts.backlog()).overdue < timedelta(minutes=61)


async def test_an_empty_table_has_no_backlog(pool):
    counts = PostgresTaskCounts(pool)
    assert await counts.backlog() == Backlog()
    assert await counts.heartbeats() == {}


async def test_every_worker_is_seen_with_its_silence(pool, postgres):
    silent = await PostgresTaskCounts(pool).heartbeats()
    assert len(silent) == 1
    assert all(timedelta(0) <= silence < timedelta(minutes=1) for silence in silent.values())


async def test_counting_reads_no_task_that_is_done(pool):
    await pool.fetch(
        "INSERT INTO task (task_id, task_type, data, status)"
        " SELECT n, 'phone', 'x', 'done' FROM generate_series(1, 20000) n"
    )
    await pool.fetch("INSERT INTO task (task_id, task_type, data, status) VALUES (0, 'gpt', 'x', 'failed')")
    await pool.fetch("ANALYZE task")
    plan = await pool.fetch(
        "EXPLAIN SELECT task_type, status, count(*), min(created_at) FROM task WHERE status <> 'done' GROUP BY 1, 2"
    )
    assert "ix_task_not_done" in str(plan)
    assert (await PostgresTaskCounts(pool).backlog()).tasks == {(TaskType.GPT, TaskStatus.FAILED): 1}


async def test_without_the_database_it_says_so(servers, unused_tcp_port):
    nowhere = servers.database.model_copy(update={"host": "127.0.0.1", "port": unused_tcp_port})
    away = Pool(nowhere.dsn, size=1, timeout=1)
    with pytest.raises(Unavailable):
        await PostgresTaskCounts(away).backlog()


@pytest.fixture
async def queues(broker):
    queues = RabbitQueues(broker.url, timeout=5, queues=["TaskProcessingQueue", "TaskResultDeliveryQueue"])
    yield queues
    await queues.close()


async def test_queues_show_messages_and_consumers_and_are_not_made(broker, queues):
    await broker.declare("TaskProcessingQueue")
    assert await queues.look() == {"TaskProcessingQueue": Queue(0, 0)}
    assert not await broker.exists("TaskResultDeliveryQueue")

    await broker.publish("TaskProcessingQueue", {})
    await broker.declare("TaskResultDeliveryQueue")
    queue = await broker.channel.get_queue("TaskResultDeliveryQueue")

    async def take(_):
        pass

    tag = await queue.consume(take)

    async def arrived():
        return await broker.ready("TaskProcessingQueue") == 1

    await eventually(arrived, "the message is in the queue")
    assert await queues.look() == {"TaskProcessingQueue": Queue(1, 0), "TaskResultDeliveryQueue": Queue(0, 1)}
    await queue.cancel(tag)


async def test_looking_goes_on_after_its_connection_was_lost(broker, queues):
    await broker.declare("TaskProcessingQueue")
    await queues.look()
    assert queues._connection is not None
    await queues._connection.close()
    assert await queues.look() == {"TaskProcessingQueue": Queue(0, 0)}


async def test_without_the_broker_looking_says_so(unused_tcp_port):
    queues = RabbitQueues(f"amqp://guest:guest@127.0.0.1:{unused_tcp_port}/", timeout=1)
    with pytest.raises(Unavailable):
        await queues.look()
