"""Contacts whose phone, e-mail address or name begins with something, in the order of what they are found by.

Each of the three is a stage, and walks its own index from the cursor on. As a list of contacts does, a page looks at so
many rows and no more: where the filters mean few of those that are found, it is short, and the next one goes on.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gonets.adapters.postgres import contact_pages
from gonets.adapters.postgres.audience import condition
from gonets.adapters.postgres.contact_pages import LAST_ID, Walk, read_cursor, to_cursor, unknown_cursor
from gonets.adapters.postgres.jsonb import storable
from gonets.adapters.postgres.pool import Pool
from gonets.core.contacts.audience import Audience
from gonets.core.contacts.ports import Search

# By what is searched: the key in whose order it is listed.
_BY = {"phone": "contact.phone", "email": "lower(contact.email)", "name": 'lower(contact.name) COLLATE "C"'}
_BEYOND = "\U0010ffff"
"""As the database compares here, byte by byte, no text goes on with anything greater."""

# The last row that a stage may look at is there in any case, meant or not: from it the next page goes on.
_STAGE = """
stage_{stage} AS MATERIALIZED (
    SELECT * FROM (
        SELECT *, ({earlier} AND {condition}) IS TRUE AS meant FROM (
            SELECT *, {stage} AS stage, {key} AS found_by, row_number() OVER (ORDER BY {key}, id) AS place FROM contact
            WHERE owner_id = $1 AND {beyond} AND {key} < {end} AND {named}
            ORDER BY {key}, id LIMIT {farthest}
        ) contact
    ) walked
    WHERE meant OR place = {farthest}
    ORDER BY found_by, id LIMIT {room}
)
"""
# Where one stage fills the page, or went as far as it may, the later ones are not begun.
_ROOM = """(
    SELECT CASE WHEN bool_or(place = {farthest}) THEN 0 ELSE greatest($2::bigint - count(*), 0) END
    FROM ({before}) before
)"""
_SEARCH = """
WITH {stages} SELECT * FROM ({found}) found ORDER BY stage, found_by, id
"""

_AMONG = """
SELECT * FROM (
    SELECT contact.*, found.* FROM (
        SELECT DISTINCT reached.id FROM unnest($3::text[]) AS given (value)
        CROSS JOIN LATERAL ({walk} ORDER BY id DESC LIMIT {farthest}) reached
    ) walked
    CROSS JOIN LATERAL (
        SELECT * FROM contact WHERE contact.id = walked.id AND contact.owner_id = $1 AND {condition} OFFSET 0
    ) contact
    CROSS JOIN LATERAL (
        SELECT stage, found_by FROM (VALUES {stages}) AS given (stage, found_by, beginning, ending)
        WHERE found_by >= beginning AND found_by < ending ORDER BY stage LIMIT 1
    ) found
) contact
WHERE (stage, found_by, id) > ($5::integer, $6::text, $7::bigint)
ORDER BY stage, found_by, id LIMIT $4
"""


class _Stage(NamedTuple):
    by: str
    beginning: str


class _Place(NamedTuple):
    """In the list of those that are found."""

    stage: int
    key: str
    id: int


_START = _Place(0, "", 0)


async def search(
    pool: Pool, owner_id: int, audience: Audience, wanted: Search, *, cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    """Rows of contact as ContactStore.page says, and where the next page begins. Raises Invalid."""
    text = wanted.text.replace("\0", "")
    stages = [*(_Stage("phone", phone) for phone in wanted.phones), _Stage("email", text), _Stage("name", text)]
    start = _place_of(cursor, len(stages))
    query, values = _walking(stages, start, audience)
    # One more than asked for tells whether there is a next page.
    walked = await pool.fetch(query, owner_id, limit + 1, *values)
    rows = [row for row in walked if row["meant"]]
    if len(rows) > limit:
        return rows[:limit], _cursor_at(rows[limit - 1])
    if not walked or walked[-1]["place"] < contact_pages.FARTHEST:
        return rows, None
    if walk := await contact_pages.few(pool, owner_id, audience):
        query, values = _among(walk, stages, audience)
        found = await pool.fetch(query, owner_id, LAST_ID, list(walk.values), limit + 1, *start, *values)
        return found[:limit], _cursor_at(found[limit - 1]) if len(found) > limit else None
    return rows, _cursor_at(walked[-1])


def _walking(stages: Sequence[_Stage], start: _Place, audience: Audience) -> tuple[str, Sequence[object]]:
    """One statement for all stages that are left, so that a page costs the same wherever it ends; and its values from
    the third on."""
    asked, given = condition(audience, 3)
    values = [*given]

    def place(value: object) -> str:
        values.append(value)
        return f"${2 + len(values)}"

    farthest, parts, before = contact_pages.FARTHEST, list[str](), list[str]()
    for stage, (by, beginning) in list(enumerate(stages))[start.stage :]:
        key = _BY[by]
        # Of two lower bounds an index may be entered by the one that lies a million rows before the other.
        if stage == start.stage and start.key.encode() >= beginning.encode():
            beyond = f"({key}, id) > ({place(start.key)}, {place(start.id)})"
        else:
            beyond = f"{key} >= {place(beginning)}"
        earlier = [f"({_in_range(one, place)}) IS NOT TRUE" for one in stages[:stage]]
        parts.append(
            _STAGE.format(
                stage=stage,
                key=key,
                beyond=beyond,
                end=place(beginning + _BEYOND),
                named="name <> ''" if by == "name" else f"{by} IS NOT NULL",
                earlier=" AND ".join(["true", *earlier]),
                condition=asked,
                farthest=farthest,
                room=_ROOM.format(farthest=farthest, before=" UNION ALL ".join(before)) if before else "$2",
            )
        )
        before.append(f"SELECT * FROM stage_{stage}")  # noqa: S608 - only our own names
    return _SEARCH.format(stages=", ".join(parts), found=" UNION ALL ".join(before)), values


def _in_range(stage: _Stage, place: Callable[[object], str]) -> str:
    key = _BY[stage.by]
    return f"{key} >= {place(stage.beginning)} AND {key} < {place(stage.beginning + _BEYOND)}"


def _among(walk: Walk, stages: Sequence[_Stage], audience: Audience) -> tuple[str, Sequence[object]]:
    """The statement that looks at all whom the walk meets, and its values from the eighth on."""
    asked, values = condition(audience, 8)
    values, found = [*values], list[str]()
    for stage, (by, beginning) in enumerate(stages):
        values += [beginning, beginning + _BEYOND]
        found.append(f'({stage}, ({_BY[by]}) COLLATE "C", ${len(values) + 6}::text, ${len(values) + 7}::text)')
    return _AMONG.format(walk=walk.sql, farthest=walk.farthest(), condition=asked, stages=", ".join(found)), values


def _cursor_at(row: Any) -> str:
    return to_cursor(row["stage"], row["found_by"], row["id"])


def _place_of(cursor: str | None, stages: int) -> _Place:
    if cursor is None:
        return _START
    match read_cursor(cursor):
        case [int(stage), str(key), int(at)] if 0 <= stage < stages and 0 < at <= LAST_ID and storable(key) == key:
            return _Place(stage, key, at)
    raise unknown_cursor()
