"""Lists of contacts that take as long at the end of ten millions as at their beginning.

Each page walks an index that is in the order of the list already, from the cursor on: that of one tag, one operator
code, one time zone, or the owner's all. Of several values each has its own walk, and the pages are merged. What else is
asked for is looked up row by row, so the rarest of the filters walks. Where even that meets nearly nobody, the page
ends after `_FARTHEST` rows, and the next one goes on from there.
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
from gonets.core.contacts.ports import Search
from gonets.core.shared.errors import Invalid

_FARTHEST = 10_000
_LAST_ID = 2**63 - 1

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
class _Walk:
    sql: str
    values: Sequence[str]
    once: str = "true"


def _walks(audience: Audience) -> Sequence[_Walk]:
    found = [_Walk(_TAG, [tag]) for tag in audience.tags_all]
    if audience.tags_any:
        found.append(_Walk(_TAG, audience.tags_any, _ONCE))
    if audience.operator_codes:
        found.append(_Walk(_COLUMN.format("operator_code"), audience.operator_codes))
    if audience.timezones:
        found.append(_Walk(_COLUMN.format("timezone"), audience.timezones))
    return found or [_Walk(_EVERYBODY, [""])]


async def page(
    pool: Pool, owner_id: int, audience: Audience, *, cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    """Rows of contact, latest first, and where the next page begins. Raises Invalid."""
    before = _place_of(cursor)
    walk = await _rarest(pool, owner_id, before, _walks(audience))
    start = (owner_id, before, list(walk.values))
    sql, values = condition(audience, 5)
    query = _PAGE.format(walk=walk.sql, farthest=_FARTHEST, once=walk.once, condition=sql)
    # One more than asked for tells whether there is a next page.
    rows = await pool.fetch(query, *start, limit + 1, *values)
    if len(rows) > limit:
        return rows[:limit], to_cursor(rows[limit - 1]["id"])
    [floor] = await pool.fetch(_FLOOR.format(walk=walk.sql, farthest=_FARTHEST), *start)
    if floor["id"] is None:
        return rows, None
    # One walk went no farther: what others met beyond it comes with the next page.
    return [row for row in rows if row["id"] >= floor["id"]], to_cursor(floor["id"])


async def _rarest(pool: Pool, owner_id: int, before: int, walks: Sequence[_Walk]) -> _Walk:
    """The one with the fewest rows, as the planner's statistics have it: a bad guess costs time, nothing else."""
    if len(walks) == 1:
        return walks[0]
    found = []
    for place, walk in enumerate(walks):
        query = walk.sql.replace("given.value", "ANY ($3::text[])")
        [row] = await pool.fetch(f"EXPLAIN (FORMAT JSON) {query}", owner_id, before, list(walk.values))
        found.append((json.loads(row[0])[0]["Plan"]["Plan Rows"], place))
    return walks[min(found)[1]]


# By what is searched, in the order in which it is listed: the key, and whether it is unique.
_BY = {"phone": "contact.phone", "email": "lower(contact.email)", "name": 'lower(contact.name) COLLATE "C"'}
_BEYOND = "\U0010ffff"
"""As the database compares here, byte by byte, no text goes on with anything greater."""

_SEARCH = """
SELECT contact.*, {key} AS found_by FROM contact
WHERE contact.owner_id = $1 AND {key} >= $2 AND {key} < $3 AND ({key}, contact.id) > ($4, $5::bigint) AND {named}
  AND {earlier} AND {condition}
ORDER BY {key}, contact.id LIMIT $6
"""


async def search(
    pool: Pool, owner_id: int, audience: Audience, wanted: Search, *, cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    """Rows of contact as ContactStore.page says, and where the next page begins. Raises Invalid."""
    text = wanted.text.replace("\0", "")
    stages = [*(("phone", phone) for phone in wanted.phones), ("email", text), ("name", text)]
    stage, key, last_id = _found_of(cursor, len(stages))
    rows: list[Any] = []
    place: list[object] = []
    while stage < len(stages) and len(rows) <= limit:
        by, beginning = stages[stage]
        query, values = _stage(stages[:stage], by, audience)
        after = key if key is not None else beginning
        more = await pool.fetch(
            query, owner_id, beginning, beginning + _BEYOND, after, last_id, limit + 1 - len(rows), *values
        )
        for row in more[: limit - len(rows)]:
            rows.append(row)
            place = [stage, row["found_by"], row["id"]]
        if len(more) and len(rows) == limit and more[-1]["id"] != rows[-1]["id"]:
            return rows, to_cursor(*place)
        stage, key, last_id = stage + 1, None, 0
    return rows, None


def _stage(before: Sequence[tuple[str, str]], by: str, audience: Audience) -> tuple[str, Sequence[object]]:
    """The statement, and its values from the seventh on."""
    earlier, values = ["true"], list[object]()
    for name, beginning in before:
        place = 7 + len(values)
        earlier.append(f"({_BY[name]} >= ${place} AND {_BY[name]} < ${place + 1}) IS NOT TRUE")
        values += [beginning, beginning + _BEYOND]
    sql, more = condition(audience, 7 + len(values))
    named = "contact.name <> ''" if by == "name" else f"contact.{by} IS NOT NULL"
    query = _SEARCH.format(key=_BY[by], named=named, earlier=" AND ".join(earlier), condition=sql)
    return query, [*values, *more]


def to_cursor(*place: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode()


def _place_of(cursor: str | None) -> int:
    if cursor is None:
        return _LAST_ID
    match _read(cursor):
        case [int(place)] if 0 < place <= _LAST_ID:
            return place
    raise _unknown()


def _found_of(cursor: str | None, stages: int) -> tuple[int, str | None, int]:
    if cursor is None:
        return 0, None, 0
    match _read(cursor):
        case [int(stage), str(key), int(place)] if 0 <= stage < stages and 0 < place <= _LAST_ID and "\0" not in key:
            return stage, key, place
    raise _unknown()


def _read(cursor: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")).decode())
    except (ValueError, RecursionError, binascii.Error):
        raise _unknown() from None


def _unknown() -> Invalid:
    return Invalid("cursor", "must be the nextCursor of an earlier answer, unchanged")
