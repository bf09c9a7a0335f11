"""The audit log."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gonets.adapters.postgres.jsonb import storable, to_jsonb
from gonets.adapters.postgres.pages import latest_first
from gonets.adapters.postgres.pool import Pool
from gonets.core.identity.model import AuditEntry, AuditPage
from gonets.core.shared.audit import Actor
from gonets.core.shared.json import JSON


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
        condition = "($4::text IS NULL OR object = $4) AND ($5::bigint IS NULL OR user_id = $5)"
        rows, next_cursor = await latest_first(
            self._pool, "audit_entry", "at", condition, cursor, limit, object and storable(object), user_id
        )
        return AuditPage([_to_entry(row) for row in rows], next_cursor)


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
