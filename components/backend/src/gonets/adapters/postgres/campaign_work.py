"""Campaigns under work: their messages are made in steps, and closed where they end early. Locks as in `campaigns`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gonets.adapters.postgres import audience as audiences
from gonets.adapters.postgres.campaigns import BY_INDEX, campaign_from_row
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.core.campaigns.model import Campaign, Chunk
from gonets.core.campaigns.windows import known_zone, next_opening

CHUNK = 500
"""Notifications in one chunk."""

_WORK_LEFT = """(status = 'running' AND fanned_out_at IS NULL
                 OR status IN ('cancelled', 'expired') AND closed_at IS NULL)"""

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
            await connection.execute(BY_INDEX)
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
            await connection.execute(BY_INDEX)
            last: int | None = await connection.fetchval(_HASTEN, campaign.id, after, limit)
            return last

    async def closed(self, campaign: Campaign) -> bool:
        return bool(await self._pool.fetch(_CLOSED, campaign.id))

    async def release(self, campaign: Campaign, after: timedelta = timedelta()) -> None:
        await self._pool.fetch(_RELEASE, campaign.id, campaign.life, campaign.stamp, after)


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
