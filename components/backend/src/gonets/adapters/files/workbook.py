"""XLSX (ECMA-376), read as a stream: whatever its size, a few megabytes of it are in memory, and its strings in a
temporary file."""

import mmap
import posixpath
import re
import tempfile
import zipfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from xml.parsers import expat

from gonets.adapters.files import limits
from gonets.adapters.files.delimited import Numbered
from gonets.core.contacts.imports import FileRefused
from gonets.core.contacts.rows import Code, Fault

_CHUNK = 2**18
_SILENCE = 2**22  # bytes without a tag: some parser would have to hold them all
_MOST_STRINGS = 10_000_000
_SMALL = 2**24  # bytes that may unpack from anything
_DATES = {*range(14, 23), *range(45, 48)}  # ECMA-376, 18.8.30: the formats that every program knows
_DATE_FORMAT = re.compile(r"(?:\\.|\"[^\"]*\"|\[[^\]]*\]|[^\\\"\[dmyhs])*[dmyhs]", re.IGNORECASE)

Start = Callable[[str, Mapping[str, str]], None]
End = Callable[[str], None]
Text = Callable[[str], None]


class Workbook:
    """One sheet of a workbook."""

    def __init__(self, path: Path, sheet: str | None = None, row: int = 0) -> None:
        """`sheet`: its name; None: the first. `row`: behind which row to begin. Raises FileRefused."""
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise FileRefused("the file is a damaged archive, or no XLSX") from error
        self._check_sizes()
        self.row = row
        self._after = row
        self._read = 0
        self._parts = {info.filename.lstrip("/").lower(): info for info in self._zip.infolist()}
        if "xl/workbook.xml" not in self._parts:
            raise FileRefused("the file is an archive, and no XLSX workbook")
        sheets, self._epoch = self._sheets()
        if sheet is not None and sheet not in sheets:
            raise FileRefused(f"the workbook has no sheet {sheet[:100]!r}; it has {', '.join(list(sheets)[:20])[:300]}")
        self.sheet = sheet if sheet is not None else next(iter(sheets))
        self._target = self._part(sheets[self.sheet])
        self._dates = self._date_styles()
        self._strings = _Strings(self._chunks("xl/sharedstrings.xml"))

    def _check_sizes(self) -> None:
        parts = self._zip.infolist()
        if len(parts) > limits.PARTS or sum(part.file_size for part in parts) > limits.UNPACKED:
            raise FileRefused(f"the file unpacks to more than {limits.UNPACKED >> 30} GB or {limits.PARTS} parts")
        for part in parts:
            # zipfile unpacks no more of a part than the archive's directory says.
            if part.file_size > _SMALL and part.file_size > limits.RATIO * max(1, part.compress_size):
                raise FileRefused(f"{part.filename[:100]} unpacks to {part.file_size >> 20} MB: no table does so")
            if part.flag_bits & 1:
                raise FileRefused("the file is protected by a password")

    @property
    def position(self) -> int:
        return self.row

    @property
    def progress(self) -> float:
        return self._read / self._target.file_size if self._target.file_size else 1.0

    def header(self) -> Sequence[str]:
        """The first row that is not blank. Raises FileRefused."""
        for _, cells in self.rows():
            if isinstance(cells, Fault):
                raise FileRefused(f"the header cannot be read: {cells.reason}")
            return [cell.strip() for cell in cells]
        raise FileRefused(f"the sheet {self.sheet!r} has no rows")

    def rows(self) -> Iterator[Numbered]:
        """Those behind `row`, without the blank ones. Raises FileRefused."""
        sheet = _Sheet(self._strings, self._dates, self._epoch)
        self._read = 0
        for chunk in _parsed(self._chunks(self._target.filename.lower()), sheet.start, sheet.end, sheet.text):
            self._read += chunk
            for number, cells in sheet.take():
                if number > self._after:
                    self.row = self._after = number
                    yield number, cells

    def _chunks(self, name: str) -> Iterator[bytes]:
        part = self._parts.get(name.lstrip("/"))
        if part is None:
            return
        try:
            with self._zip.open(part) as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
            raise FileRefused(f"{part.filename[:100]} in the file is damaged") from error

    def _part(self, target: str) -> zipfile.ZipInfo:
        name = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join("xl", target))
        part = self._parts.get(name.lower())
        if part is None:
            raise FileRefused("the workbook does not hold the sheet that it names")
        return part

    def _sheets(self) -> tuple[dict[str, str], datetime]:
        """Where each sheet is, by its name in the workbook's order; and the day before day 1."""
        named: dict[str, str] = {}
        targets: dict[str, str] = {}
        epoch = datetime(1899, 12, 30)  # noqa: DTZ001 - a spreadsheet's dates have no zone

        def book(name: str, attributes: Mapping[str, str]) -> None:
            nonlocal epoch
            if _local(name) == "sheet":
                found = next((value for key, value in attributes.items() if _local(key) == "id" and ":" in key), "")
                named[attributes.get("name", "")] = found
            elif _local(name) == "workbookPr" and attributes.get("date1904") in ("1", "true"):
                epoch = datetime(1904, 1, 1)  # noqa: DTZ001 - as above

        def relation(name: str, attributes: Mapping[str, str]) -> None:
            if _local(name) == "Relationship" and attributes.get("Type", "").endswith("/worksheet"):
                targets[attributes.get("Id", "")] = attributes.get("Target", "")

        self._small("xl/workbook.xml", book)
        self._small("xl/_rels/workbook.xml.rels", relation)
        found = {name: targets[key] for name, key in named.items() if key in targets}
        if not found:
            raise FileRefused("the workbook has no sheets")
        return found, epoch

    def _date_styles(self) -> frozenset[str]:
        """The styles, by their numbers, that show a number as a date."""
        formats: dict[str, str] = {}
        styles: list[str] = []
        inside = False

        def start(name: str, attributes: Mapping[str, str]) -> None:
            nonlocal inside
            match _local(name):
                case "numFmt":
                    formats[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
                case "cellXfs":
                    inside = True
                case "cellStyles" | "dxfs":
                    inside = False
                case "xf" if inside:
                    styles.append(attributes.get("numFmtId", "0"))

        self._small("xl/styles.xml", start)

        def shows_date(number: str) -> bool:
            if number in formats:
                return _DATE_FORMAT.match(formats[number]) is not None
            return number.isdecimal() and int(number[:9]) in _DATES

        return frozenset(str(place) for place, number in enumerate(styles) if shows_date(number))

    def _small(self, name: str, start: Start) -> None:
        part = self._parts.get(name)
        if part is not None and part.file_size > _SMALL:
            raise FileRefused(f"{name} in the file is larger than any workbook needs")
        for _ in _parsed(self._chunks(name), start, _nothing, _nothing):
            pass


def _nothing(_: str) -> None:
    """For what nobody asks."""


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _parsed(chunks: Iterator[bytes], start: Start, end: End, text: Text) -> Iterator[int]:
    """Hands a part to the handlers; yields after each chunk how long it was. Raises FileRefused."""
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refused(*_: object) -> None:
        raise FileRefused("the workbook's XML declares a document type: no spreadsheet program writes that")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refused
    fed = 0
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
            fed += len(chunk)
            if fed - parser.CurrentByteIndex > _SILENCE and parser.CurrentByteIndex >= 0:
                raise FileRefused("a tag in the workbook is longer than any spreadsheet program writes")
            yield len(chunk)
        if fed:
            parser.Parse(b"", True)
            yield 0
    except expat.ExpatError as error:
        raise FileRefused(f"the workbook's XML is damaged: {error}") from error


class _Strings:
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
        self._parsed = _parsed(chunks, self._start, self._end, self._text)

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
        match _local(name):
            case "si":
                self._parts.clear()
                self._length = 0
            case "t":
                self._collecting = not self._phonetic
            case "rPh":
                self._phonetic = True

    def _end(self, name: str) -> None:
        match _local(name):
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


class _Sheet:
    """Rows out of a sheet's tags."""

    def __init__(self, strings: _Strings, dates: frozenset[str], epoch: datetime) -> None:
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
            name = _local(name)
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
            name = _local(name)
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
