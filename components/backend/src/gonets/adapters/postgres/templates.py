"""The tables of templates."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.jsonb import storable
from gonets.adapters.postgres.pool import Pool
from gonets.core.shared.errors import Conflict, Unexplained
from gonets.core.templates.model import Content, Template, TemplatePage, Version

_ADD = """
WITH t AS (
    INSERT INTO template (owner_id, name, version) VALUES ($1, $2, 1)
    ON CONFLICT (owner_id, name) DO NOTHING
    RETURNING *
), v AS (
    INSERT INTO template_version (template_id, version, subject, body, created_at)
    SELECT id, version, $3, $4, created_at FROM t
    RETURNING *
)
SELECT t.*, v.subject, v.body FROM t JOIN v ON v.template_id = t.id
"""

_LATEST = "SELECT t.*, v.subject, v.body FROM template t JOIN template_version v ON v.template_id = t.id"
_LATEST += " AND v.version = t.version WHERE t.owner_id = $1 AND "

_PAGE = f"""
{_LATEST} ($2::timestamptz IS NULL OR (t.created_at, t.id) < ($2, $3::bigint))
ORDER BY t.created_at DESC, t.id DESC LIMIT $4
"""

_CHANGE = """
WITH t AS (
    UPDATE template
    SET name = $4, version = version + $7::int,
        updated_at = greatest(clock_timestamp(), updated_at + interval '1 us')
    WHERE owner_id = $1 AND id = $2 AND version = $3
    RETURNING *
), v AS (
    INSERT INTO template_version (template_id, version, subject, body, created_at)
    SELECT id, version, $5, $6, updated_at FROM t WHERE $7 = 1
)
SELECT *, $5::text AS subject, $6::text AS body FROM t
"""

_VERSIONS = """
SELECT v.* FROM template_version v JOIN template t ON t.id = v.template_id
WHERE t.owner_id = $1 AND t.id = $2 AND
"""


class PostgresTemplates:
    """Implements TemplateStore."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, owner_id: int, name: str, content: Content) -> Template:
        rows = await self._pool.fetch(_ADD, owner_id, storable(name), *_to_row(content))
        if not rows:
            raise _taken(name)
        return _from_row(rows[0])

    async def get(self, owner_id: int, template_id: int) -> Template | None:
        return await self._one(f"{_LATEST} t.id = $2", owner_id, template_id)

    async def named(self, owner_id: int, name: str) -> Template | None:
        return await self._one(f"{_LATEST} t.name = $2", owner_id, storable(name))

    async def _one(self, statement: str, *values: object) -> Template | None:
        rows = await self._pool.fetch(statement, *values)
        return _from_row(rows[0]) if rows else None

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> TemplatePage:
        place = from_cursor(cursor) if cursor else (None, None)
        # One more than asked for tells whether there is a next page.
        rows = await self._pool.fetch(_PAGE, owner_id, *place, limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        return TemplatePage(
            [_from_row(row) for row in rows[:limit]], to_cursor(last["created_at"], last["id"]) if last else None
        )

    async def change(self, owner_id: int, old: Template, name: str, content: Content) -> Template | None:
        another = int(content != old.content)
        try:
            rows = await self._pool.fetch(
                _CHANGE, owner_id, old.id, old.version, storable(name), *_to_row(content), another
            )
        except Unexplained as error:
            if isinstance(error.__cause__, asyncpg.UniqueViolationError):
                raise _taken(name) from error
            raise
        return _from_row(rows[0]) if rows else None

    async def delete(self, owner_id: int, template_id: int) -> bool:
        deleted = "DELETE FROM template WHERE owner_id = $1 AND id = $2 RETURNING id"
        return bool(await self._pool.fetch(deleted, owner_id, template_id))

    async def version(self, owner_id: int, template_id: int, number: int) -> Version | None:
        rows = await self._pool.fetch(f"{_VERSIONS} v.version = $3", owner_id, template_id, number)
        return _version_from_row(rows[0]) if rows else None

    async def versions(self, owner_id: int, template_id: int, *, below: int | None, limit: int) -> Sequence[Version]:
        rows = await self._pool.fetch(
            f"{_VERSIONS} ($3::int IS NULL OR v.version < $3) ORDER BY v.version DESC LIMIT $4",
            owner_id,
            template_id,
            below,
            limit,
        )
        return [_version_from_row(row) for row in rows]


def _taken(name: str) -> Conflict:
    return Conflict(f"there is a template with the name {name} already")


def _to_row(content: Content) -> tuple[str | None, str]:
    return None if content.subject is None else storable(content.subject), storable(content.body)


def _from_row(row: Any) -> Template:
    return Template(
        id=row["id"],
        name=row["name"],
        version=row["version"],
        content=Content(row["body"], row["subject"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _version_from_row(row: Any) -> Version:
    return Version(number=row["version"], content=Content(row["body"], row["subject"]), created_at=row["created_at"])
