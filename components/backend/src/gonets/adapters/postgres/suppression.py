"""The table of addresses that must not be written to."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gonets.adapters.postgres.cursors import from_cursor, to_cursor
from gonets.adapters.postgres.jsonb import storable
from gonets.adapters.postgres.pool import Pool
from gonets.core.contacts.suppression import Entry, Kind, Source, Suppression, SuppressionPage, matching
from gonets.core.shared.batching import Batcher, Observe, nobody
from gonets.core.shared.errors import Unavailable

# In one order, so that two who add the same addresses wait for one another instead of deadlocking.
_ADD = """
INSERT INTO suppression AS s (owner_id, kind, address, reason, source)
SELECT $1, kind, address, reason, $2 FROM unnest($3::text[], $4::text[], $5::text[]) AS i (kind, address, reason)
ORDER BY kind, address
ON CONFLICT (owner_id, kind, address) DO UPDATE SET source = s.source
RETURNING s.*, xmax = 0 AS new
"""

_PAGE = """
SELECT * FROM suppression WHERE owner_id = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""

# Each is looked up by its key, however long the list is.
_ONLY = """
SELECT s.* FROM unnest($4::text[], $5::text[]) AS i (kind, address)
CROSS JOIN LATERAL (
    SELECT * FROM suppression s
    WHERE s.owner_id = $1 AND s.kind = i.kind AND s.address = i.address AND ($2::bigint IS NULL OR s.id < $2)
    OFFSET 0
) s
ORDER BY s.id DESC LIMIT $3
"""

_AMONG = """
SELECT i.place FROM unnest($1::bigint[], $2::text[], $3::text[]) WITH ORDINALITY AS i (owner_id, kind, address, place)
WHERE EXISTS (
    SELECT FROM suppression s WHERE s.owner_id = i.owner_id AND s.kind = i.kind AND s.address = i.address
)
"""


class _Asked(NamedTuple):
    owner_id: int
    addresses: Sequence[tuple[str, str]]
    """Kinds, and addresses as they were asked for."""


class PostgresSuppressions:
    """Implements SuppressionStore. `observe` hears the sizes of batches."""

    def __init__(self, pool: Pool, observe: Observe = nobody) -> None:
        self._pool = pool
        self._questions: Batcher[_Asked, Mapping[str, frozenset[str]]] = Batcher(
            self._flush, in_flight=1, shared_errors=(Unavailable,), name="suppression_among", observe=observe
        )

    async def add(self, owner_id: int, entries: Sequence[Entry], source: Source) -> Sequence[tuple[Suppression, bool]]:
        rows = await self._pool.fetch(
            _ADD,
            owner_id,
            source.value,
            [entry.kind.value for entry in entries],
            [storable(entry.address) for entry in entries],
            [None if entry.reason is None else storable(entry.reason) for entry in entries],
        )
        found = {(row["kind"], row["address"]): (_from_row(row), row["new"]) for row in rows}
        return [found[entry.kind.value, storable(entry.address)] for entry in entries]

    async def get(self, owner_id: int, suppression_id: int) -> Suppression | None:
        found = "SELECT * FROM suppression WHERE owner_id = $1 AND id = $2"
        rows = await self._pool.fetch(found, owner_id, suppression_id)
        return _from_row(rows[0]) if rows else None

    async def page(
        self, owner_id: int, only: Sequence[tuple[Kind, str]] | None, *, cursor: str | None, limit: int
    ) -> SuppressionPage:
        before = from_cursor(cursor)[1] if cursor else None
        # One more than asked for tells whether there is a next page.
        if only is None:
            rows = await self._pool.fetch(_PAGE, owner_id, before, limit + 1)
        else:
            kinds, wanted = [kind.value for kind, _ in only], [address for _, address in only]
            rows = await self._pool.fetch(_ONLY, owner_id, before, limit + 1, kinds, wanted)
        last = rows[limit - 1] if len(rows) > limit else None
        return SuppressionPage(
            [_from_row(row) for row in rows[:limit]], to_cursor(last["created_at"], last["id"]) if last else None
        )

    async def delete(self, owner_id: int, suppression_id: int) -> bool:
        deleted = "DELETE FROM suppression WHERE owner_id = $1 AND id = $2 RETURNING id"
        return bool(await self._pool.fetch(deleted, owner_id, suppression_id))

    async def lift(self, owner_id: int, kind: Kind, address: str, sources: frozenset[Source]) -> bool:
        lifted = await self._pool.fetch(
            "DELETE FROM suppression WHERE owner_id = $1 AND kind = $2 AND address = $3 AND source = ANY($4::text[])"
            " RETURNING id",
            owner_id,
            kind.value,
            address,
            [source.value for source in sources],
        )
        return bool(lifted)

    async def among(self, owner_id: int, asked: Mapping[str, Sequence[str]]) -> Mapping[str, frozenset[str]]:
        addresses = [(kind, address) for kind, several in asked.items() for address in several]
        return await self._questions.add(_Asked(owner_id, addresses)) if addresses else {}

    async def _flush(self, questions: Sequence[_Asked]) -> Sequence[Mapping[str, frozenset[str]]]:
        flat = [(place, *pair) for place, asked in enumerate(questions) for pair in asked.addresses]
        rows = await self._pool.fetch(
            _AMONG,
            [questions[place].owner_id for place, _, _ in flat],
            [kind for _, kind, _ in flat],
            [storable(matching(Kind(kind), address)) for _, kind, address in flat],
        )
        found: list[dict[str, set[str]]] = [{} for _ in questions]
        for row in rows:
            place, kind, address = flat[row["place"] - 1]
            found[place].setdefault(kind, set()).add(address)
        return [{kind: frozenset(several) for kind, several in one.items()} for one in found]


def _from_row(row: Any) -> Suppression:
    return Suppression(
        id=row["id"],
        kind=Kind(row["kind"]),
        address=row["address"],
        reason=row["reason"],
        source=Source(row["source"]),
        created_at=row["created_at"],
    )
