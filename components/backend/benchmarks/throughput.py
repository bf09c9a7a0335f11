"""Tasks a second: a backlog is published, the contestant starts, and the result queue is watched until all are told.

The clock runs from the moment when the first tenth has been told (so starting up, opening connections and preparing
statements are outside) to the last result.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pamqp.commands import Basic

from benchmarks.stage import BenchError, Child, Contestant, Stage, until
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.publisher import PERSISTENT, Outgoing, Publisher

_LOOK = 0.02  # seconds between two looks at the depth of the result queue
_STUCK = 60.0  # seconds without a new result


@dataclass(frozen=True)
class Run:
    """One turn of one contestant."""

    per_second: float
    cpu_ms: float
    """Processor time of its process for one task."""
    peak_megabytes: float


async def measure(stage: Stage, contestant: Contestant, count: int) -> Run:
    await stage.clear()
    await _publish(stage, stage.task_ids(count))
    with stage.running(contestant) as child:
        run = await _watch(stage, child, count)
        await until(lambda: _all_taken(stage), 10, f"{contestant.name} did not acknowledge everything")
    await _check(stage, contestant, count)
    return run


async def _all_taken(stage: Stage) -> bool:
    return await stage.depth(topology.TASKS) == 0


async def _publish(stage: Stage, task_ids: Sequence[int]) -> None:
    """The backlog: distinct tasks, phones and e-mails by turns, persistent and confirmed."""
    publisher = Publisher(stage.rabbit.url, timeout=30)
    for start in range(0, len(task_ids), 2000):
        await asyncio.gather(*(publisher.publish(_message(task_id)) for task_id in task_ids[start : start + 2000]))
    await publisher.close()


def task_json(task_id: int) -> bytes:
    if task_id % 2:
        kind, data = "phone", f"8 916 {task_id // 10000 % 1000:03} {task_id // 100 % 100:02}-{task_id % 100:02}"
    else:
        kind, data = "email", f"person{task_id}@example.com"
    return json.dumps({"task_id": task_id, "task_type": kind, "data": data}).encode()


def _message(task_id: int) -> Outgoing:
    properties = Basic.Properties(
        content_type="application/json", delivery_mode=PERSISTENT, message_id=f"bench-{task_id}"
    )
    return Outgoing(topology.TASKS, task_json(task_id), properties)


async def _watch(stage: Stage, child: Child, count: int) -> Run:
    warm = count // 10
    began: tuple[float, int, float] | None = None
    last, last_at = 0, time.monotonic()
    while True:
        told, now = await stage.depth(topology.RESULTS), time.monotonic()
        if began is None and told >= warm:
            began = now, told, child.cpu_seconds
        if began and told >= count:
            break
        if told != last:
            last, last_at = told, now
        elif now - last_at > _STUCK:
            raise BenchError(f"{child.name} is stuck at {told} of {count} results:\n{child.tail()}")
        child.check()
        await asyncio.sleep(_LOOK)
    at, already, cpu = began
    return Run(
        per_second=(count - already) / (now - at),
        cpu_ms=(child.cpu_seconds - cpu) * 1000 / (count - already),
        peak_megabytes=child.peak_megabytes,
    )


async def _check(stage: Stage, contestant: Contestant, count: int) -> None:
    """What is fast has to be right too."""
    if left := await stage.depth(topology.TASKS):
        raise BenchError(f"{contestant.name} left {left} messages unacknowledged")
    if (told := await stage.depth(topology.RESULTS)) != count:
        raise BenchError(f"{contestant.name} told {told} results for {count} tasks")
    if contestant.stores:
        stored = await stage.sql.fetchval("SELECT count(*) FROM integration_service")
        if stored != count:
            raise BenchError(f"{contestant.name} stored {stored} results for {count} tasks")
