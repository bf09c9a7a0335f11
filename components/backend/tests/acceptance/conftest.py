"""A running stack for each test process, and installations of their own for tests that break things."""

import asyncio
import contextlib
import dataclasses
import itertools
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from acceptance.clients import Queues, SandboxControl, queues_of
from acceptance.stack import Installation, Stack

_installations: list[Installation] = []
_ids = itertools.count(random.SystemRandom().randrange(1, 2**40) * 1000)


@contextlib.contextmanager
def _installed(servers: Any, logs: Path) -> Iterator[Installation]:
    """With a database and a virtual host of its own: no other test looks at what its processes take."""
    mark = f"test_{uuid.uuid4().hex[:12]}"
    own = dataclasses.replace(
        servers,
        database=servers.database.model_copy(update={"name": mark}),
        rabbit=servers.rabbit.model_copy(update={"vhost": mark}),
    )
    installation = Installation(own, logs)
    _installations.append(installation)
    try:
        yield installation
    finally:
        installation.stop()
        _installations.remove(installation)
        installation.remove()


async def _drop(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await connection.close()


@pytest.fixture(scope="session")
def stack(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """api, two workers, scheduler and sandbox, shared by the tests of this process."""
    with _installed(servers, tmp_path_factory.mktemp("stack")) as installation:
        installation.prepare()
        yield Stack.start(installation)
    asyncio.run(_drop(servers.database.dsn, installation.servers.database.name))


@pytest.fixture
async def installation(servers: Any, tmp_path: Path) -> AsyncIterator[Installation]:
    """Nothing runs on it yet."""
    with _installed(servers, tmp_path) as installation:
        await asyncio.to_thread(installation.prepare)
        yield installation
    await _drop(servers.database.dsn, installation.servers.database.name)


@pytest.fixture
def new_id() -> Callable[[], int]:
    """Task ids that no other test uses."""
    return lambda: next(_ids)


@pytest.fixture
async def queues(stack: Stack) -> AsyncIterator[Queues]:
    async with queues_of(stack.installation.servers) as found:
        yield found


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.api.url, timeout=60, verify=False) as client:
        yield client


@pytest.fixture
async def sandbox(stack: Stack, db: asyncpg.Connection) -> AsyncIterator[SandboxControl]:
    """Without faults and with an empty journal, before the test and after it."""
    async with httpx.AsyncClient(base_url=stack.installation.sandbox_url, timeout=20, verify=False) as client:
        control = SandboxControl(client)
        await control.reset()
        # The faults of the test before may have opened one: a first try would be its probe, which counts for nothing.
        await db.execute("UPDATE provider SET circuit_opened = 0, circuit_until = NULL, probe_until = NULL")
        yield control
        await control.reset()


@pytest.fixture
async def db(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.installation.servers.database.dsn)
    yield connection
    await connection.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test that fails shows the ends of the logs."""
    report = yield
    if report.failed:
        for installation in _installations:
            for process in installation.processes:
                if text := process.log:
                    report.sections.append((f"log of {process.name}", text[-4000:]))
    return report
