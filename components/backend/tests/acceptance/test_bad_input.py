"""What is no task: refused by REST with the field named, set aside by the worker with a reason; both go on."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from acceptance.clients import RESULTS, Queues, SandboxControl
from acceptance.stack import Stack

GOOD = {"task_id": 5, "task_type": "phone", "data": "+79161234567"}


def but(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


# What is wrong, the body, and the field that REST names.
BAD: list[tuple[str, bytes, str]] = [
    ("empty", b"", "body"),
    ("no JSON", b"task_id=5&task_type=phone", "body"),
    ("cut off", b'{"task_id": 5, "task_type": "pho', "body"),
    ("two documents", json.dumps(GOOD).encode() * 2, "body"),
    ("trailing comma", b'{"task_id": 5, "task_type": "phone", "data": "1",}', "body"),
    ("null", b"null", "body"),
    ("number", b"5", "body"),
    ("string", b'"phone"', "body"),
    ("array", b"[" + json.dumps(GOOD).encode() + b"]", "body"),
    ("binary", bytes(range(256)), "body"),
    ("invalid UTF-8", b'{"task_id": 5, "task_type": "phone", "data": "\xff\xfe"}', "body"),
    ("overlong UTF-8", b'{"task_id": 5, "task_type": "phone", "data": "\xc0\x80"}', "body"),
    ("surrogate in UTF-8", b'{"task_id": 5, "task_type": "phone", "data": "\xed\xa0\x80"}', "body"),
    ("UTF-16", json.dumps(GOOD).encode("utf-16"), "body"),
    ("byte order mark", b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "body"),
    ("raw line break", b'{"task_id": 5, "task_type": "phone", "data": "1\n2"}', "body"),
    ("deep array", b"[" * 100_000 + b"]" * 100_000, "body"),
    ("deep object", b'{"data":' * 50_000 + b"1" + b"}" * 50_000, "body"),
    ("deep data", b'{"task_id": 5, "task_type": "phone", "data": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", "body"),
    ("endless number", b'{"task_id": ' + b"9" * 10_000 + b', "task_type": "phone", "data": "1"}', "body"),
    ("no task_id", without("task_id"), "task_id"),
    ("no task_type", without("task_type"), "task_type"),
    ("no data", without("data"), "data"),
    ("empty object", b"{}", "task_id"),
    ("task_id 0", but(task_id=0), "task_id"),
    ("task_id -1", but(task_id=-1), "task_id"),
    ("task_id as text", but(task_id="7"), "task_id"),
    ("task_id 7.0", but(task_id=7.0), "task_id"),
    ("task_id 1e2", b'{"task_id": 1e2, "task_type": "phone", "data": "1"}', "task_id"),
    ("task_id true", but(task_id=True), "task_id"),
    ("task_id null", but(task_id=None), "task_id"),
    ("task_id [1]", but(task_id=[1]), "task_id"),
    ("task_id 2^63", but(task_id=2**63), "task_id"),
    ("task_id 2^64+5", but(task_id=2**64 + 5), "task_id"),
    ("unknown task_type", but(task_type="sms"), "task_type"),
    ("task_type in capitals", but(task_type="PHONE"), "task_type"),
    ("task_type with a space", but(task_type="phone "), "task_type"),
    ("task_type null", but(task_type=None), "task_type"),
    ("task_type 1", but(task_type=1), "task_type"),
    ("task_type ['phone']", but(task_type=["phone"]), "task_type"),
    ("data empty", but(data=""), "data"),
    ("data null", but(data=None), "data"),
    ("data a number", but(data=79161234567), "data"),
    ("data true", but(data=True), "data"),
    ("data an object", but(data={"phone": "1"}), "data"),
    ("10 001 characters", but(data="я" * 10_001), "data"),
    ("10 001 emoji", but(data="🥐" * 10_001), "data"),
    ("NUL", but(data="1\0002"), "data"),
    ("NUL alone", but(data="\0"), "data"),
    ("lone high surrogate", b'{"task_id": 5, "task_type": "phone", "data": "\\ud83e"}', "body"),
    ("lone low surrogate", b'{"task_id": 5, "task_type": "phone", "data": "1\\udd50 2"}', "body"),
    ("surrogates the wrong way round", b'{"task_id": 5, "task_type": "phone", "data": "\\udd50\\ud83e"}', "body"),
]

MIB = 2**20


@pytest.fixture(autouse=True)
async def nothing_was_taken(db: asyncpg.Connection, sandbox: SandboxControl) -> AsyncIterator[None]:
    """No row, no call: whatever the answer, nothing came of the message."""
    await db.execute("DELETE FROM task WHERE task_id = 5")
    yield
    assert await db.fetchval("SELECT count(*) FROM task WHERE task_id = 5") == 0
    assert await sandbox.calls("+79161234567") == 0


@pytest.mark.parametrize(("body", "field"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
async def test_rest_refuses_it_and_names_the_field(api: httpx.AsyncClient, body: bytes, field: str) -> None:
    answer = await api.post("/api/v1/tasks", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["category"], problem["type"]) == (422, "invalid", "urn:gonets:problem:invalid")
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["reason"]
    assert len(answer.content) < 2_000


@pytest.mark.parametrize("body", [case[1] for case in BAD] + [but(data="1" * MIB)], ids=[c[0] for c in BAD] + ["1 MiB"])
async def test_the_worker_sets_it_aside_and_goes_on(queues: Queues, new_id: Callable[[], int], body: bytes) -> None:
    await queues.send(body, content_type="application/octet-stream", headers={"theirs": "kept"}, message_id="m-1")

    message = await queues.dead(body)

    assert message.headers["theirs"] == "kept"
    assert message.headers["x-gonets-category"] == "invalid"
    assert 5 < len(str(message.headers["x-gonets-reason"])) < 2_001
    assert (message.content_type, message.message_id) == ("application/octet-stream", "m-1")
    task_id = new_id()
    await queues.send({"task_id": task_id, "task_type": "email", "data": "after@matrix.ru"})
    assert (await queues.told(RESULTS, task_id))["id"]


async def test_many_bad_messages_hold_nothing_up(queues: Queues, new_id: Callable[[], int]) -> None:
    """More than both workers fetch at once: none keeps a slot, none comes back."""
    marked = {f'{{"mark": {number}}}'.encode() for number in range(500)}
    for body in marked:
        await queues.send(body)
    task_id = new_id()
    await queues.send({"task_id": task_id, "task_type": "email", "data": "behind@matrix.ru"})

    assert (await queues.told(RESULTS, task_id))["id"]
    for _ in range(len(marked)):
        message = await queues.find("TaskProcessingQueue.dead", lambda m: m.body in marked, "a marked message")
        marked.remove(message.body)


@pytest.mark.parametrize("declared", [True, False], ids=["Content-Length", "chunked"])
async def test_a_body_beyond_the_limit(stack: Stack, declared: bool) -> None:
    body = but(data="1" * (2 * MIB))

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    async with httpx.AsyncClient(base_url=stack.api.url, timeout=30, verify=False) as api:
        content: Any = body if declared else _async(chunks())
        answer = await api.post("/api/v1/tasks", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 413


async def _async(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_promise_of_a_body_beyond_the_limit_is_answered_at_once(stack: Stack) -> None:
    def ask() -> bytes:
        port = int(stack.api.environment["API_PORT"])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
            return connection.recv(65536)

    assert b"413" in (await asyncio.to_thread(ask)).splitlines()[0]


async def test_one_mebibyte_of_data_by_rest(api: httpx.AsyncClient) -> None:
    answer = await api.post(
        "/api/v1/tasks", content=but(data="1" * (MIB - 1000)), headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "data"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_json_under_another_content_type(api: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}

    answer = await api.post("/api/v1/tasks", content=but(), headers=headers)

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "body", "reason": "must be sent with Content-Type: application/json"}]


async def test_of_a_key_given_twice_both_doors_take_the_last(
    api: httpx.AsyncClient, queues: Queues, new_id: Callable[[], int]
) -> None:
    task_id = new_id()
    body = f'{{"task_id": 5, "task_id": {task_id}, "task_type": "email", "data": "a@b.ru", "data": "twice@b.ru"}}'

    answer = await api.post("/api/v1/tasks", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 200
    assert await queues.told(RESULTS, task_id) == answer.json()
    await queues.send(body.encode())
    assert await queues.told(RESULTS, task_id) == answer.json()
    assert (await api.get(f"/api/v1/tasks/{task_id}")).json()["data"] == "twice@b.ru"


async def test_all_that_is_wrong_is_named_at_once(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/tasks", json={"task_id": 0, "task_type": "x"})

    assert {error["field"] for error in answer.json()["errors"]} == {"task_id", "task_type", "data"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/api/v1/tasks", 405), ("DELETE", "/api/v1/tasks/5", 405)],
)
async def test_what_is_not_there_is_a_problem_too(api: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await api.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert status != 405 or "GET" in answer.headers["allow"]
