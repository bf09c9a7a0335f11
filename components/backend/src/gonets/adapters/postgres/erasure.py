"""What the tables say of a person, and how it goes from them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gonets.adapters.postgres.pool import Pool
from gonets.core.channels.model import Recipient
from gonets.core.notifications.erasure import Found, Place
from gonets.core.tasks.model import ERASED

# Longer than any receipt is waited for, by default.
_AGAIN_FOR = timedelta(days=7)
_NO_TIME = datetime(1, 1, 2, tzinfo=UTC)

_BEGIN = """
WITH person AS (
    SELECT id, phone, email, telegram_chat_id FROM contact WHERE owner_id = $1 AND id = $2
), known AS (
    SELECT FROM person
    UNION ALL SELECT FROM erasure WHERE owner_id = $1 AND contact_id = $2
    UNION ALL (SELECT FROM notification WHERE owner_id = $1 AND contact_id = $2 LIMIT 1)
), noted AS (
    INSERT INTO erasure AS e (owner_id, contact_id, task_ids)
    SELECT $1, $2, ARRAY(SELECT task_id FROM contact_question WHERE contact_id IN (SELECT id FROM person))
    WHERE EXISTS (SELECT FROM known)
    ON CONFLICT (owner_id, contact_id) DO UPDATE SET task_ids = e.task_ids || excluded.task_ids
    RETURNING contact_id
)
SELECT p.phone, p.email, p.telegram_chat_id FROM noted LEFT JOIN person p ON true
"""

_SAYS = """
(n.erased_at IS NULL OR n.text <> '' OR n.recipient @? '$.* ? (@ != null)' OR EXISTS (
    SELECT FROM attempt a
    WHERE a.notification_id = n.id
      AND (a."to" IS NOT NULL OR a.reason IS NOT NULL OR a.hint IS NOT NULL OR a.events @? '$[*].reason ? (@ != null)')
))
"""

_OF_CONTACT = f"""
SELECT n.id, n.finished_at IS NULL AND NOT n.cancelled AS open
FROM notification n
WHERE n.contact_id = $2 AND n.owner_id = $1 AND n.id > $4 AND {_SAYS}
ORDER BY n.id
LIMIT $3
"""  # noqa: S608 - our own words

_OF_ADDRESSES = f"""
WITH look AS MATERIALIZED (
    SELECT * FROM notification
    WHERE owner_id = $1 AND (created_at, id) > ($6, $7::bigint)
    ORDER BY created_at, id
    LIMIT $5
), reach AS (
    SELECT created_at, id, count(*) OVER () = $5 AS more FROM look ORDER BY created_at DESC, id DESC LIMIT 1
), found AS (
    SELECT n.id, n.finished_at IS NULL AND NOT n.cancelled AS open
    FROM look n
    WHERE (n.recipient->>'phone' = $2 OR lower(n.recipient->>'email') = lower($3)
           OR lower(n.recipient->>'telegramChatId') = lower($4)) AND {_SAYS}
)
SELECT r.created_at AS time, r.id AS place, r.more, f.id, f.open FROM reach r LEFT JOIN found f ON true
"""  # noqa: S608 - our own words

# The version grows, so that whoever has read one before does not write its attempts again as they were.
_BLANK = """
WITH them AS (
    SELECT id FROM notification WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE
), tries AS (
    UPDATE attempt a
    SET "to" = NULL, reason = NULL, hint = NULL,
        events = coalesce((SELECT jsonb_agg(e || '{"reason": null}') FROM jsonb_array_elements(a.events) e), '[]')
    FROM them t
    WHERE a.notification_id = t.id
)
UPDATE notification n
SET recipient = '{"telegramChatId": null, "email": null, "phone": null}', text = '', subject = NULL, username = NULL,
    event = '{}', reason = 'the person was erased', erased_at = coalesce(n.erased_at, clock_timestamp()),
    version = n.version + 1
FROM them t
WHERE n.id = t.id
"""

_REJECTS = """
DELETE FROM contact_import_reject r USING contact_import i, contact c
WHERE c.owner_id = $1 AND c.id = $2 AND i.owner_id = $1 AND r.import_id = i.id
  AND (lower(r.value) IN (lower(c.email), lower(c.telegram_chat_id), c.phone)
       OR length(regexp_replace(r.value, '\\D', '', 'g')) >= 10
          AND right(regexp_replace(r.value, '\\D', '', 'g'), 10) = right(c.phone, 10))
"""

_SUPPRESSED = """
UPDATE suppression s SET reason = NULL FROM contact c
WHERE c.owner_id = $1 AND c.id = $2 AND s.owner_id = $1
  AND (s.kind, s.address) IN (('phone', c.phone), ('email', lower(c.email)),
                              ('telegramChatId', lower(c.telegram_chat_id)))
"""

# What is asked at this moment ends by itself, and is erased with the next call. A task has data, so a word stands in
# its place; one that failed is not to be asked about again.
_ANSWERS = f"""
WITH asked AS (
    SELECT t.task_id, t.result_id FROM task t JOIN erasure e ON t.task_id = ANY(e.task_ids)
    WHERE e.owner_id = $1 AND e.contact_id = $2 AND t.status IN ('done', 'failed')
), answers AS (
    UPDATE integration_service SET data = '{{}}' WHERE id IN (SELECT result_id FROM asked)
), tries AS (
    UPDATE task_attempt SET answer = NULL WHERE task_id IN (SELECT task_id FROM asked)
)
UPDATE task
SET data = '{ERASED}', dropped_at = CASE WHEN status = 'failed' THEN coalesce(dropped_at, clock_timestamp()) END
WHERE task_id IN (SELECT task_id FROM asked)
"""  # noqa: S608 - our own words

_RECENT = """
SELECT owner_id, contact_id FROM erasure WHERE asked_at > statement_timestamp() - $1::interval
UNION
SELECT owner_id, contact_id FROM erasure WHERE done_at IS NULL
ORDER BY 1, 2
"""


class PostgresErasures:
    """Implements Erasures."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(self, owner_id: int, contact_id: int) -> Recipient | None:
        rows = await self._pool.fetch(_BEGIN, owner_id, contact_id)
        return Recipient(rows[0]["telegram_chat_id"], rows[0]["email"], rows[0]["phone"]) if rows else None

    async def of_contact(self, owner_id: int, contact_id: int, place: Place | None, limit: int) -> Found:
        rows = await self._pool.fetch(_OF_CONTACT, owner_id, contact_id, limit, *(place or (0,)))
        return _found(rows, (rows[-1]["id"],) if len(rows) == limit else None)

    async def of_addresses(self, owner_id: int, addresses: Recipient, place: Place | None, limit: int) -> Found:
        wanted = addresses.phone, addresses.email, addresses.telegram_chat_id
        rows = await self._pool.fetch(_OF_ADDRESSES, owner_id, *wanted, limit, *(place or (_NO_TIME, 0)))
        more = bool(rows) and rows[0]["more"]
        following = (rows[0]["time"], rows[0]["place"]) if more else None
        return _found([row for row in rows if row["id"] is not None], following)

    async def blank(self, ids: Sequence[int]) -> None:
        await self._pool.fetch(_BLANK, list(ids))

    async def end(self, owner_id: int, contact_id: int) -> None:
        async with self._pool.transaction() as connection:
            for statement in (
                _REJECTS,
                _SUPPRESSED,
                _ANSWERS,
                "DELETE FROM contact WHERE owner_id = $1 AND id = $2",
                "UPDATE erasure SET done_at = coalesce(done_at, clock_timestamp())"
                " WHERE owner_id = $1 AND contact_id = $2",
            ):
                await connection.execute(statement, owner_id, contact_id)

    async def recent(self) -> Sequence[tuple[int, int]]:
        return [(row["owner_id"], row["contact_id"]) for row in await self._pool.fetch(_RECENT, _AGAIN_FOR)]


def _found(rows: Sequence[Any], following: Place | None) -> Found:
    return Found([row["id"] for row in rows], [row["id"] for row in rows if row["open"]], following)
