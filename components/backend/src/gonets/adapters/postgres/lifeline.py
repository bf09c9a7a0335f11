"""A worker's heartbeat: while it beats, the rows in its hands stay its own."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from typing import Protocol

from gonets.adapters.postgres.pool import Pool
from gonets.core.shared.errors import Unavailable

log = logging.getLogger(__name__)

_BEAT = "UPDATE worker_life SET beats = beats + 1, beat_at = clock_timestamp() WHERE id = $1 RETURNING id"
_BORN = "INSERT INTO worker_life (worker) VALUES ($1) RETURNING id"
_END = """
WITH over AS (DELETE FROM worker_life WHERE id = $1)
UPDATE task
SET status = CASE WHEN status = 'processing' THEN 'queued'::task_status ELSE status END,
    life = NULL, claim_token = NULL, wake_at = clock_timestamp(), wakes = 0, updated_at = clock_timestamp()
WHERE life = $1
"""


class Held(Protocol):
    """Whatever hangs on a life."""

    @property
    def life(self) -> int: ...


class PostgresLifeline:
    """Beats every `interval` seconds. Implements Lifeline.

    A beat that finds no row learns that this worker was taken for dead and its tasks given away: a new life begins, and
    claims of the old one are no longer run.
    """

    def __init__(self, pool: Pool, *, interval: float = 2.0, fresh_for: float = 6.0) -> None:
        self._pool = pool
        self._interval = interval
        self._fresh_for = fresh_for
        self._life: int | None = None
        self._beat_at = float("-inf")
        self._beaten = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @property
    def life(self) -> int:
        """The current life. Raises Unavailable before the first beat, and while the heart stands still."""
        if self._life is None or not self._fresh():
            raise Unavailable("the worker's heartbeat does not reach the database")
        return self._life

    def _fresh(self) -> bool:
        return time.monotonic() - self._beat_at < self._fresh_for

    async def holds(self, claim: Held) -> bool:
        if not self._fresh():
            async with self._beaten:
                await self._beaten.wait_for(self._fresh)
        return claim.life == self._life

    def surely_holds(self, claim: Held) -> bool:
        return self._fresh() and claim.life == self._life

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="heartbeat")

    async def stop(self) -> None:
        """Gives back what is still in this worker's hands: others take it at once."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._life is not None:
            try:
                await self._pool.fetch(_END, self._life)
            except Unavailable as error:
                log.warning("left without a goodbye, the sweep will notice", extra={"reason": error.reason})

    async def _run(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self.beat()
            except Unavailable as error:
                log.warning("heartbeat failed", extra={"reason": error.reason})
            await asyncio.sleep(max(0.1, self._interval - (time.monotonic() - started)))

    async def beat(self) -> None:
        """One heartbeat. Its time is taken before it is sent: a slow answer makes it older, never younger."""
        sent_at = time.monotonic()
        if self._life is None or not await self._pool.fetch(_BEAT, self._life):
            if self._life is not None:
                log.error("this worker was taken for dead, a new life begins", extra={"life": self._life})
            [row] = await self._pool.fetch(_BORN, f"{socket.gethostname()}:{os.getpid()}")
            self._life = row["id"]
        async with self._beaten:
            self._beat_at = sent_at
            self._beaten.notify_all()
