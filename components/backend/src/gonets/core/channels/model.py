"""A configured way to reach people, and what may come of sending something by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gonets.core.shared.json import JSON


class ChannelType(StrEnum):
    """Which protocol and whose service."""

    TELEGRAM = "TELEGRAM"
    EMAIL = "EMAIL"
    SLACK = "SLACK"
    WEBHOOK = "WEBHOOK"
    PYTHON_BOT = "PYTHON_BOT"
    SMS_TWILIO = "SMS_TWILIO"
    SMS_SMSAERO = "SMS_SMSAERO"
    SMS_EMAIL_GATEWAY = "SMS_EMAIL_GATEWAY"
    SMS_SMPP = "SMS_SMPP"


class Address(StrEnum):
    """What a recipient has to have for a channel, by its name on the wire."""

    TELEGRAM_CHAT_ID = "telegramChatId"
    EMAIL = "email"
    PHONE = "phone"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person's addresses. `phone` is E.164 (+79161234567); a chat id is a number as text, or @channelname."""

    telegram_chat_id: str | None = None
    email: str | None = None
    phone: str | None = None

    def at(self, address: Address) -> str | None:
        match address:
            case Address.TELEGRAM_CHAT_ID:
                return self.telegram_chat_id
            case Address.EMAIL:
                return self.email
            case Address.PHONE:
                return self.phone


@dataclass(frozen=True, slots=True)
class Message:
    """What is said. `username` and `event` are passed on to webhooks and bots as they came; elsewhere they are unused.

    `event` may hold serviceName, serviceUrl, status, severity, timestamp and metadata; others are kept too.
    """

    text: str
    subject: str | None = None
    username: str | None = None
    event: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What came of the last test of a channel. `step` is where it failed."""

    at: datetime
    ok: bool
    step: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel as its owner configured it. `configuration` is checked, complete with defaults, its secrets readable:
    it must not be logged or shown. `rate_per_second`: messages, over all workers; None: as its type's setting says.
    `id` 0 and `owner_id` None: an operator channel, configured by the environment."""

    id: int
    owner_id: int | None
    name: str
    type: ChannelType
    configuration: Mapping[str, JSON] = field(repr=False)
    enabled: bool = True
    is_default: bool = False
    rate_per_second: float | None = None
    self_test_every: int | None = None
    """Seconds; None: it does not test itself."""
    last_test: Tested | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChannel:
    """A channel to be made: checked, complete with defaults."""

    name: str
    type: ChannelType
    configuration: Mapping[str, JSON] = field(repr=False)
    enabled: bool = True
    is_default: bool = False
    rate_per_second: float | None = None
    self_test_every: int | None = None


@dataclass(frozen=True, slots=True)
class ChannelPage:
    """One page of a list; `next_cursor` is None on the last."""

    channels: Sequence[Channel]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One try to deliver one message by one channel.

    `to`: the recipient's address of the kind that the channel wants, None where the channel's own destination is meant;
    `reference`: names this try in the provider's callbacks and in headers, unique for ever, no secret; `callback_url`:
    where the provider is to report what became of it, None where it cannot reach us; `started_at`: when the try began,
    which tells its message from an older one that says the same; `others`: the provider's ids of the message's other
    tries, which say the same, and are not this one.
    """

    message: Message
    to: str | None
    reference: str
    callback_url: str | None = None
    started_at: datetime | None = None
    others: frozenset[str] = frozenset()


class Refusal(StrEnum):
    """Why a provider certainly did not take a message."""

    TEMPORARY = "temporary"
    """It may take it later, by this channel."""
    PERMANENT = "permanent"
    """Never this message to this recipient by this channel."""
    CONFIGURATION = "configuration"
    """Nothing goes by this channel until its owner mends it: credentials, money, addresses."""


class Step(StrEnum):
    """How far a try came, in this order: the one that failed."""

    DESTINATION = "destination"
    """Whom it is for."""
    MESSAGE = "message"
    """Whether this text can go by this channel at all."""
    CONNECT = "connect"
    """Looking up the host's name, reaching it."""
    TLS = "tls"
    LOGIN = "login"
    """Credentials, the right to send as this sender."""
    SEND = "send"
    """The request itself, and what the provider answered to it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has taken responsibility. `provider_id` is its name for the message, where it has one; `parts` the
    messages or segments it is charged as."""

    provider_id: str | None = None
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider certainly did not take it. `code` is the provider's own, `reason` for a person, secrets out;
    `hint`: what to try; `retry_after`: seconds it asked us to wait; `step`: where it failed."""

    refusal: Refusal
    reason: str
    code: str | None = None
    hint: str | None = None
    retry_after: float | None = None
    step: Step = Step.SEND
    opted_out: bool = False
    """The person has unsubscribed: nothing must be sent to this address."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have been taken: bytes left, and no trustworthy answer came."""

    reason: str


SendOutcome = Accepted | Refused | Unknown


class Delivery(StrEnum):
    """What a provider reports of a message that it has taken."""

    SENT = "sent"
    """Under way; not the end."""
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    REJECTED = "rejected"
    """Taken first, then thrown away unsent."""
    ABSENT = "absent"
    """The provider, asked, says that it has no such message: it was never taken."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider's report. `provider_id` and `code` are its own words; `final`: nothing else will follow."""

    delivery: Delivery
    final: bool
    provider_id: str | None = None
    code: str | None = None
    reason: str | None = None
    refusal: Refusal | None = None
    """Where it failed: whether another try by this channel could help."""
    held: bool = False
    """Of SENT: the provider keeps it back for a while (moderation); a missing receipt counts from after that."""
    opted_out: bool = False
    """The person has unsubscribed: nothing must be sent to this address."""


@dataclass(frozen=True, slots=True)
class UnknownStatus:
    """A provider's report that says what became of a message in a word that we do not know."""

    status: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that a person sent to a channel's own number. `sender`: E.164, or what the provider gives in its
    place; `provider_id`: the provider's name for it, where it has one."""

    sender: str
    text: str
    provider_id: str | None = None
