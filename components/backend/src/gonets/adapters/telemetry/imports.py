"""Imports of contacts, counted."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from gonets.adapters.telemetry.metrics import TASK_BUCKETS, Bound
from gonets.core.contacts.imports import Block, Counts, Import, ImportStatus, ImportWork, Writing


class ImportMetrics:
    """What comes of imports, and of their rows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Bound(
            Counter(
                "gonets_import_rows_total", "Rows of imports, by what became of them", ["outcome"], registry=registry
            )
        )
        self.duration = Bound(
            Histogram(
                "gonets_import_duration_seconds",
                "From the import's row to its end",
                ["status"],
                buckets=TASK_BUCKETS,
                registry=registry,
            )
        )


class MeteredImportWork:
    """Implements ImportWork. Rows of a pass that only checks are not counted."""

    def __init__(self, work: ImportWork, metrics: ImportMetrics) -> None:
        self._work = work
        self._metrics = metrics

    def claim(self, import_id: int) -> Coroutine[Any, Any, Import | None]:
        return self._work.claim(import_id)

    @asynccontextmanager
    async def writing(self, found: Import) -> AsyncIterator[Writing]:
        async with self._work.writing(found) as writing:
            yield writing if found.checking else _MeteredWriting(writing, self._metrics)

    async def checked(self, found: Import) -> Import | None:
        seen = await self._work.checked(found)
        if seen is not None and seen.ended:
            self._time(seen, seen.status)
        return seen

    async def end(self, found: Import, status: ImportStatus, reason: str | None = None) -> None:
        await self._work.end(found, status, reason)
        self._time(found, status)

    def release(self, found: Import) -> Coroutine[Any, Any, None]:
        return self._work.release(found)

    def file_gone(self, import_id: int) -> Coroutine[Any, Any, None]:
        return self._work.file_gone(import_id)

    def _time(self, found: Import, status: ImportStatus) -> None:
        # The row's time is the database's: where its clock is ahead of ours, none has passed.
        age = max(0.0, (datetime.now(UTC) - found.created_at).total_seconds())
        self._metrics.duration[(status.value,)].observe(age)


class _MeteredWriting:
    """Implements Writing."""

    def __init__(self, writing: Writing, metrics: ImportMetrics) -> None:
        self._writing = writing
        self._rows = metrics.rows

    async def write(self, block: Block) -> Counts | None:
        counts = await self._writing.write(block)
        if counts is not None:
            for outcome, rows in asdict(counts).items():
                if rows and outcome != "rows":
                    self._rows[(outcome,)].inc(rows)
        return counts
