"""Channels. Their secrets are one encrypted column, bound to the id of its row: moved to another, it does not open."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.jsonb import storable, to_jsonb
from gonets.adapters.postgres.pool import Pool
from gonets.core.channels.model import Channel, ChannelPage, ChannelType, NewChannel, Tested
from gonets.core.channels.ports import Unreadable, Vault
from gonets.core.shared.errors import Conflict, Unexplained
from gonets.core.shared.json import JSON

_TRIES = 20  # against others who move the same owner's default; each time one of them has moved it

_ADD = """
WITH others AS (
    UPDATE channel SET is_default = false, updated_at = greatest(clock_timestamp(), updated_at + interval '1 us')
    WHERE $7 AND owner_id = $2 AND is_default
    RETURNING id
)
INSERT INTO channel (id, owner_id, name, type, configuration, secrets, enabled, is_default, rate_per_second,
                     self_test_every, created_at, updated_at)
OVERRIDING SYSTEM VALUE
SELECT $1, $2, $3, $4, $5::jsonb, $8, $6, $7, $9, $10, made_at, made_at
FROM (SELECT count(*), clock_timestamp() AS made_at FROM others) AS moved_first
RETURNING *
"""

_REPLACE = """
WITH seen AS (
    SELECT id FROM channel WHERE id = $1 AND owner_id = $2 AND updated_at = $11 FOR UPDATE
), others AS (
    UPDATE channel c
    SET is_default = false, updated_at = greatest(clock_timestamp(), updated_at + interval '1 us')
    FROM seen
    WHERE $7 AND c.owner_id = $2 AND c.is_default AND c.id <> seen.id
    RETURNING c.id
)
UPDATE channel c
SET name = $3, type = $4, configuration = $5::jsonb, enabled = $6, is_default = $7, secrets = $8,
    rate_per_second = $9, self_test_every = $10, updated_at = greatest(clock_timestamp(), updated_at + interval '1 us')
FROM seen, (SELECT count(*) FROM others) AS moved_first
WHERE c.id = seen.id
RETURNING c.*
"""

_TESTED = """
UPDATE channel SET last_test = $2::jsonb || jsonb_build_object('at', clock_timestamp()) WHERE id = $1 RETURNING id
"""

_BEGIN_SELF_TESTS = """
WITH due AS (
    SELECT id FROM channel
    WHERE self_test_every > 0 AND enabled
        AND coalesce(self_tested_at + make_interval(secs => self_test_every) <= clock_timestamp(), true)
    ORDER BY self_tested_at NULLS FIRST, id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE channel c SET self_tested_at = clock_timestamp() FROM due WHERE c.id = due.id RETURNING c.owner_id, c.id
"""

_STALE = """
SELECT id, secrets FROM channel
WHERE id > $1 AND secrets IS NOT NULL
ORDER BY id
LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Resealed:
    """`count` secrets are under the newest key now; those of `unreadable` channels nobody can open."""

    count: int
    unreadable: Sequence[int]


class PostgresChannels:
    """Implements ChannelStore. `secrets`: which keys of a configuration are to be encrypted, by type."""

    def __init__(self, pool: Pool, vault: Vault, secrets: Mapping[ChannelType, Collection[str]]) -> None:
        self._pool = pool
        self._vault = vault
        self._secrets = secrets

    async def add(self, owner_id: int, new: NewChannel) -> Channel:
        [[number]] = await self._pool.fetch("SELECT nextval(pg_get_serial_sequence('channel', 'id'))")
        [row] = await self._written(_ADD, *self._to_row(number, owner_id, new))
        return self._from_row(row)

    async def get(self, owner_id: int, channel_id: int) -> Channel | None:
        return await self._one("id = $2", owner_id, channel_id)

    async def default(self, owner_id: int) -> Channel | None:
        return await self._one("is_default", owner_id)

    async def _one(self, condition: str, *values: int) -> Channel | None:
        rows = await self._pool.fetch(f"SELECT * FROM channel WHERE owner_id = $1 AND {condition}", *values)  # noqa: S608
        return self._from_row(rows[0]) if rows else None

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ChannelPage:
        place = from_cursor(cursor) if cursor else (None, None)
        # One more than asked for tells whether there is a next page.
        rows = await self._pool.fetch(
            "SELECT * FROM channel WHERE owner_id = $1"
            " AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::bigint))"
            " ORDER BY created_at DESC, id DESC LIMIT $4",
            owner_id,
            *place,
            limit + 1,
        )
        last = rows[limit - 1] if len(rows) > limit else None
        return ChannelPage(
            [self._from_row(row) for row in rows[:limit]], to_cursor(last["created_at"], last["id"]) if last else None
        )

    async def all(self, owner_id: int) -> Sequence[Channel]:
        rows = await self._pool.fetch("SELECT * FROM channel WHERE owner_id = $1 ORDER BY created_at, id", owner_id)
        return [self._from_row(row) for row in rows]

    async def count(self, owner_id: int) -> int:
        [[count]] = await self._pool.fetch("SELECT count(*) FROM channel WHERE owner_id = $1", owner_id)
        return int(count)

    async def replace(self, old: Channel, new: Channel) -> Channel | None:
        rows = await self._written(_REPLACE, *self._to_row(old.id, old.owner_id, new), old.updated_at)
        return self._from_row(rows[0]) if rows else None

    async def delete(self, owner_id: int, channel_id: int) -> bool:
        return bool(
            await self._pool.fetch(
                "DELETE FROM channel WHERE owner_id = $1 AND id = $2 RETURNING id", owner_id, channel_id
            )
        )

    async def tested(self, channel_id: int, *, ok: bool, step: str | None, reason: str | None) -> None:
        await self._pool.fetch(_TESTED, channel_id, to_jsonb({"ok": ok, "step": step, "reason": reason}))

    async def begin_self_tests(self, limit: int) -> Sequence[tuple[int, int]]:
        return [(row["owner_id"], row["id"]) for row in await self._pool.fetch(_BEGIN_SELF_TESTS, limit)]

    async def reseal(self, *, chunk: int = 100) -> Resealed:
        """Encrypts with the newest key what is under an older one. What is written meanwhile is under it already."""
        count, unreadable, last = 0, [], 0
        while rows := await self._pool.fetch(_STALE, last, chunk):
            for row in rows:
                if self._vault.current(row["secrets"]):
                    continue
                try:
                    plain = self._vault.open(row["secrets"], _context(row["id"]))
                except Unreadable:
                    unreadable.append(row["id"])
                    continue
                sealed = self._vault.seal(plain, _context(row["id"]))
                written = await self._pool.fetch(
                    "UPDATE channel SET secrets = $3 WHERE id = $1 AND secrets = $2 RETURNING id",
                    row["id"],
                    row["secrets"],
                    sealed,
                )
                count += len(written)
            last = rows[-1]["id"]
        return Resealed(count, unreadable)

    async def _written(self, statement: str, *values: object) -> Sequence[Any]:
        for _ in range(_TRIES):
            try:
                return await self._pool.fetch(statement, *values)
            except Unexplained as error:
                if not isinstance(error.__cause__, asyncpg.UniqueViolationError):
                    raise
                # Another default came between our look and our write.
        raise Conflict("others keep moving the default; try again")

    def _to_row(self, channel_id: int, owner_id: int | None, channel: NewChannel | Channel) -> tuple[object, ...]:
        names = self._secrets[channel.type]
        opened = {key: value for key, value in channel.configuration.items() if key not in names}
        secret = {key: value for key, value in channel.configuration.items() if key in names}
        sealed = self._vault.seal(json.dumps(secret), _context(channel_id)) if secret else None
        return (
            channel_id,
            owner_id,
            storable(channel.name),
            channel.type.value,
            to_jsonb(opened),
            channel.enabled,
            channel.is_default,
            sealed,
            channel.rate_per_second,
            channel.self_test_every,
        )

    def _from_row(self, row: Any) -> Channel:
        configuration: dict[str, JSON] = json.loads(row["configuration"])
        if row["secrets"] is not None:
            configuration |= json.loads(self._vault.open(row["secrets"], _context(row["id"])))
        return Channel(
            id=row["id"],
            owner_id=row["owner_id"],
            name=row["name"],
            type=ChannelType(row["type"]),
            configuration=configuration,
            enabled=row["enabled"],
            is_default=row["is_default"],
            rate_per_second=row["rate_per_second"],
            self_test_every=row["self_test_every"],
            last_test=_to_tested(row["last_test"]),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )


def _to_tested(text: str | None) -> Tested | None:
    if text is None:
        return None
    found = json.loads(text)
    return Tested(at=datetime.fromisoformat(found["at"]), ok=found["ok"], step=found["step"], reason=found["reason"])


class PostgresChannelOwners:
    """Implements ChannelOwners."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def owner(self, channel_id: int, channel_type: ChannelType) -> int | None:
        found = "SELECT owner_id FROM channel WHERE id = $1 AND type = $2"
        rows = await self._pool.fetch(found, channel_id, channel_type.value)
        return rows[0]["owner_id"] if rows else None


def _context(channel_id: int) -> str:
    return f"channel {channel_id}"
