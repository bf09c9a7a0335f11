"""Accounts in memory, passwords that are hashed in no time, and principals by their tokens."""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gonets.core.identity import throttle
from gonets.core.identity.model import (
    Account,
    ApiKey,
    ApiKeyPage,
    AuditEntry,
    AuditPage,
    Principal,
    Reused,
    Role,
    Rotated,
    Scope,
    User,
    UserPage,
    email_key,
)
from gonets.core.identity.throttle import Tally, ThrottlePolicy
from gonets.core.shared.audit import Actor
from gonets.core.shared.errors import Conflict, Invalid, Unauthenticated
from gonets.core.shared.json import JSON

_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass
class _Session:
    user_id: int
    expires_at: datetime
    ended_at: datetime | None = None


@dataclass
class _Token:
    session_id: int
    used: bool = False


@dataclass
class _Key:
    user_id: int
    digest: bytes
    shown: ApiKey


@dataclass
class FakeAccounts:
    """What the fakes of this module share, as the real ones share a database."""

    users: dict[int, User] = field(default_factory=dict)
    hashes: dict[int, str] = field(default_factory=dict)
    sessions: dict[int, _Session] = field(default_factory=dict)
    tokens: dict[bytes, _Token] = field(default_factory=dict)
    resets: dict[bytes, tuple[int, datetime]] = field(default_factory=dict)
    keys: dict[int, _Key] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    entries: list[AuditEntry] = field(default_factory=list)
    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    ids: Any = field(default_factory=lambda: itertools.count(1))

    def tick(self) -> datetime:
        self.time += timedelta(microseconds=1)
        return self.time

    def end(self, user_id: int, now: datetime, keep: int | None = None) -> None:
        for session_id, session in self.sessions.items():
            if session.user_id == user_id and session_id != keep:
                session.ended_at = session.ended_at or now
        self.resets = {token: reset for token, reset in self.resets.items() if reset[0] != user_id}


def _page(rows: Sequence[Any], cursor: str | None, limit: int) -> tuple[Sequence[Any], str | None]:
    """Latest first, by id."""
    if cursor and not cursor.isdecimal():
        raise Invalid("cursor", "must be a next_cursor of an earlier answer, unchanged")
    rest = [row for row in sorted(rows, key=lambda row: -row.id) if cursor is None or row.id < int(cursor)]
    return rest[:limit], str(rest[limit - 1].id) if len(rest) > limit else None


@dataclass
class FakeUsers:
    """Implements Users."""

    accounts: FakeAccounts

    async def add(self, email: str, password_hash: str, role: Role | None) -> User:
        if await self.account(email):
            raise Conflict("there is an account with this e-mail address already")
        role = role or (Role.MEMBER if self.accounts.users else Role.ADMIN)
        user = User(id=next(self.accounts.ids), email=email, role=role, created_at=self.accounts.tick())
        self.accounts.users[user.id] = user
        self.accounts.hashes[user.id] = password_hash
        return user

    async def get(self, user_id: int) -> User | None:
        return self.accounts.users.get(user_id)

    async def account(self, email: str) -> Account | None:
        for user in self.accounts.users.values():
            if email_key(user.email) == email_key(email):
                return Account(user, self.accounts.hashes[user.id])
        return None

    async def page(self, *, cursor: str | None, limit: int) -> UserPage:
        return UserPage(*_page([*self.accounts.users.values()], cursor, limit))

    async def change(self, user_id: int, *, role: Role | None, disabled: bool | None, now: datetime) -> User | None:
        if user_id not in self.accounts.users:
            return None
        user = self.accounts.users[user_id]
        if role:
            user = replace(user, role=role)
        if disabled is not None:
            user = replace(user, disabled_at=(user.disabled_at or now) if disabled else None)
        after = self.accounts.users | {user_id: user}
        if not any(one.role is Role.ADMIN and not one.disabled_at for one in after.values()):
            raise Conflict("somebody has to remain admin")
        self.accounts.users = after
        if disabled:
            self.accounts.end(user_id, now)
        return user

    async def set_password(self, user_id: int, password_hash: str, *, keep: int | None, now: datetime) -> None:
        self.accounts.hashes[user_id] = password_hash
        self.accounts.end(user_id, now, keep)

    async def rehash(self, user_id: int, old: str, new: str) -> None:
        if self.accounts.hashes[user_id] == old:
            self.accounts.hashes[user_id] = new


@dataclass
class FakeResets:
    """Implements Resets."""

    accounts: FakeAccounts

    async def add(self, user_id: int, token: bytes, expires_at: datetime) -> None:
        kept = {other: reset for other, reset in self.accounts.resets.items() if reset[0] != user_id}
        self.accounts.resets = kept | {token: (user_id, expires_at)}

    async def use(self, token: bytes, password_hash: str, now: datetime) -> User | None:
        if not await self.known(token, now):
            return None
        user = self.accounts.users[self.accounts.resets[token][0]]
        if user.disabled_at:
            return None
        self.accounts.hashes[user.id] = password_hash
        self.accounts.end(user.id, now)
        return user

    async def known(self, token: bytes, now: datetime) -> bool:
        return token in self.accounts.resets and self.accounts.resets[token][1] > now


@dataclass
class FakeSessions:
    """Implements Sessions."""

    accounts: FakeAccounts

    async def open(self, user_id: int, token: bytes, expires_at: datetime, now: datetime) -> int:
        session_id = next(self.accounts.ids)
        self.accounts.sessions[session_id] = _Session(user_id, expires_at)
        self.accounts.tokens[token] = _Token(session_id)
        return session_id

    async def rotate(
        self, token: bytes, successor: bytes, now: datetime, expires_at: datetime
    ) -> Rotated | Reused | None:
        found = self.accounts.tokens.get(token)
        if found is None:
            return None
        session = self.accounts.sessions[found.session_id]
        if found.used:
            session.ended_at = session.ended_at or now
            return Reused(session.user_id, found.session_id)
        if not self._valid(session, now):
            return None
        found.used = True
        self.accounts.tokens[successor] = _Token(found.session_id)
        session.expires_at = expires_at
        return Rotated(self.accounts.users[session.user_id], found.session_id)

    def _valid(self, session: _Session, now: datetime) -> bool:
        disabled = self.accounts.users[session.user_id].disabled_at
        return session.ended_at is None and session.expires_at > now and disabled is None

    async def end(self, session_id: int, now: datetime) -> None:
        session = self.accounts.sessions[session_id]
        session.ended_at = session.ended_at or now

    async def end_by_token(self, token: bytes, now: datetime) -> int | None:
        if token not in self.accounts.tokens:
            return None
        session_id = self.accounts.tokens[token].session_id
        await self.end(session_id, now)
        return self.accounts.sessions[session_id].user_id

    async def principal(self, session_id: int, now: datetime) -> Principal | None:
        session = self.accounts.sessions.get(session_id)
        if session is None or not self._valid(session, now):
            return None
        return Principal(session.user_id, self.accounts.users[session.user_id].role, session_id=session_id)


@dataclass
class FakeApiKeys:
    """Implements ApiKeys."""

    accounts: FakeAccounts

    async def add(self, user_id: int, name: str, key: bytes, hint: str, scopes: frozenset[Scope]) -> ApiKey:
        shown = ApiKey(id=next(self.accounts.ids), name=name, hint=hint, scopes=scopes, created_at=self.accounts.tick())
        self.accounts.keys[shown.id] = _Key(user_id, key, shown)
        return shown

    async def get(self, user_id: int, key_id: int) -> ApiKey | None:
        return next((key for key in self._own(user_id) if key.id == key_id), None)

    def _own(self, user_id: int) -> list[ApiKey]:
        return [key.shown for key in self.accounts.keys.values() if key.user_id == user_id]

    async def count(self, user_id: int) -> int:
        return sum(key.revoked_at is None for key in self._own(user_id))

    async def page(self, user_id: int, *, cursor: str | None, limit: int) -> ApiKeyPage:
        return ApiKeyPage(*_page(self._own(user_id), cursor, limit))

    async def revoke(self, user_id: int, key_id: int, now: datetime) -> bool:
        found = await self.get(user_id, key_id)
        if found is None:
            return False
        self.accounts.keys[key_id].shown = replace(found, revoked_at=found.revoked_at or now)
        return True

    async def principal(self, key: bytes, now: datetime) -> Principal | None:
        for found in self.accounts.keys.values():
            user = self.accounts.users[found.user_id]
            if found.digest == key and not found.shown.revoked_at and not user.disabled_at:
                last = found.shown.last_used_at
                if last is None or last < now - _USE_NOTED_EVERY:
                    found.shown = replace(found.shown, last_used_at=now)
                return Principal(user.id, user.role, found.shown.scopes, api_key_id=found.shown.id)
        return None


@dataclass
class FakeThrottle:
    """Implements Throttle."""

    accounts: FakeAccounts

    async def attempt(self, keys: Mapping[str, ThrottlePolicy], now: datetime) -> timedelta | None:
        decided: dict[str, Tally] = {}
        for key, policy in keys.items():
            tally = throttle.attempt(self.accounts.tallies.get(key), policy, now)
            if isinstance(tally, timedelta):
                return tally
            decided[key] = tally
        self.accounts.tallies |= decided
        return None

    async def succeeded(self, forget: str, others: Sequence[str], now: datetime) -> None:
        self.accounts.tallies.pop(forget, None)
        for key in others:
            self.accounts.tallies[key] = throttle.succeeded(self.accounts.tallies[key], now)


@dataclass
class FakeAuditLog:
    """Implements AuditLog."""

    accounts: FakeAccounts = field(default_factory=FakeAccounts)
    steps: int = 0
    """How often something was written."""

    @property
    def entries(self) -> list[AuditEntry]:
        return self.accounts.entries

    async def note(
        self,
        actor: Actor | None,
        action: str,
        object: str,  # noqa: A002 - as in the port
        object_id: int | None,
        detail: Mapping[str, JSON] = {},
    ) -> None:
        await self.note_each(actor, action, object, [object_id], detail)

    async def note_each(
        self,
        actor: Actor | None,
        action: str,
        object: str,  # noqa: A002 - as in the port
        object_ids: Sequence[int | None],
        detail: Mapping[str, JSON],
    ) -> None:
        self.steps += 1
        for object_id in object_ids:
            self.entries.append(
                AuditEntry(
                    id=len(self.entries) + 1,
                    at=self.accounts.tick(),
                    user_id=actor.user_id if actor else None,
                    api_key_id=actor.api_key_id if actor else None,
                    action=action,
                    object=object,
                    object_id=object_id,
                    detail=dict(detail),
                )
            )

    async def page(self, *, object: str | None, user_id: int | None, cursor: str | None, limit: int) -> AuditPage:  # noqa: A002
        chosen = [
            entry
            for entry in self.entries
            if object in (None, entry.object) and (user_id is None or entry.user_id == user_id)
        ]
        return AuditPage(*_page(chosen, cursor, limit))


class FakePasswords:
    """Implements Passwords. A hash is outdated where its prefix is not this one's."""

    def __init__(self, prefix: str = "hash:") -> None:
        self.prefix = prefix
        self.compared: list[str | None] = []
        """The hashes that were looked at: one for each try."""

    async def hash(self, password: str) -> str:
        return self.prefix + password

    async def matches(self, password_hash: str | None, password: str) -> bool:
        self.compared.append(password_hash)
        return password_hash is not None and password_hash.partition(":")[2] == password

    def outdated(self, password_hash: str) -> bool:
        return not password_hash.startswith(self.prefix)


class FakeAuthenticate:
    """For `Security`: who holds which credential."""

    def __init__(self, holders: Mapping[str, Principal]) -> None:
        self.holders: dict[Hashable, Principal] = dict(holders)

    async def __call__(self, credential: str) -> Principal:
        if credential not in self.holders:
            raise Unauthenticated("the token is none of ours")
        return self.holders[credential]
