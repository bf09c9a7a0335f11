"""The same task again, by either door, at any moment: one row, one paid call, one answer."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest

from acceptance.clients import RESULTS, Queues, SandboxControl, answered, until
from acceptance.stack import Stack


async def rows_with(db: asyncpg.Connection, source: str) -> int:
    count: int = await db.fetchval("SELECT count(*) FROM integration_service WHERE data->>'source' = $1", source)
    return count


@pytest.mark.parametrize("latency", [0, 400], ids=["fast provider", "slow provider"])
async def test_twenty_copies_at_one_moment_over_both_doors(
    api: httpx.AsyncClient,
    queues: Queues,
    db: asyncpg.Connection,
    sandbox: SandboxControl,
    new_id: Callable[[], int],
    latency: int,
) -> None:
    task_id = new_id()
    task = {"task_id": task_id, "task_type": "email", "data": f"once{latency}@matrix.ru"}
    name, replies = await queues.reply_queue()
    await sandbox.fault("dadata", latency_ms=latency)

    answers, _ = await asyncio.gather(
        asyncio.gather(*(answered(api, task) for _ in range(10))),
        asyncio.gather(*(queues.send(task, reply_to=name, correlation_id=str(number)) for number in range(10))),
    )

    heard: dict[str, Any] = {}
    while len(heard) < 10:  # each asked for itself, so each is answered; again is no harm
        reply = await asyncio.wait_for(replies.get(), 60)
        heard[reply.correlation_id] = json.loads(reply.body)
    told = await queues.told(RESULTS, task_id)
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json() == told for answer in answers)
    assert all(end == told for end in heard.values())
    assert await sandbox.calls(task["data"]) == 1
    assert await rows_with(db, task["data"]) == 1


async def test_many_tasks_in_many_copies(
    queues: Queues, db: asyncpg.Connection, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    """Both workers hold copies of everything at once, in another order each time."""
    tasks = [{"task_id": new_id(), "task_type": "email", "data": f"many{number}@matrix.ru"} for number in range(100)]
    await sandbox.fault("dadata", latency_ms=[0, 50])

    await asyncio.gather(*(queues.send(task) for task in tasks + tasks[::-1] + tasks))

    ids = [task["task_id"] for task in tasks]

    async def all_done() -> bool:
        query = "SELECT count(*) FROM task WHERE task_id = ANY($1) AND status = 'done'"
        return await db.fetchval(query, ids) == len(ids)

    await until(all_done, "all are done")

    async def nothing_waits() -> bool:
        return await queues.count("TaskProcessingQueue") == 0

    await until(nothing_waits, "every copy is taken")
    assert await sandbox.repeated() == {}
    assert await sandbox.calls() == len(tasks)
    assert await db.fetchval("SELECT count(DISTINCT result_id) FROM task WHERE task_id = ANY($1)", ids) == len(ids)
    assert await db.fetchval("SELECT count(*) FROM integration_service WHERE data->>'source' LIKE 'many%'") == len(ids)


async def test_a_copy_after_the_end_is_told_again_without_asking(
    api: httpx.AsyncClient, queues: Queues, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    task = {"task_id": new_id(), "task_type": "phone", "data": "+79165550001"}
    first = (await answered(api, task)).json()
    assert await queues.told(RESULTS, task["task_id"]) == first
    name, replies = await queues.reply_queue()

    await queues.send(task, reply_to=name, correlation_id="late")

    reply = await asyncio.wait_for(replies.get(), 60)
    assert json.loads(reply.body) == first
    assert await queues.told(RESULTS, task["task_id"]) == first
    again = await answered(api, task)
    assert (again.status_code, again.json()) == (200, first)
    assert await sandbox.calls(task["data"]) == 1


async def test_a_failed_task_is_told_again_without_asking(
    api: httpx.AsyncClient, queues: Queues, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    task = {"task_id": new_id(), "task_type": "phone", "data": "+79165550002"}
    await sandbox.fault("dadata", kind="status", status=400)
    first = await answered(api, task)
    assert first.status_code == 502
    name, replies = await queues.reply_queue()
    await sandbox.well()

    await queues.send(task, reply_to=name, correlation_id="late")

    reply = await asyncio.wait_for(replies.get(), 60)
    assert json.loads(reply.body)["error"]["category"] == "refused"
    assert (await answered(api, task)).json() == first.json()
    assert await sandbox.calls(task["data"]) == 1


async def test_the_same_text_under_two_ids_is_two_tasks(
    api: httpx.AsyncClient, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    one, two = ({"task_id": new_id(), "task_type": "phone", "data": "+79165550003"} for _ in range(2))

    answers = [(await answered(api, task)).json() for task in (one, two)]

    assert answers[0]["id"] != answers[1]["id"]
    assert await sandbox.calls("+79165550003") == 2


async def test_who_waits_by_rest_hears_of_a_task_that_came_by_queue(
    stack: Stack, api: httpx.AsyncClient, queues: Queues, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    task = {"task_id": new_id(), "task_type": "phone", "data": "+79165550004"}
    await sandbox.fault("dadata", latency_ms=800)
    await queues.send(task)

    async def asked() -> bool:
        return await sandbox.calls(task["data"]) == 1

    await until(asked, "the provider is asked")
    answer = await answered(api, task)

    assert answer.status_code == 200
    assert await queues.told(RESULTS, task["task_id"]) == answer.json()
    assert await sandbox.calls(task["data"]) == 1
