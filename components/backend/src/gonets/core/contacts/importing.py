"""What the outside can ask of imports. Routes, workers and the scheduler call these."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gonets.core.contacts.imports import (
    FileReader,
    FileRefused,
    FileStorage,
    Import,
    ImportNews,
    ImportPage,
    ImportStatus,
    ImportStore,
    ImportWakes,
    ImportWork,
    NewImport,
    Preview,
    Reject,
    Wanted,
)
from gonets.core.shared.audit import Actor, Audit
from gonets.core.shared.errors import Conflict, Invalid, NotFound, Unavailable
from gonets.core.shared.patience import until_available

log = logging.getLogger(__name__)

_FOLDER = "imports"
_ORPHANED_AFTER = timedelta(days=1)
"""A row is written at once after its file; whoever was to write this one is gone."""

Chunks = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class ManageImports:
    """An owner's imports: begin one, look, cancel. Another owner's are not there."""

    store: ImportStore
    storage: FileStorage
    reader: FileReader
    news: ImportNews
    audit: Audit

    async def preview(self, path: Path, wanted: Wanted, rows: int) -> Preview:
        """Raises Invalid for a file that cannot be read, and for what is asked and does not fit it."""
        try:
            return await self.reader.preview(path, wanted, rows)
        except FileRefused as error:
            raise Invalid("file", str(error)) from error

    async def begin(
        self, actor: Actor, path: Path, file_name: str, size: int, wanted: Wanted, chunks: Chunks
    ) -> Import:
        """Raises Invalid as `preview` does; Unavailable: nothing was begun. `chunks` gives the file at `path`."""
        layout = (await self.preview(path, wanted, 0)).layout
        key = f"{_FOLDER}/{uuid.uuid4()}"
        await self.storage.put(key, chunks())
        try:
            begun = await self.store.add(
                NewImport(actor.user_id, file_name, key, size, wanted.mode, wanted.dry_run, layout)
            )
        except BaseException:
            await self.storage.delete(key)
            raise
        await self.audit.note(actor, "created", begun.id, {"mode": wanted.mode.value, "dryRun": wanted.dry_run})
        try:
            await self.news.wake(begun.id)
        except Unavailable as error:
            log.warning("an import waits for the sweep", extra={"import": begun.id, "reason": error.reason})
        return begun

    async def get(self, owner_id: int, import_id: int) -> Import:
        """Raises NotFound."""
        found = await self.store.get(owner_id, import_id)
        if found is None:
            raise _absent(import_id)
        return found

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ImportPage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""
        return await self.store.page(owner_id, cursor=cursor, limit=limit)

    async def cancel(self, actor: Actor, import_id: int) -> Import:
        """What is written stays. Raises NotFound, and Conflict for one that has ended."""
        found = await self.store.cancel(actor.user_id, import_id)
        if found is None:
            raise _absent(import_id)
        if found.status is not ImportStatus.CANCELLED:
            raise Conflict(f"the import has ended: it is {found.status.value}")
        await self.audit.note(actor, "cancelled", import_id, {})
        return found

    async def report(self, owner_id: int, import_id: int) -> AsyncIterator[Sequence[Reject]]:
        """Its lines, by and by. Raises NotFound at once."""
        await self.get(owner_id, import_id)
        return self._lines(import_id)

    async def _lines(self, import_id: int) -> AsyncIterator[Sequence[Reject]]:
        after = 0
        while found := await self.store.rejects(import_id, after, _LINES):
            yield found
            after = found[-1].row


_LINES = 5000


def _absent(import_id: int) -> NotFound:
    return NotFound(f"no import has the id {import_id}")


@dataclass(frozen=True, slots=True)
class RunImport:
    """The worker's part: go on where the row says, block by block."""

    work: ImportWork
    storage: FileStorage
    reader: FileReader

    async def __call__(self, found: Import) -> None:
        """Returns when it has ended, or is no longer ours."""
        try:
            async with self.storage.local(found.file_key) as path:
                ended = await self._go(found, path)
        except FileRefused as error:
            ended = await self._fail(found, str(error))
        except Invalid as error:
            ended = await self._fail(found, f"the database refused a part of the file: {error.reason}")
        except NotFound:
            ended = await self._fail(found, "the file is no longer there; hand it in again")
        except Unavailable as error:
            # Nothing of the block was written: somebody goes on from the one before.
            log.warning("an import is put aside", extra={"import": found.id, "reason": error.reason})
            await until_available(lambda: self.work.release(found))
            return
        if ended:
            await self.storage.delete(found.file_key)
            await self.work.file_gone(found.id)

    async def _go(self, found: Import, path: Path) -> bool:
        """False: it is no longer ours, or was cancelled."""
        if not await self._pass(found, path):
            return False
        if found.checking and not found.dry_run:
            second = await self.work.checked(found)
            if second is None or second.ended:
                return second is not None
            if not await self._pass(second, path):
                return False
            found = second
        await until_available(lambda: self.work.end(found, ImportStatus.DONE))
        log.info("an import is done", extra={"import": found.id})
        return True

    async def _pass(self, found: Import, path: Path) -> bool:
        """Through the rest of the file. False: it is no longer ours, or cancelled."""
        async with self.work.writing(found) as writing:
            async for block in self.reader.blocks(path, found.layout, found.position, found.row):
                if await writing.write(block) is None:
                    log.info("an import was taken away or cancelled", extra={"import": found.id})
                    return False
        return True

    async def _fail(self, found: Import, reason: str) -> bool:
        log.warning("an import failed", extra={"import": found.id, "reason": reason})
        await until_available(lambda: self.work.end(found, ImportStatus.FAILED, reason))
        return True


@dataclass(frozen=True, slots=True)
class WakeImports:
    """The sweep: wake the imports whose time has come, and take back what dead workers held."""

    wakes: ImportWakes
    news: ImportNews
    storage: FileStorage
    kept: timedelta | None
    """For so long an import that has ended can be looked at, with its report; None: for ever."""
    limit: int = 100

    async def __call__(self) -> int:
        """Returns the number of wake-ups sent. Raises Unavailable; what was not sent is sent by a later sweep."""
        if orphans := await self.wakes.orphans():
            log.warning("took imports back from dead workers", extra={"imports": orphans})
        due = await self.wakes.due(self.limit)
        await asyncio.gather(*(self.news.wake(number) for number, _ in due))
        if due:
            await self.wakes.woken(due)
        return len(due)

    async def forget(self) -> None:
        """Files and rows that nobody needs any more. Any number may do so at one time."""
        for number, key in await self.wakes.leftover(1000):
            await self.storage.delete(key)
            await self.wakes.file_gone(number)
        async for keys in self.storage.old(_FOLDER, _ORPHANED_AFTER):
            named = await self.wakes.named(keys)
            for key in keys:
                if key not in named:
                    log.warning("a file that no import names is removed", extra={"key": key})
                    await self.storage.delete(key)
        if self.kept is not None:
            await self.wakes.forget(self.kept)
