"""Files that are written row by row: CSV and XLSX. What is in a cell stays a text, whatever opens the file."""

import csv
import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import xlsxwriter

from gonets.core.contacts.exports import Cell
from gonets.core.contacts.rows import is_formula

# What a spreadsheet would compute (OWASP, CSV injection), and what looks as if it had been defused.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_CHUNK = 256 * 1024
_MOST_ROWS = 1_048_576  # of a worksheet in Excel, the header included


def defused(text: str) -> str:
    """With an apostrophe before what a spreadsheet would compute; `plain` takes it away."""
    return f"'{text}" if _FORMULA.match(text) else text


def plain(text: str) -> str:
    """What was defused, as it was."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


class CsvSheet:
    """Implements Sheet: UTF-8 with the mark by which Excel knows it; commas, and CRLF as in RFC 4180."""

    def __init__(self) -> None:
        self._buffer = io.StringIO()
        self._writer = csv.writer(self._buffer)
        self._buffer.write("\N{ZERO WIDTH NO-BREAK SPACE}")

    def rows(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        self._writer.writerows([_text(cell) for cell in row] for row in rows)
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text.encode()

    def end(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        self._buffer.close()


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return defused(str(cell))


class XlsxSheet:
    """Implements Sheet: a workbook that is written to disk row by row, and sent when it is whole.

    Cells are texts, marked as if typed with an apostrophe, which is no part of their value; only what an import would
    take for a formula has one in its value, too. What one worksheet cannot hold goes on in the next.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="gonets-export-")
        self._path = Path(self._folder.name) / "contacts.xlsx"
        options = {"constant_memory": True, "tmpdir": self._folder.name, "use_zip64": True}
        self._book = xlsxwriter.Workbook(str(self._path), options)
        self._as_text = self._book.add_format({"quote_prefix": True, "num_format": "@"})
        self._header: Sequence[Cell] | None = None
        self._sheet = self._book.add_worksheet()
        self._next = 0

    def rows(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        for row in rows:
            if self._header is None:
                self._header = row
            elif self._next == _MOST_ROWS:
                self._sheet = self._book.add_worksheet()
                self._next = 0
                self._write(self._header)
            self._write(row)
        return b""

    def _write(self, row: Sequence[Cell]) -> None:
        for column, cell in enumerate(row):
            match cell:
                case None:
                    continue
                case bool():
                    self._sheet.write_boolean(self._next, column, cell)
                # Beyond these a spreadsheet would round them.
                case int() | float() if abs(cell) < 10**15:
                    self._sheet.write_number(self._next, column, cell)
                case _:
                    text = str(cell)
                    text = defused(text) if text.startswith("'") or is_formula(text) else text
                    self._sheet.write_string(self._next, column, text, self._as_text)
        self._next += 1

    def end(self) -> Iterator[bytes]:
        self._book.close()
        with self._path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def close(self) -> None:
        self._folder.cleanup()
