"""Acknowledging many messages in one write."""

import asyncio
import logging

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from gonets.adapters.rabbitmq.frames import write

log = logging.getLogger(__name__)


class Acknowledgements:
    """What is ready in one turn of the loop travels in one write: a write for each is dear (docs/performance.md)."""

    def __init__(self) -> None:
        self._ready: dict[AbstractChannel, list[int]] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def add(self, message: DeliveredMessage) -> None:
        channel: AbstractChannel = message.channel
        tags = self._ready.setdefault(channel, [])
        tags.append(message.delivery_tag or 0)
        if len(tags) == 1:
            task = asyncio.create_task(self._write(channel))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def written(self, *, timeout: float) -> None:
        """Waits for what is being written, at most so many seconds."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=timeout)

    async def _write(self, channel: AbstractChannel) -> None:
        tags = self._ready.pop(channel)
        if channel.is_closed:
            # The broker delivers them again, and their rows say that they were taken.
            log.debug("acknowledged too late", extra={"delivery_tags": tags})
            return
        await write(channel, [Basic.Ack(tag) for tag in tags])
