"""The others: an AMQP client that knows nothing of ours, the sandbox's control, and waiting."""

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import aio_pika
import httpx
from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import ChannelNotFoundEntity

from eventually import eventually

if TYPE_CHECKING:
    from conftest import Servers

TASKS = "TaskProcessingQueue"
DEAD = "TaskProcessingQueue.dead"
RESULTS = "TaskResultDeliveryQueue"
FAILURES = "TaskFailureDeliveryQueue"

PATIENCE = 60.0
"""Seconds: the machine may be busy, and a wake-up that got lost is repeated after 30 only."""


until = functools.partial(eventually, timeout=PATIENCE)


async def answered(api: httpx.AsyncClient, task: Any) -> httpx.Response:
    """What the REST door says of the task's end. It is asked again where that did not come within one wait: on a busy
    machine the broker may seem away for a moment."""

    async def ask() -> httpx.Response | None:
        answer = await api.post("/api/v1/tasks", json=task)
        return answer if answer.status_code != 202 else None

    found: httpx.Response = await until(ask, f"the end of {task}", timeout=2 * PATIENCE)
    return found


class Queues:
    """A foreign AMQP client on one connection."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection, channel: aio_pika.abc.AbstractChannel) -> None:
        self.connection = connection
        self.channel = channel
        self._kept: dict[str, list[AbstractIncomingMessage]] = {}

    async def send(self, body: Any, queue: str = TASKS, **properties: Any) -> None:
        """Publishes through the default exchange; what is not bytes goes as JSON. Nothing is set that is not named."""
        encoded = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        await self.channel.default_exchange.publish(aio_pika.Message(encoded, **properties), queue)

    async def find(
        self, queue: str, wanted: Callable[[AbstractIncomingMessage], bool], what: str, *, timeout: float = PATIENCE
    ) -> AbstractIncomingMessage:
        """The first message that is wanted, taken off the queue; those before it are kept for the next who looks. A
        queue that is not there yet is waited for."""
        kept = self._kept.setdefault(queue, [])

        async def look() -> AbstractIncomingMessage | None:
            for message in kept:
                if wanted(message):
                    kept.remove(message)
                    return message
            source = await self.channel.get_queue(queue, ensure=False)
            try:
                while message := await source.get(no_ack=True, fail=False):
                    if wanted(message):
                        return message
                    kept.append(message)
            except ChannelNotFoundEntity:
                await self.channel.reopen()
            return None

        return await until(look, f"{what} on {queue}", timeout=timeout)

    async def told(self, queue: str, task_id: int, *, timeout: float = PATIENCE) -> dict[str, Any]:
        """The JSON that tells of this task."""
        message = await self.find(
            queue, lambda m: json.loads(m.body)["task_id"] == task_id, f"task {task_id}", timeout=timeout
        )
        found: dict[str, Any] = json.loads(message.body)
        return found

    async def dead(self, body: bytes) -> AbstractIncomingMessage:
        """The message with this very body that was set aside."""
        return await self.find(DEAD, lambda m: m.body == body, f"{body[:60]!r}")

    async def count(self, queue: str) -> int:
        """Messages that wait in a queue."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def consumers(self, queue: str) -> int:
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.consumer_count or 0

    async def reply_queue(self) -> tuple[str, "asyncio.Queue[AbstractIncomingMessage]"]:
        """A queue of one's own for replies, and where they arrive."""
        queue = await self.channel.declare_queue(exclusive=True)
        replies: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(replies.put, no_ack=True)
        return queue.name, replies


@contextlib.asynccontextmanager
async def queues_of(servers: "Servers") -> AsyncIterator[Queues]:
    connection = await aio_pika.connect(servers.rabbit.url)
    async with connection:
        yield Queues(connection, await connection.channel())


class SandboxControl:
    """What the providers were asked, and what is to go wrong with them."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def fault(self, provider: str, **fault: Any) -> None:
        (await self._http.put(f"/control/faults/{provider}", json=fault)).raise_for_status()

    async def well(self) -> None:
        """No faults any more; calls that hang are let go."""
        (await self._http.delete("/control/faults")).raise_for_status()

    async def reset(self) -> None:
        (await self._http.post("/control/reset")).raise_for_status()

    async def calls(self, data: str | None = None, **filters: str) -> int:
        """How often a provider was asked, for this very input."""
        query = filters | ({"input": data} if data is not None else {})
        answer = (await self._http.get("/control/journal/count", params=query)).raise_for_status()
        total: int = answer.json()["total"]
        return total

    async def repeated(self) -> dict[str, int]:
        """The inputs that were asked more than once."""
        answer = (await self._http.get("/control/journal/count")).raise_for_status()
        found: dict[str, int] = answer.json()["repeated"]
        return found
