"""The queue door, for any AMQP client and for a person at the management page."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aio_pika
import asyncpg
import httpx
import pytest

from acceptance.clients import DEAD, FAILURES, RESULTS, TASKS, Queues, SandboxControl, answered, queues_of, until
from acceptance.stack import Installation, Stack


async def end_of(db: asyncpg.Connection, task_id: int, status: str = "done") -> Any:
    return await until(
        lambda: db.fetchrow("SELECT * FROM task WHERE task_id = $1 AND status::text = $2", task_id, status),
        f"task {task_id} is {status}",
    )


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"content_type": "application/json"},
        {"content_type": "text/plain", "content_encoding": "utf-8"},
        {"delivery_mode": aio_pika.DeliveryMode.PERSISTENT, "content_type": "application/json"},
        {"headers": {"x-anything": "at all"}, "message_id": "theirs", "type": "task", "priority": 3},
    ],
    ids=["bare", "json", "text", "persistent", "everything"],
)
async def test_a_message_is_worked_like_a_request(
    queues: Queues,
    db: asyncpg.Connection,
    sandbox: SandboxControl,
    new_id: Callable[[], int],
    properties: dict[str, Any],
) -> None:
    task_id = new_id()

    await queues.send({"task_id": task_id, "task_type": "email", "data": "serega@yandex.ru"}, **properties)

    told = await queues.told(RESULTS, task_id)
    stored = await db.fetchrow("SELECT data, task_type FROM integration_service WHERE id = $1", told["id"])
    assert told == {"task_id": task_id, "id": told["id"]}
    assert stored["task_type"] == "email"
    assert json.loads(stored["data"])["type"] == "PERSONAL"
    assert await sandbox.calls("serega@yandex.ru") == 1


@pytest.mark.parametrize(("task_type", "data"), [("phone", "8 800 555-35-35"), ("gpt", "превет 🥐")])
async def test_a_message_published_on_the_management_page(
    stack: Stack, queues: Queues, new_id: Callable[[], int], task_type: str, data: str
) -> None:
    task_id = new_id()
    servers = stack.installation.servers

    # What the page sends when one presses "Publish message" on the queue's page.
    published = await asyncio.to_thread(
        servers.manage,
        "POST",
        f"exchanges/{quote(servers.rabbit.vhost, safe='')}/amq.default/publish",
        {
            "vhost": servers.rabbit.vhost,
            "name": "amq.default",
            "properties": {"delivery_mode": 1, "headers": {}},
            "routing_key": TASKS,
            "delivery_mode": "1",
            "payload": json.dumps({"task_id": task_id, "task_type": task_type, "data": data}, ensure_ascii=False),
            "payload_encoding": "string",
            "headers": {},
            "props": {},
        },
    )

    assert published == {"routed": True}
    assert (await queues.told(RESULTS, task_id))["id"]


async def test_the_result_is_also_sent_to_whom_the_sender_names(queues: Queues, new_id: Callable[[], int]) -> None:
    task_id = new_id()
    name, replies = await queues.reply_queue()

    await queues.send(
        {"task_id": task_id, "task_type": "phone", "data": "9168-233-454"}, reply_to=name, correlation_id="мой-1"
    )

    reply = await asyncio.wait_for(replies.get(), 60)
    assert reply.correlation_id == "мой-1"
    assert reply.content_type == "application/json"
    assert json.loads(reply.body) == await queues.told(RESULTS, task_id)


async def test_direct_reply_to(queues: Queues, new_id: Callable[[], int]) -> None:
    task_id = new_id()
    replies: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
    pseudo = await queues.channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
    await pseudo.consume(replies.put, no_ack=True)

    await queues.send(
        {"task_id": task_id, "task_type": "phone", "data": "9168-233-455"},
        reply_to="amq.rabbitmq.reply-to",
        correlation_id="direct",
    )

    reply = await asyncio.wait_for(replies.get(), 60)
    assert reply.correlation_id == "direct"
    assert json.loads(reply.body) == await queues.told(RESULTS, task_id)


async def test_a_reply_queue_that_is_gone_harms_nobody(
    queues: Queues, db: asyncpg.Connection, new_id: Callable[[], int]
) -> None:
    task_id = new_id()

    await queues.send({"task_id": task_id, "task_type": "phone", "data": "9168-233-456"}, reply_to="nobody.is.there")

    assert (await queues.told(RESULTS, task_id))["id"]
    await end_of(db, task_id)


async def test_a_result_rests_on_its_queue_persistent_and_named(queues: Queues, new_id: Callable[[], int]) -> None:
    task_id = new_id()
    await queues.send({"task_id": task_id, "task_type": "email", "data": "rests@matrix.ru"})

    message = await queues.find(RESULTS, lambda m: json.loads(m.body)["task_id"] == task_id, f"task {task_id}")

    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.content_type == "application/json"
    assert message.message_id == f"task-{task_id}-result"
    assert await queues.consumers(RESULTS) == 0


async def test_a_conflict_is_set_aside_and_told(
    queues: Queues, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    task_id = new_id()
    name, replies = await queues.reply_queue()
    await queues.send({"task_id": task_id, "task_type": "email", "data": "first@matrix.ru"})
    await queues.told(RESULTS, task_id)
    other = json.dumps({"task_id": task_id, "task_type": "email", "data": "second@matrix.ru"}).encode()

    await queues.send(other, reply_to=name, correlation_id="c-9", headers={"theirs": 1}, content_type="text/x")

    reply = await asyncio.wait_for(replies.get(), 60)
    assert reply.correlation_id == "c-9"
    told = json.loads(reply.body)
    assert told == {"task_id": task_id, "error": {"category": "conflict", "reason": told["error"]["reason"]}}
    assert str(task_id) in told["error"]["reason"]
    message = await queues.dead(other)
    assert message.headers["x-gonets-category"] == "conflict"
    assert message.headers["x-gonets-reason"] == told["error"]["reason"]
    assert message.headers["x-gonets-queue"] == TASKS
    assert message.headers["theirs"] == 1
    assert (message.content_type, message.correlation_id, message.reply_to) == ("text/x", "c-9", name)
    assert await sandbox.calls("second@matrix.ru") == 0


async def test_queues_that_the_integrator_declares_himself_before_and_after_us(
    installation: Installation, new_id: Callable[[], int]
) -> None:
    async def declare() -> None:
        for name in (TASKS, RESULTS, FAILURES, DEAD):
            await theirs.channel.declare_queue(name, durable=True)

    task_id = new_id()
    async with queues_of(installation.servers) as theirs:
        await declare()
        # He also sends at once: nobody of ours has ever run here.
        await theirs.send({"task_id": task_id, "task_type": "phone", "data": "+79161234567"})
        await asyncio.to_thread(Stack.start, installation, workers=1)
        assert (await theirs.told(RESULTS, task_id))["id"]
        await declare()


async def test_queues_that_we_declare_first(installation: Installation, new_id: Callable[[], int]) -> None:
    await asyncio.to_thread(installation.start, "sandbox")
    await asyncio.to_thread(installation.start, "worker")
    async with queues_of(installation.servers) as theirs:
        for name in (TASKS, RESULTS, FAILURES, DEAD):
            await theirs.channel.declare_queue(name, durable=True)
        task_id = new_id()
        await theirs.send({"task_id": task_id, "task_type": "phone", "data": "+79161234567"})
        assert (await theirs.told(RESULTS, task_id))["id"]


async def test_queues_with_arguments_of_the_operators_choice(
    installation: Installation, new_id: Callable[[], int]
) -> None:
    task_id = new_id()
    async with queues_of(installation.servers) as theirs:
        for name in (TASKS, RESULTS):
            await theirs.channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await asyncio.to_thread(installation.start, "sandbox")
        await asyncio.to_thread(installation.start, "worker")
        await theirs.send({"task_id": task_id, "task_type": "phone", "data": "+79161234567"})
        assert (await theirs.told(RESULTS, task_id))["id"]


async def test_queues_that_are_deleted_under_us_come_back(
    stack: Stack, api: httpx.AsyncClient, queues: Queues, new_id: Callable[[], int]
) -> None:
    for name in (TASKS, RESULTS):
        await queues.channel.queue_delete(name)
    task = {"task_id": new_id(), "task_type": "phone", "data": "+79161234999"}

    answer = await answered(api, task)

    assert answer.status_code == 200, answer.text
    assert await queues.told(RESULTS, task["task_id"]) == answer.json()
