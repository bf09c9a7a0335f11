"""What providers report of attempts, many at a time. Rows are locked in the order of id."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from gonets.adapters.postgres.jsonb import storable, to_jsonb
from gonets.adapters.postgres.notification_rows import receipt_from_row, receipt_to_row
from gonets.adapters.postgres.pool import Pool
from gonets.core.channels.model import ChannelType, Receipt
from gonets.core.notifications.dispatch import notification_of
from gonets.core.notifications.model import MOST_EVENTS, Attempt, ChannelKey
from gonets.core.notifications.reports import Kept, Named
from gonets.core.shared.batching import Batcher, Observe, nobody
from gonets.core.shared.errors import Unavailable
from gonets.core.shared.json import JSON

# A campaign's message without an attempt may be under way: its first one is committed after the send.
_FIND = """
SELECT i.place, n.owner_id, a.channel_id, a.channel_type, n.campaign_id IS NOT NULL AND n.attempts = 0 AS early
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS i (id, reference, place)
     JOIN notification n ON n.id = i.id
     LEFT JOIN attempt a ON a.notification_id = n.id AND a.reference = i.reference
"""

_ENTER = """
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::timestamptz[], $9::bigint[], $10::text[]) WITH ORDINALITY
        AS i (id, reference, state, code, reason, refusal, provider_id, at, by_id, by_type, place)
), same AS MATERIALIZED (
    SELECT n.id, a.number, i.place, i.state, i.code, i.reason, i.refusal, i.provider_id, i.at, a.channel_id,
           a.channel_type, a.channel_name
    FROM input i JOIN notification n ON n.id = i.id
         JOIN attempt a ON a.notification_id = n.id AND a.reference = i.reference
    WHERE i.state <> 'accepted' AND a.state = 'accepted' AND n.status = 'sent' AND n.life IS NULL
      AND (i.by_id IS NULL OR a.channel_id = i.by_id AND a.channel_type = i.by_type)
    ORDER BY n.id
    FOR UPDATE OF n, a
), entered AS (
    UPDATE attempt a
    SET state = s.state, ended_at = s.at, code = s.code, reason = s.reason, refusal = s.refusal, hint = NULL,
        retry_after = NULL, provider_id = coalesce(a.provider_id, s.provider_id),
        events = CASE WHEN jsonb_array_length(a.events) >= $11 THEN a.events ELSE a.events || jsonb_build_array(
            jsonb_build_object('at', s.at, 'what', s.state, 'code', s.code, 'reason', s.reason)) END
    FROM same s
    WHERE a.notification_id = s.id AND a.number = s.number
), changed AS (
    UPDATE notification n
    SET version = n.version + 1, stamp = NULL, wakes = 0,
        status = CASE WHEN s.state = 'delivered' THEN 'delivered' ELSE n.status END,
        reason = CASE WHEN s.state = 'delivered' THEN 'delivered by ' || s.channel_name ELSE n.reason END,
        channel_id = CASE WHEN s.state = 'delivered' THEN s.channel_id ELSE n.channel_id END,
        channel_type = CASE WHEN s.state = 'delivered' THEN s.channel_type ELSE n.channel_type END,
        finished_at = CASE WHEN s.state = 'delivered' THEN s.at ELSE n.finished_at END,
        due_at = CASE WHEN s.state <> 'delivered' OR n.notify_result THEN s.at END,
        wake_at = CASE WHEN s.state <> 'delivered' OR n.notify_result THEN s.at END
    FROM same s
    WHERE n.id = s.id
)
SELECT place, channel_id, channel_type FROM same
UNION ALL
SELECT i.place, a.channel_id, a.channel_type
FROM input i JOIN attempt a ON a.notification_id = i.id AND a.reference = i.reference
WHERE i.state = 'accepted' AND a.state IN ('accepted', 'rejected', 'undelivered', 'delivered') AND NOT a.held
  AND (a.provider_id IS NOT NULL OR i.provider_id IS NULL)
  AND (i.by_id IS NULL OR a.channel_id = i.by_id AND a.channel_type = i.by_type)
"""


class _Entry(NamedTuple):
    id: int
    reference: str
    after: Attempt
    by: ChannelKey | None


class PostgresReportBook:
    """Implements ReportBook. `observe` hears the sizes of batches.

    One batch of a kind at a time: of two that overlap each carries half, planning one costs as much as eight of its
    rows, and the second waits for the first, for the counts of their campaign.
    """

    def __init__(self, pool: Pool, observe: Observe = nobody) -> None:
        self._pool = pool
        shared = (Unavailable,)
        self._finds: Batcher[tuple[int, str], Named | None] = Batcher(
            self._flush_finds, in_flight=1, shared_errors=shared, name="report_find", observe=observe
        )
        self._entries: Batcher[_Entry, ChannelKey | None] = Batcher(
            self._flush_entries,
            key=lambda entry: entry.id,
            in_flight=1,
            shared_errors=shared,
            name="report_enter",
            observe=observe,
        )
        self._keeps: Batcher[tuple[str, Receipt], None] = Batcher(
            self._flush_keeps, shared_errors=shared, name="report_keep", observe=observe
        )

    async def find(self, reference: str) -> Named | None:
        number = notification_of(reference)
        return None if number is None else await self._finds.add((number, reference))

    async def _flush_finds(self, wanted: Sequence[tuple[int, str]]) -> Sequence[Named | None]:
        found: list[Named | None] = [None] * len(wanted)
        ids, references = [number for number, _ in wanted], [reference for _, reference in wanted]
        for row in await self._pool.fetch(_FIND, ids, references):
            if row["channel_id"] is not None:
                channel = ChannelKey(row["channel_id"], ChannelType(row["channel_type"]))
                found[row["place"] - 1] = Named(row["owner_id"], channel)
            elif row["early"]:
                found[row["place"] - 1] = Named(row["owner_id"], None)
        return found

    async def enter(self, reference: str, after: Attempt, by: ChannelKey | None = None) -> ChannelKey | None:
        number = notification_of(reference)
        return None if number is None else await self._entries.add(_Entry(number, reference, after, by))

    async def _flush_entries(self, entries: Sequence[_Entry]) -> Sequence[ChannelKey | None]:
        columns = [list(column) for column in zip(*map(_to_row, entries), strict=True)]
        found: list[ChannelKey | None] = [None] * len(entries)
        for row in await self._pool.fetch(_ENTER, *columns, MOST_EVENTS):
            found[row["place"] - 1] = ChannelKey(row["channel_id"], ChannelType(row["channel_type"]))
        return found

    async def keep(self, reference: str, receipt: Receipt) -> None:
        await self._keeps.add((reference, receipt))

    async def _flush_keeps(self, early: Sequence[tuple[str, Receipt]]) -> Sequence[None]:
        rows: list[JSON] = [
            {"reference": reference, "receipt": receipt_to_row(receipt)} for reference, receipt in early
        ]
        await self._pool.fetch(
            "INSERT INTO early_receipt (reference, receipt)"
            " SELECT reference, receipt FROM jsonb_to_recordset($1::jsonb) AS i (reference text, receipt jsonb)",
            to_jsonb(rows),
        )
        return [None] * len(early)

    async def kept(self, references: Sequence[str]) -> Sequence[Kept]:
        rows = await self._pool.fetch(
            "SELECT id, reference, receipt FROM early_receipt WHERE reference = ANY ($1::text[]) ORDER BY id",
            list(references),
        )
        return [Kept(row["id"], row["reference"], receipt_from_row(json.loads(row["receipt"]))) for row in rows]

    async def drop(self, kept: Sequence[int]) -> None:
        await self._pool.fetch("DELETE FROM early_receipt WHERE id = ANY ($1::bigint[])", list(kept))


def _to_row(entry: _Entry) -> tuple[object, ...]:
    after, by = entry.after, entry.by
    return (
        entry.id,
        entry.reference,
        after.state.value,
        after.code and storable(after.code),
        after.reason and storable(after.reason),
        after.refusal and after.refusal.value,
        after.provider_id and storable(after.provider_id),
        after.ended_at,
        by and by.id,
        by and by.type.value,
    )
