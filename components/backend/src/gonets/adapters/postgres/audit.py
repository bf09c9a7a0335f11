"""The audit log."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.jsonb import storable, to_jsonb
from gonets.adapters.postgres.pool import Pool
from gonets.core.identity.model import AuditEntry, AuditPage
from gonets.core.shared.audit import Actor
from gonets.core.shared.json import JSON

# The last entry that a page may look at is there in any case, asked for or not: from it the next page goes on.
_PAGE = """
SELECT * FROM (
    SELECT *, ($5::text IS NULL OR object = $5) AND ($6::bigint IS NULL OR user_id IS NOT DISTINCT FROM $6) AS meant,
           row_number() OVER (ORDER BY at DESC, id DESC) AS place
    FROM audit_entry WHERE $1::timestamptz IS NULL OR (at, id) < ($1, $2::bigint)
    ORDER BY at DESC, id DESC LIMIT $4
) looked
WHERE meant OR place = $4
ORDER BY at DESC, id DESC LIMIT $3
"""
FARTHEST = 10_000
"""Entries that a page looks at, however few of them are asked for."""


class PostgresAudit:
    """Implements AuditLog."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def note(
        self,
        actor: Actor | None,
        action: str,
        object: str,  # noqa: A002 - as in the port
        object_id: int | None,
        detail: Mapping[str, JSON] = {},
    ) -> None:
        await self.note_each(actor, action, object, [object_id], detail)

    async def note_each(
        self,
        actor: Actor | None,
        action: str,
        object: str,  # noqa: A002 - as in the port
        object_ids: Sequence[int | None],
        detail: Mapping[str, JSON],
    ) -> None:
        await self._pool.fetch(
            "INSERT INTO audit_entry (user_id, api_key_id, action, object, object_id, detail)"
            " SELECT $1, $2, $3, $4, one.id, $6"
            " FROM unnest($5::bigint[]) WITH ORDINALITY one (id, place) ORDER BY place",
            actor.user_id if actor else None,
            actor.api_key_id if actor else None,
            action,
            object,
            object_ids,
            to_jsonb(dict(detail)),
        )

    async def page(self, *, object: str | None, user_id: int | None, cursor: str | None, limit: int) -> AuditPage:  # noqa: A002
        place = from_cursor(cursor) if cursor else (None, None)
        # One more than asked for tells whether there is a next page.
        wanted = *place, limit + 1, FARTHEST, object and storable(object), user_id
        looked = await self._pool.fetch(_PAGE, *wanted)
        rows = [row for row in looked if row["meant"]]
        if len(rows) > limit:
            last = rows[limit - 1]
        else:
            last = looked[-1] if looked and looked[-1]["place"] == FARTHEST else None
        return AuditPage([_to_entry(row) for row in rows[:limit]], to_cursor(last["at"], last["id"]) if last else None)


def _to_entry(row: Any) -> AuditEntry:
    return AuditEntry(
        id=row["id"],
        at=row["at"],
        user_id=row["user_id"],
        api_key_id=row["api_key_id"],
        action=row["action"],
        object=row["object"],
        object_id=row["object_id"],
        detail=json.loads(row["detail"]),
    )
