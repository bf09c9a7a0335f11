"""How processes start, end and die."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from acceptance.clients import FAILURES, RESULTS, TASKS, Queues, SandboxControl, queues_of, until
from acceptance.deadly_worker import DEADLY
from acceptance.stack import Installation, Process, Stack, free_port


@pytest.fixture
async def own(installation: Installation) -> AsyncIterator["Own"]:
    """A sandbox and a scheduler; the tests start and end the workers."""
    await asyncio.to_thread(installation.start, "sandbox")
    installation.launch("scheduler")
    connection = await asyncpg.connect(installation.servers.database.dsn)
    async with (
        httpx.AsyncClient(base_url=installation.sandbox_url, timeout=20, verify=False) as http,
        queues_of(installation.servers) as queues,
    ):
        await queues.channel.declare_queue(TASKS, durable=True)
        yield Own(installation, queues, SandboxControl(http), connection)
    await connection.close()


class Own:
    def __init__(
        self, installation: Installation, queues: Queues, sandbox: SandboxControl, db: asyncpg.Connection
    ) -> None:
        self.installation = installation
        self.queues = queues
        self.sandbox = sandbox
        self.db = db

    async def worker(self, **variables: object) -> Any:
        return await asyncio.to_thread(self.installation.start, "worker", **variables)

    async def send(self, ids: list[int]) -> None:
        for task_id in ids:
            await self.queues.send({"task_id": task_id, "task_type": "email", "data": f"t{task_id}@matrix.ru"})

    async def called(self, at_least: int) -> None:
        async def look() -> bool:
            return await self.sandbox.calls() >= at_least

        await until(look, f"{at_least} calls")

    async def done(self, ids: list[int], *, timeout: float = 90) -> None:
        """All are done, each with a row of its own, and all were told."""

        async def look() -> bool:
            return await self.db.fetchval("SELECT count(*) FROM task WHERE status = 'done'") == len(ids)

        await until(look, f"all {len(ids)} are done", timeout=timeout)
        rows = await self.db.fetch("SELECT data->>'source' AS source FROM integration_service")
        assert sorted(row["source"] for row in rows) == sorted(f"t{task_id}@matrix.ru" for task_id in ids)
        untold = set(ids)

        def told(message: Any) -> bool:
            untold.discard(int(message.message_id.split("-")[1]))
            return not untold

        await self.queues.find(RESULTS, told, "the last result")


async def test_sigterm_finishes_what_is_in_hand_and_pays_nothing_twice(own: Own, new_id: Callable[[], int]) -> None:
    ids = [new_id() for _ in range(300)]
    await own.sandbox.fault("dadata", latency_ms=1000)
    await own.send(ids)
    worker = await own.worker(WORKER_CONCURRENCY=20, WORKER_GRACEFUL_TIMEOUT=90)
    await own.called(40)

    worker.terminate()

    assert await asyncio.to_thread(worker.exit_code) == 0, "long before its deadline"
    began = await own.sandbox.calls()
    assert began < len(ids), "it was ended under load"
    assert await own.sandbox.calls(outcome="answered") == began
    assert await own.db.fetchval("SELECT count(*) FROM integration_service") == began
    assert await own.db.fetchval("SELECT count(*) FROM task WHERE status <> 'done'") == 0
    assert await own.db.fetchval("SELECT count(*) FROM worker_life") == 0

    async def back() -> bool:
        return await own.queues.count(TASKS) == len(ids) - began

    await until(back, "the rest is in the queue")
    await own.sandbox.fault("dadata", latency_ms=0)
    await own.worker()
    await own.done(ids)
    assert await own.sandbox.repeated() == {}


async def test_sigterm_with_calls_beyond_the_deadline_gives_them_back(own: Own, new_id: Callable[[], int]) -> None:
    ids = [new_id() for _ in range(10)]
    await own.sandbox.fault("dadata", latency_ms=90_000)
    await own.send(ids)
    worker = await own.worker(WORKER_GRACEFUL_TIMEOUT=1, DADATA_TIMEOUT=100)
    await own.called(10)

    worker.terminate()

    assert await asyncio.to_thread(worker.exit_code) == 0, "long before the provider answers"
    assert await own.db.fetchval("SELECT count(*) FROM worker_life") == 0
    assert await own.db.fetchval("SELECT count(*) FROM task WHERE status = 'queued'") == 10
    await own.sandbox.well()
    await own.worker()
    await own.done(ids)
    assert await own.db.fetchval("SELECT max(takeovers) FROM task") == 0, "given back, not taken from the dead"


async def test_after_kill_9_the_tasks_go_on_elsewhere(own: Own, new_id: Callable[[], int]) -> None:
    ids = [new_id() for _ in range(20)]
    await own.sandbox.fault("dadata", latency_ms=60_000)
    victim = await own.worker(DADATA_TIMEOUT=100)
    await own.send(ids)
    await own.called(20)
    await own.sandbox.well()
    await own.worker()

    victim.kill()

    await own.done(ids, timeout=40)
    assert await own.db.fetchval("SELECT min(takeovers) FROM task") == 1
    assert await own.sandbox.calls() == 40


async def test_workers_that_are_killed_again_and_again_lose_nothing(own: Own, new_id: Callable[[], int]) -> None:
    ids = [new_id() for _ in range(200)]
    await own.sandbox.fault("dadata", latency_ms=[50, 250])
    await own.send(ids)
    for killed in range(3):
        victim = await own.worker(WORKER_CONCURRENCY=10)
        await own.called(30 * (killed + 1))
        victim.kill()

    newest = await own.db.fetchval("SELECT coalesce(max(id), 0) FROM worker_life")

    async def born() -> bool:
        return await own.db.fetchval("SELECT EXISTS (SELECT FROM worker_life WHERE id > $1)", newest)

    newborn = own.installation.launch("worker")
    await until(born, "a worker that has just begun to live")
    newborn.kill()

    await own.worker()

    await own.done(ids)
    repeated = await own.sandbox.repeated()
    again = sum(repeated.values()) - len(repeated)
    assert again <= 3 * 10 + 100, "only what was in the hands of the dead was asked again"


async def test_a_task_that_kills_its_workers_is_set_aside_and_nothing_with_it(
    own: Own, new_id: Callable[[], int]
) -> None:
    deadly, good = new_id(), [new_id() for _ in range(5)]
    started: list[Process] = []

    def supervise() -> None:
        """As any supervisor does: who died is started again."""
        if not started or not started[-1].running():
            started.append(own.installation.launch("worker", program=Path(__file__).with_name("deadly_worker.py")))

    async def status(task_id: int) -> str | None:
        supervise()
        found: str | None = await own.db.fetchval("SELECT status::text FROM task WHERE task_id = $1", task_id)
        return found

    async def in_hand() -> bool:
        supervise()
        return await own.sandbox.calls(provider="yandexgpt") == len(good)

    async def over() -> bool:
        return [await status(task_id) for task_id in (deadly, *good)] == ["failed", *["done"] * len(good)]

    await own.sandbox.fault("yandexgpt", latency_ms=10_000)
    for task_id in good:
        await own.queues.send({"task_id": task_id, "task_type": "gpt", "data": f"превет {task_id}"})
    await until(in_hand, "the good tasks are in a worker's hands")
    await own.queues.send({"task_id": deadly, "task_type": "phone", "data": DEADLY})
    await own.sandbox.fault("yandexgpt", latency_ms=1000)  # for those who ask again

    await until(over, "one is set aside, the others are done", timeout=240)

    told = await own.queues.told(FAILURES, deadly)
    assert told["error"]["category"] == "poison"
    assert [process.exit_code() for process in started[:-1]] == [-signal.SIGSEGV] * (len(started) - 1)
    assert len(started) - 1 == 3, "twice among others, once alone"
    assert started[-1].running()
    assert await own.sandbox.calls(DEADLY) == 3
    for task_id in good:
        assert (await own.queues.told(RESULTS, task_id))["id"]


async def test_a_lost_wake_up_is_sent_again(own: Own, new_id: Callable[[], int]) -> None:
    ids = [new_id() for _ in range(5)]
    api = await asyncio.to_thread(own.installation.start, "api")
    async with httpx.AsyncClient(base_url=api.url, timeout=30, verify=False) as client:
        for task_id in ids:
            task = {"task_id": task_id, "task_type": "email", "data": f"t{task_id}@matrix.ru"}
            answer = await client.post("/api/v1/tasks", json=task, headers={"Prefer": "respond-async"})
            assert answer.status_code == 202

    async def woken() -> bool:
        return await own.queues.count(TASKS) >= 5

    await until(woken, "woken")
    await (await own.queues.channel.get_queue(TASKS)).purge()

    # The sweep looks 30 s after a wake-up: here those 30 s are over.
    await own.db.execute("UPDATE task SET wake_at = wake_at - interval '30 s'")
    await until(woken, "woken again")
    await own.worker()
    await own.done(ids)


async def test_of_two_schedulers_one_leads_and_the_other_takes_over(own: Own) -> None:
    first = own.installation.processes[-1]
    query = """SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
               WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()"""

    async def leader() -> int | None:
        leaders = await own.db.fetch(query)
        assert len(leaders) <= 1
        return leaders[0]["pid"] if leaders else None

    leads = await until(leader, "one leads")
    second = own.installation.launch("scheduler")

    async def two() -> bool:
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gonets leader'"
        return await own.db.fetchval(f"{sessions} AND datname = current_database()") == 2

    await until(two, "both ask to lead")
    assert await leader() == leads
    first.kill()

    async def other() -> bool:
        return await leader() not in (None, leads)

    await until(other, "the other leads")
    second.terminate()
    assert await asyncio.to_thread(second.exit_code) == 0


async def test_sigterm_lets_the_api_finish_a_request(
    stack: Stack, sandbox: SandboxControl, new_id: Callable[[], int]
) -> None:
    process = await asyncio.to_thread(stack.installation.start, "api")
    task = {"task_id": new_id(), "task_type": "phone", "data": "+79190000001"}
    await sandbox.fault("dadata", latency_ms=1500)
    async with httpx.AsyncClient(base_url=process.url, timeout=30, verify=False) as client:
        request = asyncio.create_task(client.post("/api/v1/tasks", json=task))

        async def asked() -> bool:
            return await sandbox.calls(task["data"]) == 1

        await until(asked, "the provider is asked")
        process.terminate()
        answer = await request

        assert answer.status_code == 200, answer.text
        assert await asyncio.to_thread(process.exit_code) == 0
        with pytest.raises(httpx.ConnectError):
            await client.get("/health/live")


async def test_idle_processes_leave_at_once_on_sigterm(installation: Installation) -> None:
    stack = await asyncio.to_thread(Stack.start, installation, workers=1)
    # A client that keeps its connection open must not hold the API up.
    async with httpx.AsyncClient(base_url=stack.api.url, timeout=30, verify=False) as client:
        assert (await client.get("/health/live")).status_code == 200
        for process in (stack.workers[0], stack.scheduler, stack.api, stack.sandbox):
            process.terminate()
            since = time.monotonic()
            assert await asyncio.to_thread(process.exit_code) == 0, process.log
            assert time.monotonic() - since < 12, f"{process.name} waited for somebody"


# One for each process; what makes a value wrong is in test_settings.py.
WRONG = [
    ("api", {"API_PORT": "70000"}),
    ("worker", {"YANDEXGPT_ENDPOINT": "https://llm.api.cloud.yandex.net"}),
    ("worker", {"WORKER_QUEUES": "TaskProcesingQueue"}),
    ("scheduler", {"SCHEDULER_INTERVAL": "0"}),
    ("migrate", {"DATABASE_PORT": "five"}),
    ("doctor", {"ENVIRONMENT": "prod"}),
    ("sandbox", {"SANDBOX_HTTP_PORT": "x"}),
]


async def test_a_wrong_variable_is_one_line_that_names_it(stack: Stack) -> None:
    def run(command: str, variables: dict[str, str]) -> tuple[int, str]:
        return stack.installation.run(command, **variables)

    ends = await asyncio.gather(*(asyncio.to_thread(run, *case) for case in WRONG))
    for (command, variables), (status, output) in zip(WRONG, ends, strict=True):
        assert status in (1, 2), (command, variables, output)
        assert len(output.strip().splitlines()) == 1, output
        assert list(variables)[-1] in output


async def test_a_worker_takes_from_the_queues_that_it_is_given_only(own: Own) -> None:
    queues = "NotificationUrgentQueue, CampaignDispatchQueue"
    worker = own.installation.launch("worker", WORKER_QUEUES=queues, WORKER_NICE="7")

    async def taking() -> bool:
        return worker.log.count("taking messages") == 2

    await until(taking, "a worker that takes from both")
    assert "queue=NotificationUrgentQueue" in worker.log
    assert "queue=CampaignDispatchQueue" in worker.log
    assert "taking tasks" not in worker.log
    assert os.getpriority(os.PRIO_PROCESS, worker.pid) == 7


async def test_no_secret_is_shown_where_its_variable_is_wrong(stack: Stack) -> None:
    status, output = await asyncio.to_thread(
        stack.installation.run, "doctor", DATABASE_PORT="x", DATABASE_PASSWORD="geheim", DADATA_API_KEY="sesam"
    )

    assert status == 1
    assert "DATABASE_PORT" in output
    assert "geheim" not in output
    assert "sesam" not in output


async def test_a_port_that_is_taken_is_one_line_that_names_the_variable(stack: Stack) -> None:
    taken = stack.api.environment["API_PORT"]

    status, output = await asyncio.to_thread(stack.installation.run, "api", API_PORT=taken)

    assert status != 0
    assert "API_PORT" in output
    assert taken in output
    assert "Traceback" not in output


async def test_the_doctor_finds_everything_well(stack: Stack) -> None:
    async def well() -> str | None:
        """What it says of a busy machine that did not answer it in time may be another the next time."""
        status, output = await asyncio.to_thread(
            stack.installation.run, "doctor", API_PORT=stack.api.environment["API_PORT"]
        )
        return output if status == 0 else None

    output = await until(well, "everything is well", timeout=60)
    lines = output.strip().splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["ok", name] for name in ("database", "tables", "secrets", "broker", "queues", "api", "dadata", "yandexgpt")
    ]
    assert len(lines) < 24
    assert max(map(len, lines)) < 200


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("DATABASE_PORT", {"database", "tables", "secrets"}),
        ("RABBITMQ_AMQP_PORT", {"broker", "queues"}),
        ("API_PORT", {"api"}),
    ],
)
async def test_the_doctor_names_what_is_wrong(stack: Stack, variable: str, named: set[str]) -> None:
    variables = {"API_PORT": stack.api.environment["API_PORT"], variable: str(free_port())}

    async def found() -> str | None:
        status, output = await asyncio.to_thread(stack.installation.run, "doctor", **variables)
        assert status == 1
        wrong = {line.split()[1] for line in output.splitlines() if line.startswith("WRONG")}
        assert wrong >= named, output
        return output if wrong == named else None

    assert "Traceback" not in await until(found, f"nothing but {named} is wrong", timeout=60)


async def test_the_doctor_says_what_to_do_where_nothing_runs_yet(installation: Installation) -> None:
    connection = await asyncpg.connect(installation.servers.database.dsn)
    await connection.execute("DROP TABLE task")
    await connection.close()

    status, output = await asyncio.to_thread(installation.run, "doctor")

    assert status == 1
    assert "run gonets migrate" in output
    assert "start gonets worker" in output


async def test_migrate_makes_the_database_too(installation: Installation) -> None:
    settings = installation.servers.database
    name = f"{settings.name}_new"

    ends = await asyncio.gather(*(asyncio.to_thread(installation.run, "migrate", DATABASE_NAME=name) for _ in range(2)))

    assert [status for status, _ in ends] == [0, 0], ends
    connection = await asyncpg.connect(settings.model_copy(update={"name": name}).dsn)
    assert await connection.fetchval("SELECT count(*) FROM task") == 0
    await connection.close()
    connection = await asyncpg.connect(settings.dsn)
    await connection.execute(f'DROP DATABASE "{name}"')
    await connection.close()


async def test_migrating_a_running_installation_again_changes_nothing(stack: Stack) -> None:
    status, output = await asyncio.to_thread(stack.installation.run, "migrate")

    assert status == 0, output
    await asyncio.to_thread(stack.api.answers, f"{stack.api.url}/health/ready")


async def test_help_names_every_command(stack: Stack) -> None:
    status, output = await asyncio.to_thread(stack.installation.run, "--help")

    assert status == 0
    assert all(name in output for name in ("api", "worker", "scheduler", "sandbox", "migrate", "doctor"))
