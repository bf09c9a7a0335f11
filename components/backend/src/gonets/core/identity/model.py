"""Who uses the service, and what each may do."""

import hashlib
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gonets.core.shared.errors import Invalid
from gonets.core.shared.json import JSON

SHORTEST_PASSWORD = 8  # characters: NIST SP 800-63B, 3.1.1.2
LONGEST_PASSWORD = 256
API_KEY_PREFIX = "gnz_"
"""By which a key is told from an access token, and found by those who look for leaked ones."""


class Role(StrEnum):
    """What a user may do beyond their own things."""

    ADMIN = "admin"
    MEMBER = "member"


class Scope(StrEnum):
    """What an API key may be used for; a session of a person may do all of it."""

    TASKS = "tasks"
    NOTIFICATIONS = "notifications"
    CHANNELS = "channels"
    CONTACTS = "contacts"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a person with a session (`api_key_id` is None), or a program with an API key.

    Everything that is made belongs to `user_id`.
    """

    user_id: int
    role: Role
    scopes: frozenset[Scope] = frozenset(Scope)
    api_key_id: int | None = None
    session_id: int | None = None

    @property
    def is_person(self) -> bool:
        return self.api_key_id is None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who may sign in. A disabled one may not, nor may their API keys be used."""

    id: int
    email: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A user, with what their password is checked against."""

    user: User
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserPage:
    """One page of a list, latest first; `next_cursor` is None on the last page."""

    users: Sequence[User] = ()
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What an access token says."""

    user_id: int
    session_id: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user with the tokens of a session that has just begun, or was refreshed."""

    user: User
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rotated:
    """A refresh token was used, as it should be, and another took its place."""

    user: User
    session_id: int


@dataclass(frozen=True, slots=True)
class Reused:
    """A refresh token was used a second time: one of two who hold it is a thief. Its session is over."""

    user_id: int
    session_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A program's key, without the key itself: nobody can read it again. `hint`: its last characters."""

    id: int
    name: str
    hint: str
    scopes: frozenset[Scope]
    created_at: datetime
    last_used_at: datetime | None = None
    """Within a minute or so."""
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKeyPage:
    """One page of a list, latest first; `next_cursor` is None on the last page."""

    keys: Sequence[ApiKey] = ()
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who changed what. `user_id` is None for an operator at the command line, `api_key_id` for a person."""

    id: int
    at: datetime
    user_id: int | None
    api_key_id: int | None
    action: str
    object: str
    object_id: int | None
    detail: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page of a list, latest first; `next_cursor` is None on the last page."""

    entries: Sequence[AuditEntry] = ()
    next_cursor: str | None = None


def email_key(email: str) -> str:
    """By which an address is found: small and capital letters alike, however they are composed."""
    return unicodedata.normalize("NFC", email).casefold()


def password(field_name: str, text: str) -> str:
    """The password as it is hashed, the same from every keyboard. Raises Invalid where it is too short or too long."""
    composed = unicodedata.normalize("NFKC", text)
    if not SHORTEST_PASSWORD <= len(composed) <= LONGEST_PASSWORD:
        raise Invalid(field_name, f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return composed


def new_secret(prefix: str = "") -> str:
    """256 random bits, as a word that goes into URLs and headers."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is stored of such a secret. It has too many bits to be guessed, so one quick hash is enough."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()
