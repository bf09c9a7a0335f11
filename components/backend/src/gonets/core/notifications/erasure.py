"""Erasing a person: what says who they are goes, what was counted stays."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gonets.core.channels.model import Recipient
from gonets.core.notifications.use_cases import SteerNotifications
from gonets.core.shared.audit import Actor, Audit
from gonets.core.shared.errors import Conflict, NotFound

log = logging.getLogger(__name__)

_CANCELLED_AT_ONCE = 100

Place = tuple[object, ...]
"""Where in the order of messages a look ended; what it holds is known to whoever gave it."""


@dataclass(frozen=True, slots=True)
class Found:
    """Messages that still say something of a person: their ids, and of those the ones that may yet be sent. `next` is
    None where all were looked at."""

    ids: Sequence[int]
    open: Sequence[int]
    next: Place | None


class Erasures(Protocol):
    """The persons that are to be erased, and what is kept of them. Raises Unavailable; a call may be repeated."""

    async def begin(self, owner_id: int, contact_id: int) -> Recipient | None:
        """MUST note it durably before it returns. The contact's addresses, empty where it is gone already; None: this
        owner has no such contact, nor any message or erasure of one."""

    async def of_contact(self, owner_id: int, contact_id: int, place: Place | None, limit: int) -> Found:
        """What was handed in with the contact's id."""

    async def of_addresses(self, owner_id: int, addresses: Recipient, place: Place | None, limit: int) -> Found:
        """What was handed in with any of these addresses. MUST look at no more than `limit` messages."""

    async def blank(self, ids: Sequence[int]) -> None:
        """Addresses, texts and providers' words MUST go from these messages and their attempts; what became of them,
        when and by which channel stays."""

    async def end(self, owner_id: int, contact_id: int) -> None:
        """The contact MUST go, with its chat links, what was asked about its phone, and the rejected rows of imports
        that name its addresses. That it must not be written to stays known, and nothing of why."""

    async def recent(self) -> Sequence[tuple[int, int]]:
        """Owners and contacts of erasures that are not ended, or were asked for in the last days."""


@dataclass(frozen=True, slots=True)
class Erased:
    """How many messages were blanked, and how many of them were cancelled before."""

    messages: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class EraseContact:
    """Everything that says who a contact is. Broken off at any point, it is taken up again by the next call, or by the
    scheduler."""

    erasures: Erasures
    steer: SteerNotifications
    audit: Audit
    limit: int = 1000

    async def __call__(self, actor: Actor, contact_id: int) -> Erased:
        """Raises NotFound, Unavailable."""
        erased = await self._erase(actor.user_id, contact_id)
        if erased is None:
            raise NotFound(f"no contact has the id {contact_id}")
        await self.audit.note(actor, "erased", contact_id, {"messages": erased.messages, "cancelled": erased.cancelled})
        return erased

    async def again(self) -> None:
        """A send may have been under way, and receipts quote whom they are about: what came since is erased too."""
        for owner_id, contact_id in await self.erasures.recent():
            await self._erase(owner_id, contact_id)

    async def _erase(self, owner_id: int, contact_id: int) -> Erased | None:
        addresses = await self.erasures.begin(owner_id, contact_id)
        if addresses is None:
            return None
        store, limit = self.erasures, self.limit
        done = await self._all(owner_id, lambda place: store.of_contact(owner_id, contact_id, place, limit))
        if addresses != Recipient():
            more = await self._all(owner_id, lambda place: store.of_addresses(owner_id, addresses, place, limit))
            done = _sum(done, more)
        await store.end(owner_id, contact_id)
        # What was handed in meanwhile; from now on there is no contact that anything could be handed in for.
        late = await self._all(owner_id, lambda place: store.of_contact(owner_id, contact_id, place, limit))
        done = _sum(done, late)
        if done.messages:
            facts = {"contact_id": contact_id, "messages": done.messages, "cancelled": done.cancelled}
            log.info("a person was erased", extra=facts)
        return done

    async def _all(self, owner_id: int, look: Callable[[Place | None], Awaitable[Found]]) -> Erased:
        done, place = Erased(0, 0), None
        while True:
            found = await look(place)
            done, place = _sum(done, await self._blank(owner_id, found)), found.next
            if place is None:
                return done

    async def _blank(self, owner_id: int, found: Found) -> Erased:
        for start in range(0, len(found.open), _CANCELLED_AT_ONCE):
            some = found.open[start : start + _CANCELLED_AT_ONCE]
            await asyncio.gather(*(self._cancel(owner_id, number) for number in some))
        if found.ids:
            await self.erasures.blank(found.ids)
        return Erased(len(found.ids), len(found.open))

    async def _cancel(self, owner_id: int, notification_id: int) -> None:
        try:
            await self.steer.stop(owner_id, notification_id)
        except (Conflict, NotFound) as error:  # it ended by itself, or its time was over
            log.debug("not cancelled", extra={"notification_id": notification_id, "reason": error.reason})


def _sum(one: Erased, other: Erased) -> Erased:
    return Erased(one.messages + other.messages, one.cancelled + other.cancelled)
