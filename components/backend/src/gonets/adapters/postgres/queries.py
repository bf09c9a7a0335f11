"""The reading side of the task table."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, select, tuple_
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.pool import AWAY, database_errors, words
from gonets.adapters.postgres.tables import integration_service, task, task_attempt
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.model import Attempt, Failure, Task, TaskPage, TaskRecord, TaskStatus, TaskType

_RECORD = select(task, integration_service.c.data.label("result")).join_from(
    task, integration_service, task.c.result_id == integration_service.c.id, isouter=True
)

_HISTORY = select(task_attempt).order_by(task_attempt.c.id)


def create_engine(dsn: str, *, timeout: float) -> AsyncEngine:
    """A small pool for readers. `timeout`: seconds to get a connection; a query may take longer."""
    return create_async_engine(
        make_url(dsn).set(drivername="postgresql+asyncpg"),
        pool_pre_ping=True,
        pool_size=2,
        max_overflow=2,
        pool_timeout=timeout,
        connect_args={"timeout": timeout, "command_timeout": 10},
    )


class PostgresTaskQueries:
    """Implements TaskQueries."""

    def __init__(self, engine: AsyncEngine, *, patience: float = 1.5) -> None:
        """`patience`: seconds for a connection that answers: the engine's look at it may take as long as a query."""
        self._engine = engine
        self._patience = patience
        self._given_up: set[asyncio.Task[AsyncConnection]] = set()

    async def get(self, task_id: int) -> TaskRecord | None:
        rows = await self._rows(_RECORD.where(task.c.task_id == task_id))
        if not rows:
            return None
        tries = await self._rows(_HISTORY.where(task_attempt.c.task_id == task_id))
        return replace(_from_row(rows[0]), history=[_to_attempt(row) for row in tries])

    async def those(self, task_ids: Sequence[int]) -> Mapping[int, TaskRecord]:
        """Those of them that are known, by id, without their tries."""
        rows = await self._rows(_RECORD.where(task.c.task_id.in_(task_ids)))
        return {row.task_id: _from_row(row) for row in rows}

    async def page(
        self, *, status: TaskStatus | None, task_type: TaskType | None, cursor: str | None, limit: int
    ) -> TaskPage:
        # One more than asked for tells whether there is a next page.
        query = _RECORD.order_by(task.c.created_at.desc(), task.c.task_id.desc()).limit(limit + 1)
        if status:
            query = query.where(task.c.status == status.value)
            if status is not TaskStatus.DONE:
                query = query.where(task.c.status != TaskStatus.DONE.value)  # names the partial index
        if task_type:
            query = query.where(task.c.task_type == task_type.value)
        if cursor:
            columns = [task.c.created_at, task.c.task_id]
            place = tuple_(*from_cursor(cursor), types=[column.type for column in columns])
            query = query.where(tuple_(*columns) < place)
        rows = await self._rows(query)
        last = rows[limit - 1] if len(rows) > limit else None
        return TaskPage(
            [_from_row(row) for row in rows[:limit]], to_cursor(last.created_at, last.task_id) if last else None
        )

    async def _rows(self, query: Select[Any]) -> list[Any]:
        try:
            async with database_errors():
                connection = await self._connect()
                try:
                    return list(await connection.execute(query))
                finally:
                    await connection.close()
        except DBAPIError as error:
            cause = error.orig.__cause__ if error.orig is not None else None
            if error.connection_invalidated or isinstance(cause, AWAY):
                raise Unavailable(f"the database is away: {words(cause or error)}") from error
            raise
        except PoolTimeout as error:
            raise Unavailable("the database is away: no connection became free in time") from error

    async def _connect(self) -> AsyncConnection:
        """Raises Unavailable when patience is at its end; what then becomes of the try is nobody's concern here: to a
        database that went silent the engine says good-bye for two seconds more."""

        async def connect() -> AsyncConnection:
            return await self._engine.connect()

        connecting = asyncio.create_task(connect())
        try:
            await asyncio.wait([connecting], timeout=self._patience)
        finally:
            if not connecting.done():
                self._given_up.add(connecting)
                connecting.add_done_callback(self._given_up.discard)
                connecting.cancel()
        if not connecting.done():
            raise Unavailable("the database is away: no connection answered in time")
        return connecting.result()


def _from_row(row: Any) -> TaskRecord:
    failure = Failure(Category(row.error_category), row.error_reason) if row.error_category else None
    return TaskRecord(
        task=Task(row.task_id, TaskType(row.task_type), row.data),
        status=TaskStatus(row.status),
        attempts=row.attempts,
        last_failure=failure,
        result_id=row.result_id,
        result=row.result,
        created_at=row.created_at,
        updated_at=row.updated_at,
        next_attempt_at=row.wake_at if row.status == TaskStatus.PARKED else None,
        replays=row.replays,
    )


def _to_attempt(row: Any) -> Attempt:
    return Attempt(row.number, row.ended_at, Failure(Category(row.category), row.reason, row.answer))
