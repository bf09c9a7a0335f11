"""Takes messages of one queue and hands them to whoever handles them, so many at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from aiormq.abc import AbstractConnection, DeliveredMessage

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.acknowledgements import Acknowledgements
from gonets.adapters.rabbitmq.connection import consume, end, keep_connected

log = logging.getLogger(__name__)

Handle = Callable[[DeliveredMessage, Callable[[], None]], Awaitable[None]]
"""MUST call its second argument when the message has done its work, and MUST NOT raise for what the outside does."""


class Receiver:
    """A message is handled apart from its channel: what was begun goes on when the broker goes away. At most
    `concurrency` are handled, and at most as many more wait here unacknowledged."""

    def __init__(self, url: str, queue: str, handle: Handle, *, concurrency: int) -> None:
        self._url = url
        self.queue = queue
        self._handle = handle
        self._concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._acknowledgements = Acknowledgements()
        self._link: asyncio.Task[None] | None = None
        self._handling: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self) -> None:
        self._link = asyncio.create_task(
            keep_connected(self._url, f"gonets {self.queue}", self._consume), name=f"receiver of {self.queue}"
        )

    async def stop(self, graceful_timeout: float) -> None:
        """Stops taking: what is not begun goes back to the queue. What is under way may end before the deadline."""
        self._stopping = True
        await self._acknowledgements.written(timeout=1)
        if self._link:
            await end(self._link)
        if self._handling:
            _, late = await asyncio.wait(set(self._handling), timeout=graceful_timeout)
            for task in late:
                task.cancel()
            if late:
                log.warning("left with work in hand", extra={"queue": self.queue, "messages": len(late)})
                await asyncio.wait(late)

    async def _consume(self, connection: AbstractConnection) -> None:
        await topology.ensure(connection, *topology.PUBLIC, *topology.INTERNAL)
        lost = await consume(connection, self.queue, self._receive, prefetch=2 * self._concurrency)
        log.info("taking messages", extra={"queue": self.queue, "concurrency": self._concurrency})
        await lost()

    async def _receive(self, message: DeliveredMessage) -> None:
        """Waits in a task of the channel, which ends with it: the broker delivers again what was not begun."""
        await self._slots.acquire()
        if self._stopping:
            self._slots.release()
            return
        task = asyncio.create_task(self._take(message))
        self._handling.add(task)
        task.add_done_callback(self._forget)

    async def _take(self, message: DeliveredMessage) -> None:
        await self._handle(message, partial(self._acknowledgements.add, message))

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._slots.release()
        self._handling.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a message was left in hand by an error of ours", exc_info=error)
