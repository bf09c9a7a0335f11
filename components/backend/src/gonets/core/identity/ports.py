"""What the identity feature needs from the outside. All but Passwords and AccessTokens raise Unavailable."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from gonets.core.identity.model import (
    Access,
    Account,
    ApiKey,
    ApiKeyPage,
    AuditPage,
    Principal,
    Reused,
    Role,
    Rotated,
    Scope,
    User,
    UserPage,
)
from gonets.core.identity.throttle import ThrottlePolicy
from gonets.core.shared.audit import Actor
from gonets.core.shared.json import JSON

Now = Callable[[], datetime]
"""The time, in UTC."""


class Users(Protocol):
    """The people."""

    async def add(self, email: str, password_hash: str, role: Role | None) -> User:
        """Without a role, the very first user MUST become admin and all others member, also where several are added at
        one moment. Raises Conflict where the address is taken, in small letters or capitals."""

    async def get(self, user_id: int) -> User | None: ...

    async def account(self, email: str) -> Account | None:
        """Found in small letters or capitals."""

    async def page(self, *, cursor: str | None, limit: int) -> UserPage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""

    async def change(self, user_id: int, *, role: Role | None, disabled: bool | None, now: datetime) -> User | None:
        """None as a value leaves it as it is; None as an answer: there is no such user. Disabling MUST end all sessions
        and spend all resets. Raises Conflict, and changes nothing, where nobody who is admin and not disabled would
        remain, also where two are changed at one moment."""

    async def set_password(self, user_id: int, password_hash: str, *, keep: int | None, now: datetime) -> None:
        """MUST end all sessions but `keep`, and spend all resets."""

    async def rehash(self, user_id: int, old: str, new: str) -> None:
        """The same password, hashed anew; nothing where it was changed meanwhile."""


class Resets(Protocol):
    """Tokens by which a password can be set once."""

    async def add(self, user_id: int, token: bytes, expires_at: datetime) -> None:
        """MUST take the place of an earlier one."""

    async def use(self, token: bytes, password_hash: str, now: datetime) -> User | None:
        """Sets the password, ends all sessions and spends the token, in one step. None where the token is unknown,
        spent or too old, or its user is disabled."""

    async def known(self, token: bytes, now: datetime) -> bool:
        """Whether `use` would do something."""


class Sessions(Protocol):
    """Who is signed in. Tokens are given by their digests."""

    async def open(self, user_id: int, token: bytes, expires_at: datetime, now: datetime) -> int:
        """Returns the session's id. Sessions of the user that are over for long may be forgotten."""

    async def rotate(
        self, token: bytes, successor: bytes, now: datetime, expires_at: datetime
    ) -> Rotated | Reused | None:
        """MUST accept each token once, however many ask at one moment; the second use MUST end the session. None where
        the token is unknown, or its session is over or its user disabled."""

    async def end(self, session_id: int, now: datetime) -> None: ...

    async def end_by_token(self, token: bytes, now: datetime) -> int | None:
        """Ends the session that this refresh token belongs to. Returns its user's id; None where it is unknown."""

    async def principal(self, session_id: int, now: datetime) -> Principal | None:
        """With the role that the user has now. None where the session is over or the user disabled."""


class ApiKeys(Protocol):
    """The keys of programs, given by their digests."""

    async def add(self, user_id: int, name: str, key: bytes, hint: str, scopes: frozenset[Scope]) -> ApiKey: ...

    async def get(self, user_id: int, key_id: int) -> ApiKey | None: ...

    async def count(self, user_id: int) -> int:
        """The user's that are not revoked."""

    async def page(self, user_id: int, *, cursor: str | None, limit: int) -> ApiKeyPage:
        """The user's, latest first, revoked ones too. Raises Invalid for a cursor that is none of ours."""

    async def revoke(self, user_id: int, key_id: int, now: datetime) -> bool:
        """False where the user has no such key. A key that is revoked already stays as it is."""

    async def principal(self, key: bytes, now: datetime) -> Principal | None:
        """None where the key is unknown or revoked, or its user disabled. MUST note the use, but may do so only once
        a minute."""


class Throttle(Protocol):
    """The tallies of tries, the same for all processes."""

    async def attempt(self, keys: Mapping[str, ThrottlePolicy], now: datetime) -> timedelta | None:
        """Counts a try for each key, or, where one of the doors is closed, for none: then how long. MUST count each of
        several tries at one moment."""

    async def succeeded(self, forget: str, others: Sequence[str], now: datetime) -> None:
        """The try was no failure: the first key's tally is forgotten, and the others' give it back."""


class Audit(Protocol):
    """Who changed what, for admins to read."""

    async def note(
        self,
        actor: Actor | None,
        action: str,
        object: str,  # noqa: A002 - the word for it
        object_id: int | None,
        detail: Mapping[str, JSON] = {},
    ) -> None:
        """To be called when it is done, before it is answered. `actor` is None for an operator at the command line.
        `detail` MUST hold no secret."""

    async def note_each(
        self,
        actor: Actor | None,
        action: str,
        object: str,  # noqa: A002 - the word for it
        object_ids: Sequence[int | None],
        detail: Mapping[str, JSON],
    ) -> None:
        """As `note` for each of them, in this order; MUST cost one step, however many they are."""


class AuditLog(Audit, Protocol):
    """The same, with those who read it."""

    async def page(self, *, object: str | None, user_id: int | None, cursor: str | None, limit: int) -> AuditPage:  # noqa: A002
        """Latest first. MUST take no longer where few entries are asked for: a page may be short, even empty, before
        the last one. Raises Invalid for a cursor that is none of ours."""


class Passwords(Protocol):
    """Hashing that is slow on purpose, and MUST NOT hold up anything else meanwhile."""

    async def hash(self, password: str) -> str: ...

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """MUST take as long where there is no hash to compare with, so that nobody learns who has an account."""

    def outdated(self, password_hash: str) -> bool:
        """Whether it was made less slow than is wanted now."""


class AccessTokens(Protocol):
    """Signed words that say who signed in."""

    def issue(self, access: Access) -> str: ...

    def read(self, token: str) -> Access | None:
        """None where it is not signed by us. MUST NOT look at the time."""
