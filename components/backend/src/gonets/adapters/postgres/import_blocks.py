"""Contacts written by the block: rows, their report and the file's position in one transaction."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from itertools import compress
from operator import not_
from typing import Any, Self

import asyncpg

from gonets.adapters.postgres.copying import CONTACT, FAULTS, KEYS
from gonets.adapters.postgres.pool import database_errors
from gonets.core.contacts.columns import Target
from gonets.core.contacts.imports import Block, Counts, Import, Mode
from gonets.core.contacts.model import MOST_ATTRIBUTES, MOST_TAGS
from gonets.core.shared.errors import Unavailable

_STAGED = """
CREATE TEMP TABLE IF NOT EXISTS staged (
    id bigint NOT NULL DEFAULT nextval(pg_get_serial_sequence('contact', 'id')),
    row bigint, name text, phone text COLLATE "C", email text COLLATE "C", telegram_chat_id text, tags text[],
    timezone text, operator_code text, attributes jsonb, consent bool, consent_at timestamptz
) ON COMMIT DELETE ROWS
"""

_KEYS = """
CREATE TEMP TABLE IF NOT EXISTS keys (row bigint, phone text COLLATE "C", email text COLLATE "C")
ON COMMIT DELETE ROWS
"""

_FAULTY = """
CREATE TEMP TABLE IF NOT EXISTS faulty (row bigint, "column" text, value text, code text, reason text)
ON COMMIT DELETE ROWS
"""

# A look into an index for each row, whatever the planner knows of the tables.
_KNOWN = """
SELECT k.row
FROM keys k
LEFT JOIN LATERAL (SELECT true AS known FROM contact c WHERE c.owner_id = $1 AND c.phone = k.phone LIMIT 1) p ON true
LEFT JOIN LATERAL (
    SELECT true AS known FROM contact c WHERE c.owner_id = $1 AND lower(c.email) = lower(k.email) LIMIT 1
) e ON true
WHERE p.known OR e.known
"""

# Where nothing is to be written, the same statements work on a copy of the contacts that the file speaks of.
_TRIAL = """
DROP TABLE IF EXISTS trial;
CREATE TEMP TABLE trial (LIKE contact INCLUDING DEFAULTS);
CREATE UNIQUE INDEX ON trial (id);
CREATE UNIQUE INDEX ON trial (owner_id, phone) WHERE phone IS NOT NULL;
CREATE UNIQUE INDEX ON trial (owner_id, lower(email)) WHERE email IS NOT NULL
"""

_COPIED = """
INSERT INTO trial
SELECT c.* FROM staged s JOIN contact c ON c.owner_id = $1 AND c.phone = s.phone
UNION ALL
SELECT c.* FROM staged s JOIN contact c ON c.owner_id = $1 AND lower(c.email) = lower(s.email)
ON CONFLICT DO NOTHING
"""

_INSERT = """
WITH inserted AS (
    INSERT INTO {table} (id, owner_id, {columns})
    SELECT id, $1, {columns} FROM staged WHERE $2::bigint IS NULL OR row = $2
    ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT count(*) FROM inserted
"""

# What was inserted is done with.
_LEAVE = "DELETE FROM staged s USING {table} c WHERE c.id = s.id"

_WHOSE = """
SELECT s.row, s.phone, s.email, p.id AS by_phone, e.id AS by_email, coalesce(p.id, e.id) AS target
FROM staged s
LEFT JOIN LATERAL (SELECT id FROM {table} WHERE owner_id = $1 AND phone = s.phone LIMIT 1) p ON true
LEFT JOIN LATERAL (SELECT id FROM {table} WHERE owner_id = $1 AND lower(email) = lower(s.email) LIMIT 1) e ON true
"""

_REPORT = """
INSERT INTO faulty
SELECT row, CASE WHEN of_phone THEN $2 ELSE $3 END, left(CASE WHEN of_phone THEN phone ELSE email END, 100),
       CASE WHEN by_phone <> by_email THEN 'twoContacts' ELSE 'duplicate' END,
       CASE WHEN by_phone <> by_email
            THEN 'the phone is contact ' || by_phone || '''s and the e-mail address contact ' || by_email || '''s'
            ELSE 'contact ' || target || ' has it already' END
FROM (SELECT *, by_phone IS NOT NULL AND (by_email IS NULL OR by_phone = by_email) AS of_phone FROM found) f
"""

_SKIP = """
WITH found AS (SELECT * FROM ({whose}) w WHERE target IS NOT NULL), reported AS ({report})
SELECT count(*) FILTER (WHERE by_phone <> by_email) AS rejected, count(*) AS found FROM found
"""

_REJECT_TWO = """
WITH found AS (SELECT * FROM ({whose}) w WHERE by_phone <> by_email AND ($4::bigint IS NULL OR row = $4)),
     gone AS (DELETE FROM staged s USING found WHERE s.row = found.row),
     reported AS ({report})
SELECT count(*) FROM found
"""

# Of rows that speak of one contact, one phone or one address the first; the others see in another round what it left.
_UPDATE = """
WITH found AS MATERIALIZED (
    SELECT *, row = min(row) OVER (PARTITION BY target)
          AND (phone IS NULL OR row = min(row) OVER (PARTITION BY phone))
          AND (email IS NULL OR row = min(row) OVER (PARTITION BY lower(email))) AS first
    FROM (SELECT * FROM ({whose}) w WHERE $2::bigint IS NULL OR row = $2) w
), chosen AS MATERIALIZED (
    SELECT s.*, f.target FROM staged s JOIN found f USING (row) WHERE f.first AND f.target IS NOT NULL
), wanted AS MATERIALIZED (
    SELECT c.id, s.row, s.tags AS added, coalesce(nullif(s.name, ''), c.name) AS name,
           coalesce(s.phone, c.phone) AS phone,
           coalesce(s.email, c.email) AS email, coalesce(s.telegram_chat_id, c.telegram_chat_id) AS telegram_chat_id,
           c.tags || array(SELECT tag FROM unnest(s.tags) tag WHERE tag <> ALL (c.tags)) AS tags,
           CASE WHEN $3 THEN coalesce(s.timezone, c.timezone) ELSE coalesce(c.timezone, s.timezone) END AS timezone,
           coalesce(s.operator_code, c.operator_code) AS operator_code,
           c.attributes || s.attributes AS attributes, coalesce(s.consent, c.consent) AS consent,
           coalesce(s.phone, c.phone) IS DISTINCT FROM c.phone AS renumbered
    FROM chosen s JOIN {table} c ON c.id = s.target
), crowded AS MATERIALIZED (
    SELECT row, id, added, cardinality(tags) > $4::int AS by_tags FROM wanted
    WHERE cardinality(tags) > $4::int OR (SELECT count(*) FROM jsonb_object_keys(attributes)) > $6::int
), reported AS (
    INSERT INTO faulty
    SELECT row, CASE WHEN by_tags THEN $5 ELSE '' END,
           CASE WHEN by_tags THEN left(array_to_string(added, ', '), 100) ELSE '' END,
           CASE WHEN by_tags THEN 'tags' ELSE 'attribute' END,
           'contact ' || id || ' would have more than '
           || CASE WHEN by_tags THEN $4::int || ' tags' ELSE $6::int || ' attributes' END
    FROM crowded
), updated AS (
    UPDATE {table} c
    SET name = w.name, phone = w.phone, email = w.email, telegram_chat_id = w.telegram_chat_id, tags = w.tags,
        timezone = w.timezone, operator_code = w.operator_code, attributes = w.attributes, consent = w.consent,
        consent_at = CASE WHEN w.consent IS DISTINCT FROM c.consent THEN clock_timestamp() ELSE c.consent_at END,
        operator = CASE WHEN NOT w.renumbered THEN c.operator END,
        quality_code = CASE WHEN NOT w.renumbered THEN c.quality_code END,
        updated_at = clock_timestamp()
    FROM wanted w
    WHERE c.id = w.id AND NOT EXISTS (SELECT FROM crowded WHERE crowded.row = w.row)
      AND (c.name, c.phone, c.email, c.telegram_chat_id, c.tags, c.timezone, c.operator_code, c.attributes, c.consent)
          IS DISTINCT FROM
          (w.name, w.phone, w.email, w.telegram_chat_id, w.tags, w.timezone, w.operator_code, w.attributes, w.consent)
    RETURNING c.id
), gone AS (
    DELETE FROM staged s USING chosen WHERE s.row = chosen.row
)
SELECT (SELECT count(*) FROM chosen) AS chosen, (SELECT count(*) FROM updated) AS updated,
       (SELECT count(*) FROM crowded) AS rejected
"""

_FAULTS = """
INSERT INTO contact_import_reject (import_id, row, "column", value, code, reason)
SELECT $1, row, "column", value, code, reason FROM faulty
"""

_POSITION = """
UPDATE contact_import
SET position = $3, row = $4, progress = $5, rows = rows + $6, created = created + $7, updated = updated + $8,
    unchanged = unchanged + $9, skipped = skipped + $10, rejected = rejected + $11, deaths = 0
WHERE id = $1 AND life = $2 AND status = 'running'
RETURNING id
"""

_ROUNDS = 5
"""Of updates in one statement; rows that are still left go one by one."""


class Blocks:
    """Implements Writing, by tables of the session that are empty after each block."""

    def __init__(self, connection: Any, found: Import) -> None:
        self._connection = connection
        self._import = found
        self._table = "trial" if found.checking else "contact"
        headers = found.layout.headers
        called = {target: headers[place] for place, target in found.layout.columns.items()}
        self._called = called.get(Target.PHONE, ""), called.get(Target.EMAIL, "")
        self._tags_called = called.get(Target.TAGS, "")
        self._says_zones = Target.TIMEZONE in called
        self._strangers = True
        """Nobody of the last block was known: a look for each row would be in vain as long as that goes on."""

    @classmethod
    async def prepared(cls, connection: Any, found: Import) -> Self:
        """With its tables in this session, made where they are not there yet."""
        async with database_errors():
            for table in (_STAGED, _KEYS, _FAULTY):
                await connection.execute(table)
            if found.checking:
                await connection.execute(_TRIAL)
        return cls(connection, found)

    def _on(self, statement: str) -> str:
        """The statement, on the contacts or on their copies."""
        whose = _WHOSE.format(table=self._table)
        return statement.format(table=self._table, whose=whose, report=_REPORT, columns=", ".join(CONTACT))

    async def write(self, block: Block) -> Counts | None:
        async with database_errors():
            transaction = self._connection.transaction()
            await transaction.start()
            counts = await self._write(block)
            if sum(counts.values()) != 2 * block.rows:
                raise Unavailable("contacts that rows of the file speak of were deleted at this moment")
            place = self._import.id, self._import.life, block.position, block.row, block.progress
            kept = await self._connection.fetch(_POSITION, *place, *counts.values())
            if not kept:
                await transaction.rollback()
                return None
            await transaction.commit()
        return Counts(**counts)

    async def _write(self, block: Block) -> Mapping[str, int]:
        connection = self._connection
        counts = asdict(Counts(rows=block.rows, rejected=block.rows - block.accepted))
        if block.faults:
            await connection.copy_to_table("faulty", source=_Source(block.faults), columns=FAULTS)
        if others := await self._copy_fresh(block, counts):
            await connection.copy_to_table("staged", source=_Source(others), columns=("row", *CONTACT))
            if self._import.checking:
                await connection.fetch(_COPIED, self._import.owner_id)
            if self._import.mode is Mode.UPDATE:
                await self._update(counts)
            else:
                await self._skip(counts)
        if counts["rejected"] or counts["skipped"]:
            async with self._kept_plans():
                await connection.fetch(_FAULTS, self._import.id)
        return counts

    @asynccontextmanager
    async def _kept_plans(self) -> AsyncIterator[None]:
        """Each row asks for the row that it belongs to: planned anew each time, that takes as long as all the rest."""
        await self._connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        yield
        await self._connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")

    async def _copy_fresh(self, block: Block, counts: dict[str, int]) -> bytes:
        """Those that nobody knows go straight into the table, several times as fast as one by one. Returns the others'
        lines."""
        if self._import.checking:
            return b"".join([*_numbered(_lines(block.fresh), _lines(block.keys)), block.repeated])
        if not block.fresh:
            return block.repeated
        fresh, count, others = block.fresh, block.keys.count(b"\n"), b""
        if self._strangers and await self._copied_unseen(fresh):
            counts["created"] += count
            return block.repeated
        await self._connection.copy_to_table("keys", source=_Source(block.keys), columns=KEYS)
        known = {row["row"] for row in await self._connection.fetch(_KNOWN, self._import.owner_id)}
        self._strangers = not known
        if known:
            lines, keys = _lines(block.fresh), _lines(block.keys)
            old = [int(key.partition(b"\t")[0]) in known for key in keys]
            others = b"".join(_numbered(list(compress(lines, old)), list(compress(keys, old))))
            fresh, count = b"".join(compress(lines, map(not_, old))), count - len(known)
        if count:
            await self._copy(fresh)
            counts["created"] += count
        return others + block.repeated

    async def _copied_unseen(self, lines: bytes) -> bool:
        """False: somebody of them is known, and nothing was copied."""
        try:
            async with self._connection.transaction():  # within the block's: a savepoint
                await self._copy(lines)
        except asyncpg.UniqueViolationError:
            return False
        return True

    async def _copy(self, lines: bytes) -> None:
        # A line feed ends a line and nothing else: those of values are written otherwise.
        start = f"{self._import.owner_id}\t".encode()
        source = _Source(start + lines[:-1].replace(b"\n", b"\n" + start) + b"\n")
        async with self._kept_plans():
            await self._connection.copy_to_table("contact", source=source, columns=("owner_id", *CONTACT))

    async def _insert(self, counts: dict[str, int], row: int | None = None) -> None:
        counts["created"] += await self._connection.fetchval(self._on(_INSERT), self._import.owner_id, row)
        await self._connection.fetch(self._on(_LEAVE))

    async def _skip(self, counts: dict[str, int]) -> None:
        await self._insert(counts)
        row = await self._connection.fetchrow(self._on(_SKIP), self._import.owner_id, *self._called)
        # Where one duplicate stops everything, these are duplicates, too.
        rejected = row["rejected"] if self._import.mode is Mode.SKIP else 0
        counts["rejected"] += rejected
        counts["skipped"] += row["found"] - rejected

    async def _update(self, counts: dict[str, int]) -> None:
        for _ in range(_ROUNDS):
            if not await self._update_some(counts, None):
                return
        for row in await self._connection.fetch("SELECT row FROM staged ORDER BY row"):
            await self._update_some(counts, row["row"])

    async def _update_some(self, counts: dict[str, int], row: int | None) -> bool:
        """The row, or in one statement as many as can be. False: none are left."""
        owner, before = self._import.owner_id, sum(counts.values())
        await self._insert(counts, row)
        counts["rejected"] += await self._connection.fetchval(self._on(_REJECT_TWO), owner, *self._called, row)
        how = self._says_zones, MOST_TAGS, self._tags_called, MOST_ATTRIBUTES
        done = await self._connection.fetchrow(self._on(_UPDATE), owner, row, *how)
        counts["updated"] += done["updated"]
        counts["rejected"] += done["rejected"]
        counts["unchanged"] += done["chosen"] - done["updated"] - done["rejected"]
        return sum(counts.values()) > before


def _lines(block: bytes) -> Sequence[bytes]:
    return [line + b"\n" for line in block.split(b"\n")[:-1]]


def _numbered(lines: Sequence[bytes], keys: Sequence[bytes]) -> Iterator[bytes]:
    """Each line behind its row's number."""
    return (key.partition(b"\t")[0] + b"\t" + line for line, key in zip(lines, keys, strict=True))


class _Source:
    """Bytes, as asyncpg wants what it copies, and let go when they are read: asyncpg leaves the source itself to the
    collector, which comes late."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)

    def read(self, size: int) -> bytes:
        portion, rest = self._content[:size], self._content[size:]
        self._content = rest if rest else memoryview(b"")  # an empty part of it would hold it all
        return bytes(portion)
