"""Rows out of a sheet's tags, and the strings that its cells name."""

import mmap
import tempfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from gonets.adapters.files import limits
from gonets.adapters.files.delimited import Numbered
from gonets.adapters.files.workbook_xml import local_name, parsed
from gonets.core.contacts.imports import FileRefused
from gonets.core.contacts.rows import Code, Fault

_MOST_STRINGS = 10_000_000


class Strings:
    """The strings that cells name by number, read as far as somebody asks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._ends = array("Q", [0])
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        self._map: mmap.mmap | None = None
        self._mapped = 0
        self._parts: list[str] = []
        self._length = 0
        self._collecting = False
        self._phonetic = False
        self._new: list[bytes] = []
        self._written = 0
        self._parsed = parsed(chunks, self._start, self._end, self._text)

    def __getitem__(self, number: int) -> str:
        while number >= len(self._ends) - 1:
            if next(self._parsed, None) is None:
                raise FileRefused("a cell names a string that the workbook does not hold")
            self._keep()
        begin, end = self._ends[number], self._ends[number + 1]
        if end > self._mapped:
            self._file.flush()
            if self._map is not None:
                self._map.close()
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            self._mapped = len(self._map)
        return "" if begin == end else self._map[begin:end].decode()  # type: ignore[index]

    def _keep(self) -> None:
        if len(self._ends) > _MOST_STRINGS:
            raise FileRefused(f"the workbook holds more than {_MOST_STRINGS} strings")
        self._file.write(b"".join(self._new))
        self._new.clear()

    def _start(self, name: str, _: Mapping[str, str]) -> None:
        match local_name(name):
            case "si":
                self._parts.clear()
                self._length = 0
            case "t":
                self._collecting = not self._phonetic
            case "rPh":
                self._phonetic = True

    def _end(self, name: str) -> None:
        match local_name(name):
            case "t":
                self._collecting = False
            case "rPh":
                self._phonetic = False
            case "si":
                # Too long a cell is refused by its row, which sees one character too many.
                encoded = "".join(self._parts)[: limits.CELL + 1].encode()
                self._written += len(encoded)
                self._ends.append(self._written)
                self._new.append(encoded)

    def _text(self, text: str) -> None:
        if self._collecting and self._length <= limits.CELL:
            self._parts.append(text)
            self._length += len(text)


class Sheet:
    """Rows out of a sheet's tags."""

    def __init__(self, strings: Strings, dates: frozenset[str], epoch: datetime) -> None:
        self._strings = strings
        self._dates = dates
        self._epoch = epoch
        self._places: dict[str, int] = {}
        self._rows: list[Numbered] = []
        self._number = 0
        self._cells: list[str] = []
        self._fault: Fault | None = None
        self._place = -1
        self._kind: str | None = None
        self._style: str | None = None
        self._formula: str | None = None
        self._parts: list[str] = []
        self._length = 0
        self._value = ""
        self._collecting = False

    def take(self) -> Sequence[Numbered]:
        rows, self._rows = self._rows, []
        return rows

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if ":" in name:
            name = local_name(name)
        if name == "c":
            reference = attributes.get("r")
            if reference is None:
                self._place += 1
            else:
                letters = reference.rstrip("0123456789")
                place = self._places.get(letters)
                self._place = self._number_of(letters) if place is None else place
            self._kind = attributes.get("t")
            self._style = attributes.get("s")
            self._formula = None
            self._value = ""
        elif name in ("v", "t", "f"):
            self._parts.clear()
            self._length = 0
            self._collecting = True
        elif name == "row":
            number = attributes.get("r")
            # A row that is said to come before another one would have the other's line in the report.
            self._number = max(
                self._number + 1, int(number) if number and number.isdecimal() and len(number) < 10 else 0
            )
            self._cells = []
            self._fault = None
            self._place = -1

    def end(self, name: str) -> None:
        if ":" in name:
            name = local_name(name)
        if name in ("v", "t"):
            self._collecting = False
            # Inline strings come in runs.
            self._value = "".join(self._parts) if name == "v" else self._value + "".join(self._parts)
        elif name == "c":
            if value := self._shown():
                self._put(value)
        elif name == "f":
            self._collecting = False
            self._formula = "".join(self._parts)
        elif name == "row" and (self._cells or self._fault):
            self._rows.append((self._number, self._fault or self._cells))

    def text(self, text: str) -> None:
        if self._collecting and self._length <= limits.CELL:
            self._parts.append(text)
            self._length += len(text)

    def _number_of(self, letters: str) -> int:
        number = 0
        for letter in letters[:8]:
            number = number * 26 + ord(letter) - 64
        if not letters.isascii() or not letters.isalpha() or not letters.isupper():
            raise FileRefused(f"a cell of the workbook is called {letters[:20]!r}")
        if len(self._places) < limits.COLUMNS:
            self._places[letters] = number - 1
        return number - 1

    def _put(self, value: str) -> None:
        place, cells = self._place, self._cells
        if place >= limits.COLUMNS:
            reason = f"the row has more than {limits.COLUMNS} cells"
            self._fault = Fault("", value[:100], Code.TOO_MANY_CELLS, reason)
        elif len(value) > limits.CELL:
            self._fault = Fault("", value[:100], Code.CELL_TOO_LONG, f"a cell is longer than {limits.CELL} characters")
        elif place == len(cells):
            cells.append(value)
        elif place > len(cells):
            cells.extend([""] * (place - len(cells)))
            cells.append(value)
        else:
            cells[place] = value

    def _shown(self) -> str:
        """The cell's value as a text; a formula, or what a broken one left, begins with =."""
        value, kind = self._value, self._kind
        if self._formula is not None:
            return f"={self._formula}"
        if kind == "s":
            if not value.isdecimal() or len(value) > 9:
                raise FileRefused("a cell names a string that the workbook does not hold")
            return self._strings[int(value)]
        if kind is None or kind == "n":
            if self._style in self._dates and value:
                return self._date(value)
            return value if value.isdecimal() else _number(value)
        if kind == "b":
            return {"1": "true", "0": "false"}.get(value, value)
        return f"={value}" if kind == "e" else value

    def _date(self, value: str) -> str:
        with suppress(ValueError, OverflowError):
            day = self._epoch + timedelta(seconds=round(float(value) * 86_400))
            return day.date().isoformat() if not (day.hour or day.minute or day.second) else day.isoformat(" ")
        return value


def _number(value: str) -> str:
    """As a person reads it: 79161234567, and not 7.9161234567E10."""
    try:
        number = float(value)
    except ValueError:
        return value
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
