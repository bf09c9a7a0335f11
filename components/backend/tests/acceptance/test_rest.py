"""The REST door, as the contract says."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest

from acceptance.clients import RESULTS, Queues, SandboxControl, answered, until
from acceptance.stack import Stack

DADATA_PHONE = {
    "source", "type", "phone", "country_code", "city_code", "number", "extension", "provider", "country", "region",
    "city", "timezone", "qc_conflict", "qc",
}  # fmt: skip
DADATA_EMAIL = {"source", "email", "local", "domain", "type", "qc"}
GPT = {"text", "role", "status", "usage", "model_version", "alternatives"}


async def row(db: asyncpg.Connection, result_id: int) -> Any:
    return await db.fetchrow("SELECT *, data::text FROM integration_service WHERE id = $1", result_id)


async def ended(api: httpx.AsyncClient, task_id: int, status: str = "done") -> dict[str, Any]:
    """The task as GET shows it, once it has this status."""

    async def look() -> dict[str, Any] | None:
        answer = await api.get(f"/api/v1/tasks/{task_id}")
        shown: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return shown if shown and shown["status"] == status else None

    return await until(look, f"task {task_id} is {status}")


@pytest.mark.parametrize(
    ("task_type", "data", "fields", "expected"),
    [
        ("phone", "8 916 823 34 54", DADATA_PHONE, {"phone": "+7 916 823-34-54", "qc": 0}),
        ("phone", "раб 846)231.60.14 *139", DADATA_PHONE, {"extension": "139", "qc": 0}),
        ("phone", "+123", DADATA_PHONE, {"phone": None, "qc": 1}),
        ("email", "serega@yandex/ru", DADATA_EMAIL, {"email": "serega@yandex.ru", "qc": 4}),
        ("email", "anyone@mailinator.com", DADATA_EMAIL, {"type": "DISPOSABLE", "qc": 3}),
        ("gpt", "превет, карова", GPT, {"role": "assistant", "text": "Привет, корова."}),
        ("gpt", "Съешь 🥐 ещё этих мягких 法国 булок", GPT, {"role": "assistant"}),
    ],
)
async def test_a_task_is_answered_stored_and_told(
    api: httpx.AsyncClient,
    db: asyncpg.Connection,
    queues: Queues,
    sandbox: SandboxControl,
    new_id: Callable[[], int],
    task_type: str,
    data: str,
    fields: set[str],
    expected: dict[str, Any],
) -> None:
    task_id = new_id()

    answer = await answered(api, {"task_id": task_id, "task_type": task_type, "data": data})

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"task_id": task_id, "id": answer.json()["id"]}
    stored = await db.fetchrow("SELECT * FROM integration_service WHERE id = $1", answer.json()["id"])
    assert list(stored.keys()) == ["id", "data", "task_type"]
    assert stored["task_type"] == task_type
    kept = json.loads(stored["data"])
    assert kept.keys() >= fields
    assert kept | expected == kept
    assert await queues.told(RESULTS, task_id) == answer.json()
    assert await sandbox.calls(data if task_type != "gpt" else None) == 1


async def test_the_table_of_results_has_the_columns_of_the_contract(db: asyncpg.Connection) -> None:
    columns = await db.fetch(
        "SELECT column_name, data_type, udt_name FROM information_schema.columns"
        " WHERE table_name = 'integration_service' ORDER BY ordinal_position"
    )
    key = await db.fetchval(
        "SELECT string_agg(column_name, ',') FROM information_schema.table_constraints"
        " JOIN information_schema.key_column_usage USING (constraint_name)"
        " WHERE constraint_type = 'PRIMARY KEY' AND key_column_usage.table_name = 'integration_service'"
    )
    values = await db.fetch("SELECT unnest(enum_range(NULL::task_type))::text AS value")

    assert [tuple(column) for column in columns] == [
        ("id", "bigint", "int8"),
        ("data", "jsonb", "jsonb"),
        ("task_type", "USER-DEFINED", "task_type"),
    ]
    assert key == "id"
    assert [value["value"] for value in values] == ["phone", "email", "gpt"]


async def test_the_largest_task_id_and_the_longest_text(api: httpx.AsyncClient, db: asyncpg.Connection) -> None:
    task = {"task_id": 2**63 - 1, "task_type": "gpt", "data": "я" * 9_999 + "🥐"}
    await db.execute("DELETE FROM task WHERE task_id = $1", task["task_id"])  # the fuzzer likes it too

    answer = await answered(api, task)

    assert answer.status_code == 200, answer.text
    assert answer.json()["task_id"] == 2**63 - 1
    assert (await api.get(f"/api/v1/tasks/{2**63 - 1}")).json()["data"] == task["data"]
    assert await row(db, answer.json()["id"])


async def test_who_does_not_want_to_wait_is_told_where_to_look(
    api: httpx.AsyncClient, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    task_id = new_id()
    await sandbox.fault("dadata", kind="hang")

    answer = await api.post(
        "/api/v1/tasks",
        json={"task_id": task_id, "task_type": "phone", "data": "+79161230001"},
        headers={"Prefer": "respond-async"},
    )

    assert answer.status_code == 202
    assert answer.content == b""
    assert answer.headers["preference-applied"] == "respond-async"
    assert (await api.get(answer.headers["location"])).json()["status"] in {"queued", "processing"}
    await sandbox.well()
    shown = await ended(api, task_id)
    assert shown["id"]
    assert shown["result"]["phone"] == "+7 916 123-00-01"


async def test_a_slow_provider_makes_it_202_and_then_done(
    stack: Stack, sandbox: SandboxControl, queues: Queues, new_id: Callable[[], int]
) -> None:
    task = {"task_id": new_id(), "task_type": "email", "data": "slow@matrix.ru"}
    impatient = await asyncio.to_thread(stack.installation.start, "api", API_WAIT_SECONDS=0.3)
    await sandbox.fault("dadata", latency_ms=4500)

    async with httpx.AsyncClient(base_url=impatient.url, timeout=30, verify=False) as api:
        answer = await api.post("/api/v1/tasks", json=task)

        assert answer.status_code == 202
        assert answer.headers["location"] == f"/api/v1/tasks/{task['task_id']}"
        shown = await ended(api, task["task_id"])
        assert await queues.told(RESULTS, task["task_id"]) == {"task_id": task["task_id"], "id": shown["id"]}
        again = await answered(api, task)

    assert (again.status_code, again.json()) == (200, {"task_id": task["task_id"], "id": shown["id"]})
    assert await sandbox.calls("slow@matrix.ru") == 1
    impatient.terminate()
    assert impatient.exit_code() == 0


@pytest.mark.parametrize("other", [{"data": "+79161230003"}, {"task_type": "gpt"}])
async def test_other_content_under_a_known_id_is_a_conflict(
    api: httpx.AsyncClient, sandbox: SandboxControl, new_id: Callable[[], int], other: dict[str, str]
) -> None:
    task = {"task_id": new_id(), "task_type": "phone", "data": "+79161230002"}
    first = await answered(api, task)

    answer = await api.post("/api/v1/tasks", json=task | other)

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["category"] == "conflict"
    assert str(task["task_id"]) in answer.json()["detail"]
    assert (await answered(api, task)).json() == first.json()
    assert await sandbox.calls() == 1


async def test_one_task_can_be_looked_at(api: httpx.AsyncClient, new_id: Callable[[], int]) -> None:
    task = {"task_id": new_id(), "task_type": "email", "data": "info@matrix.ru"}
    result = (await answered(api, task)).json()

    shown = await ended(api, task["task_id"])

    assert shown | task == shown
    assert shown["attempts"] == 1
    assert shown["last_error"] is None
    assert shown["id"] == result["id"]
    assert shown["result"]["type"] == "ROLE"
    assert shown["created_at"].endswith("Z")
    assert shown["next_attempt_at"] is None


@pytest.mark.parametrize(
    ("task_id", "status"), [("424242424242", 404), ("0", 422), ("-1", 422), ("seven", 422), (2**63, 422)]
)
async def test_a_task_that_is_not_there(api: httpx.AsyncClient, task_id: str, status: int) -> None:
    answer = await api.get(f"/api/v1/tasks/{task_id}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert status == 404 or answer.json()["errors"][0]["field"] == "task_id"


async def test_the_list_is_newest_first_filtered_and_stable_while_it_grows(
    api: httpx.AsyncClient, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    async def hand_in(task_type: str, number: int) -> int:
        data = f"+7916555{number:04}" if task_type == "phone" else f"list{number}@matrix.ru"
        task = {"task_id": new_id(), "task_type": task_type, "data": data}
        assert (await answered(api, task)).status_code == 200
        return int(task["task_id"])

    async def page(**query: Any) -> dict[str, Any]:
        answer = await api.get("/api/v1/tasks", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    phones = [await hand_in("phone", number) for number in range(5)]
    emails = [await hand_in("email", number) for number in range(3)]

    newest = [task["task_id"] for task in (await page(limit=8))["tasks"]]
    assert newest == (phones + emails)[::-1]

    seen: list[int] = []
    query: dict[str, Any] = {"task_type": "phone", "limit": 2}
    while len(seen) < 5:
        found = await page(**query)
        assert all(task["task_type"] == "phone" for task in found["tasks"])
        seen += [task["task_id"] for task in found["tasks"]]
        query["cursor"] = found["next_cursor"]
        await hand_in("phone", 10 + len(seen))  # must not shift the pages that follow
    assert seen[:5] == phones[::-1]

    await ended(api, emails[-1])
    assert emails[-1] in [task["task_id"] for task in (await page(status="done"))["tasks"]]
    assert emails[-1] not in [task["task_id"] for task in (await page(status="failed"))["tasks"]]
    all_done = await page(status="done", task_type="email", limit=500)
    assert {(task["status"], task["task_type"]) for task in all_done["tasks"]} == {("done", "email")}
    assert (await page(limit=500))["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "MjAyNi0xMS0yMSAx"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"status": "lost"}, "status"),
        ({"task_type": "sms"}, "task_type"),
    ],
)
async def test_a_wrong_question_to_the_list(api: httpx.AsyncClient, query: dict[str, str], field: str) -> None:
    answer = await api.get("/api/v1/tasks", params=query)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
