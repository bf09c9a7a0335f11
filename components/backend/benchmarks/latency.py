"""One task at a time: how long the worker takes for it, and how long its sender waits.

Three figures are taken by one client, task by task and in turns:

- a hop: from publishing a message to receiving it from a quorum queue, with nobody in between;
- the worker: from publishing a task to receiving its result from the result queue. That is the worker's own processing
  (from delivery to told) and one hop more, so the processing time is the difference of the two medians;
- REST: from sending `POST /api/v1/tasks` to its answer with the result's id.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from benchmarks.stage import HOP, BenchError, Contestant, Stage, until
from benchmarks.throughput import task_json
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.publisher import PERSISTENT

PACE = 0.05  # seconds from one task to the next
_WARM_UP = 20


@dataclass
class Latencies:
    """Milliseconds, one entry for each task."""

    hop: list[float] = field(default_factory=list)
    worker: list[float] = field(default_factory=list)
    unbatched: list[float] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)


class Echo:
    """Publishes to one queue and waits for one message on another."""

    def __init__(self, stage: Stage) -> None:
        self._channel = stage.channel
        self._arrived: asyncio.Future[float] | None = None
        self._consumers: list[str] = []

    async def __aenter__(self) -> "Echo":
        for queue in (HOP, topology.RESULTS):
            consumer = await self._channel.basic_consume(queue, self._receive, no_ack=True)
            self._consumers.append(str(consumer.consumer_tag))
        return self

    async def __aexit__(self, *_: object) -> None:
        for consumer in self._consumers:
            await self._channel.basic_cancel(consumer)

    async def _receive(self, _: DeliveredMessage) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(time.perf_counter())

    async def __call__(self, queue: str, body: bytes) -> float:
        """Milliseconds from publishing to the message that it brings about."""
        self._arrived = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        properties = Basic.Properties(content_type="application/json", delivery_mode=PERSISTENT)
        await self._channel.basic_publish(body, routing_key=queue, properties=properties)
        async with asyncio.timeout(10):
            return (await self._arrived - began) * 1000


async def measure(
    stage: Stage, api_port: int, worker: Contestant, unbatched: Contestant, samples: int, found: Latencies
) -> None:
    """Adds `samples` entries to each list of `found`."""
    await stage.clear()
    api = Contestant("api", worker.module, ("api",), environment={"API_PORT": str(api_port), "API_HOST": "127.0.0.1"})
    with stage.running(worker), stage.running(api):
        async with aiohttp.ClientSession(f"http://127.0.0.1:{api_port}") as client:
            await until(partial(_ready, client), 60, "the API is not ready")
            async with Echo(stage) as echo:
                await _paced([(found.hop, partial(_hop, echo)), (found.worker, partial(_alone, stage, echo))], samples)
            # Nobody reads the result queue now, as in the field.
            await _paced([(found.rest, partial(_post, stage, client))], samples)
    await stage.clear()
    with stage.running(unbatched):
        async with Echo(stage) as echo:
            await _paced([(found.unbatched, partial(_alone, stage, echo))], samples)


async def _paced(steps: list[tuple[list[float], Callable[[], Awaitable[float]]]], samples: int) -> None:
    for number in range(-_WARM_UP, samples):
        for results, step in steps:
            next_at = time.monotonic() + PACE
            took = await step()
            if number >= 0:
                results.append(took)
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))


async def _hop(echo: Echo) -> float:
    return await echo(HOP, b"{}")


async def _alone(stage: Stage, echo: Echo) -> float:
    [task_id] = stage.task_ids(1)
    return await echo(topology.TASKS, task_json(task_id))


async def _post(stage: Stage, client: aiohttp.ClientSession) -> float:
    [task_id] = stage.task_ids(1)
    body = task_json(task_id)
    began = time.perf_counter()
    async with client.post("/api/v1/tasks", data=body, headers={"Content-Type": "application/json"}) as response:
        answer: Any = json.loads(await response.read())
    took = (time.perf_counter() - began) * 1000
    if response.status != 200 or answer.get("task_id") != task_id:
        raise BenchError(f"POST /api/v1/tasks answers {response.status} {answer}")
    return took


async def _ready(client: aiohttp.ClientSession) -> bool:
    try:
        async with client.get("/health/ready") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False
