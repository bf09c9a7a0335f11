"""The table of saved audiences."""

import json
from collections.abc import Sequence
from typing import Any

import asyncpg

from gonets.adapters.postgres.jsonb import to_jsonb
from gonets.adapters.postgres.pool import Pool
from gonets.core.campaigns.model import NOT_STARTED
from gonets.core.contacts.audience import Audience, SavedAudience, audience_of
from gonets.core.shared.errors import Conflict, Taken, Unavailable, Unexplained

_MINE = "WHERE id = $2 AND owner_id = $1"
_CHANGE = f"""
UPDATE audience SET name = coalesce($3, name), filter = coalesce($4, filter), updated_at = clock_timestamp()
{_MINE} RETURNING *
"""  # noqa: S608 - only our own words
_DELETE = f"""
DELETE FROM audience
{_MINE} AND NOT EXISTS (
    SELECT FROM campaign c WHERE c.owner_id = $1 AND c.audience_id = $2 AND c.status = ANY($3))
RETURNING id
"""  # noqa: S608 - only our own words
_CAMPAIGNS = """
SELECT id FROM campaign
WHERE owner_id = $1 AND audience_id = $2 AND status = ANY($3)
ORDER BY id
LIMIT 10
"""


class PostgresAudiences:
    """Implements AudienceStore."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, owner_id: int, name: str, audience: Audience) -> SavedAudience:
        added = "INSERT INTO audience (owner_id, name, filter) VALUES ($1, $2, $3) RETURNING *"
        [row] = await self._written(owner_id, name, added, owner_id, name, to_jsonb(audience.to_json()))
        return _from_row(row)

    async def get(self, owner_id: int, audience_id: int) -> SavedAudience | None:
        rows = await self._pool.fetch(f"SELECT * FROM audience {_MINE}", owner_id, audience_id)  # noqa: S608
        return _from_row(rows[0]) if rows else None

    async def all(self, owner_id: int) -> Sequence[SavedAudience]:
        rows = await self._pool.fetch("SELECT * FROM audience WHERE owner_id = $1 ORDER BY id DESC", owner_id)
        return [_from_row(row) for row in rows]

    async def change(
        self, owner_id: int, audience_id: int, name: str | None, audience: Audience | None
    ) -> SavedAudience | None:
        value = to_jsonb(audience.to_json()) if audience else None
        rows = await self._written(owner_id, name, _CHANGE, owner_id, audience_id, name, value)
        return _from_row(rows[0]) if rows else None

    async def delete(self, owner_id: int, audience_id: int) -> bool:
        waited_for = owner_id, audience_id, sorted(NOT_STARTED)
        if await self._pool.fetch(_DELETE, *waited_for):
            return True
        if waiting := await self._pool.fetch(_CAMPAIGNS, *waited_for):
            ids = ", ".join(str(row["id"]) for row in waiting)
            raise Conflict(f"is meant by campaigns that have not started: {ids}. Give them another audience first")
        return False

    async def _written(self, owner_id: int, name: str | None, statement: str, *values: object) -> Sequence[Any]:
        """Raises Taken."""
        try:
            return await self._pool.fetch(statement, *values)
        except Unexplained as error:
            if not isinstance(error.__cause__, asyncpg.UniqueViolationError):
                raise
            holder = "SELECT id FROM audience WHERE owner_id = $1 AND name = $2"
            for row in await self._pool.fetch(holder, owner_id, name):
                raise Taken("name", row["id"]) from error
            raise Unavailable("another audience had this name a moment ago; ask again") from error


def _from_row(row: Any) -> SavedAudience:
    return SavedAudience(
        id=row["id"],
        name=row["name"],
        filter=audience_of(json.loads(row["filter"]), "filter"),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
