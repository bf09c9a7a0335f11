"""Contacts from a file: the job, and what it needs from the outside."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from gonets.core.contacts.columns import Columns

MOST_DEATHS = 3
"""So many workers may die over one block."""


class Mode(StrEnum):
    """What becomes of a row whose phone or e-mail address a contact has already."""

    SKIP = "skip"
    UPDATE = "update"
    FAIL = "fail"
    """One such row, and nothing at all is imported."""


class Format(StrEnum):
    """What kind of file it is."""

    CSV = "csv"
    XLSX = "xlsx"


class ImportStatus(StrEnum):
    """Where an import is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a file is read."""

    format: Format
    encoding: str | None = None
    """Python's name of it; None where the format says it."""
    delimiter: str | None = None
    sheet: str | None = None
    headers: tuple[str, ...] = ()
    """What the columns are called; their numbers, where the file does not say."""
    has_header: bool = True
    columns: Columns = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of an import, as somebody typed it. None: to be recognised."""

    mode: Mode = Mode.SKIP
    dry_run: bool = False
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    has_header: bool = True
    columns: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A row of a preview: what it would become, by the names of fields, or what is wrong with it."""

    row: int
    cells: Sequence[str]
    values: Mapping[str, object] | None
    fault: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What is recognised in a file, and its first rows."""

    layout: Layout
    rows: Sequence[Sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Rows, by what became of them. In a dry run: what would become of them."""

    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    """They said nothing new of their contact."""
    skipped: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One file of one owner. `position` and `row` say how far it is done, to the byte and the row."""

    id: int
    owner_id: int
    file_name: str
    file_key: str
    size: int
    mode: Mode
    dry_run: bool
    layout: Layout
    status: ImportStatus
    reason: str | None
    checking: bool
    """It goes through the file and writes no contact: a dry run, or the first pass of the mode `fail`."""
    progress: float
    counts: Counts
    position: int
    row: int
    life: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.status in (ImportStatus.DONE, ImportStatus.FAILED, ImportStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class ImportPage:
    """One page of a list, latest first; `next_cursor` is None on the last page."""

    imports: Sequence[Import] = ()
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class NewImport:
    """A file that was stored, to be imported."""

    owner_id: int
    file_name: str
    file_key: str
    size: int
    mode: Mode
    dry_run: bool
    layout: Layout


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a file, checked, in the form in which the store takes them."""

    rows: int
    accepted: int
    fresh: bytes
    """No two of these share a phone or an e-mail address."""
    keys: bytes
    """Of each of these, in their order: the row, the phone and the address."""
    repeated: bytes
    """They share one with a row before them in the block."""
    faults: bytes
    position: int
    """Where the next block begins; what a byte or a row is to the reader."""
    row: int
    """The number of the last row."""
    progress: float


@dataclass(frozen=True, slots=True)
class Reject:
    """A line of the report."""

    row: int
    column: str
    value: str
    code: str
    reason: str


class FileRefused(Exception):
    """The file cannot be read; the message says why, to a person."""


class FileStorage(Protocol):
    """Where files wait. A key is a name of ours, `[a-z0-9/-]`. Raises Unavailable."""

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """MUST have the whole file durably when it returns, and nothing under the key where it raises. MUST NOT hold
        more than a few chunks in memory."""

    def local(self, key: str) -> AbstractAsyncContextManager[Path]:
        """The file, on this machine, until the end. Raises NotFound."""

    async def delete(self, key: str) -> None:
        """Also where it is not there."""

    def old(self, folder: str, age: timedelta) -> AsyncIterator[Sequence[str]]:
        """The keys below `folder/` whose files were put longer ago than this, some at a time. What a put left that
        broke off so long ago MUST be gone when it is through."""


class FileReader(Protocol):
    """Reads files in a process of its own, whose memory is bounded. Raises FileRefused."""

    async def preview(self, path: Path, wanted: Wanted, rows: int) -> Preview:
        """Raises Invalid for what is asked and does not fit the file."""

    def blocks(self, path: Path, layout: Layout, position: int, row: int) -> AsyncIterator[Block]:
        """The rest of the file, from where a block said that it ends."""


class ImportStore(Protocol):
    """The doors' side of the table; each method sees one owner's. Raises Unavailable."""

    async def add(self, new: NewImport) -> Import: ...

    async def get(self, owner_id: int, import_id: int) -> Import | None: ...

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ImportPage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""

    async def cancel(self, owner_id: int, import_id: int) -> Import | None:
        """The import as it is then: cancelled, unless it had ended. None where it is not there."""

    async def rejects(self, import_id: int, after: int, limit: int) -> Sequence[Reject]:
        """By row, those behind `after`."""


class Writing(Protocol):
    """One worker's work on one import."""

    async def write(self, block: Block) -> Counts | None:
        """MUST write its contacts, its lines of the report and its position in one transaction, or nothing. Returns
        what became of its rows. None: the import is no longer this worker's, or was cancelled; nothing was written.
        Raises Unavailable."""


class ImportWork(Protocol):
    """The worker's side of the table. Raises Unavailable."""

    async def claim(self, import_id: int) -> Import | None:
        """MUST hand it to one caller at a time, and hang the claim on this worker's life. None: it is in hand, or
        there is nothing to be done."""

    def writing(self, found: Import) -> AbstractAsyncContextManager[Writing]: ...

    async def checked(self, found: Import) -> Import | None:
        """The first pass of the mode `fail` is over: the import as it stands before the second, or as it ended where
        the first found duplicates. None: it is no longer this worker's."""

    async def end(self, found: Import, status: ImportStatus, reason: str | None = None) -> None:
        """Unless it is no longer this worker's."""

    async def release(self, found: Import) -> None:
        """Somebody else may go on at once."""

    async def file_gone(self, import_id: int) -> None: ...


class ImportWakes(Protocol):
    """The scheduler's side of the table. Raises Unavailable."""

    async def orphans(self) -> int:
        """Takes every import from lives that are not known; ends those over which MOST_DEATHS workers died."""

    async def due(self, limit: int) -> Sequence[tuple[int, datetime]]:
        """Ids, and since when they are due."""

    async def woken(self, due: Sequence[tuple[int, datetime]]) -> None:
        """They are due again, later each time, unless something has changed since."""

    async def leftover(self, limit: int) -> Sequence[tuple[int, str]]:
        """Imports that have ended and whose file is still there: their ids and keys."""

    async def file_gone(self, import_id: int) -> None: ...

    async def named(self, keys: Sequence[str]) -> Collection[str]:
        """Of these keys, those whose files an import needs."""

    async def forget(self, age: timedelta) -> None:
        """Removes imports that ended so long ago, with their reports."""


class ImportNews(Protocol):
    """Telling workers. Raises Unavailable."""

    async def wake(self, import_id: int) -> None: ...
