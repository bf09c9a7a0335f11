"""Users and their sessions, keys and resets."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg

from gonets.adapters.postgres.jsonb import storable
from gonets.adapters.postgres.pages import latest_first
from gonets.adapters.postgres.pool import Pool
from gonets.core.identity.model import (
    Account,
    ApiKey,
    ApiKeyPage,
    Principal,
    Reused,
    Role,
    Rotated,
    Scope,
    User,
    UserPage,
    email_key,
)
from gonets.core.shared.errors import Conflict

# Whoever adds or removes an admin waits for the others who do. The key is arbitrary, but not the leader's (leader.py).
_ADMINS = "SELECT pg_advisory_xact_lock(7205759403792796)"

_KEEP_ENDED = timedelta(days=7)
_USE_NOTED_EVERY = timedelta(minutes=1)

_END_SESSIONS = "UPDATE session SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL AND id IS DISTINCT FROM $3"
_SPEND_RESETS = "DELETE FROM password_reset WHERE user_id = $1"


class PostgresUsers:
    """Implements Users."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, email: str, password_hash: str, role: Role | None) -> User:
        async with self._pool.transaction() as connection:
            await connection.execute(_ADMINS)
            try:
                row = await connection.fetchrow(
                    "INSERT INTO users (email, email_key, password_hash, role) VALUES ($1, $2, $3, coalesce("
                    " $4::user_role, CASE WHEN EXISTS (SELECT FROM users) THEN 'member' ELSE 'admin' END::user_role"
                    ")) RETURNING *",
                    email,
                    email_key(email),
                    password_hash,
                    role,
                )
            except asyncpg.UniqueViolationError as error:
                raise Conflict("there is an account with this e-mail address already") from error
        return _to_user(row)

    async def get(self, user_id: int) -> User | None:
        rows = await self._pool.fetch("SELECT * FROM users WHERE id = $1", user_id)
        return _to_user(rows[0]) if rows else None

    async def account(self, email: str) -> Account | None:
        rows = await self._pool.fetch("SELECT * FROM users WHERE email_key = $1", storable(email_key(email)))
        return Account(_to_user(rows[0]), rows[0]["password_hash"]) if rows else None

    async def page(self, *, cursor: str | None, limit: int) -> UserPage:
        rows, next_cursor = await latest_first(self._pool, "users", "created_at", "true", cursor, limit)
        return UserPage([_to_user(row) for row in rows], next_cursor)

    async def change(self, user_id: int, *, role: Role | None, disabled: bool | None, now: datetime) -> User | None:
        async with self._pool.transaction() as connection:
            await connection.execute(_ADMINS)
            row = await connection.fetchrow(
                "UPDATE users SET role = coalesce($2::user_role, role), updated_at = $4, disabled_at = CASE"
                " WHEN $3::boolean IS NULL THEN disabled_at WHEN $3 THEN coalesce(disabled_at, $4) END"
                " WHERE id = $1 RETURNING *",
                user_id,
                role,
                disabled,
                now,
            )
            if row is None:
                return None
            remains = "SELECT EXISTS (SELECT FROM users WHERE role = 'admin' AND disabled_at IS NULL)"
            if (role is Role.MEMBER or disabled) and not await connection.fetchval(remains):
                raise Conflict("somebody has to remain admin")
            if disabled:
                await connection.execute(_END_SESSIONS, user_id, now, None)
                await connection.execute(_SPEND_RESETS, user_id)
        return _to_user(row)

    async def set_password(self, user_id: int, password_hash: str, *, keep: int | None, now: datetime) -> None:
        async with self._pool.transaction() as connection:
            await _set_password(connection, user_id, password_hash, keep, now)

    async def rehash(self, user_id: int, old: str, new: str) -> None:
        await self._pool.fetch(
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2", user_id, old, new
        )


async def _set_password(connection: Any, user_id: int, password_hash: str, keep: int | None, now: datetime) -> Any:
    row = await connection.fetchrow(
        "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1 RETURNING *", user_id, password_hash, now
    )
    await connection.execute(_END_SESSIONS, user_id, now, keep)
    await connection.execute(_SPEND_RESETS, user_id)
    return row


class PostgresResets:
    """Implements Resets."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, user_id: int, token: bytes, expires_at: datetime) -> None:
        async with self._pool.transaction() as connection:
            # Two at one moment: the later one's token counts.
            await connection.execute("SELECT FROM users WHERE id = $1 FOR UPDATE", user_id)
            await connection.execute(_SPEND_RESETS, user_id)
            await connection.execute(
                "INSERT INTO password_reset (hash, user_id, expires_at) VALUES ($1, $2, $3)", token, user_id, expires_at
            )

    async def use(self, token: bytes, password_hash: str, now: datetime) -> User | None:
        async with self._pool.transaction() as connection:
            user_id = await connection.fetchval(
                "DELETE FROM password_reset r USING users u WHERE r.hash = $1 AND r.expires_at > $2"
                " AND u.id = r.user_id AND u.disabled_at IS NULL RETURNING r.user_id",
                token,
                now,
            )
            if user_id is None:
                return None
            return _to_user(await _set_password(connection, user_id, password_hash, None, now))

    async def known(self, token: bytes, now: datetime) -> bool:
        found = "SELECT FROM password_reset WHERE hash = $1 AND expires_at > $2"
        return bool(await self._pool.fetch(found, token, now))


class PostgresSessions:
    """Implements Sessions."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, user_id: int, token: bytes, expires_at: datetime, now: datetime) -> int:
        async with self._pool.transaction() as connection:
            await connection.execute(
                "DELETE FROM session WHERE user_id = $1 AND (expires_at < $2 OR ended_at < $2)",
                user_id,
                now - _KEEP_ENDED,
            )
            session_id: int = await connection.fetchval(
                "INSERT INTO session (user_id, created_at, expires_at) VALUES ($1, $2, $3) RETURNING id",
                user_id,
                now,
                expires_at,
            )
            await connection.execute("INSERT INTO refresh_token (hash, session_id) VALUES ($1, $2)", token, session_id)
        return session_id

    async def rotate(
        self, token: bytes, successor: bytes, now: datetime, expires_at: datetime
    ) -> Rotated | Reused | None:
        async with self._pool.transaction() as connection:
            # Both rows are locked, for both are read: a lock that was waited for shows only its own row as it is now.
            row = await connection.fetchrow(
                "SELECT u.*, t.session_id, t.used_at, s.ended_at, s.expires_at"
                " FROM refresh_token t JOIN session s ON s.id = t.session_id JOIN users u ON u.id = s.user_id"
                " WHERE t.hash = $1 FOR UPDATE OF t, s",
                token,
            )
            if row is None:
                return None
            session_id = row["session_id"]
            if row["used_at"]:
                await connection.execute(
                    "UPDATE session SET ended_at = coalesce(ended_at, $2) WHERE id = $1", session_id, now
                )
                return Reused(row["id"], session_id)
            if row["ended_at"] or row["expires_at"] <= now or row["disabled_at"]:
                return None
            await connection.execute("UPDATE refresh_token SET used_at = $2 WHERE hash = $1", token, now)
            await connection.execute(
                "INSERT INTO refresh_token (hash, session_id) VALUES ($1, $2)", successor, session_id
            )
            await connection.execute("UPDATE session SET expires_at = $2 WHERE id = $1", session_id, expires_at)
        return Rotated(_to_user(row), session_id)

    async def end(self, session_id: int, now: datetime) -> None:
        await self._pool.fetch("UPDATE session SET ended_at = coalesce(ended_at, $2) WHERE id = $1", session_id, now)

    async def end_by_token(self, token: bytes, now: datetime) -> int | None:
        rows = await self._pool.fetch(
            "UPDATE session s SET ended_at = coalesce(s.ended_at, $2) FROM refresh_token t"
            " WHERE t.hash = $1 AND s.id = t.session_id RETURNING s.user_id",
            token,
            now,
        )
        return rows[0]["user_id"] if rows else None

    async def principal(self, session_id: int, now: datetime) -> Principal | None:
        rows = await self._pool.fetch(
            "SELECT u.id, u.role FROM session s JOIN users u ON u.id = s.user_id"
            " WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND u.disabled_at IS NULL",
            session_id,
            now,
        )
        return Principal(rows[0]["id"], Role(rows[0]["role"]), session_id=session_id) if rows else None


class PostgresApiKeys:
    """Implements ApiKeys."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, user_id: int, name: str, key: bytes, hint: str, scopes: frozenset[Scope]) -> ApiKey:
        [row] = await self._pool.fetch(
            "INSERT INTO api_key (user_id, name, hash, hint, scopes) VALUES ($1, $2, $3, $4, $5) RETURNING *",
            user_id,
            name,
            key,
            hint,
            sorted(scopes),
        )
        return _to_key(row)

    async def get(self, user_id: int, key_id: int) -> ApiKey | None:
        rows = await self._pool.fetch("SELECT * FROM api_key WHERE id = $2 AND user_id = $1", user_id, key_id)
        return _to_key(rows[0]) if rows else None

    async def count(self, user_id: int) -> int:
        valid = "SELECT count(*) FROM api_key WHERE user_id = $1 AND revoked_at IS NULL"
        [[count]] = await self._pool.fetch(valid, user_id)
        return int(count)

    async def page(self, user_id: int, *, cursor: str | None, limit: int) -> ApiKeyPage:
        rows, next_cursor = await latest_first(
            self._pool, "api_key", "created_at", "user_id = $4", cursor, limit, user_id
        )
        return ApiKeyPage([_to_key(row) for row in rows], next_cursor)

    async def revoke(self, user_id: int, key_id: int, now: datetime) -> bool:
        revoked = "UPDATE api_key SET revoked_at = coalesce(revoked_at, $3) WHERE id = $2 AND user_id = $1 RETURNING id"
        return bool(await self._pool.fetch(revoked, user_id, key_id, now))

    async def principal(self, key: bytes, now: datetime) -> Principal | None:
        rows = await self._pool.fetch(
            "SELECT k.id, k.user_id, k.scopes, k.last_used_at, u.role"
            " FROM api_key k JOIN users u ON u.id = k.user_id"
            " WHERE k.hash = $1 AND k.revoked_at IS NULL AND u.disabled_at IS NULL",
            key,
        )
        if not rows:
            return None
        row = rows[0]
        if row["last_used_at"] is None or row["last_used_at"] < now - _USE_NOTED_EVERY:
            await self._pool.fetch("UPDATE api_key SET last_used_at = $2 WHERE id = $1", row["id"], now)
        # A scope that this version does not know gives no right.
        scopes = frozenset(Scope(scope) for scope in row["scopes"] if scope in set(Scope))
        return Principal(row["user_id"], Role(row["role"]), scopes, api_key_id=row["id"])


def _to_user(row: Any) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
    )


def _to_key(row: Any) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        hint=row["hint"],
        scopes=frozenset(Scope(scope) for scope in row["scopes"] if scope in set(Scope)),
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )
