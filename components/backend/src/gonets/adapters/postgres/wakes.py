"""The scheduler's side of the task table: what is due, and what the dead leave behind."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.tasks import WAKE_AGAIN
from gonets.core.tasks.model import Task, TaskType, Wake

_POISON = "each worker that ran it died, the last one with nothing else in hand"

_BURY = """
DELETE FROM worker_life w
USING unnest($1::bigint[], $2::bigint[]) AS dead (id, beats)
WHERE w.id = dead.id AND w.beats = dead.beats
"""

# An end is told, or left to the scheduler, within a few timeouts. That it was told is committed asynchronously: a
# database that crashes forgets the last of these marks, and the worker that made them lives on and does not know.
TOLD_WITHIN = timedelta(seconds=30)

# Apart from _BURY: a claim may commit after its life was buried, and is found by the next sweep.
_ORPHANS = """
WITH orphans AS (
    SELECT task_id FROM task t
    WHERE life IS NOT NULL AND (
        NOT EXISTS (SELECT FROM worker_life w WHERE w.id = t.life)
        OR status IN ('answered', 'failed') AND updated_at < clock_timestamp() - $2::interval
    )
    ORDER BY task_id
    FOR UPDATE
)
UPDATE task t
SET status = CASE WHEN t.status <> 'processing' THEN t.status
                  WHEN t.alone THEN 'failed'
                  ELSE 'queued'::task_status END,
    error_category = CASE WHEN t.status = 'processing' AND t.alone THEN 'poison' ELSE t.error_category END,
    error_reason = CASE WHEN t.status = 'processing' AND t.alone THEN $1 ELSE t.error_reason END,
    takeovers = t.takeovers + (t.status = 'processing')::int, alone = false,
    life = NULL, claim_token = NULL, wake_at = clock_timestamp(), wakes = 0, updated_at = clock_timestamp()
FROM orphans
WHERE t.task_id = orphans.task_id
RETURNING t.task_id
"""

_DUE = """
SELECT task_id, task_type, data, wake_at FROM task
WHERE wake_at <= statement_timestamp() ORDER BY wake_at LIMIT $1
"""

_WOKEN = """
WITH woken AS (
    SELECT t.task_id
    FROM task t JOIN unnest($1::bigint[], $2::timestamptz[]) AS i (task_id, due_at) USING (task_id)
    WHERE t.wake_at = i.due_at
    ORDER BY t.task_id
    FOR UPDATE OF t
)
UPDATE task t
SET status = CASE WHEN t.status = 'parked' THEN 'queued'::task_status ELSE t.status END,
    wake_at = clock_timestamp() + $3::interval * 2 ^ least(t.wakes, 8), wakes = least(t.wakes + 1, 100)
FROM woken
WHERE t.task_id = woken.task_id
"""


class PostgresTaskWakes:
    """The scheduler's side. Implements TaskWakes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def heartbeats(self) -> Mapping[int, int]:
        rows = await self._pool.fetch("SELECT id, beats FROM worker_life")
        return {row["id"]: row["beats"] for row in rows}

    async def bury(self, dead: Mapping[int, int]) -> int:
        if dead:
            await self._pool.fetch(_BURY, list(dead), list(dead.values()))
        return len(await self._pool.fetch(_ORPHANS, _POISON, TOLD_WITHIN))

    async def due(self, limit: int) -> Sequence[Wake]:
        rows = await self._pool.fetch(_DUE, limit)
        return [
            Wake(Task(row["task_id"], TaskType(row["task_type"]), row["data"]), due_at=row["wake_at"]) for row in rows
        ]

    async def woken(self, wakes: Sequence[Wake]) -> None:
        await self._pool.fetch(
            _WOKEN, [wake.task.task_id for wake in wakes], [wake.due_at for wake in wakes], WAKE_AGAIN
        )
