"""The operator's side of the task table: what failed, tried again or given up.

A failure is told when its row is in nobody's hands and not to be woken. Until then a replay leaves it: the one who
tells it would speak of an end that the task no longer has, and those who wait for it would be forgotten.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.jsonb import storable
from gonets.adapters.postgres.pool import Pool
from gonets.core.shared.errors import Category
from gonets.core.tasks.model import ERASED, Attempt, Failure, Task, TaskType
from gonets.core.tasks.set_aside import Choice, FailedPage, FailedTask, Handled

CHUNK = 500
"""Rows of one transaction: few enough to be quick, so that no worker waits long for a lock."""

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

_TOLD = "t.life IS NULL AND t.wake_at IS NULL"

_CHOSEN = """
    t.status = 'failed'
    AND ($1::bigint[] IS NOT NULL OR t.dropped_at IS NULL)
    AND ($1::bigint[] IS NULL OR t.task_id = ANY($1))
    AND ($2::text IS NULL OR t.error_category = $2)
    AND ($3::text IS NULL OR strpos(lower(t.error_reason), lower($3)) > 0)
    AND ($4::timestamptz IS NULL OR t.updated_at >= $4)
    AND ($5::timestamptz IS NULL OR t.updated_at < $5)
"""

_PAGE = f"""
SELECT t.*, {_TOLD} AS told, tries.first_at, last.answer
FROM (
    SELECT * FROM task t
    WHERE {_CHOSEN} AND ($6::timestamptz IS NULL OR (t.updated_at, t.task_id) < ($6, $7::bigint))
    ORDER BY updated_at DESC, task_id DESC
    LIMIT $8
) t
LEFT JOIN LATERAL (SELECT min(ended_at) AS first_at FROM task_attempt a WHERE a.task_id = t.task_id) tries ON true
LEFT JOIN LATERAL (
    SELECT answer FROM task_attempt a WHERE a.task_id = t.task_id ORDER BY id DESC LIMIT 1
) last ON true
ORDER BY t.updated_at DESC, t.task_id DESC
"""  # noqa: S608 - only constants are inserted

_HISTORY = "SELECT number, ended_at, category, reason, answer FROM task_attempt WHERE task_id = $1 ORDER BY id"

_ERASED = "SELECT task_id FROM task WHERE task_id = ANY($1) AND status = 'failed' AND data = $2 ORDER BY task_id"

# The rows that are seen say how far it came; those that may be changed are read again under their locks.
_STEP = """
WITH seen AS (
    SELECT t.task_id, t.updated_at, {told} AS told
    FROM task t
    WHERE {chosen} AND (t.updated_at, t.task_id) > ($6::timestamptz, $7::bigint) AND t.updated_at <= $8::timestamptz
    ORDER BY t.updated_at, t.task_id
    LIMIT $9
), held AS (
    SELECT t.task_id
    FROM task t JOIN seen USING (task_id)
    WHERE t.status = 'failed' AND {condition}
    ORDER BY t.task_id
    FOR UPDATE OF t
), handled AS (
    UPDATE task t SET {change} FROM held WHERE t.task_id = held.task_id RETURNING t.task_id
)
SELECT s.task_id, s.updated_at, s.told, h.task_id IS NOT NULL AS handled
FROM seen s LEFT JOIN handled h USING (task_id)
ORDER BY s.updated_at, s.task_id
"""

_REPLAY = _STEP.format(
    told=_TOLD,
    chosen=_CHOSEN,
    condition=f"{_TOLD} AND t.data <> '{ERASED}'",
    change="""
        status = 'parked', wake_at = clock_timestamp(), wakes = 0, attempts = 0, takeovers = 0, alone = false,
        replays = t.replays + 1, replayed_at = clock_timestamp(), dropped_at = NULL, updated_at = clock_timestamp()
    """,
)

_DROP = _STEP.format(
    told="true", chosen=_CHOSEN, condition="t.dropped_at IS NULL", change="dropped_at = clock_timestamp()"
)


class PostgresFailedTasks:
    """Implements FailedTasks."""

    def __init__(self, pool: Pool, *, chunk: int = CHUNK) -> None:
        self._pool = pool
        self._chunk = chunk

    async def get(self, task_id: int) -> FailedTask | None:
        rows = await self._pool.fetch(_PAGE, *_to_row(Choice(ids=[task_id])), None, None, 1)
        if not rows:
            return None
        return _from_row(rows[0], await self._pool.fetch(_HISTORY, task_id))

    async def page(self, chosen: Choice[int], *, cursor: str | None, limit: int) -> FailedPage:
        place = from_cursor(cursor) if cursor else (None, None)
        # One more than asked for tells whether there is a next page.
        rows = await self._pool.fetch(_PAGE, *_to_row(chosen), *place, limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        return FailedPage(
            [_from_row(row) for row in rows[:limit]], to_cursor(last["updated_at"], last["task_id"]) if last else None
        )

    async def erased(self, ids: Collection[int]) -> Sequence[int]:
        rows = await self._pool.fetch(_ERASED, list(ids), ERASED)
        return [row["task_id"] for row in rows]

    async def replay(self, chosen: Choice[int]) -> Handled:
        return await self._handle(_REPLAY, chosen)

    async def drop(self, chosen: Choice[int]) -> Handled:
        return await self._handle(_DROP, chosen)

    async def _handle(self, statement: str, chosen: Choice[int]) -> Handled:
        [[now]] = await self._pool.fetch("SELECT clock_timestamp()")
        place = (_BEGINNING, 0)
        count, complete = 0, True
        while True:
            rows = await self._pool.fetch(statement, *_to_row(chosen), *place, now, self._chunk)
            count += sum(row["handled"] for row in rows)
            complete = complete and all(row["told"] for row in rows)
            if len(rows) < self._chunk:
                return Handled(count, complete)
            place = (rows[-1]["updated_at"], rows[-1]["task_id"])


def _to_row(chosen: Choice[int]) -> tuple[Any, ...]:
    return (
        None if chosen.ids is None else list(chosen.ids),
        chosen.category,
        None if chosen.reason is None else storable(chosen.reason),
        chosen.since,
        chosen.until,
    )


def _from_row(row: Any, history: Sequence[Any] = ()) -> FailedTask:
    return FailedTask(
        task=Task(row["task_id"], TaskType(row["task_type"]), row["data"]),
        failure=Failure(Category(row["error_category"]), row["error_reason"], row["answer"]),
        attempts=row["attempts"],
        replays=row["replays"],
        created_at=row["created_at"],
        first_failed_at=row["first_at"],
        failed_at=row["updated_at"],
        dropped_at=row["dropped_at"],
        told=row["told"],
        history=[_to_attempt(entry) for entry in history],
    )


def _to_attempt(row: Any) -> Attempt:
    return Attempt(row["number"], row["ended_at"], Failure(Category(row["category"]), row["reason"], row["answer"]))
