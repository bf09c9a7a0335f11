"""The process that reads one file: a request comes in by stdin, frames go out by stdout, and its end is the end of it.

It holds little, takes no more memory than it is allowed, and dies with its parent, whose pipe then breaks. What a file
does to it, it does to nobody else.
"""

import json
import resource
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from gonets.adapters.files.delimited import DELIMITERS, ENCODINGS, DelimitedFile, delimiter_of, encoding_of
from gonets.adapters.files.workbook import Workbook
from gonets.core.contacts.columns import assign
from gonets.core.contacts.imports import FileRefused, Format, Layout
from gonets.core.contacts.ports import About, Phone
from gonets.core.contacts.rows import CheckRow, Fault, Row
from gonets.core.shared.errors import Invalid

LENGTHS = struct.Struct("<IIIII")
"""Of a frame's parts: JSON, and what a Block holds of bytes, in its order."""

_MEMORY = 2**30  # bytes of address space
_ARCHIVE = b"PK\x03\x04"
_OLD = b"\xd0\xcf\x11\xe0"  # [MS-CFB], 2.2: .xls, and .xlsx under a password

RowLine = Callable[[Row], str]
KeyLine = Callable[[int, Row], str]
FaultLine = Callable[[int, Fault], str]
Rows = DelimitedFile | Workbook


class Reading:
    """Answers one request."""

    def __init__(
        self,
        phone: Phone,
        about: About,
        row_line: RowLine,
        key_line: KeyLine,
        fault_line: FaultLine,
        block: int,
    ) -> None:
        """The lines are what the store takes. `block`: rows."""
        self._phone = phone
        self._about = about
        self._row_line = row_line
        self._key_line = key_line
        self._fault_line = fault_line
        self._block = block

    def run(self, source: BinaryIO, out: BinaryIO) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        request = json.loads(source.readline())
        try:
            if request["do"] == "preview":
                _send(out, self._preview(request))
            else:
                self._blocks(request, out)
        except FileRefused as error:
            _send(out, {"refused": str(error)})
        except Invalid as error:
            _send(out, {"field": error.field, "invalid": error.reason})
        except MemoryError:
            _send(out, {"refused": f"reading the file takes more than {_MEMORY >> 20} MB of memory"})

    def _preview(self, request: Mapping[str, Any]) -> dict[str, Any]:
        layout, rows = _laid_out(Path(request["path"]), request["wanted"])
        check = CheckRow(layout.headers, layout.columns, self._phone, self._about)
        samples: list[dict[str, Any]] = []
        for number, cells in rows.rows() if request["rows"] else ():
            fault = isinstance(cells, Fault)
            found = cells if isinstance(cells, Fault) else check(cells)
            samples.append(
                {
                    "row": number,
                    "cells": [] if fault else [str(cell)[:200] for cell in cells],
                    "values": {key: value for key, value in found._asdict().items() if value is not None}
                    if isinstance(found, Row)
                    else None,
                    "fault": found._asdict() if isinstance(found, Fault) else None,
                }
            )
            if len(samples) == request["rows"]:
                break
        return {"layout": asdict(layout), "rows": samples}

    def _blocks(self, request: Mapping[str, Any], out: BinaryIO) -> None:
        layout = layout_from(request["layout"])
        rows = _opened(Path(request["path"]), layout, request["position"], request["row"])
        check = CheckRow(layout.headers, layout.columns, self._phone, self._about)
        row_line, key_line, fault_line, size = self._row_line, self._key_line, self._fault_line, self._block
        parts: tuple[list[str], ...] = ([], [], [], [])
        fresh, keys, repeated, faults = parts
        seen: set[str] = set()
        count = 0
        for number, cells in rows.rows():
            found = cells if isinstance(cells, Fault) else check(cells)
            count += 1
            if isinstance(found, Row):
                phone, email = found.phone, found.email and found.email.lower()
                if phone in seen or email in seen:
                    repeated.append(f"{number}\t{row_line(found)}")
                else:
                    fresh.append(row_line(found))
                    keys.append(key_line(number, found))
                if phone:
                    seen.add(phone)
                if email:
                    seen.add(email)
            else:
                faults.append(fault_line(number, found))
            if count == size:
                _send_block(out, rows, count, parts)
                seen.clear()
                count = 0
        _send_block(out, rows, count, parts)
        _send(out, {"end": True})


def _send_block(out: BinaryIO, rows: Rows, count: int, parts: Sequence[list[str]]) -> None:
    about = {
        "rows": count,
        "accepted": count - len(parts[-1]),
        "position": rows.position,
        "row": rows.row,
        "progress": rows.progress,
    }
    # What is no text was found by the check; nothing of it is in a line.
    _send(out, about, *("".join(part).encode() for part in parts))
    for part in parts:
        part.clear()


def _send(out: BinaryIO, about: Mapping[str, Any], *parts: bytes) -> None:
    head = json.dumps(about, ensure_ascii=True).encode()
    bodies = parts or (b"",) * 4
    out.write(LENGTHS.pack(len(head), *map(len, bodies)))
    out.write(head)
    for body in bodies:
        out.write(body)
    out.flush()


def _laid_out(path: Path, wanted: Mapping[str, Any]) -> tuple[Layout, Rows]:
    """How the file is read, and its rows behind the header. Raises Invalid for what is asked and does not fit."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise FileRefused("the file is empty")
    if start.startswith(_OLD):
        raise FileRefused("the file is an old .xls, or under a password; save it as .xlsx without one, or as CSV")
    if start.startswith(_ARCHIVE):
        book = Workbook(path, wanted["sheet"])
        layout = Layout(format=Format.XLSX, sheet=book.sheet, has_header=wanted["has_header"])
        return _with_columns(layout, book, lambda: Workbook(path, book.sheet), wanted["columns"])
    encoding = wanted["encoding"] or encoding_of(path)
    if encoding not in ENCODINGS:
        raise Invalid("encoding", f"must be one of {', '.join(ENCODINGS)}")
    delimiter = wanted["delimiter"] or delimiter_of(path, encoding)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise Invalid(
            "delimiter", f"must be one character, such as one of {' '.join(DELIMITERS.replace(chr(9), 'TAB'))}"
        )
    layout = Layout(format=Format.CSV, encoding=encoding, delimiter=delimiter, has_header=wanted["has_header"])
    table = DelimitedFile(path, encoding, delimiter)
    return _with_columns(layout, table, lambda: DelimitedFile(path, encoding, delimiter), wanted["columns"])


def _with_columns(
    layout: Layout, rows: Rows, again: Callable[[], Rows], by_hand: Mapping[str, str | None]
) -> tuple[Layout, Rows]:
    first = rows.header()
    headers = _headers(first) if layout.has_header else tuple(str(place) for place in range(1, len(first) + 1))
    columns = assign(headers, by_hand)
    found = Layout(**{**asdict(layout), "headers": headers, "columns": columns})
    return found, rows if layout.has_header else again()


def _headers(cells: Sequence[str]) -> tuple[str, ...]:
    """A column without a header is called by its number."""
    printable = ("".join(filter(str.isprintable, cell))[:100] for cell in cells)
    return tuple(header or str(place) for place, header in enumerate(printable, start=1))


def _opened(path: Path, layout: Layout, position: int, row: int) -> Rows:
    rows: Rows
    if layout.format is Format.XLSX:
        rows = Workbook(path, layout.sheet, row)
    else:
        assert layout.encoding is not None  # noqa: S101 - a CSV has one
        assert layout.delimiter is not None  # noqa: S101 - a CSV has one
        rows = DelimitedFile(path, layout.encoding, layout.delimiter, position, row)
    if layout.has_header and not row:
        rows.header()
    return rows


def layout_from(row: Mapping[str, Any]) -> Layout:
    """What `asdict` and JSON made of one."""
    columns = {int(place): target for place, target in row["columns"].items()}
    return Layout(**{**row, "format": Format(row["format"]), "headers": tuple(row["headers"]), "columns": columns})


def main(reading: Reading) -> None:
    reading.run(sys.stdin.buffer, sys.stdout.buffer)
