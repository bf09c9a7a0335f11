"""Which campaigns and chunks are to be looked at now; it follows from their rows. Locks as in `campaigns`."""

from collections.abc import Sequence
from datetime import timedelta

from gonets.adapters.postgres.campaigns import campaign_from_row
from gonets.adapters.postgres.pool import Pool
from gonets.core.campaigns.model import Campaign
from gonets.core.campaigns.ports import OUTSTANDING

# A wake-up that nobody took is repeated after this time: within 30 s, the sweep's own second included.
WAKE_AGAIN = timedelta(seconds=20)

_ORPHANS = """
WITH campaigns AS (
    UPDATE campaign c SET life = NULL, stamp = NULL, wake_at = clock_timestamp()
    WHERE life IS NOT NULL AND NOT EXISTS (SELECT FROM worker_life w WHERE w.id = c.life)
    RETURNING id
), found AS (
    SELECT id FROM campaign_chunk k
    WHERE life IS NOT NULL AND NOT EXISTS (SELECT FROM worker_life w WHERE w.id = k.life)
    ORDER BY id
    FOR UPDATE
), chunks AS (
    UPDATE campaign_chunk k SET life = NULL, stamp = NULL, wake_at = clock_timestamp()
    FROM found
    WHERE k.id = found.id
    RETURNING k.id
)
SELECT (SELECT count(*) FROM campaigns) + (SELECT count(*) FROM chunks) AS n
"""

_STARTING = """
SELECT * FROM campaign WHERE status = 'scheduled' AND wake_at <= statement_timestamp() ORDER BY wake_at LIMIT $1
"""

_ENDING = """
SELECT * FROM campaign WHERE status IN ('running', 'paused') AND end_at <= statement_timestamp()
ORDER BY end_at
LIMIT $1
"""

_THROUGH = """
SELECT * FROM campaign c
WHERE status = 'running' AND fanned_out_at IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM campaign_count n WHERE n.campaign_id = c.id AND n.status IN ('pending', 'sending') AND n.n > 0)
  AND NOT EXISTS (SELECT FROM campaign_chunk k WHERE k.campaign_id = c.id AND done_at IS NULL)
ORDER BY id
LIMIT $1
"""

_DUE = """
SELECT id FROM campaign WHERE wake_at <= statement_timestamp() AND status <> 'scheduled' ORDER BY wake_at LIMIT $1
"""

# The first ones that are not done are on their way, or in somebody's hands, or else they are woken. Where nobody works
# nobody is woken: the queue would fill while all workers are down.
_DUE_CHUNKS = """
SELECT k.id
FROM campaign c CROSS JOIN LATERAL (
    SELECT id, wake_at FROM campaign_chunk
    WHERE campaign_id = c.id AND done_at IS NULL AND due_at <= clock_timestamp()
    ORDER BY id
    LIMIT $2
) k
WHERE c.status = 'running' AND ($3::bigint IS NULL OR c.id = $3) AND k.wake_at <= clock_timestamp()
  AND EXISTS (SELECT FROM worker_life)
ORDER BY k.wake_at, k.id
LIMIT $1
"""

_WOKEN = """
WITH campaigns AS (
    UPDATE campaign SET wake_at = clock_timestamp() + $3::interval
    WHERE id = ANY ($1::bigint[]) AND wake_at <= clock_timestamp() AND status <> 'scheduled'
), found AS (
    SELECT id FROM campaign_chunk
    WHERE id = ANY ($2::bigint[]) AND wake_at <= clock_timestamp()
    ORDER BY id
    FOR UPDATE
)
UPDATE campaign_chunk k SET wake_at = clock_timestamp() + $3::interval FROM found WHERE k.id = found.id
"""


class PostgresCampaignWakes:
    """The scheduler's side. Implements CampaignWakes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def orphans(self) -> int:
        [row] = await self._pool.fetch(_ORPHANS)
        return int(row["n"])

    async def starting(self, limit: int) -> Sequence[Campaign]:
        return [campaign_from_row(row) for row in await self._pool.fetch(_STARTING, limit)]

    async def ending(self, limit: int) -> Sequence[Campaign]:
        return [campaign_from_row(row) for row in await self._pool.fetch(_ENDING, limit)]

    async def through(self, limit: int) -> Sequence[Campaign]:
        return [campaign_from_row(row) for row in await self._pool.fetch(_THROUGH, limit)]

    async def due(self, limit: int) -> tuple[Sequence[int], Sequence[int]]:
        campaigns = await self._pool.fetch(_DUE, limit)
        chunks = await self._pool.fetch(_DUE_CHUNKS, limit, OUTSTANDING, None)
        return [row["id"] for row in campaigns], [row["id"] for row in chunks]

    async def woken(self, campaigns: Sequence[int], chunks: Sequence[int]) -> None:
        await self._pool.fetch(_WOKEN, list(campaigns), list(chunks), WAKE_AGAIN)


class PostgresChunkLine:
    """Implements ChunkLine."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def next(self, campaign_id: int) -> Sequence[int]:
        rows = await self._pool.fetch(_DUE_CHUNKS, OUTSTANDING, OUTSTANDING, campaign_id)
        if ids := [row["id"] for row in rows]:
            await self._pool.fetch(_WOKEN, [], ids, WAKE_AGAIN)
        return ids
