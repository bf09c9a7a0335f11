"""What the contacts feature needs from the outside."""

from collections.abc import Callable, Mapping
from typing import Protocol

from gonets.core.contacts.model import Contact, ContactPage, Field
from gonets.core.shared.json import JSON

Fields = Mapping[Field, str | None]
"""Some of a contact's fields, checked. None: it has none; a field that is not there is not spoken of."""

Phone = Callable[[str, str], str]
"""A field's name and a number as a person typed it, to E.164. Raises Invalid, which names the field."""


class ContactStore(Protocol):
    """The contacts of all owners; each method sees one owner's and no others. Raises Unavailable."""

    async def add(self, owner_id: int, fields: Fields) -> Contact: ...

    async def get(self, owner_id: int, contact_id: int) -> Contact | None: ...

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ContactPage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""

    async def change(self, owner_id: int, contact_id: int, fields: Fields) -> Contact | None:
        """MUST leave the other fields as they are, also where two change the contact at one moment. None where it is
        not there."""

    async def delete(self, owner_id: int, contact_id: int) -> bool:
        """False where it is not there."""


class Actor(Protocol):
    """Who does it: the user, and the API key where a program does it in their name."""

    @property
    def user_id(self) -> int: ...

    @property
    def api_key_id(self) -> int | None: ...


class Audit(Protocol):
    """Who changed what, for admins to read."""

    async def note(self, actor: Actor, action: str, object_id: int, detail: Mapping[str, JSON]) -> None:
        """To be called when it is done, before it is answered. `detail` holds no address."""
