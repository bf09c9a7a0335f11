"""Chunks of campaigns: who holds which, how far it was begun, and what became of its messages.

Rows of notifications are locked in the order of id, the counts of their campaigns last, by triggers.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gonets.adapters.postgres.campaign_work import chunk_from_row
from gonets.adapters.postgres.campaigns import campaign_from_row
from gonets.adapters.postgres.jsonb import storable, to_jsonb
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.core.campaigns.model import Campaign, Chunk, Outcome, Waiting
from gonets.core.channels.model import Recipient
from gonets.core.notifications.model import Notification
from gonets.core.shared.batching import Batcher, Observe, nobody
from gonets.core.shared.errors import Unavailable
from gonets.core.shared.json import JSON
from gonets.core.templates.rendering import Value, of_contact

# A claim repeated with its stamp, after a commit whose outcome was not seen, gets the same row.
_CLAIM = """
UPDATE campaign_chunk k
SET life = $2, stamp = $3, wake_at = NULL
FROM campaign c
WHERE k.id = $1 AND c.id = k.campaign_id AND c.status = 'running' AND k.done_at IS NULL
  AND (k.life IS NULL AND k.due_at <= clock_timestamp() OR k.life = $2 AND k.stamp = $3)
RETURNING k.*
"""

_WITHOUT_OUTCOME = """
SELECT n.id, n.contact_id, n.created_at, n.recipient ->> 'telegramChatId' AS chat, n.recipient ->> 'email' AS mail,
       n.recipient ->> 'phone' AS number, c.name, c.phone, c.email, c.timezone, c.attributes
FROM notification n
     LEFT JOIN contact c ON c.id = n.contact_id AND (SELECT variables FROM campaign WHERE id = $1)
WHERE n.id > $2 AND n.id <= $3 AND n.campaign_id = $1 AND n.zone IS NOT DISTINCT FROM $4
  AND n.status = 'pending' AND n.attempts = 0 AND n.due_at IS NULL AND n.life IS NULL
ORDER BY n.id
LIMIT $5
"""

_ADVANCE = """
WITH input AS (
    SELECT k.id, i.mark
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS i (id, life, stamp, mark)
         JOIN campaign_chunk k ON k.id = i.id AND k.life = i.life AND k.stamp = i.stamp AND k.done_at IS NULL
         JOIN campaign c ON c.id = k.campaign_id
    WHERE c.status = 'running' AND (c.end_at IS NULL OR clock_timestamp() < c.end_at)
      AND (k.closes_at IS NULL OR clock_timestamp() < k.closes_at)
    ORDER BY k.id
    FOR UPDATE OF k
)
UPDATE campaign_chunk k SET mark = greatest(k.mark, i.mark), marked_at = clock_timestamp()
FROM input i
WHERE k.id = i.id
RETURNING k.*
"""

# One line for each message, and one for each likeness: what many messages have in common travels once.
_RECORD = """
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                         $7::timestamptz[], $8::text[], $9::text[])
        AS i (id, place, "to", reference, provider_id, started_at, ended_at, text, subject)
), alike AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($10::jsonb) AS a (
        place int, status text, reason text, channel_id bigint, channel_type text, due_at timestamptz, due_in float,
        sent bool, finished_at timestamptz, finished bool, tried_id bigint, tried_type text, tried_name text, why text,
        state text, counted bool, parts int, refusal text, code text, attempt_reason text, hint text,
        retry_after float)
), same AS MATERIALIZED (
    SELECT n.id, i.place, i."to", i.reference, i.provider_id, i.started_at, i.ended_at, i.text, i.subject
    FROM input i JOIN notification n ON n.id = i.id
    WHERE n.status = 'pending' AND n.attempts = 0 AND n.due_at IS NULL AND n.life IS NULL
    ORDER BY n.id
    FOR UPDATE OF n
), entered AS (
    INSERT INTO attempt (notification_id, number, round, reference, channel_id, channel_type, channel_name, "to", why,
                         state, started_at, ended_at, counted_from, provider_id, parts, refusal, code, reason, hint,
                         retry_after, asked, held, events)
    SELECT s.id, 1, 1, s.reference, a.tried_id, a.tried_type, a.tried_name, s."to", a.why, a.state, s.started_at,
           s.ended_at, CASE WHEN a.counted THEN s.ended_at END, s.provider_id, a.parts, a.refusal, a.code,
           a.attempt_reason, a.hint, a.retry_after, 0, false,
           jsonb_build_array(jsonb_build_object(
               'at', s.ended_at, 'what', a.state, 'code', a.code, 'reason', a.attempt_reason))
    FROM same s JOIN alike a USING (place)
    WHERE a.tried_id IS NOT NULL
)
UPDATE notification n
SET version = n.version + 1, stamp = NULL, status = a.status, reason = a.reason, channel_id = a.channel_id,
    channel_type = a.channel_type, attempts = CASE WHEN a.tried_id IS NULL THEN 0 ELSE 1 END,
    text = coalesce(s.text, n.text), subject = coalesce(s.subject, n.subject),
    sent_at = CASE WHEN a.sent THEN s.ended_at END,
    finished_at = CASE WHEN a.finished THEN coalesce(s.ended_at, a.finished_at) END,
    due_at = CASE WHEN a.due_in IS NULL THEN a.due_at ELSE s.ended_at + make_interval(secs => a.due_in) END,
    wake_at = CASE WHEN a.due_in IS NULL THEN a.due_at ELSE s.ended_at + make_interval(secs => a.due_in) END
FROM same s JOIN alike a USING (place)
WHERE n.id = s.id
RETURNING n.id
"""

_RECORDED_BEFORE = """
SELECT i.id FROM attempt a JOIN unnest($1::bigint[], $2::text[], $3::text[]) AS i (id, reference, state)
     ON a.notification_id = i.id AND a.number = 1 AND a.reference = i.reference AND a.state = i.state
"""

_RELEASE = """
UPDATE campaign_chunk
SET life = NULL, stamp = NULL, due_at = coalesce($4, due_at), closes_at = $5, wake_at = $4,
    done_at = CASE WHEN $4::timestamptz IS NULL THEN clock_timestamp() END
WHERE id = $1 AND life = $2 AND stamp = $3
"""


class _Advance(NamedTuple):
    chunk: Chunk
    mark: int


class PostgresChunks:
    """Implements Chunks. `observe` hears the sizes of batches."""

    def __init__(self, pool: Pool, lifeline: PostgresLifeline, observe: Observe = nobody) -> None:
        self._pool = pool
        self._lifeline = lifeline
        self._observe = observe
        self._advances: Batcher[_Advance, Chunk | None] = Batcher(
            self._flush_advances,
            key=lambda entry: entry.chunk.id,
            shared_errors=(Unavailable,),
            name="chunk_advance",
            observe=observe,
        )

    async def claim(self, chunk_id: int, stamp: int) -> tuple[Chunk, Campaign] | None:
        rows = await self._pool.fetch(_CLAIM, chunk_id, self._lifeline.life, stamp)
        if not rows:
            return None
        chunk = chunk_from_row(rows[0])
        [row] = await self._pool.fetch("SELECT * FROM campaign WHERE id = $1", chunk.campaign_id)
        return chunk, campaign_from_row(row)

    async def begun(self, chunk: Chunk, limit: int) -> Sequence[Waiting]:
        return await self._without_outcome(chunk, chunk.first_id - 1, chunk.mark, limit)

    async def waiting(self, chunk: Chunk, beyond: int, limit: int) -> Sequence[Waiting]:
        return await self._without_outcome(chunk, beyond, chunk.last_id, limit)

    async def _without_outcome(self, chunk: Chunk, beyond: int, last: int, limit: int) -> Sequence[Waiting]:
        rows = await self._pool.fetch(_WITHOUT_OUTCOME, chunk.campaign_id, beyond, last, chunk.zone, limit)
        return [_waiting(row) for row in rows]

    async def advance(self, chunk: Chunk, mark: int) -> Chunk | None:
        return await self._advances.add(_Advance(chunk, mark))

    async def _flush_advances(self, advances: Sequence[_Advance]) -> Sequence[Chunk | None]:
        values = [(one.chunk.id, one.chunk.life, one.chunk.stamp, one.mark) for one in advances]
        columns = [list(column) for column in zip(*values, strict=True)]
        rows = {row["id"]: row for row in await self._pool.fetch(_ADVANCE, *columns)}
        return [chunk_from_row(rows[number]) if number in rows else None for number, *_ in values]

    async def record(self, outcomes: Sequence[Outcome]) -> Collection[int]:
        self._observe("chunk_record", len(outcomes))
        places: dict[int, int] = {}
        likes: list[Outcome] = []
        rows = []
        for one in sorted(outcomes, key=lambda outcome: outcome.id):
            place = places.get(id(one.like))
            if place is None:
                place = places[id(one.like)] = len(likes)
                likes.append(one)
            rows.append(
                (
                    one.id,
                    place,
                    one.to,
                    one.reference,
                    one.provider_id and storable(one.provider_id),
                    one.started_at,
                    one.ended_at,
                    one.text and storable(one.text),
                    one.subject and storable(one.subject),
                )
            )
        alike: list[JSON] = [_alike(place, one.like) for place, one in enumerate(likes)]
        columns = [list(column) for column in zip(*rows, strict=True)]
        written = {row["id"] for row in await self._pool.fetch(_RECORD, *columns, to_jsonb(alike))}
        if missing := [one for one in outcomes if one.id not in written and one.like.attempts]:
            written |= await self._recorded_before(missing)
        return written

    async def _recorded_before(self, outcomes: Sequence[Outcome]) -> set[int]:
        """By a commit whose outcome was not seen."""
        ids, references = [one.id for one in outcomes], [one.reference for one in outcomes]
        states = [one.like.attempts[0].state.value for one in outcomes]
        return {row["id"] for row in await self._pool.fetch(_RECORDED_BEFORE, ids, references, states)}

    async def release(self, chunk: Chunk, at: datetime | None, closes_at: datetime | None) -> None:
        await self._pool.fetch(_RELEASE, chunk.id, chunk.life, chunk.stamp, at, closes_at)


def _alike(place: int, like: Notification) -> dict[str, JSON]:
    channel, due_at = like.channel, like.due_at
    attempt = like.attempts[0] if like.attempts else None
    due_in = None
    if attempt is not None and due_at is not None and attempt.ended_at is not None:
        due_in, due_at = (due_at - attempt.ended_at).total_seconds(), None
    row: dict[str, JSON] = {
        "place": place,
        "status": like.status.value,
        "reason": like.reason,
        "channel_id": channel.id if channel else None,
        "channel_type": channel.type.value if channel else None,
        "due_at": due_at.isoformat() if due_at else None,
        "due_in": due_in,
        "sent": like.sent_at is not None,
        "finished": like.finished,
        "finished_at": like.finished_at.isoformat() if like.finished_at else None,
    }
    if attempt is None:
        return row
    return row | {
        "tried_id": attempt.channel.id,
        "tried_type": attempt.channel.type.value,
        "tried_name": attempt.channel_name,
        "why": attempt.why,
        "state": attempt.state.value,
        "counted": attempt.counted_from is not None,
        "parts": attempt.parts,
        "refusal": attempt.refusal and attempt.refusal.value,
        "code": attempt.code,
        "attempt_reason": attempt.reason,
        "hint": attempt.hint,
        "retry_after": attempt.retry_after,
    }


def _waiting(row: Any) -> Waiting:
    values: Mapping[str, Value] = {}
    if row["name"] is not None:
        values = of_contact(
            json.loads(row["attributes"]),
            name=row["name"],
            phone=row["phone"],
            email=row["email"],
            timezone=row["timezone"],
        )
    recipient = Recipient(row["chat"], row["mail"], row["number"])
    return Waiting(row["id"], row["contact_id"], recipient, row["created_at"], values)
