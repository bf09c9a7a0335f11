"""Routes of imports."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from gonets.adapters.http.camel import MAX_ID, Answer
from gonets.adapters.http.pages import Cursor, NextCursor
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.adapters.http.spreadsheets import csv_file, defused
from gonets.adapters.http.uploads import BODY, Options, received
from gonets.core.contacts.importing import ManageImports
from gonets.core.contacts.imports import Format, Import, ImportStatus, Layout, Mode, Preview, Reject
from gonets.core.identity.model import Principal

PATH = "/contacts/imports"


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
    next_cursor: NextCursor


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
_COLUMNS = ("row", "column", "value", "code", "reason")
_REPORT: Mapping[int | str, dict[str, Any]] = {
    200: {
        "description": "A line for each row that was not taken: row, column, value, code, reason",
        "content": {"text/csv": {"schema": {"type": "string"}}},
    }
}

ImportId = Annotated[int, Path(ge=1, le=MAX_ID)]


def body_limits(most: int) -> Mapping[str, int]:
    """How many bytes the bodies of these routes may have: the file, and what a form adds to it."""
    return dict.fromkeys((PATH, f"{PATH}/preview"), most + 2**17)


def router(manage: ManageImports, authenticated: Callable[..., Awaitable[Principal]]) -> APIRouter:
    """`authenticated`: the dependency that says who asks, and refuses who may not ask here."""
    imports = APIRouter(prefix=PATH, tags=["contacts"])
    Who = Annotated[Principal, Depends(authenticated)]  # noqa: N806 - a type
    Given = Annotated[Options, Depends()]  # noqa: N806 - a type

    @imports.post(
        "",
        status_code=HTTPStatus.ACCEPTED,
        summary="Import contacts from a file",
        responses={202: {"headers": _TAKEN}, **responses(HTTPStatus.BAD_REQUEST, TOO_LARGE, *OWN)},
        openapi_extra=BODY,
    )
    async def import_contacts(who: Who, options: Given, request: Request, response: Response) -> ImportView:
        """CSV or XLSX, as the field `file` of a form, or as the body. It is read by a worker: look at the import for
        its progress, and at its report for the rows that were not taken."""
        async with received(request, options) as file:
            wanted = options.wanted(file.form)
            begun = await manage.begin(who, file.path, file.name, file.size, wanted, file.chunks)
        response.headers["Location"] = f"/api/v1{PATH}/{begun.id}"
        return ImportView.of(begun)

    @imports.post(
        "/preview",
        summary="Look at the first rows of a file",
        responses=responses(HTTPStatus.BAD_REQUEST, TOO_LARGE, *OWN),
        openapi_extra=BODY,
    )
    async def preview_import(
        _: Who, options: Given, request: Request, rows: Annotated[int, Query(ge=1, le=100)] = 10
    ) -> PreviewView:
        """What is recognised in it, and what its rows would become. Nothing is kept."""
        async with received(request, options) as file:
            return PreviewView.of(await manage.preview(file.path, options.wanted(file.form), rows))

    @imports.get("", summary="List your imports, latest first", responses=responses(*OWN))
    async def list_imports(
        who: Who,
        cursor: Cursor = None,
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
        pages = await manage.report(who.user_id, import_id)
        return csv_file(f"import-{import_id}-report.csv", _COLUMNS, (map(_cells, page) async for page in pages))

    return imports


def _cells(found: Reject) -> Sequence[object]:
    return found.row, defused(found.column), defused(found.value), found.code, found.reason
