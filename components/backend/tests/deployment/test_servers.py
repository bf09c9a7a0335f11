"""The private servers: started, killed, started again; nothing left behind."""

import asyncio
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

NATIVE = Path(__file__).parents[4] / "deployment" / "backend" / "native"


@pytest.fixture(scope="module")
def native() -> Iterator[Any]:
    sys.path.insert(0, str(NATIVE))
    yield importlib.import_module("servers")
    sys.path.remove(str(NATIVE))


@pytest.fixture(scope="module")
def processes(native: Any) -> Any:
    return importlib.import_module("processes")


@pytest.fixture
def postgres(native: Any, tmp_path: Path) -> Iterator[Any]:
    [port] = native.free_ports(1)
    server = native.PrivatePostgres(tmp_path / "postgres", port, "somebody", "it's a \\ secret")
    server.prepare()
    yield server
    server.remove()


async def _ask(server: Any, statement: str) -> Any:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user=server.role, password=server.password, database="postgres"
    )
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_a_killed_server_starts_again_with_what_was_committed(postgres: Any):
    postgres.start()
    await _ask(postgres, "CREATE TABLE kept AS SELECT 1 AS one")
    postgres.kill()
    assert postgres.pid() is None
    assert not postgres.ready()
    postgres.start()
    assert await _ask(postgres, "SELECT one FROM kept") == 1
    assert await _ask(postgres, "SHOW fsync") == "on"


async def test_a_stopped_server_leaves_no_process_and_no_port(processes: Any, postgres: Any):
    postgres.start()
    members = processes.family(postgres.pid())
    assert len(members) > 3
    postgres.stop()
    assert not any(map(processes.alive, members))
    assert not processes.port_is_taken(postgres.port)


async def test_another_process_can_go_on_with_it(native: Any, postgres: Any):
    await asyncio.to_thread(postgres.start)
    same = native.PrivatePostgres(postgres.directory, postgres.port, postgres.role, postgres.password)
    assert same.pid() == postgres.pid()
    same.start()
    assert same.pid() == postgres.pid()
    postgres.stop()


def test_a_pid_file_of_a_stranger_is_not_believed(postgres: Any):
    (postgres.data / "postmaster.pid").write_text(f"{os.getpid()}\n{postgres.data}\n")
    assert postgres.pid() is None
    postgres.start()
    assert postgres.pid() not in {None, os.getpid()}


async def test_a_wrong_password_is_refused(postgres: Any):
    postgres.start()
    postgres.password = "wrong"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _ask(postgres, "SELECT 1")


def test_changed_credentials_are_told_in_one_line(native: Any, postgres: Any):
    changed = native.PrivatePostgres(postgres.directory, postgres.port, postgres.role, "another")
    with pytest.raises(native.ServerError, match="DATABASE_PASSWORD changed"):
        changed.prepare()


def test_a_broker_needs_no_epmd_and_leaves_nothing(native: Any, processes: Any, tmp_path: Path):
    amqp, web = native.free_ports(2)
    server = native.PrivateRabbit(tmp_path / "rabbitmq", amqp, web, "somebody", 'a "quoted" \\ secret')
    server.prepare()
    try:
        server.start()
        members = processes.family(server.pid())
        assert server.manage("GET", "/api/whoami")["name"] == "somebody"
        assert "-start_epmd false" in processes.command_line(server.pid())
    finally:
        server.kill()
    assert not any(map(processes.alive, members))
    assert not processes.port_is_taken(amqp)
