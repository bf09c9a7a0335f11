"""What all workers share of each provider: the permits in use, the line, the circuit.

Each is one row of `provider`. Times are the database's; where its clock is set back, what was reserved by the old one
is recognised by lying too far ahead, and forgotten.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.core.shared.errors import Category
from gonets.core.tasks.circuit import Circuit, Open
from gonets.core.tasks.model import Failure

_KNOWN = "INSERT INTO provider (name) VALUES ($1) ON CONFLICT DO NOTHING"

_PERMITS = """
WITH found AS (
    SELECT permits FROM provider WHERE name = $1 FOR UPDATE
), alive AS (
    SELECT key, value::int AS held
    FROM found, jsonb_each_text(permits) JOIN worker_life w ON w.id = key::bigint
), granted AS (
    SELECT greatest(0, least($3::int, $4::int - coalesce(sum(held), 0)))::int AS n FROM alive
)
UPDATE provider
SET permits = coalesce((SELECT jsonb_object_agg(key, held) FROM alive), '{}') || jsonb_build_object(
        $2::bigint::text, coalesce((SELECT held FROM alive WHERE key = $2::bigint::text), 0) + g.n)
FROM granted g
WHERE name = $1
RETURNING g.n
"""

_GIVE_BACK = """
UPDATE provider
SET permits = permits || jsonb_build_object(
        $2::bigint::text, greatest(0, coalesce((permits ->> $2::bigint::text)::int, 0) - $3::int))
WHERE name = $1
"""

_LINE = """
WITH found AS (
    SELECT name, greatest(clock_timestamp() + $3::interval,
                          CASE WHEN line_at < clock_timestamp() + interval '1 day' THEN line_at END) AS first_at
    FROM provider WHERE name = $1 FOR UPDATE
)
UPDATE provider p SET line_at = f.first_at + $2::int * $4::interval
FROM found f WHERE p.name = f.name
RETURNING f.first_at - clock_timestamp() AS first
"""

_READ = """
SELECT name, circuit_opened, circuit_category, circuit_reason,
       least(circuit_until - clock_timestamp(), circuit_pause) AS pause_left
FROM provider
"""

_OPEN = """
UPDATE provider
SET circuit_opened = $2, circuit_until = clock_timestamp() + $3::interval, circuit_pause = $3::interval,
    circuit_category = $4, circuit_reason = $5, probe_until = NULL,
    circuit_since = coalesce(circuit_since, clock_timestamp())
WHERE name = $1 AND circuit_opened <= $2
"""

_PROBE = """
UPDATE provider SET probe_until = clock_timestamp() + $2::interval
WHERE name = $1 AND circuit_opened > 0
  AND (circuit_until <= clock_timestamp() OR circuit_until > clock_timestamp() + circuit_pause)
  AND (probe_until IS NULL OR probe_until <= clock_timestamp() OR probe_until > clock_timestamp() + $2::interval)
RETURNING name
"""

_CLOSE = """
UPDATE provider
SET circuit_opened = 0, circuit_until = NULL, circuit_pause = NULL, circuit_category = NULL, circuit_reason = NULL,
    circuit_since = NULL, probe_until = NULL
WHERE name = $1
"""


class PostgresBudget:
    """One provider's budget. Implements Budget.

    `rate`: at which those who were set aside come back, 0 for no limit; `in_flight`: permits, 0 for none.
    """

    # The line is served a little faster than the provider, so that there is always someone to take a free moment.
    _CROWDING = 0.9
    _UNLIMITED_LINE = timedelta(milliseconds=2)

    def __init__(self, pool: Pool, lifeline: PostgresLifeline, provider: str, *, rate: float, in_flight: int) -> None:
        self._pool = pool
        self._lifeline = lifeline
        self._provider = provider
        self._in_flight = in_flight
        self._line_spacing = timedelta(seconds=self._CROWDING / rate) if rate else self._UNLIMITED_LINE

    async def permits(self, wanted: int) -> int:
        row = await self._row(_PERMITS, self._lifeline.life, wanted, self._in_flight)
        granted: int = row["n"]
        return granted

    async def give_back(self, permits: int) -> None:
        await self._pool.fetch(_GIVE_BACK, self._provider, self._lifeline.life, permits)

    async def place_in_line(self, waiting: int, not_before: timedelta) -> Sequence[timedelta]:
        row = await self._row(_LINE, waiting, not_before, self._line_spacing)
        return [row["first"] + number * self._line_spacing for number in range(waiting)]

    async def _row(self, statement: str, *values: object) -> Any:
        rows = await self._pool.fetch(statement, self._provider, *values)
        if not rows:  # the provider is new
            await self._pool.fetch(_KNOWN, self._provider)
            rows = await self._pool.fetch(statement, self._provider, *values)
        return rows[0]


class PostgresCircuits:
    """Implements Circuits."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self) -> Mapping[str, Circuit]:
        return {row["name"]: _from_row(row) for row in await self._pool.fetch(_READ)}

    async def open(self, provider: str, opening: Open, opened: int) -> None:
        failure = opening.failure
        await self._pool.fetch(_KNOWN, provider)
        await self._pool.fetch(_OPEN, provider, opened, opening.pause, failure.category.value, failure.reason)

    async def probe(self, provider: str, lasting: timedelta) -> bool:
        return bool(await self._pool.fetch(_PROBE, provider, lasting))

    async def close(self, provider: str) -> None:
        await self._pool.fetch(_CLOSE, provider)


def _from_row(row: Any) -> Circuit:
    if not row["circuit_opened"]:
        return Circuit()
    failure = Failure(Category(row["circuit_category"]), row["circuit_reason"])
    return Circuit(row["circuit_opened"], row["pause_left"], failure)
