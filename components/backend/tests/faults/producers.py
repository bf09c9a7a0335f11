"""Those who hand tasks in, at both doors, and take only a 2xx or a confirm for an answer."""

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import aiohttp
import aiormq
from aiormq.exceptions import AMQPError

from faults.stack import Stack

TASKS = "TaskProcessingQueue"
AWAY = (AMQPError, OSError, TimeoutError, RuntimeError, aiohttp.ClientError)
PAUSE = 0.3  # seconds between two tries to hand in one task
ASYNCHRONOUSLY = {"Prefer": "respond-async"}


@dataclass
class Sent:
    """A task, and what its sender knows of it. Times are of the wall clock."""

    task_id: int
    task_type: str
    data: str
    door: str
    offered_at: float = 0.0
    accepted_at: float | None = None
    tries: int = 0
    answers: list[str] = field(default_factory=list)
    result_ids: set[int] = field(default_factory=set)

    queue: ClassVar[str] = TASKS

    @property
    def headers(self) -> dict[str, Any]:
        """Of its message, and of its request."""
        return {}

    @property
    def body(self) -> dict[str, Any]:
        return {"task_id": self.task_id, "task_type": self.task_type, "data": self.data}


def tasks(number: int, first_id: int, random: random.Random) -> list[Sent]:
    """Every one with content of its own, so that the providers' journal tells them apart."""
    found = []
    for task_id in range(first_id, first_id + number):
        kind = random.choices(("phone", "email", "gpt"), (55, 30, 15))[0]
        data = {"phone": f"+79{task_id:09d}", "email": f"user{task_id}@example.ru", "gpt": f"превет, задача {task_id}"}
        found.append(Sent(task_id, kind, data[kind], random.choices(("queue", "rest", "rest, waiting"), (5, 4, 1))[0]))
    return found


class Producers:
    """Offers the tasks evenly over `seconds`, each until it is taken, and `copies` times."""

    def __init__(self, stack: Stack, sent: Sequence[Sent], *, seconds: float, copies: int, random: random.Random):
        self._stack = stack
        self._sent = sent
        self._seconds = seconds
        self._copies = copies
        self._random = random
        self._queue_door = QueueDoor(stack.broker_url.format(port=stack.links["client-broker"].port))
        self._rest_url = f"http://127.0.0.1:{stack.links['client-api'].port}/api/v1/tasks"
        self._hands = {
            "queue": asyncio.Semaphore(100),
            "rest": asyncio.Semaphore(60),
            "rest, waiting": asyncio.Semaphore(60),
        }
        self.slowest_answer = 0.0
        """Seconds, of requests that did not ask to wait."""
        self.offered_all_at: float | None = None

    async def __call__(self) -> None:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=15)
        ) as self._http:
            started = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for number, sent in enumerate(self._sent):
                    for copy in range(self._copies):
                        group.create_task(self._offer(sent, copy))
                    due = started + self._seconds * (number + 1) / len(self._sent)
                    if (left := due - time.monotonic()) > 0.005:
                        await asyncio.sleep(left)
                self.offered_all_at = time.time()
        await self._queue_door.close()

    async def _offer(self, sent: Sent, copy: int) -> None:
        door = sent.door
        if copy:  # the others come at the same time or a little later, through any door
            await asyncio.sleep(self._random.choice((0, self._random.random() * 2)))
            door = self._random.choice(("queue", "rest"))
        async with self._hands[door]:
            sent.offered_at = sent.offered_at or time.time()
            for _ in itertools.count():
                sent.tries += 1
                if await (self._queue_door.send(sent) if door == "queue" else self._post(sent, door)):
                    sent.accepted_at = sent.accepted_at or time.time()
                    return
                await asyncio.sleep(PAUSE)

    async def _post(self, sent: Sent, door: str) -> bool:
        headers = ASYNCHRONOUSLY if door == "rest" else {}
        since = time.monotonic()
        try:
            async with self._http.post(self._rest_url, json=sent.body, headers=headers) as answer:
                content: Any = await answer.json(content_type=None) if answer.status != 202 else None
        except (TimeoutError, OSError, aiohttp.ClientError, ValueError) as error:
            sent.answers.append(type(error).__name__)
            return False
        if door == "rest":
            self.slowest_answer = max(self.slowest_answer, time.monotonic() - since)
        sent.answers.append(str(answer.status))
        if answer.status == 200:
            sent.result_ids.add(content["id"])
        elif answer.status == 409:
            raise AssertionError(f"task {sent.task_id}: {content}")
        # 502 and 504 tell how the task ended: it was taken.
        return answer.status in (200, 202, 502, 504)


class QueueDoor:
    """A publisher with confirms, as an integrator writes it: what is not confirmed is sent again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: aiormq.Connection | None = None
        self._channel: Any = None
        self._opening = asyncio.Lock()

    async def send(self, sent: Sent) -> bool:
        properties = aiormq.spec.Basic.Properties(delivery_mode=2, message_id=str(sent.task_id), headers=sent.headers)
        body = json.dumps(sent.body, ensure_ascii=False).encode()
        channel = None
        try:
            async with asyncio.timeout(10):
                channel = await self._open()
                await channel.basic_publish(body, routing_key=sent.queue, properties=properties, mandatory=True)
        except (asyncio.CancelledError, *AWAY) as error:
            current = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and current is not None and current.cancelling():
                raise
            sent.answers.append(type(error).__name__)
            await self._drop(channel)
            return False
        sent.answers.append("confirmed")
        return True

    async def _open(self) -> Any:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._connection = aiormq.Connection(self._url)
                await self._connection.connect()
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            return self._channel

    async def _drop(self, channel: Any) -> None:
        if channel is self._channel:
            await self.close()

    async def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(asyncio.CancelledError, *AWAY):
                async with asyncio.timeout(1):
                    await connection.close()
