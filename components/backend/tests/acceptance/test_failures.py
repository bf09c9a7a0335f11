"""What providers do to us: told to everyone who asked where it is final, tried again where it passes."""

import asyncio
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import pytest

from acceptance.clients import FAILURES, RESULTS, Queues, SandboxControl, answered, queues_of, until
from acceptance.stack import Installation, Stack


def problem(answer: httpx.Response, status: int, category: str) -> str:
    """Checks a problem document and returns its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["category"]) == (status, category)
    assert document.keys() == {"type", "title", "status", "detail", "category"}
    return str(document["detail"])


@pytest.mark.parametrize(
    ("task_type", "data", "provider", "fault", "category"),
    [
        ("phone", "+79170000001", "dadata", {"kind": "status", "status": 400}, "refused"),
        ("email", "e413@matrix.ru", "dadata", {"kind": "status", "status": 413}, "refused"),
        ("gpt", "refused", "yandexgpt", {"kind": "INVALID_ARGUMENT"}, "refused"),
    ],
)
async def test_a_refusal_is_final_and_told(
    api: httpx.AsyncClient,
    queues: Queues,
    db: asyncpg.Connection,
    sandbox: SandboxControl,
    new_id: Callable[[], int],
    task_type: str,
    data: str,
    provider: str,
    fault: dict[str, Any],
    category: str,
) -> None:
    task = {"task_id": new_id(), "task_type": task_type, "data": data}
    await sandbox.fault(provider, **fault)

    detail = problem(await answered(api, task), 502, category)

    told = await queues.told(FAILURES, task["task_id"])
    assert told == {"task_id": task["task_id"], "error": {"category": category, "reason": detail}}
    assert "acceptance" not in detail, "the reason holds the key"
    shown = (await api.get(f"/api/v1/tasks/{task['task_id']}")).json()
    assert (shown["status"], shown["attempts"], shown["id"]) == ("failed", 1, None)
    assert shown["last_error"] == told["error"]
    assert await db.fetchval("SELECT result_id FROM task WHERE task_id = $1", task["task_id"]) is None
    assert await sandbox.calls(data) == 1


@pytest.mark.parametrize(
    ("task_type", "data", "provider", "fault"),
    [
        ("phone", "+79170000002", "dadata", {"kind": "status", "status": 403}),
        ("email", "e401@matrix.ru", "dadata", {"kind": "status", "status": 401}),
        ("gpt", "no key", "yandexgpt", {"kind": "UNAUTHENTICATED"}),
    ],
)
async def test_what_an_operator_must_mend_is_no_task_s_end(
    api: httpx.AsyncClient,
    sandbox: SandboxControl,
    new_id: Callable[[], int],
    task_type: str,
    data: str,
    provider: str,
    fault: dict[str, Any],
) -> None:
    task = {"task_id": new_id(), "task_type": task_type, "data": data}
    await sandbox.fault(provider, **fault)
    answer = await api.post("/api/v1/tasks", json=task, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202

    async def shown() -> dict[str, Any]:
        document: dict[str, Any] = (await api.get(answer.headers["location"])).json()
        return document

    async def parked() -> bool:
        return (await shown())["status"] == "parked"

    async def done() -> bool:
        return (await shown())["status"] == "done"

    await until(parked, "it waits")
    waiting = await shown()
    assert (waiting["attempts"], waiting["history"]) == (0, [])
    assert waiting["last_error"]["category"] == "misconfigured"
    assert "acceptance" not in waiting["last_error"]["reason"], "the reason holds the key"
    await sandbox.well()
    await until(done, "it is done when the operator has mended it")


async def test_who_sent_by_queue_learns_of_the_failure(
    queues: Queues, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    task_id = new_id()
    name, replies = await queues.reply_queue()
    await sandbox.fault("dadata", kind="status", status=400)

    await queues.send(
        {"task_id": task_id, "task_type": "phone", "data": "+79170000003"}, reply_to=name, correlation_id="c"
    )

    reply = await asyncio.wait_for(replies.get(), 60)
    assert reply.correlation_id == "c"
    assert json.loads(reply.body) == await queues.told(FAILURES, task_id)


@pytest.mark.parametrize(
    ("task_type", "data", "provider", "fault"),
    [
        ("phone", "+79170000010", "dadata", {"kind": "status", "status": 503}),
        ("phone", "+79170000011", "dadata", {"kind": "429", "retry_after": 1}),
        ("phone", "+79170000012", "dadata", {"kind": "reset"}),
        ("phone", "+79170000013", "dadata", {"kind": "reset_before"}),
        ("email", "truncated@matrix.ru", "dadata", {"kind": "truncated"}),
        ("email", "html@matrix.ru", "dadata", {"kind": "not_json"}),
        ("email", "shape@matrix.ru", "dadata", {"kind": "wrong_json"}),
        ("email", "nothing@matrix.ru", "dadata", {"kind": "empty"}),
        ("email", "noise@matrix.ru", "dadata", {"kind": "garbage"}),
        ("gpt", "unavailable", "yandexgpt", {"kind": "UNAVAILABLE"}),
        ("gpt", "exhausted", "yandexgpt", {"kind": "RESOURCE_EXHAUSTED"}),
        ("gpt", "lost", "yandexgpt", {"kind": "reset"}),
        ("gpt", "void", "yandexgpt", {"kind": "empty"}),
    ],
)
async def test_what_passes_is_tried_again_and_heals_by_itself(
    api: httpx.AsyncClient,
    queues: Queues,
    sandbox: SandboxControl,
    new_id: Callable[[], int],
    task_type: str,
    data: str,
    provider: str,
    fault: dict[str, Any],
) -> None:
    task = {"task_id": new_id(), "task_type": task_type, "data": data}
    await sandbox.fault(provider, times=1, **fault)

    answer = await answered(api, task)

    assert answer.status_code == 200, answer.text
    assert await queues.told(RESULTS, task["task_id"]) == answer.json()
    shown = (await api.get(f"/api/v1/tasks/{task['task_id']}")).json()
    assert shown["attempts"] == 2
    assert shown["id"] == answer.json()["id"]
    unread = fault["kind"] == "reset_before"  # the sandbox hung up before it knew what was asked
    assert await sandbox.calls(data) == (1 if unread else 2)


async def test_a_parked_task_shows_why_and_when(
    api: httpx.AsyncClient, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    task = {"task_id": new_id(), "task_type": "phone", "data": "+79170000020"}
    await sandbox.fault("dadata", kind="429", retry_after=8, times=1)
    await api.post("/api/v1/tasks", json=task, headers={"Prefer": "respond-async"})

    async def parked() -> dict[str, Any] | None:
        shown: dict[str, Any] = (await api.get(f"/api/v1/tasks/{task['task_id']}")).json()
        return shown if shown["status"] == "parked" else None

    shown = await until(parked, "it is parked")

    assert shown["attempts"] == 1
    assert shown["last_error"]["category"] == "quota_exhausted"
    next_attempt_at = datetime.fromisoformat(shown["next_attempt_at"])
    assert next_attempt_at > datetime.fromisoformat(shown["updated_at"])
    listed = (await api.get("/api/v1/tasks", params={"status": "parked"})).json()["tasks"]
    assert task["task_id"] in [entry["task_id"] for entry in listed]
    answer = await answered(api, task)  # waits for the end, and does not hurry it
    assert answer.status_code == 200
    done = (await api.get(f"/api/v1/tasks/{task['task_id']}")).json()
    assert datetime.fromisoformat(done["updated_at"]) >= next_attempt_at
    assert await sandbox.calls(task["data"]) == 2


async def test_what_postgresql_cannot_store_in_an_answer_is_replaced(
    api: httpx.AsyncClient, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    task = {"task_id": new_id(), "task_type": "phone", "data": "+7 999 000-00-00"}

    answer = await answered(api, task)

    assert answer.status_code == 200, answer.text
    shown = (await api.get(f"/api/v1/tasks/{task['task_id']}")).json()
    assert shown["result"]["provider"].count("\N{REPLACEMENT CHARACTER}") == 2


@pytest.mark.xdist_group("impatient")
class TestGivingUp:
    """A stack that tries twice."""

    async def _each_is_told(
        self,
        installation: Installation,
        new_id: Callable[[], int],
        cases: Iterable[tuple[str, str, dict[str, Any], int, str]],
        **variables: object,
    ) -> None:
        stack = await asyncio.to_thread(
            Stack.start, installation, workers=1, WORKER_MAX_ATTEMPTS=2, WORKER_FIRST_DELAY=0.1, **variables
        )
        async with (
            httpx.AsyncClient(base_url=stack.api.url, timeout=60, verify=False) as api,
            httpx.AsyncClient(base_url=installation.sandbox_url, timeout=20, verify=False) as sandbox,
            queues_of(installation.servers) as queues,
        ):
            control = SandboxControl(sandbox)
            for task_type, provider, fault, status, category in cases:
                await control.reset()
                await control.fault(provider, **fault)
                task = {"task_id": new_id(), "task_type": task_type, "data": "gives up"}

                answer = await answered(api, task)

                detail = problem(answer, status, category)
                assert "gave up after 2 attempts" in detail
                told = await queues.told(FAILURES, task["task_id"])
                assert told == {"task_id": task["task_id"], "error": {"category": category, "reason": detail}}
                assert await control.calls(provider=provider) == 2
                shown = (await api.get(f"/api/v1/tasks/{task['task_id']}")).json()
                assert (shown["status"], shown["attempts"]) == ("failed", 2)

    async def test_a_provider_that_fails_for_good(self, installation: Installation, new_id: Callable[[], int]) -> None:
        await self._each_is_told(
            installation,
            new_id,
            (
                ("phone", "dadata", {"kind": "status", "status": 503}, 502, "unavailable"),
                ("email", "dadata", {"kind": "429"}, 502, "quota_exhausted"),
                ("email", "dadata", {"kind": "truncated"}, 504, "outcome_unknown"),
                ("gpt", "yandexgpt", {"kind": "UNAVAILABLE"}, 502, "unavailable"),
            ),
        )

    async def test_a_provider_that_hangs_for_good(self, installation: Installation, new_id: Callable[[], int]) -> None:
        await self._each_is_told(
            installation,
            new_id,
            (
                ("phone", "dadata", {"kind": "hang"}, 504, "outcome_unknown"),
                ("gpt", "yandexgpt", {"kind": "hang"}, 504, "outcome_unknown"),
            ),
            DADATA_TIMEOUT=2,
            YANDEXGPT_TIMEOUT=2,
        )

    async def test_nobody_at_the_providers_address(self, installation: Installation, new_id: Callable[[], int]) -> None:
        stack = await asyncio.to_thread(Stack.start, installation, workers=1, WORKER_MAX_ATTEMPTS=1)
        stack.sandbox.terminate()
        await asyncio.to_thread(stack.sandbox.exit_code)
        async with httpx.AsyncClient(base_url=stack.api.url, timeout=60, verify=False) as api:
            for task_type in ("phone", "gpt"):
                task = {"task_id": new_id(), "task_type": task_type, "data": "nobody there"}
                problem(await answered(api, task), 502, "unavailable")
