"""Every error leaves as a problem document, with the status of its category."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import Failure, Task, TaskType

TASK = {"task_id": 1, "task_type": "phone", "data": "8 916 823 34 54"}
NAMES = {"type", "title", "status", "detail", "category"}


def problem(answer: httpx.Response, status: int, category: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document.keys() - {"errors"} == NAMES
    assert (document["status"], document["category"]) == (status, category)
    assert document["type"] == f"urn:gonets:problem:{category}"
    assert document["title"]
    assert document["detail"]
    return document


@pytest.mark.parametrize("category", [*Category])
async def test_each_category_of_failure_has_its_status(door: Any, http: httpx.AsyncClient, category: Category) -> None:
    expected = {
        Category.INVALID: 422,
        Category.NOT_FOUND: 404,
        Category.CONFLICT: 409,
        Category.UNAUTHENTICATED: 401,
        Category.FORBIDDEN: 403,
        Category.THROTTLED: 429,
        Category.UNAVAILABLE: 502,
        Category.QUOTA_EXHAUSTED: 502,
        Category.REFUSED: 502,
        Category.POISON: 502,
        Category.MISCONFIGURED: 502,
        Category.OUTCOME_UNKNOWN: 504,
    }
    claim = await door.table.claim(Task(1, TaskType.PHONE, TASK["data"]), None, 7)
    await door.table.fail(claim, Failure(category, "because of that"))

    answer = await http.post("/api/v1/tasks", json=TASK)

    assert problem(answer, expected[category], category.value)["detail"] == "because of that"
    assert "retry-after" not in answer.headers, "a provider's failure is final"


async def test_what_is_away_of_ours_is_503_with_retry_after(door: Any, http: httpx.AsyncClient) -> None:
    door.table.available = False

    for answer in (
        await http.post("/api/v1/tasks", json=TASK),
        await http.get("/api/v1/tasks/1"),
        await http.get("/api/v1/tasks"),
    ):
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"


async def test_without_a_broker_it_is_taken(door: Any, http: httpx.AsyncClient) -> None:
    door.announcements.available = door.inbox.available = False

    answer = await http.post("/api/v1/tasks", json=TASK)

    assert (answer.status_code, answer.headers["location"]) == (202, "/api/v1/tasks/1")
    assert door.table.rows[1].task == Task(1, TaskType.PHONE, TASK["data"])


async def test_the_end_that_comes_within_the_wait_is_the_answer(make_door: Callable[..., Any]) -> None:
    door = make_door(wait=30)
    async with door.client() as http:
        request = asyncio.create_task(http.post("/api/v1/tasks", json=TASK))
        for _ in range(50):  # turns of the loop, not seconds
            await asyncio.sleep(0)
        door.inbox.answer(door.table.rows[1].waiters[0], 42)
        answer = await request

    assert answer.status_code == 200
    assert answer.text == '{"task_id":1,"id":42}'


@pytest.mark.parametrize("prefer", ["respond-async", "wait=5, respond-async", "respond-async; foo"])
async def test_respond_async_does_not_wait(make_door: Callable[..., Any], prefer: str) -> None:
    door = make_door(wait=30)
    async with door.client() as http, asyncio.timeout(20):
        answer = await http.post("/api/v1/tasks", json=TASK, headers={"Prefer": prefer})

    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"


async def test_the_wait_ends(make_door: Callable[..., Any]) -> None:
    async with make_door(wait=0.01).client() as http:
        answer = await http.post("/api/v1/tasks", json=TASK)

    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


async def test_an_error_of_ours_tells_the_client_nothing_of_its_inside(
    door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(door.table, "submit", broken)
    async with door.client(raise_app_exceptions=False) as http:
        answer = await http.post("/api/v1/tasks", json=TASK)

    problem(answer, 500, "internal")
    assert "secret" not in answer.text


async def test_times_are_utc_and_say_so(door: Any, http: httpx.AsyncClient) -> None:
    task = Task(1, TaskType.PHONE, "1")
    claim = await door.table.claim(task, None, 7)
    await door.table.park(claim, Failure(Category.UNAVAILABLE, "away"), timedelta(seconds=90))

    shown = (await http.get("/api/v1/tasks/1")).json()

    assert shown["created_at"] == "2026-01-01T00:00:00Z"
    assert shown["next_attempt_at"] == "2026-01-01T00:01:30Z"
    assert shown["last_error"] == {"category": "unavailable", "reason": "away"}


async def test_readiness_names_what_is_away(door: Any, http: httpx.AsyncClient) -> None:
    assert (await http.get("/health/ready")).json() == {
        "status": "ready",
        "checks": {"database": "ok", "broker": "ok"},
    }
    door.checks["broker"] = OSError("no route")
    answer = await http.get("/health/ready")
    assert answer.status_code == 200, "tasks are taken all the same"
    assert answer.json() == {"status": "degraded", "checks": {"database": "ok", "broker": "no route"}}

    door.checks["database"] = OSError("no route")
    answer = await http.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "checks": {"database": "no route", "broker": "no route"}}
    assert (await http.get("/health/live")).status_code == 200


@pytest.mark.parametrize("size", [2**20 - 100, 2**20 + 1])
async def test_the_limit_of_a_body_holds_for_chunks_too(http: httpx.AsyncClient, size: int) -> None:
    async def chunks() -> Any:
        yield b'{"task_id": 1, "data": "'
        for _ in range(size // 1024):
            yield b"1" * 1024
        yield b'"}'

    answer = await http.post("/api/v1/tasks", content=chunks(), headers={"Content-Type": "application/json"})

    assert answer.status_code == (422 if size < 2**20 - 50 else 413)
    problem(answer, answer.status_code, "invalid")


@pytest.mark.parametrize("length", ["-1", "many", "1e9", ""])
async def test_a_length_that_is_none_is_no_way_around_the_limit(http: httpx.AsyncClient, length: str) -> None:
    body = b'{"data": "' + b"1" * 2**20 + b'"}'

    answer = await http.post(
        "/api/v1/tasks", content=body, headers={"Content-Type": "application/json", "Content-Length": length}
    )

    problem(answer, 413, "invalid")
