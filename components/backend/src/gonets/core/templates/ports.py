"""What the templates feature needs from the outside. One contract suite runs on each implementation."""

from collections.abc import Callable, Sequence
from typing import Protocol

from gonets.core.templates.model import Content, SmsShape, Template, TemplatePage, Version
from gonets.core.templates.rendering import Values


class TemplateStore(Protocol):
    """The templates of all owners; each method sees one owner's and no others. Raises Unavailable."""

    async def add(self, owner_id: int, name: str, content: Content) -> Template:
        """As version 1. Raises Conflict where the owner has a template of this name."""

    async def get(self, owner_id: int, template_id: int) -> Template | None: ...

    async def named(self, owner_id: int, name: str) -> Template | None: ...

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> TemplatePage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""

    async def change(self, owner_id: int, old: Template, name: str, content: Content) -> Template | None:
        """Another content MUST become a new version, the earlier ones staying as they are; another name MUST NOT. None
        where it is no longer at the version of `old`: then nothing is changed. Raises Conflict as `add` does."""

    async def delete(self, owner_id: int, template_id: int) -> bool:
        """With all its versions. False where it is not there."""

    async def version(self, owner_id: int, template_id: int, number: int) -> Version | None: ...

    async def versions(self, owner_id: int, template_id: int, *, below: int | None, limit: int) -> Sequence[Version]:
        """Latest first; `below`: only those that are older than this one."""


class Contacts(Protocol):
    """The people that an owner knows."""

    async def values(self, owner_id: int, contact_id: int) -> Values | None:
        """What this contact offers a template; see `of_contact`. None: the owner has no such contact. Raises
        Unavailable."""


Sms = Callable[[str], SmsShape]
