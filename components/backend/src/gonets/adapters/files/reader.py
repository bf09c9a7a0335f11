"""Reading files in a process of its own: the parent's side."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gonets.adapters.files.child import LENGTHS, layout_from
from gonets.core.contacts.imports import Block, FileRefused, Layout, Preview, Sample, Wanted
from gonets.core.shared.errors import Invalid

_AHEAD = 2**20  # bytes that may wait here while the block before them is written


class ChildReader:
    """Implements FileReader: each call has a process, which ends with it."""

    def __init__(self, program: Sequence[str], *, preview_timeout: float = 20.0) -> None:
        """`program`: the arguments of a Python that runs `child.main`."""
        self._program = program
        self._preview_timeout = preview_timeout

    async def preview(self, path: Path, wanted: Wanted, rows: int) -> Preview:
        request = {"do": "preview", "path": str(path), "wanted": asdict(wanted), "rows": rows}
        try:
            async with asyncio.timeout(self._preview_timeout), self._child(request) as out:
                found, _ = await _frame(out)
        except TimeoutError as error:
            raise FileRefused("looking at the beginning of the file takes too long") from error
        return Preview(layout=layout_from(found["layout"]), rows=[Sample(**row) for row in found["rows"]])

    async def blocks(self, path: Path, layout: Layout, position: int, row: int) -> AsyncIterator[Block]:
        request = {"do": "blocks", "path": str(path), "layout": asdict(layout), "position": position, "row": row}
        async with self._child(request) as out:
            while "end" not in (found := await _frame(out))[0]:
                about, (fresh, keys, repeated, faults) = found
                yield Block(**about, fresh=fresh, keys=keys, repeated=repeated, faults=faults)

    @asynccontextmanager
    async def _child(self, request: Mapping[str, Any]) -> AsyncIterator[asyncio.StreamReader]:
        child = await asyncio.create_subprocess_exec(
            sys.executable, *self._program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_AHEAD
        )
        assert child.stdin is not None  # noqa: S101 - as asked for above
        assert child.stdout is not None  # noqa: S101 - as asked for above
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            await child.stdin.drain()
            yield child.stdout
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()


async def _frame(out: asyncio.StreamReader) -> tuple[dict[str, Any], Sequence[bytes]]:
    try:
        lengths = LENGTHS.unpack(await out.readexactly(LENGTHS.size))
        head, *parts = [await out.readexactly(length) if length else b"" for length in lengths]
    except asyncio.IncompleteReadError as error:
        raise FileRefused("the process that reads the file died over it") from error
    about = json.loads(head)
    if "refused" in about:
        raise FileRefused(about["refused"])
    if "invalid" in about:
        raise Invalid(about["field"], about["invalid"])
    return about, parts
