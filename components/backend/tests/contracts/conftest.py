"""Each suite runs on the fake and on the real adapter: what a test with `table` demands, both must do."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Protocol

import pytest

from fakes import FakeFailedTasks, FakeTaskTable
from foreign import broker  # noqa: F401 - a fixture
from gonets.adapters.postgres.failed import PostgresFailedTasks
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.queries import PostgresTaskQueries, create_engine
from gonets.adapters.postgres.tasks import PostgresTaskIntake, PostgresTasks
from gonets.adapters.postgres.wakes import PostgresTaskWakes
from gonets.core.tasks.model import JSON
from gonets.core.tasks.ports import FailedTasks, TaskClaims, TaskIntake, TaskOutcomes, TaskQueries, TaskWakes


class Worker(TaskClaims, TaskOutcomes, Protocol):
    """One worker's eyes and hands."""


class Table(Protocol):
    """One task table, seen from all its sides."""

    intake: TaskIntake
    worker: Worker
    wakes: TaskWakes
    queries: TaskQueries
    failed: FailedTasks

    async def another_worker(self) -> Worker:
        """With a life of its own."""

    async def pass_time(self, time: timedelta) -> None: ...

    async def stored(self) -> dict[int, JSON]:
        """The results, by id."""

    async def delete(self, task_id: int) -> None: ...


class FakeSides:
    def __init__(self) -> None:
        self.table = FakeTaskTable()
        self.intake = self.worker = self.wakes = self.queries = self.table
        self.failed = FakeFailedTasks(self.table)
        self._lives = itertools.count(2)

    async def another_worker(self) -> Worker:
        return self.table.of(next(self._lives))

    async def pass_time(self, time: timedelta) -> None:
        self.table.clock.advance(time)

    async def stored(self) -> dict[int, JSON]:
        return dict(self.table.results)

    async def delete(self, task_id: int) -> None:
        del self.table.rows[task_id]


class PostgresSides:
    def __init__(self, pool: Pool, lazy: Pool, queries: PostgresTaskQueries) -> None:
        self._pool = pool
        self._lazy = lazy
        self.intake = PostgresTaskIntake(pool)
        self.wakes = PostgresTaskWakes(pool)
        self.queries = queries
        # Small chunks, so that a handful of tasks takes several.
        self.failed = PostgresFailedTasks(pool, chunk=2)
        self.worker: Worker

    async def another_worker(self) -> Worker:
        lifeline = PostgresLifeline(self._pool, fresh_for=60)
        await lifeline.beat()
        return PostgresTasks(self._pool, self._lazy, lifeline)

    async def pass_time(self, time: timedelta) -> None:
        # The clock cannot be moved, so everything that happened is moved back.
        await self._pool.fetch(
            "UPDATE task SET created_at = created_at - $1::interval, updated_at = updated_at - $1::interval,"
            " wake_at = wake_at - $1::interval, replayed_at = replayed_at - $1::interval",
            time,
        )
        await self._pool.fetch("UPDATE task_attempt SET ended_at = ended_at - $1::interval", time)

    async def stored(self) -> dict[int, JSON]:
        rows = await self._pool.fetch("SELECT id FROM integration_service ORDER BY id")
        return {row["id"]: await self._result(row["id"]) for row in rows}

    async def _result(self, result_id: int) -> JSON:
        [row] = await self._pool.fetch("SELECT task_id FROM task WHERE result_id = $1", result_id)
        record = await self.queries.get(row["task_id"])
        assert record is not None
        return record.result

    async def delete(self, task_id: int) -> None:
        await self._pool.fetch("DELETE FROM task WHERE task_id = $1", task_id)


@pytest.fixture
def fake() -> FakeSides:
    return FakeSides()


@pytest.fixture
async def postgres(servers, pool: Pool) -> AsyncIterator[PostgresSides]:
    lazy = Pool(servers.database.dsn, size=2, timeout=20, lazy_commit=True)
    await lazy.open()
    engine = create_engine(servers.database.dsn, timeout=20)
    sides = PostgresSides(pool, lazy, PostgresTaskQueries(engine))
    sides.worker = await sides.another_worker()
    yield sides
    await engine.dispose()
    await lazy.close()


@pytest.fixture(params=["fake", "postgres"])
def table(request) -> Table:
    return request.getfixturevalue(request.param)


@pytest.fixture
def fake_away() -> FakeSides:
    sides = FakeSides()
    sides.table.available = False
    return sides


@pytest.fixture
async def postgres_away(servers, unused_tcp_port) -> AsyncIterator[PostgresSides]:
    nowhere = servers.database.model_copy(update={"host": "127.0.0.1", "port": unused_tcp_port})
    pool = Pool(nowhere.dsn, size=2, timeout=1)
    await pool.open()
    engine = create_engine(nowhere.dsn, timeout=1)
    sides = PostgresSides(pool, pool, PostgresTaskQueries(engine))
    sides.worker = PostgresTasks(pool, pool, PostgresLifeline(pool))
    yield sides
    await engine.dispose()
    await pool.close()


@pytest.fixture(params=["fake_away", "postgres_away"])
def table_away(request) -> Table:
    return request.getfixturevalue(request.param)
