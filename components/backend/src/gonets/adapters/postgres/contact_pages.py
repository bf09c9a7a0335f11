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


# By what is searched: the key in whose order it is listed.
_BY = {"phone": "contact.phone", "email": "lower(contact.email)", "name": 'lower(contact.name) COLLATE "C"'}
_BEYOND = "\U0010ffff"
"""As the database compares here, byte by byte, no text goes on with anything greater."""

_STAGE = """
(SELECT contact.*, {stage} AS stage, {key} AS found_by FROM contact
WHERE contact.owner_id = $1 AND {key} >= ${beginning} AND {key} < ${end}
  AND ({key}, contact.id) > (${after}, {last} * $3::bigint) AND {named} AND {earlier} AND {condition}
ORDER BY {key}, contact.id LIMIT $2)
"""
_SEARCH = """
SELECT * FROM ({stages}) found ORDER BY stage, found_by COLLATE "C", id LIMIT $2
"""


async def search(
    pool: Pool, owner_id: int, audience: Audience, wanted: Search, *, cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    """Rows of contact as ContactStore.page says, and where the next page begins. Raises Invalid."""
    text = wanted.text.replace("\0", "")
    stages = [*(("phone", phone) for phone in wanted.phones), ("email", text), ("name", text)]
    first, key, last_id = _found_of(cursor, len(stages))
    query, values = _stages(stages, first, key, audience)
    rows = await pool.fetch(query, owner_id, limit + 1, last_id, *values)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], to_cursor(last["stage"], last["found_by"], last["id"])


def _stages(
    stages: Sequence[tuple[str, str]], first: int, key: str | None, audience: Audience
) -> tuple[str, Sequence[object]]:
    """One statement for all that are left, so that a page costs the same wherever it ends; and its values from the
    fourth on. The first of them goes on behind `key` and the last id."""
    values: list[object] = []

    def place(value: object) -> int:
        values.append(value)
        return 3 + len(values)

    begun = [(_BY[by], place(beginning), place(beginning + _BEYOND)) for by, beginning in stages]
    sql, asked = condition(audience, 4 + len(values))
    values += asked
    parts = []
    for stage, (by, _) in list(enumerate(stages))[first:]:
        goes_on = stage == first and key is not None
        earlier = [f"({one} >= ${start} AND {one} < ${end}) IS NOT TRUE" for one, start, end in begun[:stage]]
        parts.append(
            _STAGE.format(
                stage=stage,
                key=_BY[by],
                beginning=begun[stage][1],
                end=begun[stage][2],
                # Where a stage begins, all that have its beginning have ids above 0.
                after=place(key) if goes_on else begun[stage][1],
                last=int(goes_on),
                named="contact.name <> ''" if by == "name" else f"contact.{by} IS NOT NULL",
                earlier=" AND ".join(["true", *earlier]),
                condition=sql,
            )
        )
    return _SEARCH.format(stages=" UNION ALL ".join(parts)), values


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
