"""Contacts in memory."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gonets.core.contacts.model import Contact, ContactPage, Field
from gonets.core.contacts.ports import Fields
from gonets.core.shared.errors import Invalid

_NAMES = {
    Field.NAME: "name",
    Field.PHONE: "phone",
    Field.EMAIL: "email",
    Field.TELEGRAM_CHAT_ID: "telegram_chat_id",
}


class FakeContacts:
    """Implements ContactStore."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], Contact] = {}
        """By owner and id."""
        self._ids = itertools.count(1)
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def _tick(self) -> datetime:
        self._now += timedelta(microseconds=1)
        return self._now

    async def add(self, owner_id: int, fields: Fields) -> Contact:
        now = self._tick()
        given = {_NAMES[field]: value for field, value in fields.items()}
        contact = Contact(**{"id": next(self._ids), "created_at": now, "updated_at": now} | given)
        self.rows[owner_id, contact.id] = contact
        return contact

    async def get(self, owner_id: int, contact_id: int) -> Contact | None:
        return self.rows.get((owner_id, contact_id))

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ContactPage:
        if cursor and not cursor.isdecimal():
            raise Invalid("cursor", "must be a next_cursor of an earlier answer, unchanged")
        own = [contact for (owner, _), contact in reversed(self.rows.items()) if owner == owner_id]
        rest = [contact for contact in own if cursor is None or contact.id < int(cursor)]
        return ContactPage(rest[:limit], str(rest[limit - 1].id) if len(rest) > limit else None)

    async def change(self, owner_id: int, contact_id: int, fields: Fields) -> Contact | None:
        if (owner_id, contact_id) not in self.rows:
            return None
        given = {_NAMES[field]: value for field, value in fields.items()}
        changed = replace(self.rows[owner_id, contact_id], updated_at=self._tick(), **given)
        self.rows[owner_id, contact_id] = changed
        return changed

    async def delete(self, owner_id: int, contact_id: int) -> bool:
        return self.rows.pop((owner_id, contact_id), None) is not None
