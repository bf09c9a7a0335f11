"""Lists, latest first."""

from collections.abc import Sequence
from typing import Any

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.pool import Pool

_PAGE = """
SELECT * FROM {table} WHERE {condition} AND ($1::timestamptz IS NULL OR ({time}, id) < ($1, $2::bigint))
ORDER BY {time} DESC, id DESC LIMIT $3
"""


async def latest_first(
    pool: Pool, table: str, time: str, condition: str, cursor: str | None, limit: int, *values: object
) -> tuple[Sequence[Any], str | None]:
    """A page of the rows that meet the condition, in which `values` are $4 and so on, and the cursor of the next one.
    Raises Invalid for a cursor that is none of ours."""
    place = from_cursor(cursor) if cursor else (None, None)
    statement = _PAGE.format(table=table, time=time, condition=condition)
    # One more than asked for tells whether there is a next page.
    rows = await pool.fetch(statement, *place, limit + 1, *values)
    last = rows[limit - 1] if len(rows) > limit else None
    return rows[:limit], to_cursor(last[time], last["id"]) if last else None
