"""Messages of people that were heeded."""

from datetime import timedelta

from gonets.adapters.postgres.jsonb import storable
from gonets.adapters.postgres.pool import Pool

_KEPT = timedelta(days=30)
_LONGEST = 200  # characters of a provider's id

_ADD = """
WITH over AS (DELETE FROM heeded_message WHERE heeded_at < statement_timestamp() - $3::interval)
INSERT INTO heeded_message (channel_id, provider_id) VALUES ($1, $2)
ON CONFLICT (channel_id, provider_id) DO NOTHING
"""


class PostgresHeeded:
    """Implements Heeded."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def has(self, channel_id: int, provider_id: str) -> bool:
        found = "SELECT FROM heeded_message WHERE channel_id = $1 AND provider_id = $2"
        return bool(await self._pool.fetch(found, channel_id, _name(provider_id)))

    async def add(self, channel_id: int, provider_id: str) -> None:
        await self._pool.fetch(_ADD, channel_id, _name(provider_id), _KEPT)


def _name(provider_id: str) -> str:
    return storable(provider_id[:_LONGEST])
