"""CSV: its encoding, its delimiter, and its rows with the place of each in bytes."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from gonets.adapters.files import limits
from gonets.core.contacts.columns import recognised
from gonets.core.contacts.imports import FileRefused
from gonets.core.contacts.rows import Code, Fault

DELIMITERS = ",;\t|"
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "cp1251")

_SAMPLE = 2**18
_CHUNK = 2**20
_SURE = 1000
_LOOKED_AT = 20  # lines
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SEPARATOR = re.compile(r"sep=(.)\s*", re.IGNORECASE)

Numbered = tuple[int, Sequence[str] | Fault]
"""A row's number, as a person sees it in a spreadsheet, and its cells or what is wrong with them."""

csv.field_size_limit(limits.CELL)


def encoding_of(path: Path) -> str:
    """Looks at the whole file: the first letter that tells may be its last. Raises FileRefused for what is no text."""
    with path.open("rb") as file:
        start = file.read(_SAMPLE)
        for mark, encoding in _MARKS:
            if start.startswith(mark):
                return encoding
        if b"\0" in start:
            even, odd = start[::2].count(0), start[1::2].count(0)
            if max(even, odd) < len(start) // 20 or min(even, odd) > len(start) // 40:
                raise FileRefused("the file is neither CSV nor XLSX: it holds bytes that no text has")
            return "utf-16-be" if even > odd else "utf-16-le"
        right = wrong = 0
        chunk = start + file.readline(limits.LINE)
        while chunk and not wrong > _SURE > right:
            try:
                right += len(chunk) - len(chunk.decode())
            except UnicodeDecodeError:
                text = chunk.decode("utf-8", "replace")
                broken = text.count("\N{REPLACEMENT CHARACTER}")
                wrong += broken
                right += len(text.encode()) - len(text) - 2 * broken
            chunk = file.read(_CHUNK)
            chunk += file.readline(limits.LINE) if chunk else b""
    # A few broken rows do not make a file another one.
    return "utf-8" if right >= 4 * wrong else "cp1251"


def delimiter_of(path: Path, encoding: str) -> str:
    """The one that makes the most of the header known; else that makes the most columns."""
    first: list[str] = []
    lines = Lines(path, encoding, 0)
    with suppress(_Unfinished):
        for line in lines.read():
            lines.taken = 0
            if separator := _SEPARATOR.fullmatch(line):
                return separator[1]
            if line.strip():
                first.append(line)
            if len(first) == _LOOKED_AT:
                break

    def known(delimiter: str) -> tuple[int, int, int]:
        try:
            rows = list(csv.reader(first, delimiter=delimiter))
        except csv.Error:
            return 0, 0, 0
        header = rows[0] if rows else []
        alike = sum(len(row) == len(header) for row in rows)
        return sum(recognised(cell) is not None for cell in header), alike if len(header) > 1 else 0, len(header)

    return max(DELIMITERS, key=known)


class _Unfinished(Exception):
    """A record that goes on and on."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


_OPEN = Fault("", "", Code.QUOTE, "a quotation mark is opened and not closed")
_LONG_LINE = Fault("", "", Code.CELL_TOO_LONG, f"the line is longer than {limits.LINE} bytes")
_LONG_CELL = Fault("", "", Code.CELL_TOO_LONG, f"a cell is longer than {limits.CELL} characters")


class Lines:
    """The lines of a file, decoded, and how many bytes they took. Bytes that are no text become lone surrogates."""

    def __init__(self, path: Path, encoding: str, position: int) -> None:
        self.size = path.stat().st_size
        self.encoding = encoding
        self._file = path.open("rb", buffering=_CHUNK)
        self.position = position
        if position == 0:
            start = self._file.read(3)
            self.position = next((len(mark) for mark, name in _MARKS if name == encoding and start.startswith(mark)), 0)
        self.go_to(self.position)
        self.taken = 0
        """Lines of the record at hand; the reader of records sets it back."""
        self.second = self.position
        """Where the line after the record's first begins."""

    def go_to(self, position: int) -> None:
        self.position = position
        self._file.seek(position)

    def read(self) -> Iterator[str]:
        """From the position on. Raises _Unfinished inside of a record that has no end."""
        wide = self.encoding.startswith("utf-16")
        text = io.TextIOWrapper(self._file, self.encoding, "surrogatepass", newline="") if wide else None
        begun = self.position
        try:
            while True:
                if text is None:
                    raw = self._file.readline(limits.LINE + 1)
                    taken, ended = len(raw), raw.endswith(b"\n")
                    line = raw.decode(self.encoding, "surrogateescape")
                else:
                    line = text.readline(limits.LINE + 1)
                    taken, ended = len(line.encode(self.encoding, "surrogatepass")), line.endswith(("\n", "\r"))
                if not taken:
                    break
                if not self.taken:
                    begun = self.position
                self.position += taken
                self.taken += 1
                if self.taken == 1:
                    self.second = self.position
                if self.position - begun > limits.LINE:
                    if self.taken > 1:
                        raise _Unfinished(_OPEN)
                    self.second = self.position if ended else self._skip(text)
                    raise _Unfinished(_LONG_LINE)
                yield line
            if self.taken:
                raise _Unfinished(_OPEN)
        except UnicodeDecodeError as error:
            raise FileRefused(f"the file is no {self.encoding.upper()} from byte {self.position} on") from error
        finally:
            if text is not None:
                text.detach()

    def _skip(self, text: io.TextIOWrapper | None) -> int:
        """To the end of a line that nobody wants to hold; where the next one begins."""
        position, ended = self.position, False
        while not ended:
            if text is None:
                raw = self._file.readline(_CHUNK)
                taken, ended = len(raw), raw.endswith(b"\n")
            else:
                line = text.readline(_CHUNK)
                taken, ended = len(line.encode(self.encoding, "surrogatepass")), line.endswith(("\n", "\r"))
            if not taken:
                break
            position += taken
        return position


class DelimitedFile:
    """The rows of a CSV file."""

    def __init__(self, path: Path, encoding: str, delimiter: str, position: int = 0, row: int = 0) -> None:
        """`position` and `row`: behind which row to begin, as the properties said it."""
        self._lines = Lines(path, encoding, position)
        self._delimiter = delimiter
        self.row = row

    @property
    def position(self) -> int:
        return self._lines.position

    @property
    def progress(self) -> float:
        return self._lines.position / self._lines.size if self._lines.size else 1.0

    def rows(self) -> Iterator[Numbered]:
        """Without the blank ones, which are counted."""
        lines = self._lines
        while True:
            lines.go_to(lines.position)
            reader = csv.reader(lines.read(), delimiter=self._delimiter)
            try:
                while True:
                    lines.taken = 0
                    cells = next(reader)
                    self.row += 1
                    if any(cells):
                        yield self.row, cells
            except StopIteration:
                return
            except (_Unfinished, csv.Error) as error:
                # What comes after the line is another row, perhaps a good one.
                self.row += 1
                fault = _fault(error, several=lines.taken > 1)
                lines.go_to(lines.second)
                yield self.row, fault

    def header(self) -> Sequence[str]:
        """The first row that is not blank; to be read before `rows`. Raises FileRefused."""
        for _, cells in self.rows():
            if isinstance(cells, Fault):
                raise FileRefused(f"the header cannot be read: {cells.reason}")
            if self.row == 1 and _SEPARATOR.fullmatch(self._delimiter.join(cells)):
                continue
            if len(cells) > limits.COLUMNS:
                raise FileRefused(f"the file has more than {limits.COLUMNS} columns")
            return [cell.strip() for cell in cells]
        raise FileRefused("the file has no rows")


def _fault(error: Exception, *, several: bool) -> Fault:
    """`several`: the record had gone on to another line."""
    if isinstance(error, _Unfinished):
        return error.fault
    if "field limit" in str(error):
        return _OPEN if several else _LONG_CELL
    return Fault("", "", Code.QUOTE, f"the line is no CSV: {error}")
