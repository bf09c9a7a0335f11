"""The tables of campaigns: what an owner makes, reads and steers. `campaign_work` and `campaign_wakes` are the workers'
and the scheduler's.

Locks are taken in this order: chunks, notifications by id, their counts, and campaigns last, so that nobody who steers
a campaign waits for those who work on it.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

from gonets.adapters.postgres import audience as audiences
from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.jsonb import storable, to_jsonb
from gonets.adapters.postgres.notification_intake import KEYS_HOLD
from gonets.adapters.postgres.notification_rows import from_row
from gonets.adapters.postgres.pool import Pool
from gonets.core.campaigns.model import Campaign, Content, Counts, Crowd, Status
from gonets.core.campaigns.ports import CampaignPage, MessagePage
from gonets.core.campaigns.windows import SendWindow
from gonets.core.channels.model import Address
from gonets.core.contacts.audience import Audience, audience_of
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.shared.json import JSON

_LOOK, _LOOKS = 5_000, 10
"""Messages read in one look, and looks for one page."""

_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # a cursor has one

# Tables that grew a moment ago look small to the planner, which then prefers to read all of a campaign, and to sort it,
# for each step. Both orders asked for here are those of an index.
BY_INDEX = "SET LOCAL enable_sort = off"

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

_KNOWN = """
SELECT * FROM campaign WHERE owner_id = $1 AND key = $2 AND created_at >= clock_timestamp() - $3::interval
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

    async def known(self, owner_id: int, key: str) -> Campaign | None:
        rows = await self._pool.fetch(_KNOWN, owner_id, key, KEYS_HOLD)
        return campaign_from_row(rows[0]) if rows else None

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
                await connection.execute(BY_INDEX)
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
