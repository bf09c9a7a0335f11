"""Takes messages of one queue and has done what they ask for, so much at a time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from aiormq.abc import AbstractConnection, DeliveredMessage

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.acknowledgements import Acknowledgements
from gonets.adapters.rabbitmq.connection import consume, end, keep_connected

log = logging.getLogger(__name__)

Acknowledge = Callable[[], None]

Work = Callable[[Acknowledge], Coroutine[Any, Any, None]]
"""MUST call its argument when the message is no longer needed for it, and MUST NOT raise for what the outside does."""

Works = Callable[[DeliveredMessage], Sequence[Work]]
"""What is to be done about a message; nothing, where it says nothing that we understand."""


def whole(handle: Callable[[DeliveredMessage, Acknowledge], Coroutine[Any, Any, None]]) -> Works:
    """For messages that are one piece of work each."""
    return lambda message: (partial(handle, message),)


class Receiver:
    """A piece of work is done apart from its message's channel: what was begun goes on when the broker goes away. At
    most `concurrency` are under way, begun in the order in which they came, and at most twice as many messages are here
    unacknowledged. A message is acknowledged when none of its works needs it."""

    def __init__(self, url: str, queue: str, works: Works, *, concurrency: int) -> None:
        self._url = url
        self.queue = queue
        self._works = works
        self._concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._beginning = asyncio.Lock()
        self._acknowledgements = Acknowledgements()
        self._link: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()
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
        if self._under_way:
            _, late = await asyncio.wait(set(self._under_way), timeout=graceful_timeout)
            for task in late:
                task.cancel()
            if late:
                log.warning("left with work in hand", extra={"queue": self.queue, "works": len(late)})
                await asyncio.wait(late)

    async def _consume(self, connection: AbstractConnection) -> None:
        await topology.ensure(connection, *topology.PUBLIC, *topology.INTERNAL)
        lost = await consume(connection, self.queue, self._receive, prefetch=2 * self._concurrency)
        log.info("taking messages", extra={"queue": self.queue, "concurrency": self._concurrency})
        await lost()

    async def _receive(self, message: DeliveredMessage) -> None:
        """Waits in a task of the channel, which ends with it: the broker delivers again what was not begun, and with it
        what was, which does no harm."""
        works = self._works(message)
        if not works:
            self._acknowledgements.add(message)
        acknowledge = self._after(len(works), message)
        async with self._beginning:
            for work in works:
                await self._slots.acquire()
                if self._stopping:
                    self._slots.release()
                    return
                task = asyncio.create_task(work(acknowledge))
                self._under_way.add(task)
                task.add_done_callback(self._forget)

    def _after(self, works: int, message: DeliveredMessage) -> Acknowledge:
        """To be called by each of so many; the last call acknowledges the message."""

        def acknowledge() -> None:
            nonlocal works
            works -= 1
            if not works:
                self._acknowledgements.add(message)

        return acknowledge

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._slots.release()
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a message was left in hand by an error of ours", exc_info=error)
