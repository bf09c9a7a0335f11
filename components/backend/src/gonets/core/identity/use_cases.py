"""Signing in, staying signed in, and being known by a token or a key."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from gonets.core.identity.model import (
    API_KEY_PREFIX,
    Access,
    Principal,
    Reused,
    SignedIn,
    User,
    digest,
    email_key,
    new_secret,
    password,
)
from gonets.core.identity.ports import (
    AccessTokens,
    ApiKeys,
    Audit,
    Now,
    Passwords,
    Resets,
    Sessions,
    Throttle,
    Users,
)
from gonets.core.identity.standings import Standings
from gonets.core.identity.throttle import ACCOUNT, ADDRESS
from gonets.core.shared import addresses
from gonets.core.shared.errors import Forbidden, Invalid, NotFound, Throttled, Unauthenticated

log = logging.getLogger(__name__)

_OVER = "the session is over: log in again"


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Who holds this access token or API key."""

    sessions: Sessions
    keys: ApiKeys
    tokens: AccessTokens
    standings: Standings
    now: Now

    async def __call__(self, credential: str) -> Principal:
        """Raises Unauthenticated where nobody does, not any more, or where they are disabled."""
        now = self.now()
        if credential.startswith(API_KEY_PREFIX):
            return await self._by_key(digest(credential), now)
        access = self.tokens.read(credential)
        if access is None:
            raise Unauthenticated("the token is none of ours")
        if access.expires_at <= now:
            raise Unauthenticated("the access token has expired: refresh it")
        return await self._by_session(access.session_id, now)

    async def _by_session(self, session_id: int, now: datetime) -> Principal:
        found = self.standings.get(session_id, now)
        if found is None:
            found = await self.sessions.principal(session_id, now)
            if found is None:
                raise Unauthenticated(_OVER)
            self.standings.put(session_id, found, now)
        return found

    async def _by_key(self, key: bytes, now: datetime) -> Principal:
        found = self.standings.get(key, now)
        if found is None:
            found = await self.keys.principal(key, now)
            if found is None:
                raise Unauthenticated("the API key is unknown or revoked")
            self.standings.put(key, found, now)
        return found


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """Who may make an account by themselves, and how long the tokens last."""

    sign_up_open: bool = True
    access_lifetime: timedelta = timedelta(minutes=15)
    refresh_lifetime: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SignIn:
    """From nothing, a password or a refresh token to a session, and out again."""

    users: Users
    sessions: Sessions
    passwords: Passwords
    tokens: AccessTokens
    throttle: Throttle
    audit: Audit
    standings: Standings
    policy: SessionPolicy
    now: Now

    async def sign_up(self, email: str, text: str, address: str) -> SignedIn:
        """The first account of all is admin. `address`: where the request comes from. Raises Forbidden where sign-up is
        closed, Conflict for a known e-mail address, Throttled after too many from one network address."""
        if not self.policy.sign_up_open:
            raise Forbidden("sign-up is closed: ask an administrator for an account")
        email, text = addresses.email("email", email), password("password", text)
        wait = await self.throttle.attempt({f"sign-up:{address}": ADDRESS}, self.now())
        if wait is not None:
            log.warning("sign-up throttled", extra={"address": address, "wait_s": wait.total_seconds()})
            raise Throttled("too many accounts from here: wait a while", wait.total_seconds())
        user = await self.users.add(email, await self.passwords.hash(text), None)
        signed_in = await self._begin(user)
        await self.audit.note(Principal(user.id, user.role), "signed up", "user", user.id, {"role": user.role.value})
        return signed_in

    async def log_in(self, email: str, text: str, address: str) -> SignedIn:
        """`address`: where the request comes from. Raises Unauthenticated for a wrong address or password alike,
        Throttled after too many tries, Forbidden where the user is disabled."""
        account_key, address_key = f"account:{digest(email_key(email.strip())).hex()}", f"address:{address}"
        wait = await self.throttle.attempt({account_key: ACCOUNT, address_key: ADDRESS}, self.now())
        if wait is not None:
            log.warning("login throttled", extra={"address": address, "wait_s": wait.total_seconds()})
            raise Throttled("too many wrong passwords: wait a while", wait.total_seconds())
        account = await self.users.account(email.strip())
        # One that could never be set is compared as well: each answer takes as long.
        if not await self.passwords.matches(account.password_hash if account else None, _composed(text)):
            log.warning("login refused", extra={"address": address, "user_id": account.user.id if account else None})
            raise Unauthenticated("the e-mail address or the password is wrong")
        assert account is not None  # noqa: S101 - nothing matches no hash
        await self.throttle.succeeded(account_key, [address_key], self.now())
        if account.user.disabled_at:
            raise Forbidden("this account is disabled: ask an administrator")
        if self.passwords.outdated(account.password_hash):
            await self.users.rehash(account.user.id, account.password_hash, await self.passwords.hash(_composed(text)))
        return await self._begin(account.user)

    async def refresh(self, token: str) -> SignedIn:
        """The old refresh token is used up. Raises Unauthenticated; a token used twice ends its session."""
        now, successor = self.now(), new_secret()
        found = await self.sessions.rotate(digest(token), digest(successor), now, now + self.policy.refresh_lifetime)
        if isinstance(found, Reused):
            self.standings.forget(found.user_id)
            log.warning("refresh token used twice", extra={"user_id": found.user_id, "session_id": found.session_id})
            raise Unauthenticated("the refresh token was used before, so its session is over: log in again")
        if found is None:
            raise Unauthenticated(_OVER)
        return SignedIn(found.user, self._access(found.user, found.session_id, now), successor)

    async def log_out(self, principal: Principal | None, token: str | None) -> None:
        """Ends the session of the principal, and the one that the refresh token belongs to. Raises Unauthenticated
        where there is neither."""
        now = self.now()
        if principal and principal.session_id is not None:
            await self.sessions.end(principal.session_id, now)
            self.standings.forget(principal.user_id)
        by_token = await self.sessions.end_by_token(digest(token), now) if token else None
        if by_token is not None:
            self.standings.forget(by_token)
        if by_token is None and (principal is None or principal.session_id is None):
            raise Unauthenticated(_OVER)

    async def _begin(self, user: User) -> SignedIn:
        now, refresh_token = self.now(), new_secret()
        session_id = await self.sessions.open(user.id, digest(refresh_token), now + self.policy.refresh_lifetime, now)
        return SignedIn(user, self._access(user, session_id, now), refresh_token)

    def _access(self, user: User, session_id: int, now: datetime) -> str:
        return self.tokens.issue(Access(user.id, session_id, now + self.policy.access_lifetime))


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """What a user may do with their own account."""

    users: Users
    resets: Resets
    passwords: Passwords
    throttle: Throttle
    audit: Audit
    standings: Standings
    now: Now

    async def profile(self, principal: Principal) -> User:
        user = await self.users.get(principal.user_id)
        if user is None:
            raise NotFound("the account is gone")
        return user

    async def change_password(self, principal: Principal, current: str, new: str) -> None:
        """All other sessions are over. Raises Invalid for a wrong current password, Throttled after too many."""
        new = password("newPassword", new)
        user = await self.profile(principal)
        key = f"password:{user.id}"
        wait = await self.throttle.attempt({key: ACCOUNT}, self.now())
        if wait is not None:
            raise Throttled("too many wrong passwords: wait a while", wait.total_seconds())
        account = await self.users.account(user.email)
        if not await self.passwords.matches(account.password_hash if account else None, _composed(current)):
            raise Invalid("currentPassword", "is wrong")
        await self.throttle.succeeded(key, [], self.now())
        hashed = await self.passwords.hash(new)
        await self.users.set_password(user.id, hashed, keep=principal.session_id, now=self.now())
        self.standings.forget(user.id)
        await self.audit.note(principal, "changed password", "user", user.id)

    async def reset_password(self, token: str, new: str) -> None:
        """All sessions are over. Raises Invalid where the token is unknown, spent or too old."""
        new = password("newPassword", new)
        reset = digest(token)
        # Looked at first, so that nobody keeps the processor busy with invented tokens.
        user = None
        if await self.resets.known(reset, self.now()):
            user = await self.resets.use(reset, await self.passwords.hash(new), self.now())
        if user is None:
            raise Invalid("token", "is unknown, used or too old: ask an administrator for another")
        await self.throttle.succeeded(f"account:{digest(email_key(user.email)).hex()}", [], self.now())
        self.standings.forget(user.id)
        await self.audit.note(Principal(user.id, user.role), "reset password", "user", user.id)


def _composed(text: str) -> str:
    """As `password` does it, without its rules: those of the day the password was chosen may have been others."""
    try:
        return password("password", text)
    except Invalid:
        return text[:1000]
