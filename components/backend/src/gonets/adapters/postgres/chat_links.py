"""Links by which people tell a bot who they are."""

from collections.abc import Sequence
from datetime import datetime

from gonets.adapters.postgres.pool import Pool
from gonets.core.channels.linking import Waiting

_ADD = """
INSERT INTO chat_link (contact_id, code, owner_id, channel_id, expires_at)
SELECT id, $1, owner_id, $4, $5 FROM contact WHERE id = $3 AND owner_id = $2
ON CONFLICT (contact_id) DO UPDATE
SET code = excluded.code, channel_id = excluded.channel_id, expires_at = excluded.expires_at
RETURNING contact_id
"""

_WAITING = """
WITH over AS (DELETE FROM chat_link WHERE expires_at <= $1)
SELECT DISTINCT owner_id, channel_id FROM chat_link WHERE expires_at > $1 ORDER BY owner_id, channel_id
"""

_REDEEM = """
WITH used AS (
    DELETE FROM chat_link WHERE code = $1 AND owner_id = $2 AND channel_id = $3 AND expires_at > $5
    RETURNING contact_id
)
UPDATE contact SET telegram_chat_id = $4, updated_at = clock_timestamp()
FROM used WHERE contact.id = used.contact_id
RETURNING contact.id
"""


class PostgresChatLinks:
    """Implements ChatLinks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, code: bytes, whose: Waiting, contact_id: int, expires_at: datetime) -> bool:
        return bool(await self._pool.fetch(_ADD, code, whose.owner_id, contact_id, whose.channel_id, expires_at))

    async def waiting(self, now: datetime) -> Sequence[Waiting]:
        return [Waiting(row["owner_id"], row["channel_id"]) for row in await self._pool.fetch(_WAITING, now)]

    async def redeem(self, code: bytes, whose: Waiting, chat_id: str, now: datetime) -> int | None:
        rows = await self._pool.fetch(_REDEEM, code, whose.owner_id, whose.channel_id, chat_id, now)
        return rows[0]["id"] if rows else None
