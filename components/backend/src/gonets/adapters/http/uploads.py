"""Files that people hand in: as a field of a form, or as the body; never held in memory."""

import asyncio
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.datastructures import UploadFile

from gonets.core.contacts.imports import Mode, Wanted
from gonets.core.shared.errors import Invalid

_CHUNK = 2**20  # bytes
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_RAW = ("text/csv", "text/plain", "application/csv", "application/vnd.ms-excel", "application/octet-stream", _XLSX)
_LONGEST_NAME = 200
_ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-16": "utf-16-le",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "cp1251": "cp1251",
    "windows-1251": "cp1251",
}
_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}

_OPTIONS: Mapping[str, dict[str, Any]] = {
    "mode": {"type": "string", "enum": [mode.value for mode in Mode]},
    "dryRun": {"type": "boolean"},
    "delimiter": {"type": "string"},
    "encoding": {"type": "string", "enum": sorted(_ENCODINGS)},
    "sheet": {"type": "string"},
    "header": {"type": "boolean"},
    "columns": {"type": "string", "description": 'JSON, such as {"Contact no.": "phone", "7": "attributes.city"}'},
}
_BINARY = {"type": "string", "format": "binary"}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": _BINARY, **_OPTIONS}}
            },
            "text/csv": {"schema": _BINARY},
            _XLSX: {"schema": _BINARY},
        },
    }
}


@dataclass(frozen=True)
class Options:
    """The options, as parameters of the URL; a form may hold the same."""

    mode: Annotated[Mode | None, Query(description="What becomes of duplicates; skip")] = None
    dry_run: Annotated[bool | None, Query(alias="dryRun", description="Write nothing, and report")] = None
    delimiter: Annotated[str | None, Query(description="A character, or tab; recognised if left out")] = None
    encoding: Annotated[str | None, Query(description="utf-8, utf-16, cp1251; recognised if left out")] = None
    sheet: Annotated[str | None, Query(description="Of a workbook; the first")] = None
    header: Annotated[bool | None, Query(description="false: the first row is a contact; name columns by number")] = (
        None
    )
    columns: Annotated[
        str | None,
        Query(
            description='JSON, by header or number: {"Contact no.": "phone", "7": "attributes.city", "Notes": null};'
            ' with "*": "attributes" all other columns are attributes'
        ),
    ] = None
    file_name: Annotated[str | None, Query(alias="fileName", description="Where the body is the file")] = None

    def wanted(self, form: Mapping[str, str]) -> Wanted:
        """What the form says counts. Raises Invalid."""
        if unknown := form.keys() - _OPTIONS.keys():
            raise Invalid(min(unknown)[:100], f"is not known; known are file, {', '.join(_OPTIONS)}")
        mode = form.get("mode") or (self.mode or Mode.SKIP)
        if mode not in set(Mode):
            raise Invalid("mode", f"must be one of {', '.join(Mode)}")
        encoding, delimiter = form.get("encoding") or self.encoding, form.get("delimiter") or self.delimiter
        if encoding and encoding.lower() not in _ENCODINGS:
            raise Invalid("encoding", f"must be one of {', '.join(_ENCODINGS)}")
        return Wanted(
            mode=Mode(mode),
            dry_run=_flag("dryRun", form, self.dry_run, otherwise=False),
            encoding=_ENCODINGS[encoding.lower()] if encoding else None,
            delimiter=_DELIMITERS.get(delimiter.lower(), delimiter) if delimiter else None,
            sheet=form.get("sheet") or self.sheet or None,
            has_header=_flag("header", form, self.header, otherwise=True),
            columns=_columns(form.get("columns") or self.columns),
        )


def _flag(name: str, form: Mapping[str, str], asked: bool | None, *, otherwise: bool) -> bool:
    if name in form:
        if form[name].lower() not in _FLAGS:
            raise Invalid(name, "must be true or false")
        return _FLAGS[form[name].lower()]
    return otherwise if asked is None else asked


def _columns(text: str | None) -> Mapping[str, str | None]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(value is None or isinstance(value, str) for value in found.values()):
        raise Invalid("columns", 'must be a JSON object such as {"Contact no.": "phone", "Notes": null}')
    return found


@dataclass(frozen=True, slots=True)
class Upload:
    """What came in, on this machine's disk."""

    path: Path
    name: str
    form: Mapping[str, str]

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    async def chunks(self) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(self.path.open, "rb")
        try:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk
        finally:
            file.close()


@asynccontextmanager
async def received(request: Request, options: Options) -> AsyncIterator[Upload]:
    """The file of a form, or the body. Raises Invalid for what is neither."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    with tempfile.TemporaryDirectory(prefix="gonets-upload-") as folder:
        path = Path(folder) / "file"
        if kind == "multipart/form-data":
            async with request.form(max_files=1, max_fields=len(_OPTIONS), max_part_size=2**16) as form:
                files = [value for value in form.values() if isinstance(value, UploadFile)]
                if len(files) != 1 or not isinstance(form.get("file"), UploadFile):
                    raise Invalid("file", "must be there, as the only file of the form")
                await asyncio.to_thread(_copy, files[0], path)
                fields = {name: value for name, value in form.items() if isinstance(value, str)}
                yield Upload(path, _name(files[0].filename), fields)
        elif kind in _RAW:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    await asyncio.to_thread(file.write, chunk)
            yield Upload(path, _name(options.file_name), {})
        else:
            raise Invalid("Content-Type", f"must be multipart/form-data with a file, or one of {', '.join(_RAW)}")


def _copy(upload: UploadFile, path: Path) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file, _CHUNK)


def _name(typed: str | None) -> str:
    """The last part of what a browser calls the file."""
    last = re.split(r"[\\/]", typed or "")[-1]
    return "".join(filter(str.isprintable, last))[:_LONGEST_NAME].strip() or "contacts"
