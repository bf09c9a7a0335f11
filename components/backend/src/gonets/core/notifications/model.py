"""One message to one person: its tries, what is known of each, and what follows for the whole."""

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from gonets.core.channels.model import (
    Accepted,
    ChannelType,
    Delivery,
    Message,
    Receipt,
    Recipient,
    Refusal,
    Refused,
    SendOutcome,
    Unknown,
)
from gonets.core.shared.copies import copied
from gonets.core.shared.errors import Conflict

MAX_TEXT = 20_000
MAX_ROUTE = 20
MOST_EVENTS = 50
"""What is kept of one attempt's story; a provider that repeats itself for days fills no table."""


class Status(StrEnum):
    """Where a notification stands, derived from its attempts and from the decision about them."""

    PENDING = "pending"
    """Nothing was sent yet: it waits to be released, or for a worker."""
    SENDING = "sending"
    """Tries are made."""
    SENT = "sent"
    """A provider has taken it. Where channels report deliveries, the report is awaited."""
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    """Taken by a provider, which could not deliver it; nothing else is left to try."""
    FAILED = "failed"
    """No channel took it."""
    EXPIRED = "expired"
    """Its deadline came first."""
    SUPPRESSED = "suppressed"
    """The person must not be written to."""
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """It was perhaps taken: nobody can tell."""


RETRIABLE = frozenset(
    {Status.UNDELIVERED, Status.FAILED, Status.EXPIRED, Status.SUPPRESSED, Status.CANCELLED, Status.UNKNOWN}
)
"""Trying again asks anew who must not be written to."""


class AttemptState(StrEnum):
    """What is known of one try. Its rank never falls."""

    STARTED = "started"
    """Committed before the provider is called."""
    UNKNOWN = "unknown"
    """The provider may or may not have taken it."""
    ACCEPTED = "accepted"
    """The provider has taken responsibility."""
    REJECTED = "rejected"
    """The provider certainly did not take it, or threw it away unsent."""
    UNDELIVERED = "undelivered"
    DELIVERED = "delivered"


_RANK = {
    AttemptState.STARTED: 0,
    AttemptState.UNKNOWN: 1,
    AttemptState.ACCEPTED: 2,
    AttemptState.REJECTED: 3,
    AttemptState.UNDELIVERED: 3,
    AttemptState.DELIVERED: 4,
}

_TAKEN = frozenset({AttemptState.ACCEPTED, AttemptState.UNDELIVERED, AttemptState.DELIVERED})

_OF_DELIVERY = {
    Delivery.SENT: AttemptState.ACCEPTED,
    Delivery.DELIVERED: AttemptState.DELIVERED,
    Delivery.UNDELIVERED: AttemptState.UNDELIVERED,
    Delivery.REJECTED: AttemptState.REJECTED,
    Delivery.ABSENT: AttemptState.REJECTED,
}


@dataclass(frozen=True, slots=True)
class ChannelKey:
    """A channel, as attempts name it. `id` 0: the operator's channel of this type."""

    id: int
    type: ChannelType


@dataclass(frozen=True, slots=True)
class Event:
    """A line of an attempt's story. `what`: a state, or `receipt: sent`; `code` is the provider's own."""

    at: datetime
    what: str
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)  # no slots: see copied
class Attempt:
    """One try to deliver by one channel. `reference` names it in callbacks; `why`: the decision that began it.

    `asked`: times the provider was asked what became of it, the last time at `asked_at`; `counted_from`: since when a
    delivery receipt is missing.
    """

    number: int
    round: int
    reference: str
    channel: ChannelKey
    channel_name: str
    to: str | None
    why: str
    state: AttemptState
    started_at: datetime
    ended_at: datetime | None = None
    counted_from: datetime | None = None
    provider_id: str | None = None
    parts: int = 1
    refusal: Refusal | None = None
    code: str | None = None
    reason: str | None = None
    hint: str | None = None
    retry_after: float | None = None
    asked: int = 0
    asked_at: datetime | None = None
    held: bool = False
    """The provider has it and keeps it back (moderation, say)."""
    events: Sequence[Event] = ()

    @property
    def jitter(self) -> float:
        """From 0 to 1, always the same for one attempt, so that decisions about it can be made again."""
        return zlib.crc32(self.reference.encode()) / 2**32

    def heard(self, outcome: SendOutcome, at: datetime) -> "Attempt":
        """What the channel said of the send. What is known already stays."""
        match outcome:
            case Accepted(provider_id=provider_id, parts=parts):
                named: dict[str, Any] = {"provider_id": provider_id or self.provider_id, "parts": parts}
                risen = self._rise(AttemptState.ACCEPTED, at, None, None, **named)
                return copied(self, **named) if risen is self else risen
            case Refused(refusal=refusal, code=code, reason=reason, hint=hint, retry_after=retry_after):
                return self._rise(
                    AttemptState.REJECTED,
                    at,
                    code,
                    reason,
                    refusal=refusal,
                    code=code,
                    reason=reason,
                    hint=hint,
                    retry_after=retry_after,
                )
            case Unknown(reason=reason):
                return self._rise(AttemptState.UNKNOWN, at, None, reason, reason=reason)

    def reported(self, receipt: Receipt, at: datetime) -> "Attempt":
        """What the provider reported. Repeated and overtaken reports change nothing; `delivered` beats everything.

        A provider that denies a message it had taken before is not believed: ABSENT counts only for what is unknown.
        """
        state = _OF_DELIVERY[receipt.delivery]
        absent = receipt.delivery is Delivery.ABSENT
        if absent and self.state not in {AttemptState.STARTED, AttemptState.UNKNOWN}:
            return self
        named = copied(self, provider_id=self.provider_id or receipt.provider_id)
        if state is AttemptState.ACCEPTED:
            return named._progressed(receipt, at)
        reason = receipt.reason or ("the provider has no such message: it was never taken" if absent else None)
        refusal = receipt.refusal or (Refusal.TEMPORARY if absent else Refusal.PERMANENT)
        good = state is AttemptState.DELIVERED
        return named._rise(
            state,
            at,
            receipt.code,
            reason,
            code=receipt.code,
            reason=reason,
            refusal=None if good else refusal,
            hint=None,
            retry_after=None,
        )

    def _progressed(self, receipt: Receipt, at: datetime) -> "Attempt":
        if _RANK[self.state] > _RANK[AttemptState.ACCEPTED]:
            return self
        risen = self._rise(AttemptState.ACCEPTED, at, receipt.code, receipt.reason)
        if receipt.held == risen.held and risen.state is self.state:
            return risen
        # While it is kept back no receipt can be missing: the time counts from when it goes out.
        return copied(risen, held=receipt.held, counted_from=at)

    def _rise(
        self, state: AttemptState, at: datetime, code: str | None, reason: str | None, /, **facts: Any
    ) -> "Attempt":
        """With these facts, where the state is news. `code` and `reason`: what was said of it."""
        if _RANK[state] <= _RANK[self.state]:
            return self
        events = (*self.events, Event(at, state.value, code, reason))[:MOST_EVENTS]
        if state is AttemptState.ACCEPTED:
            facts |= {"counted_from": at, "reason": None}
        return copied(self, state=state, ended_at=at, events=events, **facts)

    def inquired(self, at: datetime) -> "Attempt":
        """The provider was asked what became of it."""
        return copied(self, asked=self.asked + 1, asked_at=at)


_TELL_AGAIN = timedelta(seconds=5)
_ABANDONED = Unknown("the worker died, or lost the database, with the send under way")


@dataclass(frozen=True, kw_only=True)  # no slots: see copied
class Notification:
    """One message to one person.

    `route`: the channels to try, in order; empty: the default order. `held`: waits to be released. `round` grows with
    each retry by hand: attempts of earlier rounds are history. `version` grows with each change; `life` is the worker
    in whose hands it is. `due_at`: when something has to be done about it; None: nothing. `zone`: the recipient's time
    zone, where its campaign has a send window.
    """

    id: int
    owner_id: int
    recipient: Recipient
    contact_id: int | None = None
    message: Message
    route: Sequence[int] = ()
    deadline: datetime | None = None
    fallback_after: timedelta | None = None
    notify_result: bool = False
    held: bool = False
    cancelled: bool = False
    status: Status = Status.PENDING
    reason: str | None = None
    channel: ChannelKey | None = None
    round: int = 1
    attempts: Sequence[Attempt] = ()
    created_at: datetime
    sent_at: datetime | None = None
    finished_at: datetime | None = None
    due_at: datetime | None = None
    told: Status | None = None
    campaign_id: int | None = None
    zone: str | None = None
    version: int = 0
    life: int | None = None
    erased: bool = False
    """Nobody is to know any more what it said, and to whom."""

    @property
    def ids(self) -> Mapping[str, int | None]:
        """By which the lines of the log that concern it are found."""
        return {"notification_id": self.id, "contact_id": self.contact_id, "campaign_id": self.campaign_id}

    @property
    def finished(self) -> bool:
        return self.finished_at is not None

    @property
    def untold(self) -> bool:
        """Its end, or its new end, is still to be told."""
        return self.notify_result and self.finished and self.told is not self.status

    @property
    def current(self) -> Sequence[Attempt]:
        """The attempts of this round, oldest first."""
        return [attempt for attempt in self.attempts if attempt.round == self.round]

    def attempt(self, reference: str) -> Attempt | None:
        return next((attempt for attempt in self.attempts if attempt.reference == reference), None)

    def begun(self, attempt: Attempt) -> "Notification":
        """A send is about to be made."""
        return copied(
            self,
            attempts=(*self.attempts, attempt),
            status=self.status if self.status is Status.SENT else Status.SENDING,
            reason=attempt.why,
            finished_at=None,
        )

    def withdrawn(self, reference: str) -> "Notification":
        """The send was not made after all: its turn did not come."""
        return copied(self, attempts=tuple(one for one in self.attempts if one.reference != reference))

    def changed(self, attempt: Attempt) -> "Notification":
        """With what is known now of this attempt. `delivered`, on whichever attempt, is the end."""
        attempts = tuple(attempt if one.reference == attempt.reference else one for one in self.attempts)
        facts: dict[str, Any] = {"attempts": attempts}
        if attempt.state in _TAKEN and self.sent_at is None:
            facts["sent_at"] = attempt.ended_at
        if attempt.state is AttemptState.DELIVERED and self.status is not Status.DELIVERED:
            facts |= {
                "status": Status.DELIVERED,
                "reason": f"delivered by {attempt.channel_name}",
                "channel": attempt.channel,
                "finished_at": attempt.ended_at,
                "due_at": attempt.ended_at if self.notify_result else None,
            }
        return copied(self, **facts)

    @property
    def begun_sends(self) -> Sequence[str]:
        """References of attempts that have no outcome."""
        return [attempt.reference for attempt in self.attempts if attempt.state is AttemptState.STARTED]

    def abandoned(self, references: Collection[str], at: datetime) -> "Notification":
        """Whoever made these sends is gone: without an outcome it is unknown what came of them."""
        after = self
        for attempt in self.attempts:
            if attempt.reference in references and attempt.state is AttemptState.STARTED:
                after = after.changed(attempt.heard(_ABANDONED, at))
        return after

    def waiting(self, until: datetime | None, status: Status, why: str) -> "Notification":
        """Nothing can be done before this time, unless something is heard."""
        return copied(self, status=status, reason=why, due_at=until, finished_at=None)

    def ended(self, status: Status, why: str, channel: ChannelKey | None, at: datetime) -> "Notification":
        """Nothing more is done by itself."""
        finished_at = self.finished_at if self.status is status and self.finished_at else at
        tell = self.notify_result and self.told is not status
        return copied(
            self,
            status=status,
            reason=why,
            channel=channel,
            finished_at=finished_at,
            due_at=at + _TELL_AGAIN if tell else None,
        )

    def released(self, at: datetime) -> "Notification":
        """Raises Conflict unless it is held."""
        if not self.held or self.finished:
            raise Conflict(f"is {self.status.value} and not waiting to be released")
        return copied(self, held=False, due_at=at)

    def cancel(self, at: datetime) -> "Notification":
        """Nothing more is sent. What is under way ends as it ends. Raises Conflict where it has ended."""
        if self.finished:
            raise Conflict(f"has ended: it is {self.status.value}")
        if self.cancelled:
            return self
        if not self.attempts:
            return copied(
                self,
                cancelled=True,
                held=False,
                status=Status.CANCELLED,
                reason="cancelled before anything was sent",
                finished_at=at,
                due_at=at if self.notify_result else None,
            )
        return copied(self, cancelled=True, due_at=at)

    def again(self, at: datetime) -> "Notification":
        """Tried anew from the start of its route. Raises Conflict unless it ended without success."""
        if not self.finished or self.status not in RETRIABLE:
            raise Conflict(f"is {self.status.value}: only what ended without success is tried again")
        if self.deadline is not None and self.deadline <= at:
            raise Conflict("its deadline is over")
        if self.erased:
            raise Conflict("its person was erased: nobody knows any more what it said, and to whom")
        if not self.message.text:
            raise Conflict("it was never written: its template lacked a value, or its campaign ended first")
        return copied(
            self,
            round=self.round + 1,
            status=Status.PENDING,
            reason="tried again by hand",
            channel=None,
            cancelled=False,
            finished_at=None,
            due_at=at,
            told=None,
        )


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """By which template, named by its id or its name, a message is to be written, and what the sender puts into it."""

    template: int | str
    variables: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)  # no slots: see copied
class NewNotification:
    """What is handed in. `contact_field`: where the contact was named; `template`: where the text and subject of
    `message` are still to come from; `key`: the sender's mark, under which it is taken once; `digest`: of everything
    else."""

    owner_id: int
    recipient: Recipient
    contact_id: int | None
    message: Message
    contact_field: str = "contactId"
    route: Sequence[int] = ()
    deadline: datetime | None = None
    fallback_after: timedelta | None = None
    notify_result: bool = False
    held: bool = False
    template: TemplateUse | None = None
    key: str | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """It is recorded under this id. `new`: by this very call."""

    id: int
    new: bool


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key names another notification of this owner, with other content."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFilter:
    """Which notifications: those that meet every condition. `channel_type`: of any of their attempts."""

    status: Status | None = None
    channel_type: ChannelType | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotificationPage:
    """One page of a list, newest first; `next_cursor` is None on the last page."""

    notifications: Sequence[Notification] = field(default_factory=tuple)
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A row whose time has come. `wake_at` is what the row said when it was read."""

    id: int
    wake_at: datetime
