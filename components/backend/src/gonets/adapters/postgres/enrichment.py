"""The table of questions about contacts' phones."""

from collections.abc import Iterable, Sequence
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

# Locked in one order, which is that of those who ask.
_LATER = """
WITH held AS (
    SELECT q.contact_id, l.delay
    FROM unnest($1::bigint[], $2::bigint[], $3::interval[]) l (contact_id, task_id, delay)
         JOIN contact_question q USING (contact_id, task_id)
    WHERE q.due_at IS NOT NULL ORDER BY q.contact_id FOR UPDATE OF q
)
UPDATE contact_question q SET due_at = clock_timestamp() + held.delay, looks = q.looks + 1
FROM held WHERE q.contact_id = held.contact_id
"""

_ANSWERED = """
WITH held AS MATERIALIZED (
    SELECT q.contact_id, q.phone, a.timezone, a.operator, a.quality_code
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::smallint[])
             a (contact_id, task_id, timezone, operator, quality_code)
         JOIN contact_question q USING (contact_id, task_id)
         JOIN contact ON contact.id = q.contact_id
    WHERE q.due_at IS NOT NULL ORDER BY q.contact_id FOR UPDATE OF q, contact
), ended AS (
    UPDATE contact_question q SET due_at = NULL, failure = NULL FROM held WHERE q.contact_id = held.contact_id
)
UPDATE contact SET timezone = coalesce(held.timezone, contact.timezone), operator = held.operator,
                   quality_code = held.quality_code, updated_at = clock_timestamp()
FROM held WHERE contact.id = held.contact_id AND contact.phone = held.phone
"""

_FAILED = """
WITH held AS (
    SELECT q.contact_id, f.reason
    FROM unnest($1::bigint[], $2::bigint[], $3::text[]) f (contact_id, task_id, reason)
         JOIN contact_question q USING (contact_id, task_id)
    WHERE q.due_at IS NOT NULL ORDER BY q.contact_id FOR UPDATE OF q
)
UPDATE contact_question q SET due_at = NULL, failure = held.reason FROM held WHERE q.contact_id = held.contact_id
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

    async def later(self, looked: Sequence[tuple[Question, timedelta]]) -> None:
        await self._pool.fetch(_LATER, *_named(one for one, _ in looked), [delay for _, delay in looked])

    async def answered(self, answers: Sequence[tuple[Question, str | None, PhoneFacts]]) -> None:
        await self._pool.fetch(
            _ANSWERED,
            *_named(one for one, _, _ in answers),
            [timezone for _, timezone, _ in answers],
            [facts.operator for _, _, facts in answers],
            [facts.quality_code for _, _, facts in answers],
        )

    async def failed(self, failures: Sequence[tuple[Question, str]]) -> None:
        await self._pool.fetch(_FAILED, *_named(one for one, _ in failures), [reason for _, reason in failures])


def _named(questions: Iterable[Question]) -> tuple[list[int], list[int]]:
    them = list(questions)
    return [one.contact_id for one in them], [one.task_id for one in them]
