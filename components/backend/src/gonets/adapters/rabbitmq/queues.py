"""Looking at the public queues from outside."""

import asyncio
from collections.abc import Mapping, Sequence

from aiormq.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.connection import AWAY, being_cancelled, close, connect
from gonets.core.shared.errors import Unavailable
from gonets.core.tasks.survey import Queue


class RabbitQueues:
    """Implements Queues, by passive declares on a connection of its own that is opened when it is needed.

    An alarm does not stop it: the broker blocks connections that publish, and this one never does.
    """

    def __init__(
        self, url: str, *, timeout: float, queues: Sequence[str] = (*topology.PUBLIC, *topology.INTERNAL)
    ) -> None:
        """`timeout`: seconds for a look, connecting included."""
        self._url = url
        self._timeout = timeout
        self._queues = queues
        self._connection: AbstractConnection | None = None
        self._looking = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def look(self) -> Mapping[str, Queue]:
        try:
            async with asyncio.timeout(self._timeout), self._looking:
                return await self._look()
        except (asyncio.CancelledError, *AWAY) as error:
            self._drop()
            if being_cancelled():
                raise
            raise Unavailable(f"the broker is away: {str(error) or type(error).__name__}") from error

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)

    def _drop(self) -> None:
        # Not awaited: a broker that went silent does not answer the goodbye either.
        task = asyncio.create_task(self.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _look(self) -> Mapping[str, Queue]:
        if self._connection is None or self._connection.is_closed:
            self._connection = await connect(self._url, "gonets watcher", timeout=self._timeout)
        found: dict[str, Queue] = {}
        channel = await self._connection.channel(publisher_confirms=False)
        for name in self._queues:
            try:
                answer = await channel.queue_declare(name, passive=True)
            except ChannelNotFoundEntity:
                # The refusal closed the channel.
                channel = await self._connection.channel(publisher_confirms=False)
            else:
                found[name] = Queue(answer.message_count or 0, answer.consumer_count or 0)
        await channel.close()
        return found
