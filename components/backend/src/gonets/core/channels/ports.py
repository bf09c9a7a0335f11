"""What the channels feature needs from the outside."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from gonets.core.channels.model import (
    Address,
    Channel,
    ChannelPage,
    ChannelType,
    Incoming,
    NewChannel,
    Receipt,
    Send,
    SendOutcome,
)
from gonets.core.shared.errors import Category, GonetsError
from gonets.core.shared.json import JSON


class ChannelKind(Protocol):
    """Everything about one type of channel: what its configuration must be, and how it sends. One module implements it,
    one line in bootstrap makes it known."""

    type: ChannelType
    address: Address | None
    """What a recipient must have; None: messages always go to the channel's own destination."""
    receipts: bool
    """Whether deliveries are reported afterwards; if not, what was accepted stays `sent`."""
    schema: Mapping[str, JSON]
    """JSON Schema of the configuration (draft 2020-12), to draw a form from. Secrets are `"writeOnly": true`."""
    secrets: frozenset[str]
    """The keys of the configuration that are encrypted at rest and never shown. Where the value is an object (headers)
    all its values are."""
    destinations: frozenset[str]
    """The keys of the configuration that decide who is told the secrets, and who can listen."""
    longest_send: float
    """Seconds after which `send` has certainly returned, for any valid configuration."""

    def check(self, configuration: Mapping[str, JSON]) -> dict[str, JSON]:
        """The configuration with its defaults, in the types of the schema. Raises InvalidFields with every field that
        is wrong or unknown, named as `configuration.smtpPort`."""

    def destination(self, configuration: Mapping[str, JSON]) -> str | None:
        """The channel's own destination, for messages without a recipient; None: it has none."""

    def problem(self, message_text: str) -> str | None:
        """Why this text cannot go by this channel (too long, say), in a sentence; None: it can."""

    async def send(self, channel: Channel, send: Send) -> SendOutcome:
        """MUST NOT retry, MUST NOT raise for what the outside does, MUST return within `longest_send`. Unknown only
        where bytes of the message may have been read; Refused only where it certainly was not taken."""


class Inquiry(Protocol):
    """A kind whose provider can be asked what became of a message. A ChannelKind that has it implements both."""

    async def inquire(self, channel: Channel, send: Send, provider_id: str | None) -> Receipt | None:
        """What the provider says of the message; None: it does not know yet, or cannot be asked now. Without a
        `provider_id` (the crash swallowed it) it is looked for by `send.reference`, or by recipient and text; what is
        among `send.others` MUST NOT be taken for it."""


class Listening(Protocol):
    """A kind whose provider reports by a connection that we keep. A ChannelKind that has it implements both."""

    type: ChannelType

    async def listen(self, channel: Channel) -> None:
        """MUST see to it that receipts of what was sent before come now, and MUST NOT raise for what the outside does:
        the caller tries again."""


class ReceiptSink(Protocol):
    """Where a kind that keeps a connection of its own (SMPP) hands in the receipts that come by it."""

    async def __call__(self, channel_id: int, receipt: Receipt) -> None:
        """MUST NOT return before the receipt is stored: the provider is then told that it may forget it. Raises where
        it cannot be stored now, and the provider is asked to bring it again; `receipt.provider_id` as in Accepted."""


class IncomingSink(Protocol):
    """Where a kind that keeps a connection of its own (SMPP) hands in the messages of people that come by it."""

    async def __call__(self, channel_id: int, channel_type: ChannelType, incoming: Incoming) -> None:
        """MUST NOT return before what follows from it is stored. Raises where it cannot be stored now, and the provider
        is asked to bring it again."""


ChannelKinds = Mapping[ChannelType, ChannelKind]
"""All types of channels that this installation has."""

OperatorChannels = Mapping[ChannelType, Channel]
"""The channels that the environment configures, for accounts that have none of their own for such an address."""


class ChannelsOf(Protocol):
    """The channels that messages of one owner may go by, ready to send: secrets readable. For those who send."""

    async def usable(self, owner_id: int) -> Sequence[Channel]:
        """The owner's own channels that are enabled, oldest first; then the operator's, of each kind of address for
        which the owner has made no channel at all (one that is off counts: off is off). Raises Unavailable."""

    async def get(self, owner_id: int, channel_id: int) -> Channel:
        """One of the owner's, enabled or not. Raises NotFound, also for another owner's; Unavailable."""


class ChannelOwners(Protocol):
    """For what providers bring: they know of channels, and not of their owners."""

    async def owner(self, channel_id: int, channel_type: ChannelType) -> int | None:
        """Whose this channel of this type is, enabled or not. None: nobody has such a channel. Raises Unavailable."""


class ChannelStore(Protocol):
    """The channels as their owners configured them. Secrets MUST be encrypted wherever they rest. Every method raises
    Unavailable, and Unreadable where a secret cannot be decrypted."""

    async def add(self, owner_id: int, new: NewChannel) -> Channel:
        """Where it is the default, the owner's other channels are not, from the same moment on."""

    async def get(self, owner_id: int, channel_id: int) -> Channel | None:
        """MUST NOT tell another owner's channel from one that is not there."""

    async def default(self, owner_id: int) -> Channel | None: ...

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ChannelPage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""

    async def all(self, owner_id: int) -> Sequence[Channel]:
        """Oldest first."""

    async def count(self, owner_id: int) -> int: ...

    async def replace(self, old: Channel, new: Channel) -> Channel | None:
        """Writes `new` (name, configuration, enabled, is_default, rate_per_second, self_test_every) if the channel is
        still what was read as `old`; None if not, and then nothing is changed. Moves the default as `add` does.
        `updated_at` MUST grow."""

    async def delete(self, owner_id: int, channel_id: int) -> bool:
        """Whether it was there."""

    async def tested(self, channel_id: int, *, ok: bool, step: str | None, reason: str | None) -> None:
        """Keeps it as the last test, at the store's time. MUST NOT change `updated_at`: nobody changed the channel."""

    async def begin_self_tests(self, limit: int) -> Sequence[tuple[int, int]]:
        """Owner and id of enabled channels whose self-test is due, the longest waiting first. It MUST NOT be due to
        anybody else from then on, until its time comes again: a test that a crash ends is made up for at that time."""


class Vault(Protocol):
    """Authenticated encryption. The context (whose secret, of what) MUST be the same when it is opened."""

    def seal(self, plain: str, context: str) -> str:
        """With the newest key. Never twice the same."""

    def open(self, sealed: str, context: str) -> str:
        """Raises Unreadable."""

    def current(self, sealed: str) -> bool:
        """Whether it was sealed with the newest key."""


class Unreadable(GonetsError):
    """A secret cannot be decrypted: its key is gone, or somebody changed what was stored."""

    category = Category.MISCONFIGURED


Phone = Callable[[str, str], str]
"""A field's name and a number as a person typed it, to E.164. Raises Invalid, which names the field."""


class Mailbox(Protocol):
    """Where a user can be written to."""

    async def of(self, user_id: int) -> str | None:
        """The e-mail address of the account."""
