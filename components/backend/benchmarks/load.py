"""Everything at work at once: a producer, a scheduler, the workers, and a reader of the results.

- Saturation, in a closed loop: so many tasks are always under way, and each result lets the next task go. What comes
  out is the highest rate that these workers sustain on this machine.
- Latency, in an open loop: tasks leave by a timetable that waits for nobody, and each is timed from the moment at which
  it was due until its result is received. So a stall counts for every task that it held up, also for those that were
  sent late because of it (no coordinated omission).
"""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from benchmarks.stage import BenchError, Contestant, Stage, until
from benchmarks.statistics import percentile
from benchmarks.throughput import task_json
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.connection import close, connect
from gonets.adapters.rabbitmq.frames import write
from gonets.adapters.rabbitmq.publisher import PERSISTENT

FLEETS = (1, 2, 4)  # workers
SHARES = (0.5, 0.9)  # of what one worker sustains
SLOTS = 20  # of a worker that mostly waits for its provider

_UNDER_WAY = 3  # tasks under way for each slot: two are in a worker's hands, one is on the way
_WARM_UP = 2.0  # seconds


@dataclass(frozen=True)
class Timed:
    """One run by timetable. Milliseconds and tasks a second."""

    offered: float
    told: float
    """Results a second, from the first task due to the last result: under `offered`, it fell behind."""
    p50: float
    p95: float
    p99: float
    sent_late: float
    """p99 of how late the sender was; it is part of the latencies."""


@dataclass
class Loads:
    """An entry for each round."""

    sustained: dict[int, list[float]] = field(default_factory=lambda: {fleet: [] for fleet in FLEETS})
    """By workers; the provider answers at once, so processors are what is short."""
    waiting: dict[int, list[float]] = field(default_factory=lambda: {fleet: [] for fleet in FLEETS})
    """By workers of SLOTS slots; the provider takes its time, so slots are what is short."""
    timed: dict[float, list[Timed]] = field(default_factory=lambda: {share: [] for share in SHARES})
    """By share of the highest rate that one worker sustained in the same round."""


async def measure(
    stage: Stage, worker: Contestant, waiting: Contestant, concurrency: int, seconds: float, found: Loads
) -> None:
    """Adds an entry to each list of `found`. `waiting`: the worker with SLOTS slots and a slow provider."""
    async with _Fleet(stage, worker, concurrency) as fleet:
        for size in FLEETS:
            highest = await fleet.saturate(size, seconds)
            found.sustained[size].append(highest)
            if size == 1:
                for share in SHARES:
                    found.timed[share].append(await fleet.traffic.by_timetable(share * highest, 2 * seconds))
    async with _Fleet(stage, waiting, SLOTS) as fleet:
        for size in FLEETS:
            found.waiting[size].append(await fleet.saturate(size, seconds))


class _Fleet:
    """Workers, more and more of them, and a scheduler."""

    def __init__(self, stage: Stage, worker: Contestant, concurrency: int) -> None:
        self.traffic = Traffic(stage)
        self._stage = stage
        self._worker = worker
        self._concurrency = concurrency
        self._processes = ExitStack()
        self._size = 0

    async def __aenter__(self) -> "_Fleet":
        await self._stage.clear()
        self._processes.enter_context(
            self._stage.running(Contestant("scheduler", self._worker.module, ("scheduler",), self._worker.provider))
        )
        await self.traffic.open()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                await self.traffic.check()
        finally:
            await self.traffic.close()
            self._processes.close()

    async def saturate(self, size: int, seconds: float) -> float:
        """Tasks a second with this many workers."""
        while self._size < size:
            self._size += 1
            numbered = Contestant(
                f"{self._worker.name} {self._size}",
                self._worker.module,
                self._worker.arguments,
                self._worker.provider,
                environment=self._worker.environment,
            )
            self._processes.enter_context(self._stage.running(numbered))
        await until(self._all_there, 60, f"{size} workers did not start")
        return await self.traffic.saturate(_UNDER_WAY * size * self._concurrency, seconds)

    async def _all_there(self) -> bool:
        return await self._stage.consumers(topology.TASKS) == self._size


class Traffic:
    """Sends tasks on one connection, and reads results on another."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._connections: list[Any] = []
        self._sender: AbstractChannel
        self._due: dict[int, float] = {}
        self._latencies: list[float] = []
        self._late: list[float] = []
        self._told_at = 0.0
        self._told = 0
        self._sent = 0
        self._news = asyncio.Event()

    async def open(self) -> None:
        for name in ("bench sender", "bench reader"):
            self._connections.append(await connect(self._stage.rabbit.url, name))
        sender, reader = self._connections
        self._sender = await sender.channel(publisher_confirms=False)
        await (await reader.channel()).basic_consume(topology.RESULTS, self._receive, no_ack=True)

    async def close(self) -> None:
        for connection in self._connections:
            await close(connection)

    async def _receive(self, message: DeliveredMessage) -> None:
        now = time.perf_counter()
        due = self._due.pop(json.loads(message.body)["task_id"], None)
        if due is not None:
            self._told_at = now
            self._told += 1
            self._latencies.append((now - due) * 1000)
            self._news.set()

    async def saturate(self, under_way: int, seconds: float) -> float:
        """Tasks a second, with so many always under way."""
        warm_at = time.perf_counter() + _WARM_UP
        began: tuple[float, int] | None = None
        while True:
            await self._send([time.perf_counter()] * (under_way - len(self._due)))
            await self._wait_for_news()
            now = time.perf_counter()
            if began is None:
                if now >= warm_at:
                    began = now, self._told
            elif now - began[0] >= seconds:
                break
        rate = (self._told - began[1]) / (now - began[0])
        await self._drain()
        return rate

    async def by_timetable(self, rate: float, seconds: float) -> Timed:
        count = int(rate * seconds)
        began = time.perf_counter()
        sent = 0
        while sent < count:
            due = min(count, int((time.perf_counter() - began) * rate) + 1)
            await self._send([began + number / rate for number in range(sent, due)])
            sent = due
            await asyncio.sleep(max(0.0, began + sent / rate - time.perf_counter()))
        latencies, late = self._latencies, self._late
        await self._drain()
        return Timed(
            offered=rate,
            told=count / (self._told_at - began),
            p50=percentile(latencies, 50),
            p95=percentile(latencies, 95),
            p99=percentile(latencies, 99),
            sent_late=percentile(late, 99),
        )

    async def _send(self, due: Sequence[float]) -> None:
        if not due:
            return
        frames: list[Any] = []
        for task_id, moment in zip(self._stage.task_ids(len(due)), due, strict=True):
            body = task_json(task_id)
            properties = Basic.Properties(
                content_type="application/json", delivery_mode=PERSISTENT, message_id=f"bench-{task_id}"
            )
            header = ContentHeader(properties=properties, body_size=len(body))
            frames += [Basic.Publish(routing_key=topology.TASKS), header, ContentBody(body)]
            self._due[task_id] = moment
        self._sent += len(due)
        await write(self._sender, frames)
        now = time.perf_counter()
        self._late += [(now - moment) * 1000 for moment in due]

    async def _wait_for_news(self) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(30):
                await self._news.wait()
        except TimeoutError:
            raise BenchError(f"{len(self._due)} tasks are under way and no result comes") from None

    async def _drain(self) -> None:
        """Nothing is under way any more, and the next measurement begins with empty lists."""
        while self._due:
            await self._wait_for_news()
        self._latencies, self._late = [], []

    async def check(self) -> None:
        """What is fast has to be right too."""
        stored = await self._stage.sql.fetchval("SELECT count(*) FROM integration_service")
        if not self._sent == self._told == stored:
            raise BenchError(f"{self._sent} tasks were sent, {self._told} results told, {stored} rows stored")
