"""The tables of notifications: each is read and written as one, with its attempts, and its version tells if somebody
else wrote in between.

Rows are always locked in the order of id, so batches of several workers cannot deadlock.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.jsonb import rows_to_jsonb, to_jsonb
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.notification_rows import (
    attempt_to_row,
    from_row,
    receipt_from_row,
    receipt_to_row,
    to_row,
)
from gonets.adapters.postgres.pool import Pool
from gonets.core.channels.model import ChannelType, Receipt
from gonets.core.notifications.model import (
    Attempt,
    Notification,
    NotificationFilter,
    NotificationPage,
)
from gonets.core.shared.batching import Batcher, Observe, nobody
from gonets.core.shared.copies import copied
from gonets.core.shared.errors import Unavailable

_WITH_ATTEMPTS = """
SELECT n.*, (SELECT jsonb_agg(to_jsonb(a) ORDER BY a.number) FROM attempt a WHERE a.notification_id = n.id) AS tries
FROM notification n WHERE n.id = $1
"""

# One look into the index for each: of a table that grew a moment ago the planner expects many rows for each id, and
# would read all of it for some dozens.
_TRIES = """
SELECT i.id, (SELECT jsonb_agg(to_jsonb(a) ORDER BY a.number) FROM attempt a WHERE a.notification_id = i.id) AS tries
FROM unnest($1::bigint[]) AS i (id)
"""

# A claim repeated with its stamp, after a commit whose outcome was not seen, gets the same row.
_CLAIM = """
WITH free AS (
    SELECT n.id, i.stamp
    FROM notification n JOIN unnest($1::bigint[], $2::bigint[]) AS i (id, stamp) USING (id)
    WHERE n.life IS NULL AND n.due_at <= clock_timestamp() OR n.life = $3 AND n.stamp = i.stamp
    ORDER BY n.id
    FOR UPDATE OF n
)
UPDATE notification n
SET life = $3, stamp = f.stamp, version = n.version + 1, wake_at = NULL, wakes = 0
FROM free f
WHERE n.id = f.id
RETURNING n.*
"""

_SAVE = """
WITH input AS (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS i (
        id bigint, version bigint, stamp bigint, release bool, held bool, cancelled bool, status text, reason text,
        channel_id bigint, channel_type text, round int, attempts int, told text, due_at timestamptz,
        sent_at timestamptz, finished_at timestamptz)
), same AS (
    SELECT i.* FROM notification n JOIN input i ON i.id = n.id AND i.version = n.version
    ORDER BY n.id
    FOR UPDATE OF n
), withdrawn AS (
    DELETE FROM attempt a USING same s WHERE a.notification_id = s.id AND a.number > s.attempts
), entered AS (
    INSERT INTO attempt
    SELECT r.* FROM jsonb_populate_recordset(NULL::attempt, $2::jsonb) r JOIN same s ON s.id = r.notification_id
    ON CONFLICT (notification_id, number) DO UPDATE SET
        round = excluded.round, reference = excluded.reference,
        channel_id = excluded.channel_id, channel_type = excluded.channel_type,
        channel_name = excluded.channel_name, "to" = excluded."to", why = excluded.why,
        state = excluded.state, started_at = excluded.started_at, ended_at = excluded.ended_at,
        counted_from = excluded.counted_from, provider_id = excluded.provider_id, parts = excluded.parts,
        refusal = excluded.refusal, code = excluded.code, reason = excluded.reason, hint = excluded.hint,
        retry_after = excluded.retry_after, asked = excluded.asked, asked_at = excluded.asked_at, held = excluded.held,
        events = excluded.events
)
UPDATE notification n
SET version = n.version + 1, stamp = s.stamp, held = s.held, cancelled = s.cancelled, status = s.status,
    reason = s.reason, channel_id = s.channel_id, channel_type = s.channel_type, round = s.round,
    attempts = s.attempts, told = s.told, due_at = s.due_at, sent_at = s.sent_at, finished_at = s.finished_at,
    life = CASE WHEN NOT s.release THEN n.life END,
    wake_at = CASE WHEN s.release OR n.life IS NULL THEN s.due_at END, wakes = 0
FROM same s
WHERE n.id = s.id
RETURNING n.id, n.version, n.life
"""

_SAVED_BEFORE = """
SELECT id, n.version, life
FROM notification n JOIN unnest($1::bigint[], $2::bigint[]) AS i (id, stamp) USING (id, stamp)
"""

_TOLD = """
WITH ended AS (
    SELECT n.id, n.version = i.version AS same
    FROM notification n JOIN unnest($1::bigint[], $2::text[], $3::bigint[]) AS i (id, status, version)
         ON i.id = n.id AND i.status = n.status
    WHERE n.finished_at IS NOT NULL
    ORDER BY n.id
    FOR UPDATE OF n
)
UPDATE notification n
SET told = n.status, due_at = CASE WHEN NOT e.same THEN n.due_at END, wake_at = CASE WHEN NOT e.same THEN n.wake_at END
FROM ended e
WHERE n.id = e.id
"""


_PAGE = """
SELECT n.* FROM notification n
WHERE owner_id = $1 AND ($2::text IS NULL OR status = $2)
  AND ($3::text IS NULL OR EXISTS (SELECT FROM attempt a WHERE a.notification_id = n.id AND a.channel_type = $3))
  AND ($4::timestamptz IS NULL OR created_at >= $4) AND ($5::timestamptz IS NULL OR created_at < $5)
  AND ($6::timestamptz IS NULL OR (created_at, id) < ($6, $7::bigint))
ORDER BY created_at DESC, id DESC
LIMIT $8
"""

# Others' reports name the attempt itself, by our own address: ix_attempt_provider_id holds no attempt of theirs.
_BY_PROVIDER_ID = """
SELECT notification_id, reference FROM attempt
WHERE channel_id = $1 AND provider_id = $2 AND channel_type = 'SMS_SMPP'
ORDER BY started_at DESC LIMIT 1
"""

_AWAITED = """
SELECT DISTINCT n.owner_id, a.channel_id
FROM attempt a JOIN notification n ON n.id = a.notification_id
WHERE a.channel_type = $1 AND a.provider_id IS NOT NULL AND a.state = 'accepted'
  AND n.wake_at IS NOT NULL AND n.status = 'sent'
ORDER BY n.owner_id, a.channel_id
"""

_WRITTEN_TO = """
SELECT DISTINCT n.owner_id
FROM attempt a JOIN notification n ON n.id = a.notification_id
WHERE a.channel_id = 0 AND a."to" = $1 AND a.channel_type = $2
ORDER BY n.owner_id
"""


class _Change(NamedTuple):
    notification: Notification
    stamp: int
    release: bool
    tries: Sequence[Attempt]
    """Those that are to be written."""


class PostgresNotifications:
    """Implements NotificationStore, NotificationQueries and, on a worker, NotificationClaims."""

    def __init__(
        self,
        pool: Pool,
        lazy: Pool | None = None,
        lifeline: PostgresLifeline | None = None,
        observe: Observe = nobody,
    ) -> None:
        """`lazy`: a pool whose commits do not wait for the disk, for marks whose loss does no harm. `lifeline`: this
        worker's; without it nothing can be claimed.

        One batch of a kind at a time: of two that overlap each carries half, and a statement costs a worker's processor
        as much as six of its rows (docs/performance.md).
        """
        self._pool = pool
        self._lazy = lazy or pool
        self._lifeline = lifeline
        self._claims: Batcher[tuple[int, int], Notification | None] = Batcher(
            self._flush_claims,
            key=lambda entry: entry[0],
            in_flight=1,
            shared_errors=(Unavailable,),
            name="notification_claim",
            observe=observe,
        )
        self._changes: Batcher[_Change, Notification | None] = Batcher(
            self._flush_changes,
            key=lambda change: change.notification.id,
            in_flight=1,
            shared_errors=(Unavailable,),
            name="notification_save",
            observe=observe,
        )
        self._told: Batcher[Notification, None] = Batcher(
            self._flush_told, shared_errors=(Unavailable,), name="notification_told", observe=observe
        )

    async def get(self, notification_id: int) -> Notification | None:
        rows = await self._pool.fetch(_WITH_ATTEMPTS, notification_id)
        return from_row(rows[0], rows[0]["tries"]) if rows else None

    async def by_provider_id(self, channel_id: int, provider_id: str) -> tuple[Notification, str] | None:
        for row in await self._pool.fetch(_BY_PROVIDER_ID, channel_id, provider_id):
            if found := await self.get(row["notification_id"]):
                return found, row["reference"]
        return None

    async def stray(self, channel_id: int, receipt: Receipt) -> None:
        await self._pool.fetch(
            "INSERT INTO stray_receipt (channel_id, provider_id, receipt) VALUES ($1, $2, $3)",
            channel_id,
            receipt.provider_id,
            to_jsonb(receipt_to_row(receipt)),
        )

    async def strays(self, channel_id: int, provider_id: str) -> Sequence[Receipt]:
        rows = await self._pool.fetch(
            "SELECT receipt FROM stray_receipt WHERE channel_id = $1 AND provider_id = $2 ORDER BY id",
            channel_id,
            provider_id,
        )
        return [receipt_from_row(json.loads(row["receipt"])) for row in rows]

    async def awaited(self, channel_type: ChannelType) -> Sequence[tuple[int, int]]:
        rows = await self._pool.fetch(_AWAITED, channel_type.value)
        return [(row["owner_id"], row["channel_id"]) for row in rows]

    async def written_to(self, channel_type: ChannelType, address: str) -> Sequence[int]:
        rows = await self._pool.fetch(_WRITTEN_TO, address, channel_type.value)
        return [row["owner_id"] for row in rows]

    async def save(
        self, notification: Notification, stamp: int, *, release: bool = False, known: Sequence[Attempt] = ()
    ) -> Notification | None:
        tries = [attempt for attempt in notification.attempts if attempt not in known]
        return await self._changes.add(_Change(notification, stamp, release, tries))

    async def _flush_changes(self, changes: Sequence[_Change]) -> Sequence[Notification | None]:
        rows = rows_to_jsonb([to_row(change.notification, change.stamp, change.release) for change in changes])
        tries = rows_to_jsonb(
            [attempt_to_row(change.notification.id, one) for change in changes for one in change.tries]
        )
        saved = {row["id"]: row for row in await self._pool.fetch(_SAVE, rows, tries)}
        if missing := [change for change in changes if change.notification.id not in saved]:
            ids, stamps = [one.notification.id for one in missing], [one.stamp for one in missing]
            saved |= {row["id"]: row for row in await self._pool.fetch(_SAVED_BEFORE, ids, stamps)}
        return [_saved(change.notification, saved.get(change.notification.id)) for change in changes]

    async def claim(self, notification_id: int, stamp: int) -> Notification | None:
        return await self._claims.add((notification_id, stamp))

    async def _flush_claims(self, entries: Sequence[tuple[int, int]]) -> Sequence[Notification | None]:
        if self._lifeline is None:
            raise RuntimeError("only a worker claims")
        life = self._lifeline.life
        ids, stamps = zip(*entries, strict=True)
        claimed = {row["id"]: row for row in await self._pool.fetch(_CLAIM, list(ids), list(stamps), life)}
        # In a statement of its own: the claim's sees attempts as they were before it waited for the row. What changed
        # since then with the row has another version, and is found out before anything is sent.
        tried = [number for number, row in claimed.items() if row["attempts"]]
        tries = {row["id"]: row["tries"] for row in await self._pool.fetch(_TRIES, tried)} if tried else {}
        found = {number: from_row(row, tries.get(number)) for number, row in claimed.items()}
        return [found.get(number) for number in ids]

    async def told(self, notification: Notification) -> None:
        await self._told.add(notification)

    async def _flush_told(self, ended: Sequence[Notification]) -> Sequence[None]:
        rows = [(one.id, one.status.value, one.version) for one in ended]
        await self._lazy.fetch(_TOLD, *map(list, zip(*rows, strict=True)))
        return [None] * len(ended)

    async def page(
        self, owner_id: int, wanted: NotificationFilter, *, cursor: str | None, limit: int
    ) -> NotificationPage:
        place: tuple[datetime | None, int | None] = from_cursor(cursor) if cursor else (None, None)
        rows = await self._pool.fetch(
            _PAGE,
            owner_id,
            wanted.status and wanted.status.value,
            wanted.channel_type and wanted.channel_type.value,
            wanted.since,
            wanted.until,
            *place,
            limit + 1,  # one more than asked for tells whether there is a next page
        )
        last = rows[limit - 1] if len(rows) > limit else None
        return NotificationPage(
            [from_row(row, None) for row in rows[:limit]], to_cursor(last["created_at"], last["id"]) if last else None
        )


def _saved(notification: Notification, row: Any) -> Notification | None:
    return copied(notification, version=row["version"], life=row["life"]) if row else None
