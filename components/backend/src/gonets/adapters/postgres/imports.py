"""The table of imports: the doors' side, the scheduler's and the worker's."""

import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.import_blocks import Blocks
from gonets.adapters.postgres.jsonb import to_jsonb
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.core.contacts.imports import (
    MOST_DEATHS,
    Counts,
    Format,
    Import,
    ImportPage,
    ImportStatus,
    Layout,
    Mode,
    NewImport,
    Reject,
    Writing,
)

WAKE_AGAIN = timedelta(seconds=30)

_ADD = """
INSERT INTO contact_import (owner_id, file_name, file_key, size, options, status, checking, wake_at)
VALUES ($1, $2, $3, $4, $5, 'queued', $6, clock_timestamp() + $7::interval)
RETURNING *
"""

_PAGE = """
SELECT * FROM contact_import WHERE owner_id = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""

_CANCEL = """
UPDATE contact_import SET status = 'cancelled', finished_at = clock_timestamp(), wake_at = NULL, life = NULL
WHERE owner_id = $1 AND id = $2 AND status IN ('queued', 'running')
"""

# A pass that only checks begins anew: what it knew of the rows before died with its session.
_CLAIM = """
UPDATE contact_import
SET status = 'running', life = $2, wake_at = NULL, wakes = 0, started_at = coalesce(started_at, clock_timestamp())
WHERE id = $1 AND (life IS NULL OR life = $2 AND NOT $3) AND status IN ('queued', 'running')
RETURNING *
"""

_AGAIN = """
WITH gone AS (DELETE FROM contact_import_reject WHERE import_id = $1)
UPDATE contact_import
SET position = 0, row = 0, progress = 0, rows = 0, created = 0, updated = 0, unchanged = 0, skipped = 0, rejected = 0,
    checking = checking AND $3
WHERE id = $1 AND life = $2 AND status = 'running'
RETURNING *
"""

_END = """
UPDATE contact_import
SET status = $3, reason = $4, finished_at = clock_timestamp(), life = NULL, wake_at = NULL
WHERE id = $1 AND life = $2 AND status = 'running'
"""

_RELEASE = (
    "UPDATE contact_import SET life = NULL, wake_at = clock_timestamp() + $3::interval WHERE id = $1 AND life = $2"
)

_ORPHANS = """
UPDATE contact_import i
SET life = NULL, deaths = deaths + 1,
    wake_at = CASE WHEN deaths + 1 < $1 AND status = 'running' THEN clock_timestamp() END,
    status = CASE WHEN deaths + 1 >= $1 AND status = 'running' THEN 'failed' ELSE status END,
    reason = CASE WHEN deaths + 1 >= $1 AND status = 'running' THEN
        'the workers that read this part of the file ended, one after another' ELSE reason END,
    finished_at = CASE WHEN deaths + 1 >= $1 THEN coalesce(finished_at, clock_timestamp()) ELSE finished_at END
WHERE life IS NOT NULL AND NOT EXISTS (SELECT FROM worker_life w WHERE w.id = i.life)
RETURNING id
"""

_DUE = "SELECT id, wake_at FROM contact_import WHERE wake_at <= statement_timestamp() ORDER BY wake_at LIMIT $1"

_WOKEN = """
UPDATE contact_import i
SET wake_at = clock_timestamp() + $3::interval * 2 ^ least(wakes, 4), wakes = least(wakes + 1, 100)
FROM unnest($1::bigint[], $2::timestamptz[]) AS w (id, wake_at)
WHERE i.id = w.id AND i.wake_at = w.wake_at
"""

_LEFTOVER = """
SELECT id, file_key FROM contact_import
WHERE finished_at < clock_timestamp() - interval '1 minute' AND NOT file_gone AND life IS NULL
ORDER BY id LIMIT $1
"""

_FILE_GONE = "UPDATE contact_import SET file_gone = true WHERE id = $1"


class PostgresImports:
    """Implements ImportStore and ImportWakes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, new: NewImport) -> Import:
        options: Any = {"mode": new.mode.value, "dry_run": new.dry_run, "layout": asdict(new.layout)}
        checking = new.dry_run or new.mode is Mode.FAIL
        values = new.owner_id, new.file_name, new.file_key, new.size, to_jsonb(options), checking, WAKE_AGAIN
        [row] = await self._pool.fetch(_ADD, *values)
        return _from_row(row)

    async def get(self, owner_id: int, import_id: int) -> Import | None:
        found = "SELECT * FROM contact_import WHERE owner_id = $1 AND id = $2"
        rows = await self._pool.fetch(found, owner_id, import_id)
        return _from_row(rows[0]) if rows else None

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ImportPage:
        place = from_cursor(cursor)[1] if cursor else None
        # One more than asked for tells whether there is a next page.
        rows = await self._pool.fetch(_PAGE, owner_id, place, limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        return ImportPage(
            [_from_row(row) for row in rows[:limit]], to_cursor(last["created_at"], last["id"]) if last else None
        )

    async def cancel(self, owner_id: int, import_id: int) -> Import | None:
        await self._pool.fetch(_CANCEL, owner_id, import_id)
        return await self.get(owner_id, import_id)

    async def rejects(self, import_id: int, after: int, limit: int) -> Sequence[Reject]:
        found = "SELECT * FROM contact_import_reject WHERE import_id = $1 AND row > $2 ORDER BY row LIMIT $3"
        rows = await self._pool.fetch(found, import_id, after, limit)
        return [Reject(row["row"], row["column"], row["value"], row["code"], row["reason"]) for row in rows]

    async def orphans(self) -> int:
        return len(await self._pool.fetch(_ORPHANS, MOST_DEATHS))

    async def due(self, limit: int) -> Sequence[tuple[int, datetime]]:
        return [(row["id"], row["wake_at"]) for row in await self._pool.fetch(_DUE, limit)]

    async def woken(self, due: Sequence[tuple[int, datetime]]) -> None:
        ids, times = zip(*due, strict=True)
        await self._pool.fetch(_WOKEN, list(ids), list(times), WAKE_AGAIN)

    async def leftover(self, limit: int) -> Sequence[tuple[int, str]]:
        return [(row["id"], row["file_key"]) for row in await self._pool.fetch(_LEFTOVER, limit)]

    async def file_gone(self, import_id: int) -> None:
        await self._pool.fetch(_FILE_GONE, import_id)

    async def named(self, keys: Sequence[str]) -> Collection[str]:
        found = "SELECT file_key FROM contact_import WHERE file_key = ANY ($1::text[]) AND NOT file_gone"
        return {row["file_key"] for row in await self._pool.fetch(found, list(keys))}

    async def forget(self, age: timedelta) -> None:
        await self._pool.fetch(
            "DELETE FROM contact_import WHERE file_gone AND finished_at < clock_timestamp() - $1::interval", age
        )


class PostgresImportWork:
    """A worker's side. Implements ImportWork."""

    def __init__(self, pool: Pool, lifeline: PostgresLifeline) -> None:
        """`pool`: for statements that take as long as a block does."""
        self._pool = pool
        self._lifeline = lifeline
        self._claimed: set[int] = set()

    async def claim(self, import_id: int) -> Import | None:
        # After a commit whose outcome was not seen the row may be ours, and in nobody's hands.
        rows = await self._pool.fetch(_CLAIM, import_id, self._lifeline.life, import_id in self._claimed)
        if rows and rows[0]["checking"]:
            rows = await self._pool.fetch(_AGAIN, import_id, rows[0]["life"], True)
        if rows:
            self._claimed.add(import_id)
        return _from_row(rows[0]) if rows else None

    @asynccontextmanager
    async def writing(self, found: Import) -> AsyncIterator[Writing]:
        async with self._pool.session() as connection:
            yield await Blocks.prepared(connection, found)

    async def checked(self, found: Import) -> Import | None:
        rows = await self._pool.fetch("SELECT * FROM contact_import WHERE id = $1", found.id)
        if not rows or rows[0]["life"] != found.life or rows[0]["status"] != ImportStatus.RUNNING:
            return None
        seen = _from_row(rows[0])
        if duplicates := seen.counts.skipped:
            reason = f"{duplicates} rows are duplicates: nothing was imported"
            await self.end(found, ImportStatus.FAILED, reason)
            rows = await self._pool.fetch("SELECT * FROM contact_import WHERE id = $1", found.id)
        else:
            rows = await self._pool.fetch(_AGAIN, found.id, found.life, False)
        return _from_row(rows[0]) if rows else None

    async def end(self, found: Import, status: ImportStatus, reason: str | None = None) -> None:
        await self._pool.fetch(_END, found.id, found.life, status.value, reason)

    async def release(self, found: Import) -> None:
        await self._pool.fetch(_RELEASE, found.id, found.life, timedelta(seconds=1))

    async def file_gone(self, import_id: int) -> None:
        await self._pool.fetch(_FILE_GONE, import_id)


def _from_row(row: Any) -> Import:
    options = json.loads(row["options"])
    layout = options["layout"]
    columns = {int(place): target for place, target in layout["columns"].items()}
    return Import(
        id=row["id"],
        owner_id=row["owner_id"],
        file_name=row["file_name"],
        file_key=row["file_key"],
        size=row["size"],
        mode=Mode(options["mode"]),
        dry_run=options["dry_run"],
        layout=Layout(
            **{**layout, "format": Format(layout["format"]), "headers": tuple(layout["headers"]), "columns": columns}
        ),
        status=ImportStatus(row["status"]),
        reason=row["reason"],
        checking=row["checking"],
        progress=row["progress"],
        counts=Counts(**{name: row[name] for name in Counts.__slots__}),
        position=row["position"],
        row=row["row"],
        life=row["life"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )
