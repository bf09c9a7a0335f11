"""The table of contacts."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from gonets.adapters.postgres import contact_pages, contact_search
from gonets.adapters.postgres.audience import condition
from gonets.adapters.postgres.jsonb import to_jsonb
from gonets.adapters.postgres.pool import Pool
from gonets.core.contacts.audience import Audience
from gonets.core.contacts.model import MOST_TAGS, Contact, ContactPage, Field, Value
from gonets.core.contacts.ports import Exported, Fields, Search
from gonets.core.shared.errors import Taken, Unavailable, Unexplained

_COLUMNS = {
    Field.NAME: "name",
    Field.PHONE: "phone",
    Field.EMAIL: "email",
    Field.TELEGRAM_CHAT_ID: "telegram_chat_id",
    Field.TAGS: "tags",
    Field.TIMEZONE: "timezone",
    Field.OPERATOR_CODE: "operator_code",
    Field.ATTRIBUTES: "attributes",
    Field.CONSENT: "consent",
    Field.CONSENT_AT: "consent_at",
}
_UNIQUE = {"uq_contact_phone": Field.PHONE, "uq_contact_email": Field.EMAIL}
_EMPTY: Mapping[Field, Value] = {Field.TAGS: (), Field.ATTRIBUTES: {}}

_ADD = f"""
INSERT INTO contact (owner_id, {", ".join(_COLUMNS.values())})
VALUES ($1, {", ".join(f"${place}" for place in range(2, len(_COLUMNS) + 2))}) RETURNING *
"""  # noqa: S608 - only our own names

_HOLDER = """
SELECT id, phone = $2::text AS by_phone FROM contact
WHERE owner_id = $1 AND (phone = $2 OR lower(email) = lower($3::text)) AND id <> $4
ORDER BY by_phone DESC NULLS LAST LIMIT 1
"""

_TAG = """
UPDATE contact SET tags = changed.tags, updated_at = clock_timestamp() FROM (
    SELECT id, (
        SELECT coalesce(array_agg(tag ORDER BY place), '{}') FROM (
            SELECT tag, min(place) AS place FROM unnest(contact.tags || $3::text[]) WITH ORDINALITY AS t (tag, place)
            WHERE tag <> ALL ($4::text[]) GROUP BY tag
        ) kept
    ) AS tags
    FROM contact WHERE owner_id = $1 AND id = ANY ($2::bigint[]) ORDER BY id FOR UPDATE
) changed
WHERE contact.id = changed.id AND contact.tags <> changed.tags AND cardinality(changed.tags) <= $5
RETURNING contact.id
"""


class PostgresContacts:
    """Implements ContactStore."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, owner_id: int, fields: Fields) -> Contact:
        values = [_to_column(field, fields.get(field, _EMPTY.get(field))) for field in _COLUMNS]
        [row] = await self._written(owner_id, 0, fields, _ADD, owner_id, *values)
        return to_contact(row)

    async def get(self, owner_id: int, contact_id: int) -> Contact | None:
        rows = await self._pool.fetch("SELECT * FROM contact WHERE id = $2 AND owner_id = $1", owner_id, contact_id)
        return to_contact(rows[0]) if rows else None

    async def page(
        self, owner_id: int, audience: Audience, search: Search | None, *, cursor: str | None, limit: int
    ) -> ContactPage:
        if search is None:
            rows, following = await contact_pages.page(self._pool, owner_id, audience, cursor=cursor, limit=limit)
        else:
            rows, following = await contact_search.search(
                self._pool, owner_id, audience, search, cursor=cursor, limit=limit
            )
        return ContactPage([to_contact(row) for row in rows], following)

    async def change(self, owner_id: int, contact_id: int, fields: Fields) -> Contact | None:
        parts = [f"{_COLUMNS[field]} = ${number}, " for number, field in enumerate(fields, start=3)]
        if Field.PHONE in fields:
            place = list(fields).index(Field.PHONE) + 3
            parts += [
                f"{column} = CASE WHEN phone IS NOT DISTINCT FROM ${place} THEN {column} END, "
                for column in ("operator", "quality_code")
            ]
        rows = await self._written(
            owner_id,
            contact_id,
            fields,
            f"UPDATE contact SET {''.join(parts)} updated_at = clock_timestamp()"  # noqa: S608 - only our own names
            " WHERE id = $2 AND owner_id = $1 RETURNING *",
            owner_id,
            contact_id,
            *(_to_column(field, value) for field, value in fields.items()),
        )
        return to_contact(rows[0]) if rows else None

    async def delete(self, owner_id: int, contact_id: int) -> bool:
        deleted = "DELETE FROM contact WHERE id = $2 AND owner_id = $1 RETURNING id"
        return bool(await self._pool.fetch(deleted, owner_id, contact_id))

    async def tag(self, owner_id: int, ids: Sequence[int], add: Sequence[str], remove: Sequence[str]) -> Sequence[int]:
        rows = await self._pool.fetch(_TAG, owner_id, list(ids), list(add), list(remove), MOST_TAGS)
        return [row["id"] for row in rows]

    async def _written(
        self, owner_id: int, contact_id: int, fields: Fields, statement: str, *values: object
    ) -> Sequence[Any]:
        """Raises Taken."""
        try:
            return await self._pool.fetch(statement, *values)
        except Unexplained as error:
            if not isinstance(error.__cause__, asyncpg.UniqueViolationError):
                raise
            addresses = fields.get(Field.PHONE), fields.get(Field.EMAIL)
            holders = await self._pool.fetch(_HOLDER, owner_id, *addresses, contact_id)
            if holders:
                raise Taken(Field.PHONE if holders[0]["by_phone"] else Field.EMAIL, holders[0]["id"]) from error
            raise Unavailable("another contact had this address a moment ago; ask again") from error


class PostgresContactCrowd:
    """Implements ContactCrowd."""

    def __init__(self, pool: Pool, *, portion: int = 1_000) -> None:
        """`pool`: its statements may take minutes. `portion`: contacts read at a time."""
        self._pool = pool
        self._portion = portion

    async def count(self, owner_id: int, audience: Audience) -> int:
        sql, values = condition(audience, 2)
        [row] = await self._pool.fetch(
            f"SELECT count(*) AS n FROM contact WHERE owner_id = $1 AND {sql}",  # noqa: S608 - our own condition
            owner_id,
            *values,
        )
        return int(row["n"])

    async def ids(self, owner_id: int, audience: Audience, *, after: int, limit: int) -> Sequence[int]:
        sql, values = condition(audience, 4)
        query = f"SELECT id FROM contact WHERE owner_id = $1 AND id > $2 AND {sql} ORDER BY id LIMIT $3"  # noqa: S608
        return [row["id"] for row in await self._pool.fetch(query, owner_id, after, limit, *values)]

    @asynccontextmanager
    async def export(self, owner_id: int, audience: Audience) -> AsyncIterator[Exported]:
        sql, values = condition(audience, 2)
        meant = f"FROM contact WHERE owner_id = $1 AND {sql}"
        async with self._pool.transaction() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            named = await connection.fetch(
                f"SELECT DISTINCT jsonb_object_keys(attributes) AS name {meant} AND attributes <> '{{}}' ORDER BY name",
                owner_id,
                *values,
            )
            cursor = await connection.cursor(f"SELECT * {meant} ORDER BY id", owner_id, *values)
            yield Exported([row["name"] for row in named], _portions(lambda: cursor.fetch(self._portion)))


async def _portions(fetch: Callable[[], Any]) -> AsyncIterator[Sequence[Contact]]:
    while rows := await fetch():
        yield [to_contact(row) for row in rows]


def _to_column(field: Field, value: Value) -> object:
    if field is Field.ATTRIBUTES and isinstance(value, Mapping):
        return to_jsonb(dict(value))
    return list(value) if field is Field.TAGS and isinstance(value, Sequence) else value


def to_contact(row: Any) -> Contact:
    return Contact(
        id=row["id"],
        name=row["name"],
        phone=row["phone"],
        email=row["email"],
        telegram_chat_id=row["telegram_chat_id"],
        tags=tuple(row["tags"]),
        timezone=row["timezone"],
        operator_code=row["operator_code"],
        operator=row["operator"],
        attributes=json.loads(row["attributes"]),
        consent=row["consent"],
        consent_at=row["consent_at"],
        quality_code=row["quality_code"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
