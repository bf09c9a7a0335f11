"""The database or the broker goes away and comes back: nothing is lost, and whoever asks is told at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from acceptance.clients import RESULTS, TASKS, Queues, SandboxControl, answered, queues_of, until
from acceptance.stack import Installation, Process, Stack, free_port
from proxy import Proxy

ASYNC = {"Prefer": "respond-async"}
SOON = 8.0  # seconds: less than anybody who waits in vain would take, and enough for a busy machine


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[Proxy]:
    settings = stack.installation.servers.database
    async with Proxy(settings.host, settings.port) as proxy:
        yield proxy


@pytest.fixture
async def broker(stack: Stack) -> AsyncIterator[Proxy]:
    settings = stack.installation.servers.rabbit
    async with Proxy(settings.host, settings.amqp_port) as proxy:
        yield proxy


def ways(database: Proxy, broker: Proxy) -> dict[str, object]:
    return {
        "DATABASE_HOST": "127.0.0.1",
        "DATABASE_PORT": database.port,
        "RABBITMQ_HOST": "127.0.0.1",
        "RABBITMQ_AMQP_PORT": broker.port,
    }


@pytest.fixture
async def far(
    request: pytest.FixtureRequest, stack: Stack, database: Proxy, broker: Proxy
) -> AsyncIterator[httpx.AsyncClient]:
    """An API of the shared stack that reaches its servers through the proxies. Its parameter: variables."""
    variables = ways(database, broker) | getattr(request, "param", {})
    process = await asyncio.to_thread(stack.installation.start, "api", **variables)
    async with httpx.AsyncClient(base_url=process.url, timeout=30, verify=False) as client:
        yield client
    await database.restore()
    await broker.restore()
    process.terminate()
    await asyncio.to_thread(process.exit_code)


async def leave(proxy: Proxy, how: str) -> None:
    if how == "cut":
        await proxy.cut()
    else:
        proxy.freeze()


def unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["category"] == "unavailable"


@pytest.mark.parametrize("far", [{"API_DATABASE_TIMEOUT": 0.8}], indirect=True, ids=["impatient"])
async def test_without_its_database_the_api_says_503_soon(
    far: httpx.AsyncClient, database: Proxy, new_id: Callable[[], int]
) -> None:
    task = {"task_id": new_id(), "task_type": "phone", "data": "+79180000001"}

    async def taken() -> bool:
        return (await far.post("/api/v1/tasks", json=task)).status_code == 200

    paths = ("/api/v1/tasks/1", "/api/v1/tasks", "/api/v1/failed/tasks", "/api/v1/failed/tasks/1")

    async def connected() -> bool:
        answers = [await far.get(path) for path in ("/api/v1/tasks", "/api/v1/failed/tasks")]
        return all(answer.status_code == 200 for answer in answers)

    async def said() -> bool:
        ready = await far.get("/health/ready")
        checks = ready.json()["checks"]
        found = (ready.status_code, ready.json()["status"], checks["broker"], "away" in checks["database"])
        return found == (503, "not ready", "ok", True)

    async def back() -> bool:
        return (await far.get("/health/ready")).status_code == 200

    # A refused connection is known at once, a silent one after API_DATABASE_TIMEOUT.
    for how in ("cut", "frozen"):
        await until(connected, "connections stand")
        await leave(database, how)
        for method, path in (("POST", "/api/v1/tasks"), *(("GET", path) for path in paths)):
            since = time.monotonic()
            unavailable(await far.request(method, path, json=task if method == "POST" else None))
            assert time.monotonic() - since < SOON, f"{method} {path}"
        assert (await far.get("/health/live")).status_code == 200
        await until(said, "readiness says that the database is away, and nothing else")
        await database.restore()
        await until(taken, "it is taken again")
    await until(back, "readiness says that the database is back")


async def test_without_its_broker_the_api_still_takes(
    far: httpx.AsyncClient, broker: Proxy, db: asyncpg.Connection, new_id: Callable[[], int]
) -> None:
    async def said() -> bool:
        ready = await far.get("/health/ready")
        found = ready.json()
        away = {name for name, words in found["checks"].items() if words != "ok"}
        return (ready.status_code, found["status"], away) == (200, "degraded", {"broker", "queues"})

    async def back() -> bool:
        checks = (await far.get("/health/ready")).json()["checks"]
        return bool(checks["broker"] == "ok")

    for how in ("cut", "frozen"):
        await leave(broker, how)
        # Nor is one who would wait kept waiting for a reply that cannot come.
        for headers in ({}, ASYNC):
            task = {"task_id": new_id(), "task_type": "phone", "data": "+79180000002"}
            since = time.monotonic()
            answer = await far.post("/api/v1/tasks", json=task, headers=headers)

            assert answer.status_code == 202
            assert answer.headers["location"] == f"/api/v1/tasks/{task['task_id']}"
            assert time.monotonic() - since < SOON
            assert await db.fetchval("SELECT status::text FROM task WHERE task_id = $1", task["task_id"]) == "queued"
        await until(said, "readiness says that the broker is away, and that tasks are taken all the same")
        await broker.restore()
        await until(back, "readiness says that the broker is back")


@pytest.mark.xdist_group("outage")
async def test_what_was_taken_without_a_broker_is_done_when_it_is_back(
    installation: Installation, broker: Proxy, database: Proxy, new_id: Callable[[], int]
) -> None:
    stack = await asyncio.to_thread(Stack.start, installation, workers=1, **ways(database, broker))
    tasks = [{"task_id": new_id(), "task_type": "phone", "data": f"+7918000100{n}"} for n in range(5)]
    async with (
        httpx.AsyncClient(base_url=stack.api.url, timeout=30, verify=False) as api,
        queues_of(installation.servers) as queues,
    ):
        await broker.cut()
        for task in tasks:
            answer = await api.post("/api/v1/tasks", json=task)  # willing to wait, but no reply could arrive
            assert answer.status_code == 202
        await broker.restore()

        for task in tasks:
            told = await queues.told(RESULTS, task["task_id"], timeout=60)
            assert (await answered(api, task)).json() == told


@pytest.fixture
async def one_worker(
    installation: Installation, database: Proxy, broker: Proxy
) -> AsyncIterator[tuple[Process, Queues, SandboxControl]]:
    """A worker behind the proxies, with a queue to fill and a sandbox to slow down."""
    await asyncio.to_thread(installation.start, "sandbox")
    # Cut off from its database for long, and busy with a slow provider, it is neither dead nor given up.
    installation.launch("scheduler", SCHEDULER_DEAD_AFTER=60)
    worker = await asyncio.to_thread(installation.start, "worker", DADATA_TIMEOUT=30, **ways(database, broker))
    async with (
        httpx.AsyncClient(base_url=installation.sandbox_url, timeout=20, verify=False) as http,
        queues_of(installation.servers) as queues,
    ):
        yield worker, queues, SandboxControl(http)


async def calls(control: SandboxControl, wanted: int) -> None:
    async def asked() -> bool:
        return await control.calls() == wanted

    await until(asked, f"{wanted} calls")


@pytest.mark.parametrize("which", ["database", "broker"])
async def test_an_answer_that_is_paid_for_survives_an_outage(
    one_worker: tuple[Process, Queues, SandboxControl],
    database: Proxy,
    broker: Proxy,
    new_id: Callable[[], int],
    which: str,
) -> None:
    worker, queues, control = one_worker
    away = {"database": database, "broker": broker}[which]
    await control.fault("dadata", latency_ms=6000)
    tasks = [{"task_id": new_id(), "task_type": "phone", "data": f"+7918000200{n}"} for n in range(5)]
    for task in tasks:
        await queues.send(task)
    await calls(control, 5)

    await away.cut()

    async def answered() -> bool:
        return await control.calls(outcome="answered") == 5

    await until(answered, "the provider has answered")
    assert await queues.count(RESULTS) == 0
    await away.restore()
    for task in tasks:
        assert (await queues.told(RESULTS, task["task_id"]))["id"]
    assert await control.repeated() == {}
    assert worker.running()


async def test_while_the_database_is_away_messages_wait_in_the_broker(
    one_worker: tuple[Process, Queues, SandboxControl],
    installation: Installation,
    database: Proxy,
    new_id: Callable[[], int],
) -> None:
    worker, queues, control = one_worker
    await database.cut()
    tasks = [{"task_id": new_id(), "task_type": "phone", "data": f"+7918000300{n}"} for n in range(5)]
    for task in tasks:
        await queues.send(task)

    async def fetched() -> bool:
        return await queues.count(TASKS) == 0

    await until(fetched, "the worker has them in hand")
    await asyncio.to_thread(worker.logged, "heartbeat failed")
    worker.kill()  # nothing was acknowledged

    async def back() -> bool:
        return await queues.count(TASKS) == len(tasks)

    await until(back, "all are back in the queue")
    assert await control.calls() == 0
    await database.restore()
    await asyncio.to_thread(installation.start, "worker")
    for task in tasks:
        assert (await queues.told(RESULTS, task["task_id"]))["id"]


async def test_everything_may_start_before_its_servers(
    installation: Installation, database: Proxy, broker: Proxy, new_id: Callable[[], int]
) -> None:
    await database.cut()
    await broker.cut()
    processes = [installation.launch(name, **ways(database, broker)) for name in ("worker", "scheduler", "api")]
    await asyncio.to_thread(installation.start, "sandbox")
    await asyncio.to_thread(processes[0].logged, "heartbeat failed")
    await asyncio.to_thread(processes[1].logged, "not done this time")
    await asyncio.to_thread(processes[2].answers, f"{processes[2].url}/health/live")
    async with httpx.AsyncClient(base_url=processes[2].url, timeout=30, verify=False) as api:
        checks = (await api.get("/health/ready")).json()["checks"]
    assert all("away" in words for words in checks.values()), checks

    await database.restore()
    await broker.restore()

    async with httpx.AsyncClient(base_url=processes[2].url, timeout=30) as api:

        async def ready() -> bool:
            return bool((await api.get("/health/ready")).json()["status"] == "ready")

        await until(ready, "everything is there")
        answer = await answered(api, {"task_id": new_id(), "task_type": "phone", "data": "1"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("away", ["database", "broker"])
async def test_ready_says_what_is_away(stack: Stack, away: str) -> None:
    variable = {"database": "DATABASE_PORT", "broker": "RABBITMQ_AMQP_PORT"}[away]
    process = stack.installation.launch("api", **{variable: free_port()})
    await asyncio.to_thread(process.answers, f"{process.url}/health/live")

    async with httpx.AsyncClient(base_url=process.url, timeout=30) as api:
        live = await api.get("/health/live")

        async def told() -> dict[str, Any] | None:
            ready = await api.get("/health/ready")
            other = "broker" if away == "database" else "database"
            return ready.json() if ready.json()["checks"][other] == "ok" else None

        ready = await until(told, "the other is there")

    assert live.json()["status"] == "live"
    assert ready["status"] == {"database": "not ready", "broker": "degraded"}[away]
    assert "away" in ready["checks"][away]
    process.terminate()
    assert await asyncio.to_thread(process.exit_code) == 0
