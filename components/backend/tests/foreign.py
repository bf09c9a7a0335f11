"""A foreign client of the broker: it shares no code with ours. `broker` is a fixture for a conftest to import."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import ChannelNotFoundEntity

from eventually import eventually

TASKS = "TaskProcessingQueue"
DEAD = "TaskProcessingQueue.dead"
RESULTS = "TaskResultDeliveryQueue"
FAILURES = "TaskFailureDeliveryQueue"
NOTIFICATIONS = ("NotificationRequestQueue", "NotificationRequestQueue.dead", "NotificationResultQueue")


class Broker:
    """Declares, publishes, gets, counts; and does to the broker what tests need done."""

    def __init__(self, servers: Any, connection: AbstractConnection, channel: AbstractChannel) -> None:
        self._servers = servers
        self._connection = connection
        self.channel = channel

    @property
    def url(self) -> str:
        return self._servers.rabbit.url

    async def declare(self, name: str, **options: Any) -> AbstractQueue:
        return await self.channel.declare_queue(name, **{"durable": True} | options)

    async def delete(self, *names: str) -> None:
        for name in names:
            await self.channel.queue_delete(name)

    async def publish(self, queue: str, body: Any, **properties: Any) -> None:
        """Through the default exchange; what is not bytes goes as JSON. Nothing is set that is not named."""
        encoded = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        await self.channel.default_exchange.publish(aio_pika.Message(encoded, **properties), queue)

    async def get(self, queue: str) -> AbstractIncomingMessage | None:
        source = await self.channel.get_queue(queue, ensure=False)
        try:
            return await source.get(no_ack=True, fail=False)
        except ChannelNotFoundEntity:
            await self.channel.reopen()
            return None

    async def wait_for(self, queue: str, *, timeout: float = 15.0) -> AbstractIncomingMessage:
        """The next message of a queue."""
        message: AbstractIncomingMessage = await eventually(
            lambda: self.get(queue), f"a message in {queue}", timeout=timeout
        )
        return message

    async def all(self, queue: str) -> list[AbstractIncomingMessage]:
        """What is in a queue now, taken out."""
        found = []
        while message := await self.get(queue):
            found.append(message)
        return found

    async def _state(self, queue: str) -> Any:
        """None where the queue is not there."""
        channel = await self._connection.channel()
        try:
            return (await channel.declare_queue(queue, passive=True)).declaration_result
        except ChannelNotFoundEntity:
            return None
        finally:
            if not channel.is_closed:
                await channel.close()

    async def exists(self, queue: str) -> bool:
        return await self._state(queue) is not None

    async def ready(self, queue: str) -> int:
        """Messages that nobody has in hand; -1 where the queue is not there."""
        state = await self._state(queue)
        return -1 if state is None else state.message_count

    async def consumers(self, queue: str) -> int:
        state = await self._state(queue)
        return -1 if state is None else state.consumer_count

    async def arguments(self, queue: str) -> dict[str, Any]:
        """By the management API."""
        found = await asyncio.to_thread(
            self._servers.manage, "GET", f"queues/{quote(self._servers.rabbit.vhost, safe='')}/{queue}"
        )
        return {"durable": found["durable"], **found["arguments"]}

    async def set_policy(self, name: str, definition: dict[str, Any] | None, pattern: str = ".*") -> None:
        """As `rabbitmqctl set_policy` does; None takes it away."""
        path = f"policies/{quote(self._servers.rabbit.vhost, safe='')}/{name}"
        body = definition and {"pattern": pattern, "definition": definition, "apply-to": "queues"}
        await asyncio.to_thread(self._servers.manage, "PUT" if body else "DELETE", path, body)

    async def close_connections(self, name: str) -> int:
        """Closes connections of this name, as an operator does on the management page. Returns how many there were."""

        def close() -> int:
            closed = 0
            for connection in self._servers.manage("GET", f"vhosts/{quote(self._servers.rabbit.vhost)}/connections"):
                if connection.get("client_properties", {}).get("connection_name") == name:
                    self._servers.manage("DELETE", f"connections/{quote(connection['name'], safe='')}")
                    closed += 1
            return closed

        return await asyncio.to_thread(close)


@pytest.fixture
async def broker(servers: Any) -> AsyncIterator[Broker]:
    """The test's virtual host, without the public queues of the test before."""
    connection = await aio_pika.connect(servers.rabbit.url)
    async with connection:
        broker = Broker(servers, connection, await connection.channel())
        await broker.delete(TASKS, DEAD, RESULTS, FAILURES, *NOTIFICATIONS)
        yield broker
