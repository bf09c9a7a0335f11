"""What the outside can ask of many contacts at once: audiences, and tags for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gonets.core.contacts.audience import LONGEST_AUDIENCE_NAME, Audience, SavedAudience, audience_of
from gonets.core.contacts.fields import tags_of
from gonets.core.contacts.ports import AudienceStore, ContactCrowd, ContactStore
from gonets.core.shared.audit import Actor, Audit
from gonets.core.shared.errors import Invalid, InvalidFields, NotFound
from gonets.core.shared.json import JSON

_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class ManageAudiences:
    """An owner's saved audiences: create, look, change, delete, count. Another owner's are not there."""

    store: AudienceStore
    crowd: ContactCrowd
    audit: Audit

    async def create(self, actor: Actor, name: JSON, wanted: JSON) -> SavedAudience:
        """Raises InvalidFields with every field that is wrong, and Taken."""
        checked, audience = _checked(name, wanted)
        made = await self.store.add(actor.user_id, checked, audience)
        await self.audit.note(actor, "created", made.id, {})
        return made

    async def get(self, owner_id: int, audience_id: int) -> SavedAudience:
        """Raises NotFound."""
        found = await self.store.get(owner_id, audience_id)
        if found is None:
            raise _absent(audience_id)
        return found

    async def replace(self, actor: Actor, audience_id: int, name: JSON, wanted: JSON) -> SavedAudience:
        """Raises NotFound, and as `create` does."""
        await self.get(actor.user_id, audience_id)
        changed = await self.store.change(actor.user_id, audience_id, *_checked(name, wanted))
        if changed is None:
            raise _absent(audience_id)
        await self.audit.note(actor, "changed", audience_id, {})
        return changed

    async def delete(self, actor: Actor, audience_id: int) -> None:
        """Raises NotFound; Conflict while campaigns that have not started are for it."""
        if not await self.store.delete(actor.user_id, audience_id):
            raise _absent(audience_id)
        await self.audit.note(actor, "deleted", audience_id, {})

    async def count(self, owner_id: int, audience: Audience) -> int:
        """How many contacts are in it."""
        return await self.crowd.count(owner_id, audience)


@dataclass(frozen=True, slots=True)
class TagContacts:
    """Adds and removes tags of many contacts."""

    store: ContactStore
    crowd: ContactCrowd
    audit: Audit

    async def __call__(
        self, actor: Actor, whom: Audience | Sequence[int], add: Sequence[str], remove: Sequence[str]
    ) -> int:
        """Returns how many are different now; asked again, none is. An audience is changed in portions, in the order of
        ids: what a failure leaves undone is done by asking again. Ids that are none of the owner's count for nothing,
        and one that would have too many tags stays as it is. Raises Invalid."""
        adding, removing = tags_of("add", list(add)), tags_of("remove", list(remove))
        if not adding and not removing:
            raise Invalid("add", "must name at least one tag, or `remove` must")
        if set(adding) & set(removing):
            raise Invalid("remove", "must not name what `add` names")
        changed = 0
        if isinstance(whom, Audience):
            after = 0
            while ids := await self.crowd.ids(actor.user_id, whom, after=after, limit=_AT_ONCE):
                after = ids[-1]
                changed += len(await self.store.tag(actor.user_id, ids, adding, removing))
        else:
            changed = len(await self.store.tag(actor.user_id, sorted(set(whom)), adding, removing))
        await self.audit.note(actor, "tagged", 0, {"contacts": changed, "add": [*adding], "remove": [*removing]})
        return changed


def _checked(name: JSON, wanted: JSON) -> tuple[str, Audience]:
    wrong: list[tuple[str, str]] = []
    text = name.strip() if isinstance(name, str) else ""
    if not 1 <= len(text) <= LONGEST_AUDIENCE_NAME or not text.isprintable():
        wrong.append(("name", f"must be 1 to {LONGEST_AUDIENCE_NAME} characters on one line"))
    try:
        audience = audience_of(wanted, "filter")
    except InvalidFields as error:
        wrong += error.wrong
    if wrong:
        raise InvalidFields(wrong)
    return text, audience


def _absent(audience_id: int) -> NotFound:
    return NotFound(f"no audience has the id {audience_id}")
