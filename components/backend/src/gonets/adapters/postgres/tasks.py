"""The task table: the spine of the service (docs/architecture.md, "The row is the truth").

Rows are always locked in the order of task_id, so batches of several workers cannot deadlock.
"""

import asyncio
import json
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from gonets.adapters.postgres.jsonb import storable, to_jsonb
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool, database_errors
from gonets.core.shared.batching import Batcher, Flush, Observe, nobody
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.model import (
    JSON,
    Claimed,
    Conflicting,
    Failure,
    Finished,
    Pending,
    Task,
    Waiter,
)

# A wake-up that has no effect is repeated after this time, twice as late each time.
WAKE_AGAIN = timedelta(seconds=30)
TELL_AGAIN = timedelta(seconds=5)
MAX_WAITERS = 100
# Characters of answers in one statement: what is longer may take longer than a statement may, each time it is repeated.
HEAVIEST = 4 * 2**20

# One statement for both doors. $6 is the claiming worker's life, NULL at the REST door, which only records.
_RECORD = f"""
WITH input AS (
    SELECT task_id, task_type::task_type, data, token, waiters
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::jsonb[])
         AS i (task_id, task_type, data, token, waiters)
), recorded AS (
    INSERT INTO task AS t (task_id, task_type, data, status, attempts, waiters, claim_token, life, wake_at)
    SELECT task_id, task_type, data,
           CASE WHEN $6::bigint IS NULL THEN 'queued'::task_status ELSE 'processing' END,
           CASE WHEN $6::bigint IS NULL THEN 0 ELSE 1 END,
           waiters, token, $6::bigint,
           CASE WHEN $6::bigint IS NULL THEN clock_timestamp() + $7::interval END
    FROM input
    ORDER BY task_id
    ON CONFLICT (task_id) DO UPDATE SET (status, attempts, waiters, claim_token, life, wake_at, wakes, updated_at) = (
        SELECT CASE WHEN mine THEN 'processing' ELSE t.status END,
               t.attempts + mine::int,
               CASE WHEN NOT same OR ended OR t.waiters @> excluded.waiters
                         OR jsonb_array_length(t.waiters) >= {MAX_WAITERS}
                    THEN t.waiters ELSE t.waiters || excluded.waiters END,
               CASE WHEN mine THEN excluded.claim_token ELSE t.claim_token END,
               CASE WHEN mine THEN excluded.life ELSE t.life END,
               CASE WHEN mine THEN NULL ELSE t.wake_at END,
               CASE WHEN mine THEN 0 ELSE t.wakes END,
               CASE WHEN mine THEN clock_timestamp() ELSE t.updated_at END
        FROM (SELECT t.task_type = excluded.task_type AND t.data = excluded.data AS same,
                     t.status IN ('answered', 'done', 'failed') AS ended) a,
             LATERAL (SELECT same AND excluded.life IS NOT NULL
                             AND (t.status = 'queued' OR t.status = 'parked' AND t.wake_at <= clock_timestamp())
                             AS mine) b
    )
    RETURNING *, xmax = 0 AS new
)
SELECT r.task_id, r.task_type = i.task_type AND r.data = i.data AS same, r.new,
       r.status = 'processing' AND r.claim_token = i.token AS mine,
       r.status IN ('answered', 'done', 'failed') AS ended, r.status = 'queued' AS queued,
       r.life, r.attempts, r.takeovers, clock_timestamp() - coalesce(r.replayed_at, r.created_at) AS age,
       r.result_id, r.error_category, r.error_reason, r.waiters
FROM recorded r JOIN input i USING (task_id)
"""  # noqa: S608 - only a constant is inserted

_WAKE_SOON = """
WITH queued AS (
    SELECT task_id FROM task
    WHERE task_id = ANY($1::bigint[]) AND status = 'queued'
    ORDER BY task_id
    FOR UPDATE
)
UPDATE task t SET wake_at = clock_timestamp() FROM queued WHERE t.task_id = queued.task_id
"""

_ANSWER = """
WITH input AS (
    SELECT * FROM unnest($1::bigint[], $2::jsonb[], $3::bigint[]) AS i (task_id, data, life)
), unanswered AS (
    SELECT t.task_id, t.task_type
    FROM task t JOIN input USING (task_id)
    WHERE t.status IN ('queued', 'processing', 'parked')
    ORDER BY t.task_id
    FOR UPDATE OF t
), fresh AS MATERIALIZED (
    SELECT task_id, u.task_type, i.data, i.life,
           nextval(pg_get_serial_sequence('integration_service', 'id')) AS id
    FROM unanswered u JOIN input i USING (task_id)
), stored AS (
    INSERT INTO integration_service (id, data, task_type) SELECT id, data, task_type FROM fresh
)
UPDATE task t
SET status = 'answered', result_id = f.id, life = f.life, wake_at = NULL, alone = false, updated_at = clock_timestamp()
FROM fresh f
WHERE t.task_id = f.task_id
RETURNING t.task_id, t.result_id, t.error_category, t.error_reason, t.waiters
"""

_ENDS = """
SELECT task_id, result_id, error_category, error_reason, waiters
FROM task WHERE task_id = ANY($1::bigint[]) AND status IN ('answered', 'done', 'failed')
"""

_PARK = """
WITH input AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::interval[], $7::bool[])
         AS i (task_id, token, category, reason, answer, delay, counted)
), held AS (
    SELECT i.*, t.attempts AS number
    FROM task t JOIN input i ON i.task_id = t.task_id AND i.token = t.claim_token
    WHERE t.status = 'processing'
    ORDER BY t.task_id
    FOR UPDATE OF t
), entered AS (
    INSERT INTO task_attempt (task_id, number, category, reason, answer)
    SELECT task_id, number, category, reason, answer FROM held WHERE counted
)
UPDATE task t
SET status = 'parked', wake_at = clock_timestamp() + h.delay, wakes = 0, life = NULL, claim_token = NULL,
    attempts = t.attempts - (NOT h.counted)::int, takeovers = CASE WHEN h.counted THEN 0 ELSE t.takeovers END,
    alone = false,
    error_category = h.category, error_reason = h.reason, updated_at = clock_timestamp()
FROM held h
WHERE t.task_id = h.task_id
RETURNING t.task_id
"""

# `failed` too: after a commit whose outcome was not seen it is repeated with the same token.
_FAIL = """
WITH held AS (
    SELECT task_id, attempts, status FROM task
    WHERE task_id = $1 AND claim_token = $2 AND status IN ('processing', 'failed')
    FOR UPDATE
), entered AS (
    INSERT INTO task_attempt (task_id, number, category, reason, answer)
    SELECT task_id, attempts, $3, $4, $5 FROM held WHERE status = 'processing'
)
UPDATE task t
SET status = 'failed', error_category = $3, error_reason = $4, wake_at = NULL, alone = false,
    updated_at = clock_timestamp()
FROM held h
WHERE t.task_id = h.task_id
RETURNING t.task_id, t.result_id, t.error_category, t.error_reason, t.waiters
"""

_ALONE = """
UPDATE task SET alone = true WHERE task_id = $1 AND claim_token = $2 AND status = 'processing' RETURNING task_id
"""

# What was told must be the end the row has: a copy's late word on a failure that an operator had tried again since must
# not pass for the word on the new end. Two failures with the same words are the same message.
_TOLD = """
WITH ended AS (
    SELECT t.task_id
    FROM task t
    JOIN unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS i (task_id, result_id, category, reason)
         ON i.task_id = t.task_id
    WHERE t.status = 'answered' AND t.result_id = i.result_id
       OR t.status = 'failed' AND t.error_category = i.category AND t.error_reason = i.reason
    ORDER BY t.task_id
    FOR UPDATE OF t
)
UPDATE task t
SET status = CASE WHEN t.status = 'answered' THEN 'done'::task_status ELSE t.status END,
    life = NULL, claim_token = NULL, wake_at = NULL, waiters = '[]',
    updated_at = CASE WHEN t.status = 'answered' THEN clock_timestamp() ELSE t.updated_at END
FROM ended
WHERE t.task_id = ended.task_id
"""

_TELL_LATER = """
UPDATE task SET life = NULL, wake_at = clock_timestamp() + $2::interval, wakes = 0
WHERE task_id = $1 AND status IN ('answered', 'failed')
"""

Result = TypeVar("Result")


class _Delivery(NamedTuple):
    task: Task
    waiter: Waiter | None
    token: int | None


class _Answer(NamedTuple):
    claim: Claimed
    data: str


class PostgresTaskIntake:
    """The door's side. Implements TaskIntake. `observe` hears the sizes of batches.

    `timeout`: seconds for one task in all, waiting for those before it included; over that it is Unavailable.
    """

    def __init__(self, pool: Pool, observe: Observe = nobody, *, timeout: float = 10.0) -> None:
        self._pool = pool
        self._timeout = timeout
        self._batcher = _batcher(self._flush, "submit", observe)
        self._soon: Batcher[int, None] = Batcher(
            self._flush_soon, shared_errors=(Unavailable,), name="wake_soon", observe=observe
        )

    async def submit(self, task: Task, waiter: Waiter | None) -> Pending | Finished | Conflicting:
        async with database_errors(), asyncio.timeout(self._timeout):
            known = _known(await self._batcher.add(_Delivery(task, waiter, None)), None)
        # Those who wait are told by the worker; the door tells only who asked.
        return Finished(known.task_id, known.outcome) if isinstance(known, Finished) else known

    async def _flush(self, deliveries: Sequence[_Delivery]) -> Sequence[Any]:
        return await _record(self._pool, deliveries, None)

    async def wake_soon(self, task_id: int) -> None:
        async with database_errors(), asyncio.timeout(self._timeout):
            await self._soon.add(task_id)

    async def _flush_soon(self, task_ids: Sequence[int]) -> Sequence[None]:
        await self._pool.fetch(_WAKE_SOON, task_ids)
        return [None] * len(task_ids)


class PostgresTasks:
    """The worker's side. Implements TaskClaims and TaskOutcomes.

    `lazy`: a pool whose commits do not wait for the disk, for marks whose loss does no harm. `observe` hears the sizes
    of batches.
    """

    def __init__(self, pool: Pool, lazy: Pool, lifeline: PostgresLifeline, observe: Observe = nobody) -> None:
        self._pool = pool
        self._lazy = lazy
        self._lifeline = lifeline
        self._claims = _batcher(self._flush_claims, "claim", observe)
        self._answers: Batcher[_Answer, Finished | None] = Batcher(
            self._flush_answers,
            key=lambda answer: answer.claim.task.task_id,
            shared_errors=(Unavailable,),
            weigh=lambda answer: len(answer.data),
            heaviest=HEAVIEST,
            name="answer",
            observe=observe,
        )
        self._parks: Batcher[tuple[Any, ...], bool] = Batcher(
            self._flush_parks, key=lambda park: park[0], shared_errors=(Unavailable,), name="park", observe=observe
        )
        self._told: Batcher[Finished, None] = Batcher(
            self._flush_told, shared_errors=(Unavailable,), name="told", observe=observe
        )

    async def claim(self, task: Task, waiter: Waiter | None, token: int) -> Claimed | Pending | Finished | Conflicting:
        row = await self._claims.add(_Delivery(task, waiter, token))
        if row["same"] and row["mine"]:
            # The row's life: a claim of an earlier life, repeated in a new one, must not pass for a claim of the new.
            return Claimed(task, token, row["life"], row["attempts"], row["takeovers"], row["age"])
        return _known(row, waiter)

    async def _flush_claims(self, deliveries: Sequence[_Delivery]) -> Sequence[Any]:
        return await _record(self._pool, deliveries, self._lifeline.life)

    async def answer(self, claim: Claimed, data: JSON) -> Finished | None:
        return await self._answers.add(_Answer(claim, to_jsonb(data)))

    async def _flush_answers(self, answers: Sequence[_Answer]) -> Sequence[Finished | None]:
        ids = [answer.claim.task.task_id for answer in answers]
        ends = _ends(
            await self._pool.fetch(
                _ANSWER, ids, [answer.data for answer in answers], [answer.claim.life for answer in answers]
            )
        )
        if missing := [task_id for task_id in ids if task_id not in ends]:
            ends |= _ends(await self._pool.fetch(_ENDS, missing))
        return [ends.get(task_id) for task_id in ids]

    async def park(self, claim: Claimed, failure: Failure, delay: timedelta, *, counted: bool = True) -> bool:
        return await self._parks.add((*_try(claim, failure), delay, counted))

    async def _flush_parks(self, parks: Sequence[tuple[Any, ...]]) -> Sequence[bool]:
        parked = {row["task_id"] for row in await self._pool.fetch(_PARK, *map(list, zip(*parks, strict=True)))}
        return [park[0] in parked for park in parks]

    async def fail(self, claim: Claimed, failure: Failure) -> Finished | None:
        ends = _ends(await self._pool.fetch(_FAIL, *_try(claim, failure)))
        return ends.get(claim.task.task_id)

    async def alone(self, claim: Claimed) -> bool:
        return bool(await self._pool.fetch(_ALONE, claim.task.task_id, claim.token))

    async def told(self, end: Finished) -> None:
        await self._told.add(end)

    async def _flush_told(self, ends: Sequence[Finished]) -> Sequence[None]:
        await self._lazy.fetch(_TOLD, *map(list, zip(*map(_end_to_row, ends), strict=True)))
        return [None] * len(ends)

    async def tell_later(self, task_id: int) -> None:
        await self._pool.fetch(_TELL_LATER, task_id, TELL_AGAIN)


def new_token() -> int:
    """A mark that no two deliveries share; it is no secret."""
    return random.getrandbits(63)


def _batcher(flush: Flush[_Delivery, Result], name: str, observe: Observe) -> Batcher[_Delivery, Result]:
    return Batcher(
        flush,
        key=lambda delivery: delivery.task.task_id,
        shared_errors=(Unavailable,),
        name=name,
        observe=observe,
    )


async def _record(pool: Pool, deliveries: Sequence[_Delivery], life: int | None) -> Sequence[Any]:
    rows = await pool.fetch(
        _RECORD,
        [delivery.task.task_id for delivery in deliveries],
        [delivery.task.task_type.value for delivery in deliveries],
        [delivery.task.data for delivery in deliveries],
        [delivery.token for delivery in deliveries],
        [_waiters_to_row(delivery.waiter) for delivery in deliveries],
        life,
        WAKE_AGAIN,
    )
    by_id = {row["task_id"]: row for row in rows}
    return [by_id[delivery.task.task_id] for delivery in deliveries]


def _known(row: Any, waiter: Waiter | None) -> Pending | Finished | Conflicting:
    if not row["same"]:
        return Conflicting(row["task_id"])
    if not row["ended"]:
        return Pending(new=row["new"], queued=row["queued"])
    waiters = _waiters_from_row(row["waiters"])
    if waiter and waiter not in waiters:
        waiters.append(waiter)
    return Finished(row["task_id"], _outcome(row), waiters)


def _ends(rows: Sequence[Any]) -> dict[int, Finished]:
    return {row["task_id"]: Finished(row["task_id"], _outcome(row), _waiters_from_row(row["waiters"])) for row in rows}


def _outcome(row: Any) -> int | Failure:
    if row["result_id"] is not None:
        result_id: int = row["result_id"]
        return result_id
    return Failure(Category(row["error_category"]), row["error_reason"])


def _end_to_row(end: Finished) -> tuple[int, int | None, str | None, str | None]:
    if isinstance(end.outcome, Failure):
        return end.task_id, None, end.outcome.category.value, end.outcome.reason
    return end.task_id, end.outcome, None, None


def _try(claim: Claimed, failure: Failure) -> tuple[int, int, str, str, str | None]:
    answer = None if failure.answer is None else storable(failure.answer)
    return claim.task.task_id, claim.token, failure.category.value, storable(failure.reason), answer


def _waiters_to_row(waiter: Waiter | None) -> str:
    if waiter is None:
        return "[]"
    return to_jsonb([{"reply_to": waiter.reply_to, "correlation_id": waiter.correlation_id}])


def _waiters_from_row(text: str) -> list[Waiter]:
    return [Waiter(entry["reply_to"], entry["correlation_id"]) for entry in json.loads(text)]
