"""Routes of imports: a file comes as a form or as the body, and is never held in memory."""

import asyncio
import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.datastructures import UploadFile

from gonets.adapters.http.camel import MAX_ID, Answer
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.core.contacts.importing import ManageImports
from gonets.core.contacts.imports import Format, Import, ImportStatus, Layout, Mode, Preview, Reject, Wanted
from gonets.core.contacts.rows import is_formula
from gonets.core.identity.model import Principal
from gonets.core.shared.errors import Invalid

PATH = "/contacts/imports"

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


class ColumnView(Answer):
    """A column of the file."""

    number: Annotated[int, Field(description="From 1")]
    header: str
    target: Annotated[
        str | None,
        Field(description="A field of contacts, or attributes.name; null: it is left alone", examples=["phone"]),
    ]


class LayoutView(Answer):
    """How the file is read."""

    format: Format
    encoding: Annotated[str | None, Field(examples=["utf-8"])]
    delimiter: Annotated[str | None, Field(examples=[";"])]
    sheet: str | None
    header: Annotated[bool, Field(description="Whether the first row names the columns")]
    columns: Sequence[ColumnView]

    @classmethod
    def of(cls, layout: Layout) -> "LayoutView":
        return cls(
            format=layout.format,
            encoding=layout.encoding,
            delimiter=layout.delimiter,
            sheet=layout.sheet,
            header=layout.has_header,
            columns=[
                ColumnView(number=place + 1, header=header, target=layout.columns.get(place))
                for place, header in enumerate(layout.headers)
            ],
        )


class ImportView(Answer):
    """An import. The counts are of rows: in a dry run, of what would become of them."""

    id: int
    file_name: str
    size: Annotated[int, Field(description="Bytes")]
    mode: Mode
    dry_run: bool
    layout: LayoutView
    status: ImportStatus
    reason: Annotated[str | None, Field(description="Why it failed")]
    progress: Annotated[float, Field(description="Of the file, 0 to 1")]
    rows: int
    created: int
    updated: int
    unchanged: Annotated[int, Field(description="They said nothing new of their contact")]
    skipped: Annotated[int, Field(description="A contact has the phone or the e-mail address already")]
    rejected: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, found: Import) -> "ImportView":
        counts = found.counts
        return cls(
            id=found.id,
            file_name=found.file_name,
            size=found.size,
            mode=found.mode,
            dry_run=found.dry_run,
            layout=LayoutView.of(found.layout),
            status=found.status,
            reason=found.reason,
            progress=1.0 if found.status is ImportStatus.DONE else round(found.progress, 4),
            rows=counts.rows,
            created=counts.created,
            updated=counts.updated,
            unchanged=counts.unchanged,
            skipped=counts.skipped,
            rejected=counts.rejected,
            created_at=found.created_at,
            started_at=found.started_at,
            finished_at=found.finished_at,
        )


class ImportList(Answer):
    """One page, latest first."""

    imports: Sequence[ImportView]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last")]


class SampleView(Answer):
    """A row of a preview."""

    row: Annotated[int, Field(description="As a spreadsheet numbers it")]
    cells: Sequence[str]
    values: Annotated[dict[str, Any] | None, Field(description="What it would become; null: it would be rejected")]
    error: Annotated[dict[str, str] | None, Field(description="column, value, code and reason")]


class PreviewView(Answer):
    """What is recognised in a file, and its first rows."""

    layout: LayoutView
    rows: Sequence[SampleView]

    @classmethod
    def of(cls, found: Preview) -> "PreviewView":
        rows = [
            SampleView(
                row=row.row,
                cells=row.cells,
                values=None if row.values is None else {_camel(name): value for name, value in row.values.items()},
                error=None if row.fault is None else dict(row.fault),
            )
            for row in found.rows
        ]
        return cls(layout=LayoutView.of(found.layout), rows=rows)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_TAKEN = {"Location": {"description": "Where the import is", "schema": {"type": "string"}}}
_REPORT: Mapping[int | str, dict[str, Any]] = {
    200: {
        "description": "A line for each row that was not taken: row, column, value, code, reason",
        "content": {"text/csv": {"schema": {"type": "string"}}},
    }
}

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
_BODY = {
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

ImportId = Annotated[int, Path(ge=1, le=MAX_ID)]


@dataclass(frozen=True)
class Asked:
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


def body_limits(most: int) -> Mapping[str, int]:
    """How many bytes the bodies of these routes may have: the file, and what a form adds to it."""
    return dict.fromkeys((PATH, f"{PATH}/preview"), most + 2**17)


@dataclass(frozen=True, slots=True)
class _File:
    """What came in, on this machine's disk."""

    path: FilePath
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
async def _received(request: Request, asked: Asked) -> AsyncIterator[_File]:
    """The file of a form, or the body. Raises Invalid for what is neither."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    with tempfile.TemporaryDirectory(prefix="gonets-upload-") as folder:
        path = FilePath(folder) / "file"
        if kind == "multipart/form-data":
            async with request.form(max_files=1, max_fields=len(_OPTIONS), max_part_size=2**16) as form:
                files = [value for value in form.values() if isinstance(value, UploadFile)]
                if len(files) != 1 or not isinstance(form.get("file"), UploadFile):
                    raise Invalid("file", "must be there, as the only file of the form")
                await asyncio.to_thread(_copy, files[0], path)
                fields = {name: value for name, value in form.items() if isinstance(value, str)}
                yield _File(path, _name(files[0].filename), fields)
        elif kind in _RAW:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    await asyncio.to_thread(file.write, chunk)
            yield _File(path, _name(asked.file_name), {})
        else:
            raise Invalid("Content-Type", f"must be multipart/form-data with a file, or one of {', '.join(_RAW)}")


def _copy(upload: UploadFile, path: FilePath) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file, _CHUNK)


def _name(typed: str | None) -> str:
    """The last part of what a browser calls the file."""
    last = re.split(r"[\\/]", typed or "")[-1]
    return "".join(filter(str.isprintable, last))[:_LONGEST_NAME].strip() or "contacts"


def router(manage: ManageImports, authenticated: Callable[..., Awaitable[Principal]]) -> APIRouter:
    """`authenticated`: the dependency that says who asks, and refuses who may not ask here."""
    imports = APIRouter(prefix=PATH, tags=["contacts"])
    Who = Annotated[Principal, Depends(authenticated)]  # noqa: N806 - a type
    Options = Annotated[Asked, Depends()]  # noqa: N806 - a type

    @imports.post(
        "",
        status_code=HTTPStatus.ACCEPTED,
        summary="Import contacts from a file",
        responses={202: {"headers": _TAKEN}, **responses(HTTPStatus.BAD_REQUEST, TOO_LARGE, *OWN)},
        openapi_extra=_BODY,
    )
    async def import_contacts(who: Who, options: Options, request: Request, response: Response) -> ImportView:
        """CSV or XLSX, as the field `file` of a form, or as the body. It is read by a worker: look at the import for
        its progress, and at its report for the rows that were not taken."""
        async with _received(request, options) as file:
            wanted = options.wanted(file.form)
            begun = await manage.begin(who, file.path, file.name, file.size, wanted, file.chunks)
        response.headers["Location"] = f"/api/v1{PATH}/{begun.id}"
        return ImportView.of(begun)

    @imports.post(
        "/preview",
        summary="Look at the first rows of a file",
        responses=responses(HTTPStatus.BAD_REQUEST, TOO_LARGE, *OWN),
        openapi_extra=_BODY,
    )
    async def preview_import(
        _: Who, options: Options, request: Request, rows: Annotated[int, Query(ge=1, le=100)] = 10
    ) -> PreviewView:
        """What is recognised in it, and what its rows would become. Nothing is kept."""
        async with _received(request, options) as file:
            return PreviewView.of(await manage.preview(file.path, options.wanted(file.form), rows))

    @imports.get("", summary="List your imports, latest first", responses=responses(*OWN))
    async def list_imports(
        who: Who,
        cursor: Annotated[str | None, Query(description="nextCursor of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> ImportList:
        page = await manage.page(who.user_id, cursor=cursor, limit=limit)
        return ImportList(imports=[ImportView.of(one) for one in page.imports], next_cursor=page.next_cursor)

    @imports.get("/{import_id:int}", summary="Look at one import", responses=responses(*ONE))
    async def get_import(who: Who, import_id: ImportId) -> ImportView:
        return ImportView.of(await manage.get(who.user_id, import_id))

    @imports.post("/{import_id:int}/cancel", summary="Stop an import", responses=responses(HTTPStatus.CONFLICT, *ONE))
    async def cancel_import(who: Who, import_id: ImportId) -> ImportView:
        """What is written stays."""
        return ImportView.of(await manage.cancel(who, import_id))

    @imports.get(
        "/{import_id:int}/report",
        summary="Download the rows that were not taken",
        response_class=Response,
        responses={**_REPORT, **responses(*ONE)},
    )
    async def get_import_report(who: Who, import_id: ImportId) -> StreamingResponse:
        lines = await manage.report(who.user_id, import_id)
        headers = {"Content-Disposition": f'attachment; filename="import-{import_id}-report.csv"'}
        return StreamingResponse(_report(lines), media_type="text/csv; charset=utf-8", headers=headers)

    return imports


async def _report(pages: AsyncIterator[Sequence[Reject]]) -> AsyncIterator[str]:
    # The mark tells spreadsheet programs that it is UTF-8.
    yield "\N{ZERO WIDTH NO-BREAK SPACE}row,column,value,code,reason\r\n"
    async for page in pages:
        text = io.StringIO()
        rows = ((one.row, _defused(one.column), _defused(one.value), one.code, one.reason) for one in page)
        csv.writer(text).writerows(rows)
        yield text.getvalue()


def _defused(value: str) -> str:
    """What a spreadsheet would compute is shown as a text (OWASP, CSV injection)."""
    return f"'{value}" if is_formula(value) else value
