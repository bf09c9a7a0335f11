"""Lists of contacts that take as long at the end of ten millions as at their beginning.

Each page walks an index that is in the order of the list already, from the cursor on: that of one tag, one operator
code, one time zone, or the owner's all. Of several values each has its own walk, and the pages are merged. What else is
asked for is looked up row by row, so the rarest of the filters walks. Where even that meets nearly nobody, the page
ends after `FARTHEST` rows, and the next one goes on from there.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gonets.adapters.postgres.audience import condition
from gonets.adapters.postgres.pool import Pool
from gonets.core.contacts.audience import Audience
from gonets.core.shared.errors import Invalid

FARTHEST = 2_000
"""Rows that a page looks at, however few of them are meant: a third of a second's where none of them is in memory."""
LAST_ID = 2**63 - 1

_TAG = "SELECT contact_id AS id FROM contact_tag WHERE owner_id = $1 AND tag = given.value AND contact_id < $2"
_COLUMN = "SELECT id FROM contact WHERE owner_id = $1 AND {} = given.value AND id < $2"
_EVERYBODY = "SELECT id FROM contact WHERE owner_id = $1 AND id < $2"

# OFFSET 0: the walk comes first, whatever the planner thinks of it.
_PAGE = """
SELECT contact.* FROM unnest($3::text[]) WITH ORDINALITY AS given (value, place)
CROSS JOIN LATERAL (
    SELECT contact.* FROM ({walk} ORDER BY id DESC LIMIT {farthest}) walked
    CROSS JOIN LATERAL (
        SELECT * FROM contact
        WHERE contact.id = walked.id AND contact.owner_id = $1 AND {once} AND {condition} OFFSET 0
    ) contact
    ORDER BY walked.id DESC LIMIT $4
) contact
ORDER BY contact.id DESC LIMIT $4
"""

_FLOOR = """
SELECT max(reached.id) AS id FROM unnest($3::text[]) AS given (value)
CROSS JOIN LATERAL ({walk} ORDER BY id DESC OFFSET {farthest} - 1 LIMIT 1) reached
"""

# Whoever has several of the tags is met on several walks, and counts on the first.
_ONCE = "NOT contact.tags && ($3::text[])[:given.place - 1]"


@dataclass(frozen=True, slots=True)
class Walk:
    """Ids below $2 of the owner $1 in one index, for `given.value`, which is each of `values` in turn."""

    sql: str
    values: Sequence[str]
    once: str = "true"

    def farthest(self, limit: int = 0) -> int:
        """Rows for each of the values, but enough of them to fill a page of `limit` where all are meant."""
        return max(FARTHEST // len(self.values), limit + 1)


def _walks(audience: Audience) -> Sequence[Walk]:
    found = [Walk(_TAG, [tag]) for tag in audience.tags_all]
    if audience.tags_any:
        found.append(Walk(_TAG, audience.tags_any, _ONCE))
    if audience.operator_codes:
        found.append(Walk(_COLUMN.format("operator_code"), audience.operator_codes))
    if audience.timezones:
        found.append(Walk(_COLUMN.format("timezone"), audience.timezones))
    return found


async def page(
    pool: Pool, owner_id: int, audience: Audience, *, cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    """Rows of contact, latest first, and where the next page begins. Raises Invalid."""
    before = _place_of(cursor)
    walk = await _rarest(pool, owner_id, before, _walks(audience) or [Walk(_EVERYBODY, [""])])
    sql, values = condition(audience, 5)
    farthest = walk.farthest(limit)
    query = _PAGE.format(walk=walk.sql, farthest=farthest, once=walk.once, condition=sql)
    # One more than asked for tells whether there is a next page.
    rows = await pool.fetch(query, owner_id, before, list(walk.values), limit + 1, *values)
    if len(rows) > limit:
        return rows[:limit], to_cursor(rows[limit - 1]["id"])
    floor = await _floor(pool, owner_id, before, walk, farthest)
    if floor is None:
        return rows, None
    # One walk went no farther: what others met beyond it comes with the next page.
    return [row for row in rows if row["id"] >= floor], to_cursor(floor)


async def few(pool: Pool, owner_id: int, audience: Audience) -> Walk | None:
    """The walk by one of the filters that meets no more than a page may look at, if there is one."""
    if not (walks := _walks(audience)):
        return None
    walk = await _rarest(pool, owner_id, LAST_ID, walks)
    return walk if await _floor(pool, owner_id, LAST_ID, walk, walk.farthest()) is None else None


async def _floor(pool: Pool, owner_id: int, before: int, walk: Walk, farthest: int) -> int | None:
    """The highest id that is the farthest of one of the values; None where none of them goes so far."""
    query = _FLOOR.format(walk=walk.sql, farthest=farthest)
    [floor] = await pool.fetch(query, owner_id, before, list(walk.values))
    found: int | None = floor["id"]
    return found


async def _rarest(pool: Pool, owner_id: int, before: int, walks: Sequence[Walk]) -> Walk:
    """The one with the fewest rows, as the planner's statistics have it: a bad guess costs time, nothing else."""
    if len(walks) == 1:
        return walks[0]
    found = []
    for place, walk in enumerate(walks):
        query = walk.sql.replace("given.value", "ANY ($3::text[])")
        [row] = await pool.fetch(f"EXPLAIN (FORMAT JSON) {query}", owner_id, before, list(walk.values))
        found.append((json.loads(row[0])[0]["Plan"]["Plan Rows"], place))
    return walks[min(found)[1]]


def to_cursor(*place: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode()


def read_cursor(cursor: str) -> Any:
    """What `to_cursor` was given, as a list. Raises Invalid."""
    try:
        return json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")).decode())
    except (ValueError, RecursionError, binascii.Error):
        raise unknown_cursor() from None


def unknown_cursor() -> Invalid:
    return Invalid("cursor", "must be the nextCursor of an earlier answer, unchanged")


def _place_of(cursor: str | None) -> int:
    if cursor is None:
        return LAST_ID
    match read_cursor(cursor):
        case [int(place)] if 0 < place <= LAST_ID:
            return place
    raise unknown_cursor()
