"""Counting what is not done, for those who watch."""

from collections.abc import Mapping
from datetime import timedelta

from gonets.adapters.postgres.pool import Pool
from gonets.core.tasks.model import TaskStatus, TaskType
from gonets.core.tasks.survey import Backlog

# `status <> 'done'` names the partial index ix_task_not_done: rows that are done are never read.
_COUNTS = """
SELECT task_type::text, status::text, count(*) AS tasks, clock_timestamp() - min(created_at) AS oldest
FROM task WHERE status <> 'done' GROUP BY task_type, status
"""

_OVERDUE = "SELECT clock_timestamp() - min(wake_at) AS overdue FROM task WHERE wake_at IS NOT NULL"

_HEARTBEATS = "SELECT worker, clock_timestamp() - max(beat_at) AS silent FROM worker_life GROUP BY worker"

_ENDED = (TaskStatus.ANSWERED, TaskStatus.FAILED)


class PostgresTaskCounts:
    """Implements TaskCounts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def backlog(self) -> Backlog:
        tasks: dict[tuple[TaskType, TaskStatus], int] = {}
        oldest: dict[TaskType, timedelta] = {}
        for row in await self._pool.fetch(_COUNTS):
            task_type, status = TaskType(row["task_type"]), TaskStatus(row["status"])
            tasks[task_type, status] = row["tasks"]
            if status not in _ENDED:
                oldest[task_type] = max(row["oldest"], oldest.get(task_type, timedelta(0)))
        [row] = await self._pool.fetch(_OVERDUE)
        return Backlog(tasks, oldest, max(row["overdue"] or timedelta(0), timedelta(0)))

    async def heartbeats(self) -> Mapping[str, timedelta]:
        rows = await self._pool.fetch(_HEARTBEATS)
        return {row["worker"]: max(row["silent"], timedelta(0)) for row in rows}
