"""Which notifications wait for something that is due, and what is forgotten in time."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from gonets.adapters.postgres.notification_intake import KEYS_HOLD, WAKE_AGAIN
from gonets.adapters.postgres.pool import Pool
from gonets.core.notifications.model import Due

_ORPHANS = """
WITH orphans AS (
    SELECT id FROM notification n
    WHERE life IS NOT NULL AND NOT EXISTS (SELECT FROM worker_life w WHERE w.id = n.life)
    ORDER BY id
    FOR UPDATE
)
UPDATE notification n
SET life = NULL, stamp = NULL, version = n.version + 1, due_at = clock_timestamp(), wake_at = clock_timestamp(),
    wakes = 0
FROM orphans o
WHERE n.id = o.id
RETURNING n.id
"""

_DUE = "SELECT id, wake_at FROM notification WHERE wake_at <= statement_timestamp() ORDER BY wake_at LIMIT $1"

_WOKEN = """
WITH woken AS (
    SELECT n.id FROM notification n JOIN unnest($1::bigint[], $2::timestamptz[]) AS i (id, wake_at) USING (id, wake_at)
    ORDER BY n.id
    FOR UPDATE OF n
)
UPDATE notification n
SET wake_at = clock_timestamp() + $3::interval * 2 ^ least(n.wakes, 8), wakes = least(n.wakes + 1, 100)
FROM woken w
WHERE n.id = w.id
"""

_FORGET = """
WITH keys AS (DELETE FROM notification_key WHERE created_at < statement_timestamp() - 2 * $1::interval),
     strays AS (DELETE FROM stray_receipt WHERE created_at < statement_timestamp() - $1::interval),
     early AS (DELETE FROM early_receipt WHERE created_at < statement_timestamp() - $1::interval)
DELETE FROM channel_pause WHERE until < clock_timestamp()
"""


class PostgresNotificationWakes:
    """The scheduler's side. Implements NotificationWakes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def orphans(self) -> int:
        return len(await self._pool.fetch(_ORPHANS))

    async def due(self, limit: int) -> Sequence[Due]:
        return [Due(row["id"], row["wake_at"]) for row in await self._pool.fetch(_DUE, limit)]

    async def woken(self, due: Sequence[Due]) -> None:
        await self._pool.fetch(_WOKEN, [one.id for one in due], [one.wake_at for one in due], WAKE_AGAIN)

    async def forget(self) -> None:
        await self._pool.fetch(_FORGET, KEYS_HOLD)


class PostgresPauses:
    """Implements Pauses."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self) -> Mapping[str, timedelta]:
        rows = await self._pool.fetch(
            "SELECT channel, until - clock_timestamp() AS pause_left FROM channel_pause WHERE until > clock_timestamp()"
        )
        return {row["channel"]: row["pause_left"] for row in rows}

    async def add(self, channel: str, lasting: timedelta) -> None:
        await self._pool.fetch(
            "INSERT INTO channel_pause AS p (channel, until) VALUES ($1, clock_timestamp() + $2::interval)"
            " ON CONFLICT (channel) DO UPDATE SET until = greatest(p.until, excluded.until)",
            channel,
            lasting,
        )
