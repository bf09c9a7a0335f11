"""Who uses the service, put together: for the API and for the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gonets.adapters.credentials.access_tokens import JwtAccessTokens
from gonets.adapters.credentials.passwords import Argon2Passwords
from gonets.adapters.postgres.audit import PostgresAudit
from gonets.adapters.postgres.identity import (
    PostgresApiKeys,
    PostgresResets,
    PostgresSessions,
    PostgresUsers,
)
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.throttle import PostgresThrottle
from gonets.adapters.telemetry.logged import LoggedAudit
from gonets.core.identity.administration import ManageApiKeys, ManageUsers, ReadAudit
from gonets.core.identity.ports import Audit
from gonets.core.identity.standings import Standings
from gonets.core.identity.use_cases import Authenticate, OwnAccount, SessionPolicy, SignIn
from gonets.core.shared.audit import Actor
from gonets.core.shared.json import JSON
from gonets.settings import Identity as IdentitySettings


@dataclass(frozen=True)
class Identity:
    """The use cases, which share what they know of credentials."""

    authenticate: Authenticate
    sign_in: SignIn
    own: OwnAccount
    users: ManageUsers
    keys: ManageApiKeys
    audit: LoggedAudit
    read_audit: ReadAudit


class AuditOf:
    """The audit log, as a feature sees it that changes one kind of object."""

    def __init__(self, audit: Audit, kind: str) -> None:
        """`kind`: channel, contact, …"""
        self._audit = audit
        self._kind = kind

    async def note(self, actor: Actor | None, action: str, object_id: int, detail: Mapping[str, JSON]) -> None:
        await self._audit.note(actor, action, self._kind, object_id, detail)

    async def note_each(
        self, actor: Actor | None, action: str, object_ids: Sequence[int], detail: Mapping[str, JSON]
    ) -> None:
        await self._audit.note_each(actor, action, self._kind, object_ids, detail)


def identity(pool: Pool, settings: IdentitySettings) -> Identity:
    users, sessions, keys = PostgresUsers(pool), PostgresSessions(pool), PostgresApiKeys(pool)
    throttle, audit, resets = PostgresThrottle(pool), PostgresAudit(pool), PostgresResets(pool)
    passwords, standings = Argon2Passwords(), Standings()
    tokens = JwtAccessTokens(settings.signing_key.get_secret_value())
    policy = SessionPolicy(
        sign_up_open=settings.sign_up_open,
        access_lifetime=timedelta(seconds=settings.access_token_lifetime),
        refresh_lifetime=timedelta(seconds=settings.refresh_token_lifetime),
    )
    return Identity(
        authenticate=Authenticate(sessions, keys, tokens, standings, _now),
        sign_in=SignIn(users, sessions, passwords, tokens, throttle, audit, standings, policy, _now),
        own=OwnAccount(users, resets, passwords, throttle, audit, standings, _now),
        users=ManageUsers(users, resets, passwords, audit, standings, _now),
        keys=ManageApiKeys(keys, audit, standings, _now),
        audit=LoggedAudit(audit),
        read_audit=ReadAudit(audit),
    )


def _now() -> datetime:
    return datetime.now(UTC)
