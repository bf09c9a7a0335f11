"""Receipts by the thousand: what is plain is entered for many messages at one time, all else by NoteReceipt."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from gonets.core.channels.model import ChannelType, Delivery, Message, Receipt, Recipient
from gonets.core.notifications.model import Attempt, AttemptState, ChannelKey, Notification, Status
from gonets.core.notifications.ports import Clock, Observer


@dataclass(frozen=True, slots=True)
class Named:
    """What a reference names: an attempt by this channel. `channel` None: a message that may have been sent, by a
    worker that has not said so yet."""

    owner_id: int
    channel: ChannelKey | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A receipt that came early."""

    id: int
    reference: str
    receipt: Receipt


class ReportBook(Protocol):
    """Attempts by their references, for many callers at once. Raises Unavailable; calls may be repeated."""

    async def find(self, reference: str) -> Named | None:
        """None: there is no such message, or its attempts are others."""

    async def enter(self, reference: str, after: Attempt, by: ChannelKey | None = None) -> ChannelKey | None:
        """Writes `state`, `code`, `reason`, `refusal` and the last event of `after`, at its `ended_at`, where the
        attempt is accepted, its notification is sent and in nobody's hands; `delivered` ends the notification, and
        after any other a worker decides. Where `after` is accepted itself, and the attempt is at least that: nothing
        is to be done. The attempt's channel; None: it is another case, and nothing is written. `by`: so is an attempt
        by any other channel."""

    async def keep(self, reference: str, receipt: Receipt) -> None:
        """For an attempt that is not known yet. MUST be durable when it returns."""

    async def kept(self, references: Sequence[str]) -> Sequence[Kept]:
        """What was kept for these, oldest first."""

    async def drop(self, kept: Sequence[int]) -> None:
        """These were entered."""


class Note(Protocol):
    """NoteReceipt."""

    async def by_reference(self, reference: str, receipt: Receipt) -> None: ...

    async def by_provider_id(self, channel_id: int, receipt: Receipt) -> None: ...


Strays = Callable[[int, str], Awaitable[Sequence[Receipt]]]
"""What was kept for a channel's message with this id of its provider."""


@dataclass(frozen=True, slots=True)
class NoteReports:
    """Enter what providers report."""

    book: ReportBook
    note: Note
    strays: Strays
    observer: Observer
    now: Clock

    async def __call__(self, reference: str, receipt: Receipt) -> None:
        """Raises NotFound for a reference that is none of ours; Unavailable: nothing was entered, bring it again."""
        if not await self.plainly(reference, receipt):
            await self.note.by_reference(reference, receipt)

    async def plainly(self, reference: str, receipt: Receipt, by: ChannelKey | None = None) -> bool:
        """Whether it is entered, by the short way. `by`: the channel of whoever says it. Raises Unavailable."""
        if receipt.opted_out or receipt.held or receipt.delivery is Delivery.ABSENT:
            return False
        after = _TAKEN.reported(receipt, self.now())
        channel = await self.book.enter(reference, after, by)
        if channel is None:
            return False
        if after.state is not AttemptState.ACCEPTED:
            self.observer.reported(replace(after, channel=channel))
        if after.state is AttemptState.DELIVERED:
            self.observer.ended(_DELIVERED)
        return True

    async def hand_in(self, reference: str, receipt: Receipt) -> None:
        """For whoever does not know whether its send is committed. Raises as the call does."""
        found = await self.book.find(reference)
        await (self.early if found is not None and found.channel is None else self)(reference, receipt)

    async def early(self, reference: str, receipt: Receipt) -> None:
        """For a message whose send is not committed yet. Whoever commits it looks afterwards what was kept; and so do
        we, after our own commit: one of the two sees the other."""
        await self.book.keep(reference, receipt)
        found = await self.book.find(reference)
        if found is not None and found.channel is not None:
            await self.settle([reference], [])

    async def settle(self, references: Sequence[str], named: Sequence[tuple[int, str]]) -> None:
        """Enters what was kept for these attempts, which are committed. `named`: by channel and provider's id, those
        that are reported by a connection of ours."""
        if kept := await self.book.kept(references):
            await asyncio.gather(*(self(one.reference, one.receipt) for one in kept))
            await self.book.drop([one.id for one in kept])
        for channel_id, receipts in await asyncio.gather(*(self._strays(*name) for name in named)):
            for receipt in receipts:
                await self.note.by_provider_id(channel_id, receipt)

    async def _strays(self, channel_id: int, provider_id: str) -> tuple[int, Sequence[Receipt]]:
        return channel_id, await self.strays(channel_id, provider_id)


_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_TAKEN = Attempt(
    number=1,
    round=1,
    reference="",
    channel=ChannelKey(0, ChannelType.SMS_TWILIO),
    channel_name="",
    to=None,
    why="",
    state=AttemptState.ACCEPTED,
    started_at=_LONG_AGO,
    ended_at=_LONG_AGO,
)
"""Any attempt that a provider has taken: a report does the same to each of them."""
_DELIVERED = Notification(
    id=0, owner_id=0, recipient=Recipient(), message=Message(""), status=Status.DELIVERED, created_at=_LONG_AGO
)
"""What observers are shown of one that was delivered."""
