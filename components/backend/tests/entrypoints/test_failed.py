"""gonets failed, as an operator calls it, on real servers."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from eventually import eventually
from foreign import DEAD, TASKS, broker  # noqa: F401 - a fixture
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.tasks import PostgresTasks
from gonets.core.shared.errors import Category
from gonets.core.tasks.model import Failure, Task, TaskType

SOURCE = Path(__file__).resolve().parents[2] / "src"
REFUSED = Failure(Category.REFUSED, "no such number\x1b[2J", "HTTP 400\nbad")
AWAY = Failure(Category.UNAVAILABLE, "HTTP 503", None)


class Shell:
    def __init__(self, environment):
        self._environment = os.environ | environment | {"PYTHONPATH": str(SOURCE)}

    async def start(self, *arguments, **variables):
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gonets.entrypoints.cli",
            "failed",
            *arguments,
            env=self._environment | variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments, **variables):
        """Exit status, standard output and standard error."""
        process = await self.start(*arguments, **variables)
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode, out.decode(), err.decode()

    async def json(self, *arguments, status=0):
        found, out, err = await self.run(*arguments, "--json")
        assert found == status, err
        return json.loads(out)


@pytest.fixture
def shell(servers):
    return Shell(servers.environment)


@pytest.fixture
async def fail(pool):
    """Fails tasks, and tells it."""
    lifeline = PostgresLifeline(pool, fresh_for=60)
    await lifeline.beat()
    worker = PostgresTasks(pool, pool, lifeline)

    async def fail(task_id, failure=REFUSED, *, told=True):
        claim = await worker.claim(Task(task_id, TaskType.PHONE, "8 916"), None, task_id)
        end = await worker.fail(claim, failure)
        if told:
            await worker.told(end)

    return fail


@pytest.fixture
async def put(broker):  # noqa: F811
    await broker.declare(TASKS)
    await broker.declare(DEAD)

    async def put(body, reason="no JSON"):
        headers = {"x-gonets-reason": reason, "x-gonets-category": "invalid", "x-gonets-queue": TASKS}
        await broker.publish(DEAD, body, headers=headers, message_id=body.decode(errors="replace")[:50])

    return put


async def _statuses(pool):
    return {row["task_id"]: row["status"] for row in await pool.fetch("SELECT task_id, status::text FROM task")}


async def test_the_list_is_for_people_and_shows_both_kinds(shell, fail, put):
    await fail(7)
    await fail(8, AWAY, told=False)
    await put(b'{"task_id"\x1b[31m')
    status, out, err = await shell.run("list")
    assert (status, err) == (0, "")
    assert "2 failed tasks" in out
    assert "1 dead letter\n" in out
    assert "no such number" in out
    assert "HTTP 503 (not told yet)" in out
    assert '{"task_id"' in out
    assert "\x1b" not in out, "a terminal would obey it"


async def test_nothing_is_a_list_too(shell, pool, put):
    assert await shell.run("list") == (0, "0 failed tasks\n\n0 dead letters\n", "")


async def test_the_list_is_chosen_by_kind_and_every_condition(shell, fail, put):
    await fail(7)
    await fail(8, AWAY)
    await put(b"one", "no JSON")
    found = await shell.json("list", "--reason", "503", "--since", "1h", "--category", "unavailable")
    assert [task["task_id"] for task in found["tasks"]] == [8]
    assert found["messages"] == []
    found = await shell.json("list", "--kind", "tasks", "--limit", "1")
    assert [task["task_id"] for task in found["tasks"]] == [8]
    assert (found["tasks_complete"], "messages" in found) == (False, False)
    assert (await shell.json("list", "--until", "2000-01-01"))["tasks"] == []


async def test_show_says_everything_about_each_and_who_is_not_there(shell, fail, put):
    await fail(7)
    await put(b"x" * 300)
    letter_id = (await shell.json("list"))["messages"][0]["id"]
    status, out, err = await shell.run("show", "7", letter_id, "99")
    assert (status, err) == (1, "no failed task has the id 99\n")
    assert "try 1" in out
    assert "the provider said: HTTP 400\\nbad" in out
    assert "x" * 300 in out
    assert "\x1b" not in out


async def test_replay_by_id_of_both_kinds_and_again(shell, fail, put, pool, broker):  # noqa: F811
    await fail(7)
    await fail(8)
    await put(b"one")
    letter_id = (await shell.json("list"))["messages"][0]["id"]
    status, out, _ = await shell.run("replay", "7", letter_id)
    assert (status, out) == (0, "1 failed tasks replayed\n1 dead letters replayed\n")
    assert await _statuses(pool) == {7: "parked", 8: "failed"}
    assert [message.body for message in await broker.all(TASKS)] == [b"one"]
    status, out, _ = await shell.run("replay", "7", letter_id)
    assert (status, out) == (1, "0 failed tasks replayed\n0 dead letters replayed\n")


async def test_a_task_about_a_person_who_was_erased_is_not_replayed(shell, fail, pool):
    await fail(7)
    await pool.fetch("UPDATE task SET data = '(erased)', dropped_at = now() WHERE task_id = 7")
    status, out, err = await shell.run("replay", "7")
    assert (status, out) == (1, "")
    assert err == "the person whom task 7 asked about was erased: there is nothing left to ask\n"
    assert await _statuses(pool) == {7: "failed"}


async def test_replay_by_condition_of_one_kind_and_of_all(shell, fail, put, pool, broker):  # noqa: F811
    await fail(7)
    await fail(8, AWAY)
    await put(b"one")
    assert await shell.json("replay", "--kind", "tasks", "--category", "unavailable") == {
        "tasks": {"replayed": 1, "complete": True}
    }
    assert await _statuses(pool) == {7: "failed", 8: "parked"}
    assert (await shell.json("replay", "--all"))["messages"] == {"replayed": 1, "complete": True}
    assert await _statuses(pool) == {7: "parked", 8: "parked"}
    assert await broker.ready(DEAD) == 0


async def test_a_failure_that_is_not_told_is_left_and_that_is_said(shell, fail, put, pool):
    await fail(7, told=False)
    status, out, _ = await shell.run("replay", "--all", "--kind", "tasks")
    assert status == 1
    assert "still being told" in out
    assert await _statuses(pool) == {7: "failed"}


async def test_drop_hides_tasks_and_throws_letters_away(shell, fail, put, broker):  # noqa: F811
    await fail(7)
    await put(b"one")
    assert (await shell.run("drop", "7"))[:2] == (0, "1 failed tasks dropped\n")
    assert (await shell.json("list"))["tasks"] == []
    assert (await shell.json("show", "7"))["tasks"][0]["dropped_at"]
    assert (await shell.run("drop", "--all", "--yes", "--kind", "messages"))[0] == 0
    assert await broker.ready(DEAD) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay"], "--all"),
        (["drop"], "--all"),
        (["drop", "--all"], "--yes"),
        (["drop", "--reason", "x"], "--yes"),
        (["replay", "--all", "--reason", "x"], "--all"),
        (["replay", "--all", "7"], "--all"),
        (["replay", "7", "--kind", "tasks"], "--kind"),
        (["replay", "seven"], "seven"),
        (["show", "m123"], "m123"),
        (["show", "0"], "0"),
        (["list", "--since", "yesterday"], "yesterday"),
        (["list", "--since", "99999999999d"], "no time"),
        (["list", "--limit", "0"], "above 0"),
        (["list", "--category", "odd"], "odd"),
        (["list", "--reason", ""], "must have a character"),
    ],
    ids=" ".join,
)
def test_a_command_that_is_not_clear_is_refused_before_anything_is_touched(arguments, words, monkeypatch, capsys):
    from gonets.entrypoints import cli

    monkeypatch.setattr(sys, "argv", ["gonets", "failed", *arguments])
    monkeypatch.setenv("DATABASE_HOST", "127.0.0.1")
    monkeypatch.setenv("DATABASE_PORT", "1")
    monkeypatch.setattr("gonets.entrypoints.process.logs.configure", lambda *_, **__: None)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


async def test_while_a_server_is_away_it_is_said_in_a_line(shell, servers, unused_tcp_port):
    for variable in ("DATABASE_PORT", "RABBITMQ_AMQP_PORT"):
        status, out, err = await shell.run("list", **{variable: str(unused_tcp_port)})
        assert (status, out) == (3, "")
        assert "is away" in err
        assert "Traceback" not in err


async def test_killed_in_the_middle_of_a_replay_no_letter_is_lost(shell, put, broker):  # noqa: F811
    bodies = {f"letter {number}".encode() for number in range(3000)}
    await asyncio.gather(*map(put, bodies))
    process = await shell.start("replay", "--all", "--kind", "messages")

    async def begun():
        return await broker.ready(TASKS) >= 200

    await eventually(begun, "some are replayed", timeout=30)
    process.kill()
    await process.wait()

    async def nobody_holds_any():
        return await broker.ready(DEAD) + await broker.ready(TASKS) >= len(bodies)

    await eventually(nobody_holds_any, "what was in hand is back")
    left = {message.body for message in await broker.all(DEAD)}
    sent = {message.body for message in await broker.all(TASKS)}
    assert left, "it was killed too late to tell anything"
    assert left | sent == bodies
    assert len(left & sent) <= 100, "copies of one batch at most"
