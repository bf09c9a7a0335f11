"""The tables of campaigns. What is left to do about one follows from its row, and so does when it is looked at.

Locks are taken in this order: chunks, notifications by id, their counts, and campaigns last, so that nobody who steers
a campaign waits for those who work on it.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from gonets.adapters.postgres import audience as audiences
from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.jsonb import storable, to_jsonb
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.notifications import KEYS_HOLD, from_row
from gonets.adapters.postgres.pool import Pool
from gonets.core.campaigns.model import Campaign, Chunk, Content, Counts, Crowd, Status
from gonets.core.campaigns.ports import OUTSTANDING, CampaignPage, MessagePage
from gonets.core.campaigns.windows import SendWindow, known_zone, next_opening
from gonets.core.channels.model import Address
from gonets.core.contacts.audience import Audience, audience_of
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.shared.json import JSON

CHUNK = 500
"""Notifications in one chunk."""
# A wake-up that nobody took is repeated after this time: within 30 s, the sweep's own second included.
WAKE_AGAIN = timedelta(seconds=20)

_LOOK, _LOOKS = 5_000, 10
"""Messages read in one look, and looks for one page."""
_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # a cursor has one

# Tables that grew a moment ago look small to the planner, which then prefers to read all of a campaign, and to sort it,
# for each step. Both orders asked for here are those of an index.
_BY_INDEX = "SET LOCAL enable_sort = off"

_WORK_LEFT = """(status = 'running' AND fanned_out_at IS NULL
                 OR status IN ('cancelled', 'expired') AND closed_at IS NULL)"""

_ADD = """
INSERT INTO campaign (owner_id, key, name, text, subject, template_id, template_version, variables, audience, route,
                      fallback_after, start_at, end_at, send_window, rate, status, reason, started_at, finished_at,
                      audience_id, wake_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
        CASE $16::text WHEN 'scheduled' THEN $12::timestamptz WHEN 'running' THEN clock_timestamp() END)
ON CONFLICT (owner_id, key) DO NOTHING
RETURNING *
"""

_FREE_KEY = """
UPDATE campaign SET key = NULL WHERE owner_id = $1 AND key = $2 AND created_at < clock_timestamp() - $3::interval
"""

_SAVE = """
UPDATE campaign
SET name = $3, text = $4, subject = $5, template_id = $6, template_version = $7, variables = $8, audience = $9,
    route = $10, fallback_after = $11, start_at = $12, end_at = $13, send_window = $14, rate = $15, status = $16,
    reason = $17, started_at = $18, finished_at = $19, audience_id = $20, version = version + 1,
    updated_at = greatest(clock_timestamp(), updated_at + interval '1 us'),
    wake_at = CASE WHEN life IS NOT NULL THEN NULL
                   WHEN $16 = 'scheduled' THEN $12
                   WHEN $16 = 'running' AND fanned_out_at IS NULL THEN clock_timestamp()
                   WHEN $16 IN ('cancelled', 'expired') AND closed_at IS NULL THEN clock_timestamp() END
WHERE id = $1 AND version = $2
RETURNING *
"""

_PAGE = """
SELECT c.*, (SELECT jsonb_object_agg(status, n) FROM campaign_count n WHERE n.campaign_id = c.id) AS counts
FROM campaign c
WHERE owner_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::bigint IS NULL OR id < $3)
ORDER BY id DESC
LIMIT $4
"""

_DELETE = """
WITH gone AS (
    DELETE FROM campaign WHERE owner_id = $1 AND id = $2 AND version = $3 AND life IS NULL
    RETURNING id
), counts AS (
    DELETE FROM campaign_count n USING gone WHERE n.campaign_id = gone.id
)
SELECT id FROM gone
"""

# Looks at so many of the next messages, and says how far it looked: to the last one of a full page, or to the end of
# the look; NULL: nothing lies beyond.
_MESSAGES = """
WITH look AS MATERIALIZED (
    SELECT * FROM notification WHERE campaign_id = $1 AND contact_id > $2 ORDER BY contact_id LIMIT $5
), found AS (
    SELECT * FROM look WHERE $3::text IS NULL OR status = $3 ORDER BY contact_id LIMIT $4
), reach AS (
    SELECT CASE WHEN count(*) < $5 AND max(contact_id) = f.last OR f.n < $4 AND count(*) < $5 THEN NULL
                WHEN f.n = $4 THEN f.last
                ELSE max(contact_id) END AS looked_to
    FROM look, (SELECT count(*) AS n, max(contact_id) AS last FROM found) f
    GROUP BY f.n, f.last
)
SELECT looked_to, found.* FROM reach LEFT JOIN found ON true ORDER BY contact_id
"""

_CROWDS = """
SELECT timezone, telegram_chat_id IS NOT NULL AS "has_telegramChatId", email IS NOT NULL AS has_email,
       phone IS NOT NULL AS has_phone, chats.address IS NOT NULL AS "stop_telegramChatId",
       mails.address IS NOT NULL AS stop_email, phones.address IS NOT NULL AS stop_phone, count(*) AS people
FROM contact
     LEFT JOIN suppression chats ON (chats.owner_id, chats.kind, chats.address)
         = ($1, 'telegramChatId', lower(contact.telegram_chat_id))
     LEFT JOIN suppression mails ON (mails.owner_id, mails.kind, mails.address) = ($1, 'email', lower(contact.email))
     LEFT JOIN suppression phones ON (phones.owner_id, phones.kind, phones.address) = ($1, 'phone', contact.phone)
WHERE contact.owner_id = $1 AND {audience}
GROUP BY 1, 2, 3, 4, 5, 6, 7
"""

_CLAIM = f"""
UPDATE campaign SET life = $2, stamp = $3, wake_at = NULL
WHERE id = $1 AND (life IS NULL AND {_WORK_LEFT} OR life = $2 AND stamp = $3)
RETURNING *
"""  # noqa: S608

_HELD = """
SELECT * FROM campaign
WHERE id = $1 AND life = $2 AND stamp = $3 AND status = 'running' AND fanned_out_at IS NULL
"""

# One look into the index for each zone, whatever the number of contacts.
_ZONES = """
WITH RECURSIVE zone AS (
    (SELECT timezone AS name FROM contact WHERE owner_id = $1 AND timezone IS NOT NULL ORDER BY timezone LIMIT 1)
    UNION ALL
    SELECT (SELECT timezone FROM contact WHERE owner_id = $1 AND timezone > zone.name ORDER BY timezone LIMIT 1)
    FROM zone WHERE zone.name IS NOT NULL
)
SELECT name FROM zone WHERE name IS NOT NULL
"""

_FAN_OUT = """
WITH picked AS MATERIALIZED (
    SELECT id, telegram_chat_id, email, phone FROM contact
    WHERE owner_id = $2 AND id > $3 AND {zone} AND {audience}
    ORDER BY id
    LIMIT $4
), made AS (
    INSERT INTO notification (owner_id, recipient, contact_id, text, subject, route, fallback_after, deadline, status,
                              campaign_id, zone)
    SELECT $2, jsonb_build_object('telegramChatId', telegram_chat_id, 'email', email, 'phone', phone), id, $5, $6, $7,
           $8, $9, 'pending', $1, $10
    FROM picked
    ON CONFLICT (campaign_id, contact_id) WHERE campaign_id IS NOT NULL DO NOTHING
    RETURNING id
), chunk AS (
    INSERT INTO campaign_chunk (campaign_id, first_id, last_id, mark, zone, due_at, closes_at, wake_at)
    SELECT $1, min(id), max(id), min(id) - 1, $10, coalesce($11, now()), $12, coalesce($11, now())
    FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / $13 AS place FROM made) m
    GROUP BY place
    ORDER BY place
)
SELECT (SELECT count(*) FROM picked) AS picked, (SELECT max(id) FROM picked) AS last, (SELECT count(*) FROM made) AS n
"""

_FANNED = """
UPDATE campaign
SET total = total + $4, fanned_to = $5, zones = $6, fanned_out_at = CASE WHEN $7 THEN clock_timestamp() END
WHERE id = $1 AND life = $2 AND stamp = $3 AND status = 'running'
RETURNING *
"""

_LEFT = """
SELECT * FROM campaign_chunk
WHERE campaign_id = $1 AND done_at IS NULL AND life IS NULL
ORDER BY id
LIMIT $2
"""

# Whoever holds a chunk may be about to move its mark; it is closed when it is given back. No mark moves later on, for
# the campaign no longer runs.
_CLOSE = """
WITH chunk AS (
    SELECT id, mark, last_id FROM campaign_chunk
    WHERE id = ANY ($2::bigint[]) AND done_at IS NULL AND life IS NULL
    ORDER BY id
    FOR UPDATE
), waiting AS (
    SELECT n.id FROM notification n JOIN chunk k ON n.id > k.mark AND n.id <= k.last_id
    WHERE n.campaign_id = $1 AND n.status = 'pending' AND n.attempts = 0 AND n.life IS NULL
    ORDER BY n.id
    FOR UPDATE OF n
), ended AS (
    UPDATE notification n
    SET status = $3, reason = $4, finished_at = clock_timestamp(), version = version + 1, due_at = NULL, wake_at = NULL
    FROM waiting w
    WHERE n.id = w.id
    RETURNING n.id
), done AS (
    UPDATE campaign_chunk k SET done_at = clock_timestamp(), wake_at = NULL
    FROM chunk
    WHERE k.id = chunk.id
)
SELECT count(*) AS n FROM ended
"""

_HASTEN = """
WITH look AS MATERIALIZED (
    SELECT id, contact_id, status FROM notification WHERE campaign_id = $1 AND contact_id > $2
    ORDER BY contact_id
    LIMIT $3
), waiting AS (
    SELECT n.id FROM notification n JOIN look l USING (id)
    WHERE l.status IN ('pending', 'sending') AND n.life IS NULL AND n.due_at > clock_timestamp()
    ORDER BY n.id
    FOR UPDATE OF n
), hastened AS (
    UPDATE notification n
    SET due_at = clock_timestamp(), wake_at = clock_timestamp(), wakes = 0, version = version + 1
    FROM waiting w
    WHERE n.id = w.id
)
SELECT CASE WHEN count(*) = $3 THEN max(contact_id) END AS last FROM look
"""

_CLOSED = """
UPDATE campaign c SET closed_at = clock_timestamp()
WHERE id = $1 AND status IN ('cancelled', 'expired')
  AND NOT EXISTS (SELECT FROM campaign_chunk k WHERE k.campaign_id = c.id AND done_at IS NULL)
RETURNING id
"""

_RELEASE = f"""
UPDATE campaign
SET life = NULL, stamp = NULL, wake_at = CASE WHEN {_WORK_LEFT} THEN clock_timestamp() + $4::interval END
WHERE id = $1 AND life = $2 AND stamp = $3
"""  # noqa: S608

_ORPHANS = """
WITH campaigns AS (
    UPDATE campaign c SET life = NULL, stamp = NULL, wake_at = clock_timestamp()
    WHERE life IS NOT NULL AND NOT EXISTS (SELECT FROM worker_life w WHERE w.id = c.life)
    RETURNING id
), found AS (
    SELECT id FROM campaign_chunk k
    WHERE life IS NOT NULL AND NOT EXISTS (SELECT FROM worker_life w WHERE w.id = k.life)
    ORDER BY id
    FOR UPDATE
), chunks AS (
    UPDATE campaign_chunk k SET life = NULL, stamp = NULL, wake_at = clock_timestamp()
    FROM found
    WHERE k.id = found.id
    RETURNING k.id
)
SELECT (SELECT count(*) FROM campaigns) + (SELECT count(*) FROM chunks) AS n
"""

_STARTING = """
SELECT * FROM campaign WHERE status = 'scheduled' AND wake_at <= clock_timestamp() ORDER BY wake_at LIMIT $1
"""

_ENDING = """
SELECT * FROM campaign WHERE status IN ('running', 'paused') AND end_at <= clock_timestamp() ORDER BY end_at LIMIT $1
"""

_THROUGH = """
SELECT * FROM campaign c
WHERE status = 'running' AND fanned_out_at IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM campaign_count n WHERE n.campaign_id = c.id AND n.status IN ('pending', 'sending') AND n.n > 0)
  AND NOT EXISTS (SELECT FROM campaign_chunk k WHERE k.campaign_id = c.id AND done_at IS NULL)
ORDER BY id
LIMIT $1
"""

_DUE = """
SELECT id FROM campaign WHERE wake_at <= clock_timestamp() AND status <> 'scheduled' ORDER BY wake_at LIMIT $1
"""

# The first ones that are not done are on their way, or in somebody's hands, or else they are woken. Where nobody works
# nobody is woken: the queue would fill while all workers are down.
_DUE_CHUNKS = """
SELECT k.id
FROM campaign c CROSS JOIN LATERAL (
    SELECT id, wake_at FROM campaign_chunk
    WHERE campaign_id = c.id AND done_at IS NULL AND due_at <= clock_timestamp()
    ORDER BY id
    LIMIT $2
) k
WHERE c.status = 'running' AND ($3::bigint IS NULL OR c.id = $3) AND k.wake_at <= clock_timestamp()
  AND EXISTS (SELECT FROM worker_life)
ORDER BY k.wake_at, k.id
LIMIT $1
"""

_WOKEN = """
WITH campaigns AS (
    UPDATE campaign SET wake_at = clock_timestamp() + $3::interval
    WHERE id = ANY ($1::bigint[]) AND wake_at <= clock_timestamp() AND status <> 'scheduled'
), found AS (
    SELECT id FROM campaign_chunk
    WHERE id = ANY ($2::bigint[]) AND wake_at <= clock_timestamp()
    ORDER BY id
    FOR UPDATE
)
UPDATE campaign_chunk k SET wake_at = clock_timestamp() + $3::interval FROM found WHERE k.id = found.id
"""


class PostgresCampaigns:
    """Implements CampaignStore and Standings."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, campaign: Campaign, key: str | None) -> tuple[Campaign, bool]:
        if key is not None:
            await self._pool.fetch(_FREE_KEY, campaign.owner_id, key, KEYS_HOLD)
        values = _to_values(campaign)
        if rows := await self._pool.fetch(_ADD, campaign.owner_id, key, *values):
            return campaign_from_row(rows[0]), True
        rows = await self._pool.fetch("SELECT * FROM campaign WHERE owner_id = $1 AND key = $2", campaign.owner_id, key)
        # Deleted between our two looks: then it is made after all.
        return (campaign_from_row(rows[0]), False) if rows else await self.add(campaign, key)

    async def get(self, owner_id: int, campaign_id: int) -> Campaign | None:
        rows = await self._pool.fetch("SELECT * FROM campaign WHERE id = $2 AND owner_id = $1", owner_id, campaign_id)
        return campaign_from_row(rows[0]) if rows else None

    async def find(self, campaign_id: int) -> Campaign | None:
        rows = await self._pool.fetch("SELECT * FROM campaign WHERE id = $1", campaign_id)
        return campaign_from_row(rows[0]) if rows else None

    async def page(self, owner_id: int, *, status: Status | None, cursor: str | None, limit: int) -> CampaignPage:
        before = from_cursor(cursor)[1] if cursor else None
        # One more than asked for tells whether there is a next page.
        rows = await self._pool.fetch(_PAGE, owner_id, status and status.value, before, limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        return CampaignPage(
            [(campaign_from_row(row), _counts(json.loads(row["counts"] or "{}").items())) for row in rows[:limit]],
            to_cursor(last["created_at"], last["id"]) if last else None,
        )

    async def save(self, campaign: Campaign) -> Campaign | None:
        rows = await self._pool.fetch(_SAVE, campaign.id, campaign.version, *_to_values(campaign))
        return campaign_from_row(rows[0]) if rows else None

    async def delete(self, campaign: Campaign) -> bool:
        return bool(await self._pool.fetch(_DELETE, campaign.owner_id, campaign.id, campaign.version))

    async def counts(self, campaign_id: int) -> Counts:
        return _counts(
            await self._pool.fetch("SELECT status, n FROM campaign_count WHERE campaign_id = $1", campaign_id)
        )


class PostgresCampaignMessages:
    """Implements CampaignMessages. The order is that of the index that says who is in the campaign: no index holds a
    column that changes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(
        self, campaign_id: int, *, status: MessageStatus | None, cursor: str | None, limit: int
    ) -> MessagePage:
        after = from_cursor(cursor)[1] if cursor else 0
        wanted = status and status.value
        rows: list[Any] = []
        for _ in range(_LOOKS):
            look = _LOOK if status else limit + 1
            async with self._pool.transaction() as connection:
                await connection.execute(_BY_INDEX)
                found = await connection.fetch(_MESSAGES, campaign_id, after, wanted, limit - len(rows), look)
            last = found[0]["looked_to"] if found else None
            rows += [row for row in found if row["id"] is not None]
            if last is None:
                return MessagePage([from_row(row, None) for row in rows])
            after = last
            if len(rows) == limit:
                break
        return MessagePage([from_row(row, None) for row in rows], to_cursor(_NO_TIME, after))


class PostgresCrowds:
    """Implements Crowds."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def count(self, owner_id: int, audience: Audience) -> Sequence[Crowd]:
        condition, values = audiences.condition(audience, 2)
        rows = await self._pool.fetch(_CROWDS.format(audience=condition), owner_id, *values)
        return [
            Crowd(
                row["timezone"],
                frozenset(one for one in Address if row[f"has_{one.value}"]),
                frozenset(one for one in Address if row[f"stop_{one.value}"]),
                row["people"],
            )
            for row in rows
        ]


class PostgresAudiences:
    """The saved ones. Implements Audiences."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, owner_id: int, audience_id: int) -> Audience | None:
        rows = await self._pool.fetch(
            "SELECT filter FROM audience WHERE owner_id = $1 AND id = $2", owner_id, audience_id
        )
        return audience_of(json.loads(rows[0]["filter"])) if rows else None


class _LostError(Exception):
    """The claim is somebody else's now, or the campaign no longer runs."""


class PostgresCampaignWork:
    """Implements CampaignWork."""

    def __init__(self, pool: Pool, lifeline: PostgresLifeline) -> None:
        self._pool = pool
        self._lifeline = lifeline

    async def claim(self, campaign_id: int, stamp: int) -> Campaign | None:
        rows = await self._pool.fetch(_CLAIM, campaign_id, self._lifeline.life, stamp)
        return campaign_from_row(rows[0]) if rows else None

    async def fan_out(self, campaign: Campaign, limit: int) -> Campaign | None:
        try:
            return await self._fan_out(campaign, limit)
        except _LostError:
            return None

    async def _fan_out(self, campaign: Campaign, limit: int) -> Campaign:
        claim = campaign.id, campaign.life, campaign.stamp
        async with self._pool.transaction() as connection:
            await connection.execute(_BY_INDEX)
            held = await connection.fetchrow(_HELD, *claim)
            if held is None:
                raise _LostError
            campaign, zones = campaign_from_row(held), held["zones"]
            if campaign.window and zones is None:
                zones = list(campaign.audience.timezones) or [
                    *(row["name"] for row in await connection.fetch(_ZONES, campaign.owner_id)),
                    "",  # those whose zone nobody knows
                ]
            statement, values = _step(campaign, zones[0] if zones else None, held["fanned_to"], limit)
            step = await connection.fetchrow(statement, *values)
            fanned_to = step["last"]
            if step["picked"] < limit:
                fanned_to, zones = 0, zones and zones[1:]
            through = step["picked"] < limit and not zones
            row = await connection.fetchrow(_FANNED, *claim, step["n"], fanned_to, zones, through)
            if row is None:
                # It was stopped while the step was made: nothing of the step remains.
                raise _LostError
            return campaign_from_row(row)

    async def left(self, campaign: Campaign, limit: int) -> Sequence[Chunk]:
        return [chunk_from_row(row) for row in await self._pool.fetch(_LEFT, campaign.id, limit)]

    async def close(self, campaign: Campaign, chunks: Sequence[Chunk]) -> int:
        ids, reason = [chunk.id for chunk in chunks], f"its campaign is {campaign.status.value}"
        [row] = await self._pool.fetch(_CLOSE, campaign.id, ids, campaign.status.value, reason)
        return int(row["n"])

    async def hasten(self, campaign: Campaign, after: int, limit: int) -> int | None:
        async with self._pool.transaction() as connection:
            await connection.execute(_BY_INDEX)
            last: int | None = await connection.fetchval(_HASTEN, campaign.id, after, limit)
            return last

    async def closed(self, campaign: Campaign) -> bool:
        return bool(await self._pool.fetch(_CLOSED, campaign.id))

    async def release(self, campaign: Campaign, after: timedelta = timedelta()) -> None:
        await self._pool.fetch(_RELEASE, campaign.id, campaign.life, campaign.stamp, after)


class PostgresCampaignWakes:
    """The scheduler's side. Implements CampaignWakes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def orphans(self) -> int:
        [row] = await self._pool.fetch(_ORPHANS)
        return int(row["n"])

    async def starting(self, limit: int) -> Sequence[Campaign]:
        return [campaign_from_row(row) for row in await self._pool.fetch(_STARTING, limit)]

    async def ending(self, limit: int) -> Sequence[Campaign]:
        return [campaign_from_row(row) for row in await self._pool.fetch(_ENDING, limit)]

    async def through(self, limit: int) -> Sequence[Campaign]:
        return [campaign_from_row(row) for row in await self._pool.fetch(_THROUGH, limit)]

    async def due(self, limit: int) -> tuple[Sequence[int], Sequence[int]]:
        campaigns = await self._pool.fetch(_DUE, limit)
        chunks = await self._pool.fetch(_DUE_CHUNKS, limit, OUTSTANDING, None)
        return [row["id"] for row in campaigns], [row["id"] for row in chunks]

    async def woken(self, campaigns: Sequence[int], chunks: Sequence[int]) -> None:
        await self._pool.fetch(_WOKEN, list(campaigns), list(chunks), WAKE_AGAIN)


class PostgresChunkLine:
    """Implements ChunkLine."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def next(self, campaign_id: int) -> Sequence[int]:
        rows = await self._pool.fetch(_DUE_CHUNKS, OUTSTANDING, OUTSTANDING, campaign_id)
        if ids := [row["id"] for row in rows]:
            await self._pool.fetch(_WOKEN, [], ids, WAKE_AGAIN)
        return ids


def _step(campaign: Campaign, zone: str | None, after: int, limit: int) -> tuple[str, Sequence[object]]:
    """The statement that makes the next messages, of one zone where there is a window, and its values."""
    content, window = campaign.content, campaign.window
    name = opening = None
    if window is not None and zone is not None:
        name = known_zone(zone) or window.zone
        opening = next_opening(window, name, datetime.now(UTC))
    values: list[object] = [
        campaign.id,
        campaign.owner_id,
        after,
        limit,
        "" if content.variables else content.text,
        None if content.variables else content.subject,
        list(campaign.route),
        campaign.fallback_after,
        campaign.end_at,
        name,
        opening and opening.opens_at,
        opening and opening.closes_at,
        CHUNK,
    ]
    of_zone = "true"
    if zone is not None:
        of_zone = "timezone IS NULL" if zone == "" else f"timezone = ${len(values) + 1}"
        values += [zone] if zone else []
    condition, more = audiences.condition(campaign.audience, len(values) + 1)
    return _FAN_OUT.format(zone=of_zone, audience=condition), [*values, *more]


def _to_values(campaign: Campaign) -> Sequence[object]:
    content = campaign.content
    return (
        storable(campaign.name),
        storable(content.text),
        None if content.subject is None else storable(content.subject),
        content.template_id,
        content.template_version,
        content.variables,
        to_jsonb(campaign.audience.to_json()),
        list(campaign.route),
        campaign.fallback_after,
        campaign.start_at,
        campaign.end_at,
        None if campaign.window is None else to_jsonb(_window_to_row(campaign.window)),
        campaign.rate,
        campaign.status.value,
        campaign.reason,
        campaign.started_at,
        campaign.finished_at,
        campaign.audience_id,
    )


def campaign_from_row(row: Any) -> Campaign:
    return Campaign(
        id=row["id"],
        owner_id=row["owner_id"],
        name=row["name"],
        content=Content(
            text=row["text"],
            subject=row["subject"],
            template_id=row["template_id"],
            template_version=row["template_version"],
            variables=row["variables"],
        ),
        audience=audience_of(json.loads(row["audience"])),
        audience_id=row["audience_id"],
        route=tuple(row["route"]),
        fallback_after=row["fallback_after"],
        start_at=row["start_at"],
        end_at=row["end_at"],
        window=None if row["send_window"] is None else _window_from_row(json.loads(row["send_window"])),
        rate=row["rate"],
        status=Status(row["status"]),
        reason=row["reason"],
        total=row["total"],
        fanned_out=row["fanned_out_at"] is not None,
        closed=row["closed_at"] is not None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        version=row["version"],
        life=row["life"],
        stamp=row["stamp"],
    )


def chunk_from_row(row: Any) -> Chunk:
    return Chunk(
        id=row["id"],
        campaign_id=row["campaign_id"],
        first_id=row["first_id"],
        last_id=row["last_id"],
        mark=row["mark"],
        marked_at=row["marked_at"],
        zone=row["zone"],
        closes_at=row["closes_at"],
        life=row["life"] or 0,
        stamp=row["stamp"] or 0,
    )


def _window_to_row(window: SendWindow) -> dict[str, JSON]:
    return {
        "from": window.opens.isoformat(),
        "to": window.closes.isoformat(),
        "timezone": window.zone,
        "days": list[JSON](sorted(window.days)),
    }


def _window_from_row(row: dict[str, Any]) -> SendWindow:
    opens, closes = time.fromisoformat(row["from"]), time.fromisoformat(row["to"])
    return SendWindow(opens, closes, row["timezone"], frozenset(row["days"]))


def _counts(pairs: Any) -> Counts:
    return {MessageStatus(status): n for status, n in pairs if n > 0}
