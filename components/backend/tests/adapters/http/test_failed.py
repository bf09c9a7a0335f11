"""The routes under /failed, on fakes."""

import base64
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from fakes import FakeDeadLetters, FakeFailedTasks, FakeTaskTable
from gonets.adapters.http import failed, health
from gonets.adapters.http.app import create_app
from gonets.core.shared.errors import Category
from gonets.core.tasks.failed import HandleDeadLetters, HandleFailedTasks
from gonets.core.tasks.model import Failure, Task, TaskStatus, TaskType
from gonets.core.tasks.set_aside import DeadLetter

TASKS, MESSAGES = "/api/v1/failed/tasks", "/api/v1/failed/messages"
REFUSED = Failure(Category.REFUSED, "no such number", "HTTP 400")
AWAY = Failure(Category.UNAVAILABLE, "HTTP 503")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def table():
    return FakeTaskTable()


@pytest.fixture
def queue():
    return FakeDeadLetters()


@pytest.fixture
async def api(table, queue):
    router = failed.router(HandleFailedTasks(FakeFailedTasks(table)), HandleDeadLetters(queue))
    app = create_app([router], health.router({}, {}), documentation=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


async def _failed(table, task_id, failure=REFUSED):
    end = await table.fail(await table.claim(Task(task_id, TaskType.PHONE, "123"), None, task_id), failure)
    await table.told(end)
    table.clock.advance(timedelta(hours=1))


def _letter(letter_id="m0000000000000001", body=b'{"task_id": 1'):
    return DeadLetter(
        id=letter_id,
        queue="TaskProcessingQueue",
        category=Category.INVALID,
        reason="EOF while parsing",
        dead_at=NOON,
        body=body,
        properties={"message_id": "x"},
    )


async def test_a_failed_task_is_shown_in_full(api, table):
    await _failed(table, 7)
    shown = (await api.get(f"{TASKS}/7")).json()
    assert shown == {
        "task_id": 7,
        "task_type": "phone",
        "data": "123",
        "error": {"category": "refused", "reason": "no such number"},
        "answer": "HTTP 400",
        "attempts": 1,
        "replays": 0,
        "created_at": "2026-01-01T00:00:00Z",
        "first_failed_at": "2026-01-01T00:00:00Z",
        "failed_at": "2026-01-01T00:00:00Z",
        "dropped_at": None,
        "told": True,
        "history": [
            {
                "number": 1,
                "ended_at": "2026-01-01T00:00:00Z",
                "error": {"category": "refused", "reason": "no such number"},
                "answer": "HTTP 400",
            }
        ],
    }


async def test_failed_tasks_are_listed_by_every_condition_in_pages(api, table):
    for number, failure in enumerate([REFUSED, AWAY, REFUSED], start=1):
        await _failed(table, number, failure)

    async def ids(**conditions):
        return [task["task_id"] for task in (await api.get(TASKS, params=conditions)).json()["tasks"]]

    assert await ids() == [3, 2, 1]
    assert await ids(category="refused") == [3, 1]
    assert await ids(reason="503") == [2]
    assert await ids(since="2026-01-01T01:00:00Z", until="2026-01-01T05:00:00+03:00") == [2]
    first = (await api.get(TASKS, params={"limit": 2})).json()
    second = (await api.get(TASKS, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [task["task_id"] for task in second["tasks"]] == [1]
    assert second["next_cursor"] is None


async def test_chosen_tasks_are_replayed_and_dropped(api, table):
    for number in (1, 2, 3):
        await _failed(table, number)
    answer = await api.post(f"{TASKS}/replay", json={"ids": [1]})
    assert (answer.status_code, answer.json()) == (200, {"count": 1, "complete": True})
    assert table.rows[1].status is TaskStatus.PARKED
    assert (await api.post(f"{TASKS}/drop", json={"reason": "NO SUCH", "until": "2026-01-01T02:00:00Z"})).json() == {
        "count": 1,
        "complete": True,
    }
    assert table.rows[2].dropped_at
    assert (await api.post(f"{TASKS}/replay", json={"all": True})).json()["count"] == 1
    assert table.rows[3].status is TaskStatus.PARKED


async def test_a_failure_that_is_not_told_is_left_and_that_is_said(api, table):
    await table.fail(await table.claim(Task(7, TaskType.PHONE, "123"), None, 7), REFUSED)
    assert (await api.post(f"{TASKS}/replay", json={"ids": [7]})).json() == {"count": 0, "complete": False}


async def test_dead_letters_are_listed_shortly_and_shown_whole(api, queue):
    binary = b"\xff\x00" + b"x" * 500
    queue.letters += [_letter(), _letter("m0000000000000002", binary)]
    listed = (await api.get(MESSAGES)).json()
    assert [message["id"] for message in listed["messages"]] == ["m0000000000000001", "m0000000000000002"]
    assert listed["complete"] is True
    assert len(listed["messages"][1]["body"]) == 200
    shown = (await api.get(f"{MESSAGES}/m0000000000000002")).json()
    assert base64.b64decode(shown["body_base64"]) == binary
    assert (shown["size"], shown["dead_at"], shown["queue"]) == (502, "2026-01-01T12:00:00Z", "TaskProcessingQueue")
    text = (await api.get(f"{MESSAGES}/m0000000000000001")).json()
    assert (text["body"], text["body_base64"], text["properties"]) == ('{"task_id": 1', None, {"message_id": "x"})


async def test_chosen_letters_are_replayed_and_dropped(api, queue):
    queue.letters += [_letter(), _letter("m0000000000000002")]
    assert (await api.post(f"{MESSAGES}/replay", json={"ids": ["m0000000000000001"]})).json()["count"] == 1
    assert [letter.id for letter in queue.sent] == ["m0000000000000001"]
    assert (await api.get(MESSAGES, params={"category": "conflict"})).json()["messages"] == []
    assert (await api.post(f"{MESSAGES}/drop", json={"all": True})).json() == {"count": 1, "complete": True}
    assert queue.letters == []


@pytest.mark.parametrize("path", [TASKS, MESSAGES])
@pytest.mark.parametrize("action", ["replay", "drop"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "all"),
        ({"all": False}, "all"),
        ({"all": True, "reason": "x"}, "all"),
        ({"reasons": "x"}, "reasons"),
        ({"reason": ""}, "reason"),
        ({"reason": "\0"}, "reason"),
        ({"category": "unheard of"}, "category"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"until": "0001-01-01T00:00:00+23:00"}, "until"),
        ({"since": "9999-12-31T23:59:59-00:01"}, "since"),
        ({"ids": []}, "ids"),
        ({"ids": [None]}, "ids.0"),
    ],
    ids=str,
)
async def test_a_choice_that_is_not_clear_is_refused_and_nothing_is_done(api, table, queue, path, action, body, field):
    await _failed(table, 7)
    queue.letters.append(_letter())
    answer = await api.post(f"{path}/{action}", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert table.rows[7].status is TaskStatus.FAILED
    assert not table.rows[7].dropped_at
    assert len(queue.letters) == 1


@pytest.mark.parametrize("path", [f"{TASKS}/8", f"{MESSAGES}/m0000000000000009"])
async def test_what_is_not_there_is_not_found(api, path):
    answer = await api.get(path)
    assert (answer.status_code, answer.json()["category"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, f"{path}{end}") for path in (TASKS, MESSAGES) for method, end in [("GET", ""), ("POST", "/replay")]],
)
async def test_while_the_stores_are_away_it_is_503(api, table, queue, method, path):
    table.available = queue.available = False
    answer = await api.request(method, path, json={"all": True} if method == "POST" else None)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_every_answer_is_documented(api):
    paths = (await api.get("/api/v1/openapi.json")).json()["paths"]
    described = {path: operations for path, operations in paths.items() if "/failed/" in path}
    assert len(described) == 8
    for path, operations in described.items():
        for operation in operations.values():
            assert {"200", "422", "503"} <= operation["responses"].keys(), path
            problem = operation["responses"]["422"]["content"]
            assert problem["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
