"""The past of one thing, put together from the tables that it left traces in. Nothing is written for it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.pool import Pool
from gonets.core.reports.history import By, Entry, HistoryPage, Kind, Subject

# Each line has a number of its own among those of one moment. $1: the owner, $2: the thing.
_STATEMENT = """
WITH owned AS (
    SELECT EXISTS (SELECT FROM {table} WHERE id = $2 AND owner_id = $1) AS yes
), line (at, number, kind, what, user_id, api_key_id, detail) AS (
    -- Who changed what was theirs; of what is gone, that is all that says whose it was.
    SELECT at, id * 8, 'change', action, user_id, api_key_id, detail
    FROM audit_entry, owned
    WHERE object = '{table}' AND object_id = $2 AND (owned.yes OR user_id = $1)
    {lines}
), page AS (
    SELECT * FROM line WHERE (at, number) < ($3, $4::bigint) ORDER BY at DESC, number DESC LIMIT $5
)
SELECT known.yes, page.*
FROM (SELECT (SELECT yes FROM owned) OR EXISTS (SELECT FROM line) AS yes) known LEFT JOIN page ON true
ORDER BY at DESC, number DESC
"""

_OF_CONTACT = """
    UNION ALL
    SELECT e.at, n.id * 8 + e.number, 'notification', e.what, NULL, NULL,
           jsonb_build_object('notificationId', n.id, 'campaignId', n.campaign_id) || e.detail
    FROM notification n CROSS JOIN LATERAL (VALUES
        (n.created_at, 1, 'created', '{}'),
        (n.sent_at, 2, 'sent', '{}'),
        (n.finished_at, 3, n.status, jsonb_build_object('reason', n.reason, 'channelType', n.channel_type)),
        (n.erased_at, 4, 'erased', '{}')
    ) e (at, number, what, detail)
    WHERE n.contact_id = $2 AND n.owner_id = $1 AND e.at IS NOT NULL
"""

_OF_CAMPAIGN = """
    UNION ALL
    SELECT e.at, c.id * 8 + e.number, 'status', e.what, NULL, NULL, e.detail
    FROM campaign c CROSS JOIN LATERAL (VALUES
        (c.started_at, 1, 'running', '{}'),
        (c.fanned_out_at, 2, 'all messages made', jsonb_build_object('messages', c.total)),
        (c.finished_at, 3, c.status, jsonb_build_object('reason', c.reason)),
        (c.closed_at, 4, 'closed', '{}')
    ) e (at, number, what, detail)
    WHERE c.id = $2 AND c.owner_id = $1 AND e.at IS NOT NULL
"""

_OF_NOTIFICATION = """
    UNION ALL
    SELECT e.at, n.id * 8 + e.number, 'status', e.what, NULL, NULL, e.detail
    FROM notification n CROSS JOIN LATERAL (VALUES
        (n.created_at, 1, 'created', jsonb_build_object('campaignId', n.campaign_id, 'contactId', n.contact_id)),
        (n.finished_at, 2, n.status, jsonb_build_object('reason', n.reason)),
        (n.erased_at, 3, 'erased', '{}')
    ) e (at, number, what, detail)
    WHERE n.id = $2 AND n.owner_id = $1 AND e.at IS NOT NULL
    UNION ALL
    SELECT e.at, a.number * 512 + e.number * 8, 'attempt', e.what, NULL, NULL,
           jsonb_build_object('attempt', a.number, 'channelId', a.channel_id, 'channelType', a.channel_type) || e.detail
    FROM notification n JOIN attempt a ON a.notification_id = n.id CROSS JOIN LATERAL (
        SELECT a.started_at, 1, 'started', jsonb_build_object('channelName', a.channel_name, 'why', a.why)
        UNION ALL
        SELECT (event->>'at')::timestamptz, 1 + place, event->>'what', event - 'at' - 'what'
        FROM jsonb_array_elements(a.events) WITH ORDINALITY AS o (event, place)
    ) e (at, number, what, detail)
    WHERE n.id = $2 AND n.owner_id = $1
"""

_LINES: Mapping[Subject, str] = {
    Subject.CONTACT: _OF_CONTACT,
    Subject.CAMPAIGN: _OF_CAMPAIGN,
    Subject.NOTIFICATION: _OF_NOTIFICATION,
}
_STATEMENTS = {
    subject: _STATEMENT.replace("{table}", subject.value).replace("{lines}", lines) for subject, lines in _LINES.items()
}
_AFTER_ALL = datetime(9999, 1, 1, tzinfo=UTC), 1


class PostgresHistories:
    """Implements Histories."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(
        self, owner_id: int, subject: Subject, subject_id: int, *, cursor: str | None, limit: int
    ) -> HistoryPage | None:
        place = from_cursor(cursor) if cursor else _AFTER_ALL
        # One more than asked for tells whether there is a next page.
        rows = await self._pool.fetch(_STATEMENTS[subject], owner_id, subject_id, *place, limit + 1)
        if not rows[0]["yes"]:
            return None
        found = [row for row in rows if row["at"] is not None]
        last = found[limit - 1] if len(found) > limit else None
        following = to_cursor(last["at"], last["number"]) if last else None
        return HistoryPage([_from_row(row) for row in found[:limit]], following)


def _from_row(row: Any) -> Entry:
    by = None if row["user_id"] is None else By(row["user_id"], row["api_key_id"])
    detail = {name: value for name, value in json.loads(row["detail"]).items() if value is not None}
    return Entry(row["at"], Kind(row["kind"]), row["what"], by, detail)
