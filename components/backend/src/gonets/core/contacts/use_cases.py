"""What the outside can ask of contacts."""

from dataclasses import dataclass

from gonets.core.contacts.audience import EVERYBODY, Audience
from gonets.core.contacts.fields import CheckFields, Given
from gonets.core.contacts.model import LONGEST_NAME, Contact, ContactPage
from gonets.core.contacts.ports import Beginnings, ContactStore, Search
from gonets.core.shared.audit import Actor, Audit
from gonets.core.shared.errors import Invalid, NotFound


@dataclass(frozen=True, slots=True)
class ManageContacts:
    """An owner's contacts: create, look, search, change, delete. Another owner's are not there."""

    store: ContactStore
    check: CheckFields
    beginnings: Beginnings
    audit: Audit

    async def create(self, actor: Actor, given: Given) -> Contact:
        """Raises InvalidFields with every field that is wrong, and Taken where somebody has the phone or the e-mail
        address."""
        contact = await self.store.add(actor.user_id, self.check.whole(given))
        await self.audit.note(actor, "created", contact.id, {})
        return contact

    async def get(self, owner_id: int, contact_id: int) -> Contact:
        """Raises NotFound."""
        found = await self.store.get(owner_id, contact_id)
        if found is None:
            raise absent(contact_id)
        return found

    async def page(
        self,
        owner_id: int,
        audience: Audience = EVERYBODY,
        search: str | None = None,
        *,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ContactPage:
        """Latest first; of a search, those found by phone, by e-mail address, by name. Raises Invalid for a cursor that
        is none of ours, and for a search for nothing."""
        return await self.store.page(owner_id, audience, self._search(search), cursor=cursor, limit=limit)

    def _search(self, text: str | None) -> Search | None:
        if text is None:
            return None
        found = text.strip()
        if not 1 <= len(found) <= LONGEST_NAME or not found.isprintable():
            raise Invalid("search", "must be the beginning of a phone, an e-mail address or a name")
        return Search(found.lower(), tuple(self.beginnings(found)))

    async def change(self, actor: Actor, contact_id: int, given: Given) -> Contact:
        """What is not given stays. Raises NotFound, and as `create` does."""
        contact = await self.get(actor.user_id, contact_id)
        changed = await self.store.change(actor.user_id, contact_id, self.check.change(contact, given))
        return await self._changed(actor, contact_id, changed, given)

    async def replace(self, actor: Actor, contact_id: int, given: Given) -> Contact:
        """What is not given is taken away. Raises as `change` does."""
        await self.get(actor.user_id, contact_id)
        changed = await self.store.change(actor.user_id, contact_id, self.check.whole(given))
        return await self._changed(actor, contact_id, changed, given)

    async def _changed(self, actor: Actor, contact_id: int, changed: Contact | None, given: Given) -> Contact:
        if changed is None:
            raise absent(contact_id)
        await self.audit.note(actor, "changed", contact_id, {"fields": [name.value for name in given]})
        return changed

    async def delete(self, actor: Actor, contact_id: int) -> None:
        """Raises NotFound."""
        if not await self.store.delete(actor.user_id, contact_id):
            raise absent(contact_id)
        await self.audit.note(actor, "deleted", contact_id, {})


def absent(contact_id: int) -> NotFound:
    return NotFound(f"no contact has the id {contact_id}")
