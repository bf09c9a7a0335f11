"""The tables of notifications: each is read and written as one, with its attempts, and its version tells if somebody
else wrote in between.

Rows are always locked in the order of id, so batches of several workers cannot deadlock.
"""

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.jsonb import rows_to_jsonb, to_jsonb
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool, database_errors
from gonets.core.channels.model import ChannelType, Delivery, Message, Receipt, Recipient, Refusal
from gonets.core.notifications.model import (
    Attempt,
    AttemptState,
    ChannelKey,
    Due,
    Event,
    KeyReused,
    NewNotification,
    Notification,
    NotificationFilter,
    NotificationPage,
    Status,
    Taken,
)
from gonets.core.shared.batching import Batcher, Observe, nobody
from gonets.core.shared.copies import copied
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

_FORGET = """
WITH keys AS (DELETE FROM notification_key WHERE created_at < statement_timestamp() - 2 * $1::interval),
     strays AS (DELETE FROM stray_receipt WHERE created_at < statement_timestamp() - $1::interval),
     early AS (DELETE FROM early_receipt WHERE created_at < statement_timestamp() - $1::interval)
DELETE FROM channel_pause WHERE until < clock_timestamp()
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
        rows: list[JSON] = [_new_to_row(place, new) for place, (_, new) in enumerate(entries)]
        answers = {
            row["place"]: Taken(row["id"], row["new"]) if row["same"] else KeyReused(row["id"])
            for row in await self._pool.fetch(_SUBMIT, to_jsonb(rows), KEYS_HOLD, WAKE_AGAIN)
        }
        return [answers[place] for place in range(len(entries))]


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
        rows = rows_to_jsonb([_to_row(change.notification, change.stamp, change.release) for change in changes])
        tries = rows_to_jsonb(
            [_attempt_to_row(change.notification.id, one) for change in changes for one in change.tries]
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


def _saved(notification: Notification, row: Any) -> Notification | None:
    return copied(notification, version=row["version"], life=row["life"]) if row else None


def _new_to_row(place: int, new: NewNotification) -> dict[str, JSON]:
    return {
        "place": place,
        "owner_id": new.owner_id,
        "recipient": _recipient_to_row(new.recipient),
        "contact_id": new.contact_id,
        "text": new.message.text,
        "subject": new.message.subject,
        "username": new.message.username,
        "event": dict(new.message.event),
        "route": list(new.route),
        "deadline": _time(new.deadline),
        "fallback_after": new.fallback_after.total_seconds() if new.fallback_after else None,
        "notify_result": new.notify_result,
        "held": new.held,
        "key": new.key,
        "digest": new.digest,
    }


def _to_row(notification: Notification, stamp: int, release: bool) -> dict[str, object]:
    channel = notification.channel
    return {
        "id": notification.id,
        "version": notification.version,
        "stamp": stamp,
        "release": release,
        "held": notification.held,
        "cancelled": notification.cancelled,
        "status": notification.status.value,
        "reason": notification.reason,
        "channel_id": channel.id if channel else None,
        "channel_type": channel.type.value if channel else None,
        "round": notification.round,
        "attempts": len(notification.attempts),
        "told": notification.told and notification.told.value,
        "due_at": notification.due_at,
        "sent_at": notification.sent_at,
        "finished_at": notification.finished_at,
    }


def from_row(row: Any, tries: str | None) -> Notification:
    return Notification(
        id=row["id"],
        owner_id=row["owner_id"],
        recipient=_recipient_from_row(json.loads(row["recipient"])),
        contact_id=row["contact_id"],
        message=Message(row["text"], row["subject"], row["username"], json.loads(row["event"])),
        route=tuple(row["route"]),
        deadline=row["deadline"],
        fallback_after=row["fallback_after"],
        notify_result=row["notify_result"],
        held=row["held"],
        cancelled=row["cancelled"],
        status=Status(row["status"]),
        reason=row["reason"],
        channel=None if row["channel_id"] is None else ChannelKey(row["channel_id"], ChannelType(row["channel_type"])),
        round=row["round"],
        attempts=tuple(_attempt_from_row(one) for one in json.loads(tries)) if tries else (),
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        finished_at=row["finished_at"],
        due_at=row["due_at"],
        told=row["told"] and Status(row["told"]),
        campaign_id=row["campaign_id"],
        zone=row["zone"],
        version=row["version"],
        life=row["life"],
        erased=row["erased_at"] is not None,
    )


def _attempt_to_row(notification_id: int, attempt: Attempt) -> dict[str, object]:
    return {
        "notification_id": notification_id,
        "number": attempt.number,
        "round": attempt.round,
        "reference": attempt.reference,
        "channel_id": attempt.channel.id,
        "channel_type": attempt.channel.type.value,
        "channel_name": attempt.channel_name,
        "to": attempt.to,
        "why": attempt.why,
        "state": attempt.state.value,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "counted_from": attempt.counted_from,
        "provider_id": attempt.provider_id,
        "parts": attempt.parts,
        "refusal": attempt.refusal and attempt.refusal.value,
        "code": attempt.code,
        "reason": attempt.reason,
        "hint": attempt.hint,
        "retry_after": attempt.retry_after,
        "asked": attempt.asked,
        "asked_at": attempt.asked_at,
        "held": attempt.held,
        "events": [
            {"at": event.at, "what": event.what, "code": event.code, "reason": event.reason} for event in attempt.events
        ],
    }


def _attempt_from_row(row: dict[str, Any]) -> Attempt:
    return Attempt(
        number=row["number"],
        round=row["round"],
        reference=row["reference"],
        channel=ChannelKey(row["channel_id"], ChannelType(row["channel_type"])),
        channel_name=row["channel_name"],
        to=row["to"],
        why=row["why"],
        state=AttemptState(row["state"]),
        started_at=datetime.fromisoformat(row["started_at"]),
        ended_at=_from_time(row["ended_at"]),
        counted_from=_from_time(row["counted_from"]),
        provider_id=row["provider_id"],
        parts=row["parts"],
        refusal=row["refusal"] and Refusal(row["refusal"]),
        code=row["code"],
        reason=row["reason"],
        hint=row["hint"],
        retry_after=row["retry_after"],
        asked=row["asked"],
        asked_at=_from_time(row["asked_at"]),
        held=row["held"],
        events=tuple(
            Event(datetime.fromisoformat(event["at"]), event["what"], event["code"], event["reason"])
            for event in row["events"]
        ),
    )


def _recipient_to_row(recipient: Recipient) -> dict[str, JSON]:
    return {"telegramChatId": recipient.telegram_chat_id, "email": recipient.email, "phone": recipient.phone}


def _recipient_from_row(row: dict[str, Any]) -> Recipient:
    return Recipient(row["telegramChatId"], row["email"], row["phone"])


def receipt_to_row(receipt: Receipt) -> dict[str, JSON]:
    return {
        "delivery": receipt.delivery.value,
        "final": receipt.final,
        "provider_id": receipt.provider_id,
        "code": receipt.code,
        "reason": receipt.reason,
        "refusal": receipt.refusal and receipt.refusal.value,
        "held": receipt.held,
        "opted_out": receipt.opted_out,
    }


def receipt_from_row(row: dict[str, Any]) -> Receipt:
    enums = {"delivery": Delivery(row["delivery"]), "refusal": row["refusal"] and Refusal(row["refusal"])}
    return Receipt(**(row | enums))


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _from_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
