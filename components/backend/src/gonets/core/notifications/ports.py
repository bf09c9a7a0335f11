"""What the notifications feature needs from the outside. One contract suite runs on each implementation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from gonets.core.channels.model import Channel, ChannelType, Message, Receipt, Recipient, SendOutcome
from gonets.core.notifications.model import (
    Attempt,
    ChannelKey,
    Due,
    KeyReused,
    NewNotification,
    Notification,
    NotificationFilter,
    NotificationPage,
    Taken,
    TemplateUse,
)


class NotificationIntake(Protocol):
    """The doors' side of the table."""

    async def submit(self, new: NewNotification) -> Taken | KeyReused:
        """MUST record it durably before it returns; the scheduler MUST find it if nobody is woken, unless it is held.

        A key that this owner used in the last seven days: Taken with the old id if the digest is the same, else
        KeyReused; then nothing is recorded. Raises Unavailable; with a key the call may be repeated.
        """


class NotificationStore(Protocol):
    """Notifications with their attempts, each read and written as one. Raises Unavailable; a call may be repeated."""

    async def get(self, notification_id: int) -> Notification | None: ...

    async def by_provider_id(self, channel_id: int, provider_id: str) -> tuple[Notification, str] | None:
        """With the reference of the attempt that an SMS centre means, the latest where it uses an id twice. None: it is
        not known, or not yet; see `stray`."""

    async def stray(self, channel_id: int, receipt: Receipt) -> None:
        """Keeps a receipt whose message is not known yet: the attempt that gets this provider_id is handed it."""

    async def strays(self, channel_id: int, provider_id: str) -> Sequence[Receipt]:
        """What was kept for it, oldest first."""

    async def awaited(self, channel_type: ChannelType) -> Sequence[tuple[int, int]]:
        """The owners and ids of the channels of this type by which something was sent that may yet be reported on by
        the provider's id; the operator's has the id 0. What is in a worker's hands may be left out."""

    async def written_to(self, channel_type: ChannelType, address: str) -> Sequence[int]:
        """The owners for whom something was sent to this address by the operator's channel of this type."""

    async def save(
        self, notification: Notification, stamp: int, *, release: bool = False, known: Sequence[Attempt] = ()
    ) -> Notification | None:
        """Writes it with its attempts, unless somebody else wrote since it was read: then None, and nothing is changed.

        `stamp` is the caller's mark for this change: a call repeated with it, after a commit whose outcome was not
        seen, MUST succeed. `release`: it is no longer in the worker's hands. `known`: attempts as they were read with
        it, which need not be written again. Returns it with its new version.
        """


class NotificationClaims(Protocol):
    """The worker's side of the table."""

    async def claim(self, notification_id: int, stamp: int) -> Notification | None:
        """MUST hand it to one caller at a time, and only when something is due about it and it is in nobody's hands.
        The claim hangs on this worker's life. Raises Unavailable; a call repeated with its stamp MUST get the same
        claim."""

    async def told(self, notification: Notification) -> None:
        """This end was told. May be lost in a crash, which only tells it again."""


class NotificationWakes(Protocol):
    """The scheduler's side of the table."""

    async def orphans(self) -> int:
        """Takes every notification from lives that are not known: something is due about them at once."""

    async def due(self, limit: int) -> Sequence[Due]:
        """The rows whose time has come, longest overdue first."""

    async def woken(self, due: Sequence[Due]) -> None:
        """The wake-ups are with the broker: rows that did not change since are due again, later each time."""

    async def forget(self) -> None:
        """Removes keys and receipts that are too old to matter. Any number may do so at one time."""


class NotificationQueries(Protocol):
    """The readers' side of the table."""

    async def page(
        self, owner_id: int, wanted: NotificationFilter, *, cursor: str | None, limit: int
    ) -> NotificationPage:
        """Newest first, without attempts. Raises Invalid for a cursor that is none of ours."""


class NotificationNews(Protocol):
    """Telling the world, by queue. Each call MUST return only when the broker has taken the message, and raises
    Unavailable otherwise; telling twice does no harm."""

    async def wake(self, notification_id: int) -> None:
        """To a queue of our own: "look at this row"."""

    async def end(self, notification: Notification) -> None:
        """To `NotificationResultQueue`."""


class Contacts(Protocol):
    """The people that an owner knows."""

    async def recipient(self, owner_id: int, contact_id: int) -> Recipient | None:
        """Where this contact can be reached. None: the owner has no such contact. Raises Unavailable."""


class Templates(Protocol):
    """The texts that an owner keeps."""

    async def written(self, owner_id: int, use: TemplateUse, contact_id: int | None) -> Message:
        """The text and the subject for this contact. Raises Invalid or InvalidFields, which name the template, or each
        variable that has no value; Unavailable."""


class Suppressions(Protocol):
    """Who must not be written to. Raises Unavailable; a call may be repeated."""

    async def among(self, owner_id: int, asked: Mapping[str, Sequence[str]]) -> Mapping[str, frozenset[str]]:
        """Of these addresses, by kind (phone, email, telegramChatId): those that are suppressed, in one question."""

    async def opted_out(self, owner_id: int, kind: str, address: str, reason: str) -> None:
        """The person has unsubscribed with a provider: from now on it is suppressed."""


class Answers(Protocol):
    """What people answer."""

    async def answered(self, owner_ids: Sequence[int], sender: str, text: str) -> None:
        """From this number, to messages of these owners: a word such as STOP or START MUST be heeded. Raises
        Unavailable; a call may be repeated."""


class Heeded(Protocol):
    """The messages of people that were heeded, for 30 days. Raises Unavailable; a call may be repeated."""

    async def has(self, channel_id: int, provider_id: str) -> bool: ...

    async def add(self, channel_id: int, provider_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Later:
    """Not now. `why` is a sentence for a person."""

    at: datetime
    why: str


class Permits(Protocol):
    """Whose part a message is: whether it may be sent now. Asked before each try."""

    async def permit(self, found: Notification) -> Literal[True] | Later | Literal[False]:
        """True: it may leave now. False: never; then it is taken for cancelled. Raises Unavailable."""


class Held(Protocol):
    """What hangs on a worker's life."""

    @property
    def life(self) -> int: ...


class Lifeline(Protocol):
    """This worker's heartbeat in the database."""

    async def holds(self, claim: Held) -> bool:
        """Waits until the heartbeat is fresh; True if the claim hangs on this life. False: it was given away."""

    def surely_holds(self, claim: Held) -> bool:
        """Whether the claim hangs on this life and the heartbeat is fresh at this moment."""


class Turn(Protocol):
    """One message may go, now."""

    def over(self) -> None:
        """The provider has answered."""


class Turns(Protocol):
    """The rate of each channel, over all workers. Raises Unavailable."""

    async def turn(self, channel: Channel) -> Turn | timedelta:
        """Waits for the channel's next free moment, and returns at that moment. Where the moment is far away: for how
        long to set the message aside."""

    async def pause(self, channel: Channel, lasting: timedelta) -> None:
        """The provider asked to be left in peace for so long."""


Phone = Callable[[str, str], str]
"""A field's name and a number as a person typed it, to E.164. Raises Invalid, which names the field."""


class Observer(Protocol):
    """Hears what comes of messages, to count it. MUST NOT raise, nor take long."""

    def sent(self, found: Notification, channel: ChannelKey, outcome: SendOutcome, seconds: float, age: float) -> None:
        """A send has ended: how long it took, and how old the notification was then."""

    def reported(self, attempt: Attempt) -> None:
        """Something was learnt of an attempt after its send."""

    def ended(self, found: Notification) -> None:
        """It has an end, or a new one."""


class Clock(Protocol):
    """The time, in UTC."""

    def __call__(self) -> datetime: ...
