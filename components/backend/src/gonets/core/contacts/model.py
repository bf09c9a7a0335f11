"""A person who can be written to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

LONGEST_NAME = 200
MOST_TAGS = 50
MOST_ATTRIBUTES = 100
LONGEST_ATTRIBUTE = 1000


class Field(StrEnum):
    """What an owner says about a contact, by its name on the wire."""

    NAME = "name"
    PHONE = "phone"
    EMAIL = "email"
    TELEGRAM_CHAT_ID = "telegramChatId"
    TAGS = "tags"
    TIMEZONE = "timezone"
    OPERATOR_CODE = "operatorCode"
    ATTRIBUTES = "attributes"
    CONSENT = "consent"
    CONSENT_AT = "consentAt"


Attribute = str | int | float | bool
"""What a template can be given."""

Value = str | bool | datetime | Sequence[str] | Mapping[str, Attribute] | None
"""Of a field, checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person with their addresses. `phone` is E.164; a chat id is a number as text, or @channelname.

    `timezone` is an IANA name; `operator_code` the three digits after +7 of a Russian number, or as it was given;
    `operator` and `quality_code` (qc) are what Dadata said of the phone. `attributes` are for templates. `consent` is
    None where nobody said.
    """

    id: int
    name: str
    phone: str | None = None
    email: str | None = None
    telegram_chat_id: str | None = None
    tags: tuple[str, ...] = ()
    timezone: str | None = None
    operator_code: str | None = None
    operator: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    consent: bool | None = None
    consent_at: datetime | None = None
    quality_code: int | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ContactPage:
    """One page of a list; `next_cursor` is None on the last page.

    A page may be short, and even empty, before the last one: where few of very many contacts are meant, it ends when it
    has looked at enough of them.
    """

    contacts: Sequence[Contact] = ()
    next_cursor: str | None = None
