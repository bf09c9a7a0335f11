"""What the outside can ask of contacts."""

from collections.abc import Mapping
from dataclasses import dataclass

from gonets.core.contacts.model import LONGEST_NAME, Contact, ContactPage, Field
from gonets.core.contacts.ports import Actor, Audit, ContactStore, Phone
from gonets.core.shared import addresses
from gonets.core.shared.errors import Invalid, InvalidFields, NotFound

Given = Mapping[Field, str | int | None]
"""Fields as somebody typed them. None takes the address away."""


@dataclass(frozen=True, slots=True)
class ManageContacts:
    """An owner's contacts: create, look, change, delete. Another owner's are not there."""

    store: ContactStore
    phone: Phone
    audit: Audit

    async def create(self, actor: Actor, given: Given) -> Contact:
        """Raises InvalidFields with every field that is wrong."""
        contact = await self.store.add(actor.user_id, self._checked({Field.NAME: None} | dict(given)))
        await self.audit.note(actor, "created", contact.id, {})
        return contact

    async def get(self, owner_id: int, contact_id: int) -> Contact:
        """Raises NotFound."""
        found = await self.store.get(owner_id, contact_id)
        if found is None:
            raise _absent(contact_id)
        return found

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ContactPage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""
        return await self.store.page(owner_id, cursor=cursor, limit=limit)

    async def change(self, actor: Actor, contact_id: int, given: Given) -> Contact:
        """What is not given stays. Raises NotFound, and InvalidFields with every field that is wrong."""
        await self.get(actor.user_id, contact_id)
        changed = await self.store.change(actor.user_id, contact_id, self._checked(given))
        if changed is None:
            raise _absent(contact_id)
        await self.audit.note(actor, "changed", contact_id, {"fields": [name.value for name in given]})
        return changed

    async def replace(self, actor: Actor, contact_id: int, given: Given) -> Contact:
        """What is not given is taken away. Raises as `change` does."""
        return await self.change(actor, contact_id, dict.fromkeys(Field) | dict(given))

    async def delete(self, actor: Actor, contact_id: int) -> None:
        """Raises NotFound."""
        if not await self.store.delete(actor.user_id, contact_id):
            raise _absent(contact_id)
        await self.audit.note(actor, "deleted", contact_id, {})

    def _checked(self, given: Given) -> dict[Field, str | None]:
        checked: dict[Field, str | None] = {}
        wrong: list[tuple[str, str]] = []
        for name, value in given.items():
            try:
                checked[name] = self._check(name, value)
            except Invalid as error:
                wrong.append((error.field, error.reason))
        if wrong:
            raise InvalidFields(wrong)
        return checked

    def _check(self, name: Field, value: str | int | None) -> str | None:
        if name is Field.NAME:
            return _name(value)
        if value is None:
            return None
        match name:
            case Field.PHONE:
                return self.phone(name, str(value))
            case Field.EMAIL:
                return addresses.email(name, str(value))
            case Field.TELEGRAM_CHAT_ID:
                return addresses.telegram_chat_id(name, value)


def _name(value: str | int | None) -> str:
    found = str(value).strip() if value is not None else ""
    if not 1 <= len(found) <= LONGEST_NAME or not found.isprintable():
        raise Invalid(Field.NAME, f"must be 1 to {LONGEST_NAME} characters on one line")
    return found


def _absent(contact_id: int) -> NotFound:
    return NotFound(f"no contact has the id {contact_id}")
