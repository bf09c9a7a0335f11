"""What the contacts feature needs from the outside."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from gonets.core.contacts.audience import Audience, SavedAudience
from gonets.core.contacts.model import Contact, ContactPage, Field, Value

Fields = Mapping[Field, Value]
"""Some of a contact's fields, checked. None: it has none; a field that is not there is not spoken of."""

Phone = Callable[[str, str], str]
"""A field's name and a number as a person typed it, to E.164. Raises Invalid, which names the field."""


About = Callable[[str], tuple[str | None, str | None]]
"""What a phone in E.164 says: the operator code, and the time zone in which its owner probably lives."""

Beginnings = Callable[[str], Sequence[str]]
"""What a person typed of a number, to what its E.164 may begin with; empty where it is no beginning of a number."""


@dataclass(frozen=True, slots=True)
class Search:
    """Whose phone begins with one of `phones`, or whose e-mail address or name begins with `text`, in small letters."""

    text: str
    phones: tuple[str, ...] = ()


class ContactStore(Protocol):
    """The contacts of all owners; each method sees one owner's and no others. Raises Unavailable."""

    async def add(self, owner_id: int, fields: Fields) -> Contact:
        """Raises Taken where another contact of the owner's has the phone, or the e-mail address in letters of any
        size."""

    async def get(self, owner_id: int, contact_id: int) -> Contact | None: ...

    async def page(
        self, owner_id: int, audience: Audience, search: Search | None, *, cursor: str | None, limit: int
    ) -> ContactPage:
        """Latest first; of a search, those found by phone, then by e-mail address, then by name, each in the order of
        what they were found by, and each once. MUST take no longer for the last page than for the first, of any number
        of contacts, and however few of them are meant: a page may be short, even empty, before the last one. Raises
        Invalid for a cursor that is none of ours."""

    async def change(self, owner_id: int, contact_id: int, fields: Fields) -> Contact | None:
        """MUST leave the other fields as they are, also where two change the contact at one moment; but with another
        phone, what a provider said of the one before is gone. None where it is not there. Raises Taken as `add`."""

    async def delete(self, owner_id: int, contact_id: int) -> bool:
        """False where it is not there."""

    async def tag(self, owner_id: int, ids: Sequence[int], add: Sequence[str], remove: Sequence[str]) -> Sequence[int]:
        """Adds and removes tags of those that are the owner's, whose ids are returned if that changed them. One that
        would have too many MUST be left as it is."""


class ContactCrowd(Protocol):
    """Many contacts of one owner at once: questions that may take minutes. Raises Unavailable."""

    async def count(self, owner_id: int, audience: Audience) -> int: ...

    async def ids(self, owner_id: int, audience: Audience, *, after: int, limit: int) -> Sequence[int]:
        """The lowest ids above `after`, in order."""

    def export(self, owner_id: int, audience: Audience) -> AbstractAsyncContextManager["Exported"]:
        """All of them as they are at one moment; as they are read, MUST NOT be held in memory."""


@dataclass(frozen=True, slots=True)
class Exported:
    """Contacts in the order of their ids, in portions; `attributes` are the names of all that any of them has."""

    attributes: Sequence[str]
    portions: AsyncIterator[Sequence[Contact]]


class AudienceStore(Protocol):
    """The saved audiences of all owners; each method sees one owner's and no others. Raises Unavailable."""

    async def add(self, owner_id: int, name: str, audience: Audience) -> SavedAudience:
        """Raises Taken where another of the owner's has the name."""

    async def get(self, owner_id: int, audience_id: int) -> SavedAudience | None: ...

    async def all(self, owner_id: int) -> Sequence[SavedAudience]:
        """Latest first."""

    async def change(
        self, owner_id: int, audience_id: int, name: str | None, audience: Audience | None
    ) -> SavedAudience | None:
        """None stays as it is. None is returned where it is not there. Raises Taken as `add`."""

    async def delete(self, owner_id: int, audience_id: int) -> bool:
        """False where it is not there. Raises Conflict, which names them, while campaigns wait to be sent to it."""
