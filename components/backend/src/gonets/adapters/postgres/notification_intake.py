"""Taking notifications in: each is a row before anybody is told that it is taken."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import timedelta

from gonets.adapters.postgres.jsonb import to_jsonb
from gonets.adapters.postgres.notification_rows import new_to_row
from gonets.adapters.postgres.pool import Pool, database_errors
from gonets.core.notifications.model import KeyReused, NewNotification, Taken
from gonets.core.shared.batching import Batcher, Observe, nobody
from gonets.core.shared.errors import Unavailable
from gonets.core.shared.json import JSON

# A wake-up that has no effect is repeated after this time, twice as late each time.
WAKE_AGAIN = timedelta(seconds=25)
KEYS_HOLD = timedelta(days=7)

_SUBMIT = """
WITH input AS MATERIALIZED (
    SELECT i.*, nextval(pg_get_serial_sequence('notification', 'id')) AS id
    FROM jsonb_to_recordset($1::jsonb) AS i (
        place int, owner_id bigint, recipient jsonb, contact_id bigint, text text, subject text, username text,
        event jsonb, route bigint[], deadline timestamptz, fallback_after float, notify_result bool, held bool,
        key text, digest text)
), keyed AS (
    INSERT INTO notification_key AS k (owner_id, key, digest, notification_id)
    SELECT owner_id, key, digest, id FROM input WHERE key IS NOT NULL ORDER BY owner_id, key
    ON CONFLICT (owner_id, key) DO UPDATE SET (digest, notification_id, created_at) = (
        SELECT CASE WHEN old THEN excluded.digest ELSE k.digest END,
               CASE WHEN old THEN excluded.notification_id ELSE k.notification_id END,
               CASE WHEN old THEN clock_timestamp() ELSE k.created_at END
        FROM (SELECT k.created_at < clock_timestamp() - $2::interval AS old) a
    )
    RETURNING *
), known AS (
    SELECT i.place, coalesce(k.notification_id, i.id) AS id, coalesce(k.notification_id = i.id, true) AS new,
           coalesce(k.digest = i.digest, true) AS same
    FROM input i LEFT JOIN keyed k USING (owner_id, key)
), recorded AS (
    INSERT INTO notification (id, owner_id, recipient, contact_id, text, subject, username, event, route, deadline,
                              fallback_after, notify_result, held, status, reason, due_at, wake_at)
    OVERRIDING SYSTEM VALUE
    SELECT i.id, owner_id, recipient, contact_id, text, subject, username, event, route, deadline,
           make_interval(secs => fallback_after), notify_result, held, 'pending',
           CASE WHEN held THEN 'waits to be released' END,
           CASE WHEN NOT held THEN clock_timestamp() END, CASE WHEN NOT held THEN clock_timestamp() + $3::interval END
    FROM input i JOIN known k USING (place)
    WHERE k.new
)
SELECT place, id, new, same FROM known
"""


class PostgresNotificationIntake:
    """The doors' side. Implements NotificationIntake. `observe` hears the sizes of batches.

    `timeout`: seconds for one in all, waiting for those before it included; over that it is Unavailable.
    """

    def __init__(self, pool: Pool, observe: Observe = nobody, *, timeout: float = 10.0) -> None:
        self._pool = pool
        self._timeout = timeout
        self._numbers = itertools.count()
        self._batcher: Batcher[tuple[int, NewNotification], Taken | KeyReused] = Batcher(
            self._flush,
            key=lambda entry: (entry[1].owner_id, entry[1].key) if entry[1].key is not None else entry[0],
            shared_errors=(Unavailable,),
            name="notification_submit",
            observe=observe,
        )

    async def submit(self, new: NewNotification) -> Taken | KeyReused:
        async with database_errors(), asyncio.timeout(self._timeout):
            return await self._batcher.add((next(self._numbers), new))

    async def _flush(self, entries: Sequence[tuple[int, NewNotification]]) -> Sequence[Taken | KeyReused]:
        rows: list[JSON] = [new_to_row(place, new) for place, (_, new) in enumerate(entries)]
        answers = {
            row["place"]: Taken(row["id"], row["new"]) if row["same"] else KeyReused(row["id"])
            for row in await self._pool.fetch(_SUBMIT, to_jsonb(rows), KEYS_HOLD, WAKE_AGAIN)
        }
        return [answers[place] for place in range(len(entries))]
