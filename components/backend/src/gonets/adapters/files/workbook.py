"""XLSX (ECMA-376), read as a stream: whatever its size, a few megabytes of it are in memory, and its strings in a
temporary file."""

import posixpath
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from gonets.adapters.files import limits
from gonets.adapters.files.delimited import Numbered
from gonets.adapters.files.workbook_rows import Sheet, Strings
from gonets.adapters.files.workbook_xml import Start, local_name, nothing, parsed
from gonets.core.contacts.imports import FileRefused
from gonets.core.contacts.rows import Fault

_CHUNK = 2**18
_SMALL = 2**24  # bytes that may unpack from anything
_DATES = {*range(14, 23), *range(45, 48)}  # ECMA-376, 18.8.30: the formats that every program knows
_DATE_FORMAT = re.compile(r"(?:\\.|\"[^\"]*\"|\[[^\]]*\]|[^\\\"\[dmyhs])*[dmyhs]", re.IGNORECASE)


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
        self._strings = Strings(self._chunks("xl/sharedstrings.xml"))

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
        sheet = Sheet(self._strings, self._dates, self._epoch)
        self._read = 0
        for chunk in parsed(self._chunks(self._target.filename.lower()), sheet.start, sheet.end, sheet.text):
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
            if local_name(name) == "sheet":
                found = next((value for key, value in attributes.items() if local_name(key) == "id" and ":" in key), "")
                named[attributes.get("name", "")] = found
            elif local_name(name) == "workbookPr" and attributes.get("date1904") in ("1", "true"):
                epoch = datetime(1904, 1, 1)  # noqa: DTZ001 - as above

        def relation(name: str, attributes: Mapping[str, str]) -> None:
            if local_name(name) == "Relationship" and attributes.get("Type", "").endswith("/worksheet"):
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
            match local_name(name):
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
        for _ in parsed(self._chunks(name), start, nothing, nothing):
            pass
