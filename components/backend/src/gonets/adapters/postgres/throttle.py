"""The table of failed logins."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gonets.adapters.postgres.pool import Pool
from gonets.core.identity import throttle
from gonets.core.identity.throttle import Tally, ThrottlePolicy

_TALLIES_KEPT = timedelta(days=1)


class PostgresThrottle:
    """Implements Throttle."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def attempt(self, keys: Mapping[str, ThrottlePolicy], now: datetime) -> timedelta | None:
        async with self._pool.transaction() as connection:
            # Locked in one order, so that nobody waits in a circle; rows to be locked have to be there.
            ordered = sorted(keys)
            await connection.execute(
                "INSERT INTO login_throttle (key, last_at, closed_until)"
                " SELECT key, $2, $2 FROM unnest($1::text[]) AS key ORDER BY key ON CONFLICT DO NOTHING",
                ordered,
                now,
            )
            rows = await connection.fetch(
                "SELECT * FROM login_throttle WHERE key = ANY($1) ORDER BY key FOR UPDATE", ordered
            )
            tallies: dict[str, Tally] = {}
            for row in rows:
                decided = throttle.attempt(_to_tally(row), keys[row["key"]], now)
                if isinstance(decided, timedelta):
                    return decided
                tallies[row["key"]] = decided
            await _write(connection, tallies)
            await connection.execute(
                "DELETE FROM login_throttle WHERE key IN (SELECT key FROM login_throttle WHERE last_at < $1"
                " ORDER BY last_at LIMIT 10 FOR UPDATE SKIP LOCKED)",
                now - _TALLIES_KEPT,
            )
        return None

    async def succeeded(self, forget: str, others: Sequence[str], now: datetime) -> None:
        async with self._pool.transaction() as connection:
            rows = await connection.fetch(
                "SELECT * FROM login_throttle WHERE key = ANY($1) ORDER BY key FOR UPDATE", sorted([forget, *others])
            )
            back = {row["key"]: throttle.succeeded(_to_tally(row), now) for row in rows if row["key"] != forget}
            await _write(connection, back)
            await connection.execute("DELETE FROM login_throttle WHERE key = $1", forget)


async def _write(connection: Any, tallies: Mapping[str, Tally]) -> None:
    await connection.executemany(
        "UPDATE login_throttle SET failures = $2, last_at = $3, closed_until = $4 WHERE key = $1",
        [(key, tally.failures, tally.last_at, tally.closed_until) for key, tally in tallies.items()],
    )


def _to_tally(row: Any) -> Tally:
    return Tally(row["failures"], row["last_at"], row["closed_until"])
