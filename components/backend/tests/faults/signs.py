"""Signs of life, asked of both servers directly: who works again after a fault, and what a killed worker held."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import aiormq

from faults.producers import AWAY, TASKS, Sent
from faults.stack import Member, Stack

PATIENCE = 30.0
"""Seconds after which a process that shows no sign of life is waited for no longer."""

UNDER_WAY = 1.0
"""Seconds in which what was under way when a connection was lost may still show."""

_SIGNS = """
SELECT (SELECT count(*) FROM task WHERE status = 'done') AS done,
       (SELECT count(*) FROM worker_life WHERE beat_at > to_timestamp($1)) AS beating,
       EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
               WHERE locktype = 'advisory' AND granted AND application_name = 'gonets leader'
               AND state_change > to_timestamp($1)) AS led,
       NOT EXISTS (SELECT FROM task WHERE status IN ('queued', 'answered') OR status = 'processing'
                   AND life IN (SELECT id FROM worker_life WHERE beat_at > to_timestamp($1))) AS idle
"""
_HELD = "SELECT task_id AS id FROM task WHERE life IN (SELECT id FROM worker_life WHERE worker = $1)"


@dataclass(frozen=True)
class Return:
    """How long after the end of a fault (half-open: after its begin) everybody worked again. Seconds."""

    what: str
    seconds: float
    last: Sequence[str] = ()
    """Of whom the last sign came, or never came."""


@dataclass
class Signs:
    """Looks, while tasks of `sent` are handed in."""

    stack: Stack
    sent: Sequence[Sent]
    returns: list[Return] = field(default_factory=list)
    orphans: dict[int, float] = field(default_factory=dict)
    """Tasks that a killed worker held, and when the last of those that did was killed (wall clock)."""
    held_query: ClassVar[str] = _HELD

    async def killed(self, worker: Member) -> None:
        """Enters what it held. If the database is away, nothing is known of it."""
        with contextlib.suppress(*AWAY):
            async with self.stack.database() as connection:
                name = f"{socket.gethostname()}:{worker.process.pid}"
                for row in await connection.fetch(self.held_query, name):
                    self.orphans[row["id"]] = worker.killed_at or 0.0

    async def await_return(self, what: str) -> None:
        """Returns when everybody works again, and enters how long it took from now on."""
        began, since = time.monotonic(), time.time()
        last, missing = [["everybody"]] * 2
        before: int | None = None
        while missing and time.monotonic() - began < PATIENCE:
            await asyncio.sleep(0.25)
            with contextlib.suppress(asyncio.CancelledError, *AWAY):
                async with asyncio.timeout(5):
                    done, missing = await self._missing(since, before)
                if before is None and time.time() > since + UNDER_WAY:
                    before = done
                last = missing or last
        self.returns.append(Return(what, time.monotonic() - began, last))

    async def _missing(self, since: float, before: int | None) -> tuple[int, list[str]]:
        """How many tasks are done, and who shows no sign of life."""
        async with self.stack.database() as connection:
            row = await connection.fetchrow(_SIGNS, since)
        workers = len(self.stack.living("worker"))
        signs = {
            "a worker's heartbeat": row["beating"] >= workers,
            "a worker's consumer": await consumers(self.stack) >= workers,
            "a result": before is not None and (row["done"] > before or row["idle"]),
            "a leading scheduler": row["led"],
            "an answer of the API": self._answered(since),
        }
        return row["done"], [name for name, seen in signs.items() if not seen]

    def _answered(self, since: float) -> bool:
        """Or nobody asks it."""
        rest = [sent for sent in self.sent if sent.door.startswith("rest")]
        waiting = any(sent.offered_at and sent.accepted_at is None for sent in rest)
        return not waiting or any(sent.accepted_at is not None and sent.accepted_at > since for sent in rest)


async def consumers(stack: Stack) -> int:
    """Of the task queue."""
    connection = aiormq.Connection(stack.broker_url.format(port=stack.machines.rabbit.amqp_port))
    await connection.connect()
    try:
        channel = await connection.channel()
        declared = await channel.queue_declare(TASKS, passive=True)
        return declared.consumer_count or 0
    finally:
        await connection.close()
