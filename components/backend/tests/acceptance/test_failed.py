"""What an operator does with what failed, on a running installation."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable

import asyncpg
import httpx

from acceptance.clients import FAILURES, RESULTS, Queues, SandboxControl, answered, until
from acceptance.stack import BACKEND, Stack


def gonets_failed(stack: Stack, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gonets.entrypoints.cli", "failed", *arguments],
        env=os.environ | stack.installation.environment | {"PYTHONPATH": str(BACKEND / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_a_failed_task_is_replayed_to_one_result(
    stack: Stack,
    api: httpx.AsyncClient,
    db: asyncpg.Connection,
    queues: Queues,
    sandbox: SandboxControl,
    new_id: Callable[[], int],
) -> None:
    task = {"task_id": new_id(), "task_type": "phone", "data": "+79170000077"}
    await sandbox.fault("dadata", kind="status", status=400)
    assert (await answered(api, task)).status_code == 502
    await queues.told(FAILURES, task["task_id"])
    await sandbox.well()
    path = f"/api/v1/failed/tasks/{task['task_id']}"

    async def told() -> bool:
        return bool((await api.get(path)).json()["told"])

    await until(told, "the failure is told")
    words = (await api.get(path)).json()["answer"]
    assert '"message":"HTTP 400 Bad Request"' in words, "what Dadata said"
    tries = [(await api.get(where)).json()["history"] for where in (path, f"/api/v1/tasks/{task['task_id']}")]
    assert [[attempt["answer"] for attempt in history] for history in tries] == [[words], [words]]
    assert f"the provider said: {words}" in await asyncio.to_thread(gonets_failed, stack, "show", str(task["task_id"]))
    assert str(task["task_id"]) in await asyncio.to_thread(gonets_failed, stack, "list", "--category", "refused")
    replays = [
        asyncio.to_thread(gonets_failed, stack, "replay", "--kind", "tasks", "--category", "refused"),
        api.post("/api/v1/failed/tasks/replay", json={"ids": [task["task_id"]]}),
    ]

    await asyncio.gather(*replays)

    told_result = await queues.told(RESULTS, task["task_id"])
    answer = await answered(api, task)
    assert (answer.status_code, answer.json()) == (200, told_result)
    shown = (await api.get(f"/api/v1/tasks/{task['task_id']}")).json()
    assert (shown["status"], shown["attempts"], shown["replays"], len(shown["history"])) == ("done", 1, 1, 1)
    assert await sandbox.calls(task["data"]) == 2, "one that was refused, one that was paid"
    rows = await db.fetchval("SELECT count(*) FROM integration_service WHERE data->>'source' = $1", task["data"])
    assert rows == 1
    assert (await api.get(path)).status_code == 404


async def test_a_dead_letter_that_is_still_wrong_comes_back_under_the_same_id(
    stack: Stack, api: httpx.AsyncClient, queues: Queues, new_id: Callable[[], int]
) -> None:
    body = f'{{"task_id": {new_id()}'.encode()
    await queues.send(body)

    async def listed() -> list[str]:
        answer = await api.get("/api/v1/failed/messages", params={"limit": 500})
        return [message["id"] for message in answer.json()["messages"] if message["body"] == body.decode()]

    [letter_id] = await until(listed, "the dead letter")
    before = (await api.get(f"/api/v1/failed/messages/{letter_id}")).json()["dead_at"]

    await asyncio.to_thread(gonets_failed, stack, "replay", letter_id)

    async def again() -> bool:
        answer = await api.get(f"/api/v1/failed/messages/{letter_id}")
        return answer.status_code == 200 and answer.json()["dead_at"] > before

    await until(again, "it is set aside again")
    assert await listed() == [letter_id]
    assert (await api.post("/api/v1/failed/messages/drop", json={"ids": [letter_id]})).json()["count"] == 1
