"""The table of questions about contacts' phones."""

from collections.abc import Sequence
from datetime import timedelta

from gonets.adapters.postgres.pool import Pool
from gonets.core.contacts.enrichment import Enrichment, EnrichmentStatus, PhoneFacts, Question

# Ids of tasks of ours: beyond those that anybody counts up to, and exact in every JSON parser.
_ASK = """
INSERT INTO contact_question AS q (contact_id, task_id, phone)
SELECT id, (2::double precision ^ 52)::bigint + floor(random() * 2::double precision ^ 52)::bigint, phone
FROM contact WHERE owner_id = $1 AND id = ANY ($2::bigint[]) AND phone IS NOT NULL ORDER BY id
ON CONFLICT (contact_id) DO UPDATE SET task_id = excluded.task_id, phone = excluded.phone,
    asked_at = clock_timestamp(), due_at = clock_timestamp(), looks = 0, failure = NULL
WHERE q.due_at IS NULL OR q.phone <> excluded.phone
RETURNING contact_id
"""

_GET = """
SELECT q.task_id, q.due_at, q.failure FROM contact LEFT JOIN contact_question q ON q.contact_id = contact.id
WHERE contact.owner_id = $1 AND contact.id = $2
"""

_DUE = """
SELECT q.contact_id, q.task_id, q.phone, q.looks, contact.timezone
FROM contact_question q JOIN contact ON contact.id = q.contact_id
WHERE q.due_at <= statement_timestamp() ORDER BY q.due_at LIMIT $1
"""

_LATER = """
UPDATE contact_question SET due_at = clock_timestamp() + $3::interval, looks = looks + 1
WHERE contact_id = $1 AND task_id = $2 AND due_at IS NOT NULL
"""

_ANSWERED = """
WITH ended AS (
    UPDATE contact_question SET due_at = NULL, failure = NULL
    WHERE contact_id = $1 AND task_id = $2 AND due_at IS NOT NULL RETURNING contact_id, phone
)
UPDATE contact SET timezone = coalesce($3, timezone), operator = $4, quality_code = $5, updated_at = clock_timestamp()
FROM ended WHERE contact.id = ended.contact_id AND contact.phone = ended.phone
"""

_FAILED = """
UPDATE contact_question SET due_at = NULL, failure = $3 WHERE contact_id = $1 AND task_id = $2 AND due_at IS NOT NULL
"""


class PostgresEnrichment:
    """Implements EnrichmentStore."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ask(self, owner_id: int, ids: Sequence[int]) -> int:
        return len(await self._pool.fetch(_ASK, owner_id, list(ids)))

    async def get(self, owner_id: int, contact_id: int) -> Enrichment | None:
        for row in await self._pool.fetch(_GET, owner_id, contact_id):
            if row["task_id"] is None:
                return Enrichment()
            if row["due_at"] is not None:
                return Enrichment(EnrichmentStatus.ASKED, row["task_id"])
            ended = EnrichmentStatus.FAILED if row["failure"] is not None else EnrichmentStatus.DONE
            return Enrichment(ended, row["task_id"], row["failure"])
        return None

    async def due(self, limit: int) -> Sequence[Question]:
        return [
            Question(row["contact_id"], row["task_id"], row["phone"], row["timezone"], row["looks"])
            for row in await self._pool.fetch(_DUE, limit)
        ]

    async def later(self, question: Question, delay: timedelta) -> None:
        await self._pool.fetch(_LATER, question.contact_id, question.task_id, delay)

    async def answered(self, question: Question, timezone: str | None, facts: PhoneFacts) -> None:
        await self._pool.fetch(
            _ANSWERED, question.contact_id, question.task_id, timezone, facts.operator, facts.quality_code
        )

    async def failed(self, question: Question, reason: str) -> None:
        await self._pool.fetch(_FAILED, question.contact_id, question.task_id, reason)
