"""What admins, and operators at the command line, may do with accounts; and what each user may do with API keys."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from gonets.core.identity.model import (
    API_KEY_PREFIX,
    ApiKey,
    ApiKeyPage,
    AuditPage,
    Principal,
    Role,
    Scope,
    User,
    UserPage,
    digest,
    new_secret,
    password,
)
from gonets.core.identity.ports import ApiKeys, Audit, AuditLog, Now, Passwords, Resets, Users
from gonets.core.identity.standings import Standings
from gonets.core.shared import addresses
from gonets.core.shared.errors import Conflict, NotFound
from gonets.core.shared.json import JSON

MOST_KEYS = 100
"""Of one user, revoked ones not counted."""
RESET_LIFETIME = timedelta(hours=24)
_HINT = 4  # characters


@dataclass(frozen=True, slots=True)
class ManageUsers:
    """Other people's accounts. `by` is the admin, None an operator at the command line."""

    users: Users
    resets: Resets
    passwords: Passwords
    audit: Audit
    standings: Standings
    now: Now

    async def create(self, by: Principal | None, email: str, text: str, role: Role) -> User:
        """Raises Invalid, and Conflict for an address that has an account."""
        email, text = addresses.email("email", email), password("password", text)
        user = await self.users.add(email, await self.passwords.hash(text), role)
        await self.audit.note(by, "created", "user", user.id, {"role": role.value})
        return user

    async def get(self, user_id: int) -> User:
        """Raises NotFound."""
        return _found(await self.users.get(user_id), user_id)

    async def page(self, *, cursor: str | None, limit: int) -> UserPage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""
        return await self.users.page(cursor=cursor, limit=limit)

    async def change(
        self, by: Principal | None, user_id: int, *, role: Role | None = None, disabled: bool | None = None
    ) -> User:
        """None leaves it as it is. Raises NotFound, and Conflict where no admin would remain."""
        user = _found(await self.users.change(user_id, role=role, disabled=disabled, now=self.now()), user_id)
        self.standings.forget(user_id)
        detail: dict[str, JSON] = {"role": role.value} if role else {}
        await self.audit.note(
            by, "changed", "user", user_id, detail | ({} if disabled is None else {"disabled": disabled})
        )
        return user

    async def issue_reset(self, by: Principal | None, user_id: int) -> tuple[str, datetime]:
        """A token by which the user sets a new password once, and until when. Raises NotFound; Conflict for a disabled
        user."""
        user = await self.get(user_id)
        if user.disabled_at:
            raise Conflict("the account is disabled: enable it first")
        token, expires_at = new_secret(), self.now() + RESET_LIFETIME
        await self.resets.add(user_id, digest(token), expires_at)
        await self.audit.note(by, "issued password reset", "user", user_id)
        return token, expires_at

    async def find(self, email: str) -> User:
        """Raises NotFound."""
        account = await self.users.account(email)
        if account is None:
            raise NotFound(f"nobody has the e-mail address {email}")
        return account.user


def _found(user: User | None, user_id: int) -> User:
    if user is None:
        raise NotFound(f"no user has the id {user_id}")
    return user


@dataclass(frozen=True, slots=True)
class ManageApiKeys:
    """A user's keys for programs."""

    keys: ApiKeys
    audit: Audit
    standings: Standings
    now: Now

    async def create(self, principal: Principal, name: str, scopes: Collection[Scope]) -> tuple[ApiKey, str]:
        """With the key itself, which is not kept. Raises Conflict where there are too many."""
        if await self.keys.count(principal.user_id) >= MOST_KEYS:
            raise Conflict(f"an account can have {MOST_KEYS} API keys; revoke one first")
        secret = new_secret(API_KEY_PREFIX)
        key = await self.keys.add(principal.user_id, name, digest(secret), secret[-_HINT:], frozenset(scopes))
        await self.audit.note(
            principal, "created", "api key", key.id, {"scopes": [scope.value for scope in sorted(scopes)]}
        )
        return key, secret

    async def get(self, principal: Principal, key_id: int) -> ApiKey:
        """Raises NotFound."""
        found = await self.keys.get(principal.user_id, key_id)
        if found is None:
            raise _no_key(key_id)
        return found

    async def page(self, principal: Principal, *, cursor: str | None, limit: int) -> ApiKeyPage:
        """Latest first, revoked ones too. Raises Invalid for a cursor that is none of ours."""
        return await self.keys.page(principal.user_id, cursor=cursor, limit=limit)

    async def revoke(self, principal: Principal, key_id: int) -> None:
        """It stops working at once. Raises NotFound."""
        if not await self.keys.revoke(principal.user_id, key_id, self.now()):
            raise _no_key(key_id)
        self.standings.forget(principal.user_id)
        await self.audit.note(principal, "revoked", "api key", key_id)


def _no_key(key_id: int) -> NotFound:
    return NotFound(f"no API key has the id {key_id}")


@dataclass(frozen=True, slots=True)
class ReadAudit:
    """Who changed what."""

    log: AuditLog

    async def page(self, *, object: str | None, user_id: int | None, cursor: str | None, limit: int) -> AuditPage:  # noqa: A002
        """Latest first. Raises Invalid for a cursor that is none of ours."""
        return await self.log.page(object=object, user_id=user_id, cursor=cursor, limit=limit)
