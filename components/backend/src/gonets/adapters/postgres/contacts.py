"""The table of contacts."""

import json
from typing import Any

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.pool import Pool
from gonets.core.contacts.model import Contact, ContactPage, Field
from gonets.core.contacts.ports import Fields

_COLUMNS = {
    Field.NAME: "name",
    Field.PHONE: "phone",
    Field.EMAIL: "email",
    Field.TELEGRAM_CHAT_ID: "telegram_chat_id",
}

_PAGE = """
SELECT * FROM contact WHERE owner_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::bigint))
ORDER BY created_at DESC, id DESC LIMIT $4
"""


class PostgresContacts:
    """Implements ContactStore."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, owner_id: int, fields: Fields) -> Contact:
        [row] = await self._pool.fetch(
            "INSERT INTO contact (owner_id, name, phone, email, telegram_chat_id) VALUES ($1, $2, $3, $4, $5)"
            " RETURNING *",
            owner_id,
            *(fields.get(field) for field in _COLUMNS),
        )
        return _from_row(row)

    async def get(self, owner_id: int, contact_id: int) -> Contact | None:
        rows = await self._pool.fetch("SELECT * FROM contact WHERE id = $2 AND owner_id = $1", owner_id, contact_id)
        return _from_row(rows[0]) if rows else None

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ContactPage:
        place = from_cursor(cursor) if cursor else (None, None)
        # One more than asked for tells whether there is a next page.
        rows = await self._pool.fetch(_PAGE, owner_id, *place, limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        return ContactPage(
            [_from_row(row) for row in rows[:limit]], to_cursor(last["created_at"], last["id"]) if last else None
        )

    async def change(self, owner_id: int, contact_id: int, fields: Fields) -> Contact | None:
        columns = [_COLUMNS[field] for field in fields]
        assignments = "".join(f"{column} = ${number}, " for number, column in enumerate(columns, start=3))
        rows = await self._pool.fetch(
            f"UPDATE contact SET {assignments} updated_at = clock_timestamp()"  # noqa: S608 - only our own names
            " WHERE id = $2 AND owner_id = $1 RETURNING *",
            owner_id,
            contact_id,
            *fields.values(),
        )
        return _from_row(rows[0]) if rows else None

    async def delete(self, owner_id: int, contact_id: int) -> bool:
        deleted = "DELETE FROM contact WHERE id = $2 AND owner_id = $1 RETURNING id"
        return bool(await self._pool.fetch(deleted, owner_id, contact_id))


def _from_row(row: Any) -> Contact:
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
