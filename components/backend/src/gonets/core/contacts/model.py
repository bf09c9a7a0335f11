"""A person who can be written to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LONGEST_NAME = 200


class Field(StrEnum):
    """What an owner says about a contact, by its name on the wire."""

    NAME = "name"
    PHONE = "phone"
    EMAIL = "email"
    TELEGRAM_CHAT_ID = "telegramChatId"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person with their addresses. `phone` is E.164; a chat id is a number as text, or @channelname."""

    id: int
    name: str
    phone: str | None = None
    email: str | None = None
    telegram_chat_id: str | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ContactPage:
    """One page of a list, latest first; `next_cursor` is None on the last page."""

    contacts: Sequence[Contact] = ()
    next_cursor: str | None = None
