"""CSV for spreadsheet programs, sent while it is read."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence

from fastapi.responses import StreamingResponse

from gonets.core.contacts.rows import is_formula


def csv_file(name: str, columns: Sequence[str], pages: AsyncIterator[Iterable[Sequence[object]]]) -> StreamingResponse:
    """An answer that a browser saves as `name`. `pages`: rows, each as wide as `columns`."""
    return StreamingResponse(
        _lines(columns, pages),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def defused(value: str) -> str:
    """What a spreadsheet would compute is shown as a text (OWASP, CSV injection)."""
    return f"'{value}" if is_formula(value) else value


async def _lines(columns: Sequence[str], pages: AsyncIterator[Iterable[Sequence[object]]]) -> AsyncIterator[str]:
    # The mark tells spreadsheet programs that it is UTF-8.
    yield "\N{ZERO WIDTH NO-BREAK SPACE}" + ",".join(columns) + "\r\n"
    async for page in pages:
        text = io.StringIO()
        csv.writer(text).writerows(page)
        yield text.getvalue()
