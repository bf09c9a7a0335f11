"""Removing what was kept long enough.

Each kind is walked in the order in which it was made, along an index that is there anyway: a thing ends after it was
made, so the walk is over at the first ones that are too young. What has not ended is passed by, and stays.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from gonets.adapters.postgres.pool import Pool
from gonets.core.shared.retention import Place, Removed

# At rest: in nobody's hands, and nothing is due, not even to be told.
_NOTIFICATIONS = """
WITH oldest AS MATERIALIZED (
    SELECT id, created_at FROM notification WHERE id > $3 ORDER BY id LIMIT $2
), ended AS MATERIALIZED (
    SELECT n.id, n.created_at, n.campaign_id
    FROM notification n JOIN oldest USING (id)
    WHERE n.finished_at < clock_timestamp() - $1::interval AND n.life IS NULL AND n.due_at IS NULL
      AND NOT EXISTS (SELECT FROM campaign c WHERE c.id = n.campaign_id AND c.finished_at IS NULL)
    FOR UPDATE OF n SKIP LOCKED
), tries AS (
    DELETE FROM attempt a USING ended e WHERE a.notification_id = e.id
), keys AS (
    -- A key that names nothing would keep its sender from handing anything in.
    DELETE FROM notification_key
    WHERE created_at >= (SELECT min(created_at) FROM ended) - interval '1 minute'
      AND created_at <= (SELECT max(created_at) FROM ended) + interval '1 minute'
      AND notification_id IN (SELECT id FROM ended)
), counts AS (
    -- A report that came after the campaign was deleted has counted.
    DELETE FROM campaign_count n
    WHERE n.campaign_id IN (SELECT campaign_id FROM ended)
      AND NOT EXISTS (SELECT FROM campaign c WHERE c.id = n.campaign_id)
), gone AS (
    DELETE FROM notification n USING ended e WHERE n.id = e.id
)
SELECT (SELECT count(*) FROM ended) AS removed, max(id) AS place,
       count(*) = $2 AND min(created_at) < clock_timestamp() - $1::interval AS more
FROM oldest
"""

# The version grows, so that whoever has read one before does not write its attempts again.
_ATTEMPTS = """
WITH oldest AS MATERIALIZED (
    SELECT o.id, n.created_at
    FROM (SELECT notification_id AS id FROM attempt WHERE notification_id > $3 GROUP BY 1 ORDER BY 1 LIMIT $2) o
    LEFT JOIN notification n USING (id)
), ended AS MATERIALIZED (
    SELECT n.id
    FROM notification n JOIN oldest USING (id)
    WHERE n.finished_at < clock_timestamp() - $1::interval AND n.life IS NULL AND n.due_at IS NULL
    FOR UPDATE OF n SKIP LOCKED
), counted AS (
    UPDATE notification n SET attempts = 0, version = n.version + 1 FROM ended e WHERE n.id = e.id
), gone AS (
    DELETE FROM attempt a USING ended e WHERE a.notification_id = e.id RETURNING a.number
)
SELECT (SELECT count(*) FROM gone) AS removed, max(id) AS place,
       count(*) = $2 AND min(created_at) < clock_timestamp() - $1::interval AS more
FROM oldest
"""

# A failed task waits for a person, who tries it again or gives it up.
_TASKS = """
WITH oldest AS MATERIALIZED (
    SELECT task_id, created_at FROM task
    WHERE (created_at, task_id) > ($3, $4::bigint) AND created_at < statement_timestamp() - $1::interval
    ORDER BY created_at, task_id LIMIT $2
), ended AS MATERIALIZED (
    SELECT t.task_id, t.result_id
    FROM task t JOIN oldest USING (task_id)
    WHERE t.updated_at < clock_timestamp() - $1::interval AND t.life IS NULL AND t.wake_at IS NULL
      AND (t.status = 'done' OR t.status = 'failed' AND t.dropped_at < clock_timestamp() - $1::interval)
    FOR UPDATE OF t SKIP LOCKED
), tries AS (
    DELETE FROM task_attempt a USING ended e WHERE a.task_id = e.task_id
), results AS (
    {results}
), gone AS (
    DELETE FROM task t USING ended e WHERE t.task_id = e.task_id
)
SELECT (SELECT count(*) FROM ended) AS removed, last.created_at AS time, last.task_id AS place,
       (SELECT count(*) FROM oldest) = $2 AS more
FROM (SELECT * FROM oldest ORDER BY created_at DESC, task_id DESC LIMIT 1) last
"""

_AUDIT = """
WITH oldest AS MATERIALIZED (
    SELECT id, at FROM audit_entry WHERE id > $3 ORDER BY id LIMIT $2
), gone AS (
    DELETE FROM audit_entry a USING oldest o
    WHERE a.id = o.id AND a.at < clock_timestamp() - $1::interval
    RETURNING a.id
)
SELECT (SELECT count(*) FROM gone) AS removed, max(id) AS place,
       count(*) = $2 AND min(at) < clock_timestamp() - $1::interval AS more
FROM oldest
"""

_NO_TIME = datetime(1, 1, 2, tzinfo=UTC)


class _Kind(NamedTuple):
    statement: str
    first: Place
    """Before everything."""


_KINDS: Mapping[str, _Kind] = {
    "notifications": _Kind(_NOTIFICATIONS, (0,)),
    "attempts": _Kind(_ATTEMPTS, (0,)),
    "tasks": _Kind(_TASKS.format(results="SELECT"), (_NO_TIME, 0)),
    "results": _Kind(
        _TASKS.format(results="DELETE FROM integration_service r USING ended e WHERE r.id = e.result_id"), (_NO_TIME, 0)
    ),
    "audit": _Kind(_AUDIT, (0,)),
}


class PostgresExpiring:
    """Implements Expiring for the kind of that name. `results` are removed with the tasks that they answer."""

    def __init__(self, pool: Pool, kind: str) -> None:
        self._pool = pool
        self._kind = _KINDS[kind]

    async def remove(self, age: timedelta, place: Place | None, limit: int) -> Removed:
        rows = await self._pool.fetch(self._kind.statement, age, limit, *(place or self._kind.first))
        if not rows or not rows[0]["more"]:
            return Removed(rows[0]["removed"] if rows else 0, None)
        [row] = rows
        after = (row["time"], row["place"]) if len(self._kind.first) > 1 else (row["place"],)
        return Removed(row["removed"], after)
