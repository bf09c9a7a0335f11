"""Confirmed publishing, many messages at a time."""

import asyncio
import itertools
import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import PublishError
from pamqp import commands
from pamqp.header import ContentHeader

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.connection import AWAY, being_cancelled, close, connect
from gonets.adapters.rabbitmq.frames import write
from gonets.core.shared.batching import Batcher, Observe, nobody
from gonets.core.shared.errors import Invalid, Unavailable

log = logging.getLogger(__name__)

PERSISTENT = 2


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for a queue, through the default exchange. `mandatory`: a queue that is not there is an error."""

    queue: str
    body: bytes
    properties: commands.Basic.Properties
    mandatory: bool = True
    number: int = field(default_factory=itertools.count().__next__)


class NotTaken(Unavailable):
    """The broker is there and did not take this message: its queue is full, or is not to be made."""


class Publisher:
    """Persistent, confirmed, on a connection of its own that is opened when it is needed.

    What comes back as unroutable is published again after its queue was declared. `timeout`: seconds for one message,
    connecting included; a broker that does not confirm in time (an alarm stops it reading) is Unavailable. While it is
    known to be away one batch at a time finds out if it is back, and nobody else waits. `observe` hears the sizes of
    batches.
    """

    def __init__(self, url: str, *, timeout: float, observe: Observe = nobody) -> None:
        self._url = url
        self._timeout = timeout
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._away: str | None = None
        self._trying = 0
        # Two messages with one message_id are never in flight together: the broker names what it returns by it alone.
        self._batcher: Batcher[Outgoing, BaseException | None] = Batcher(
            self._flush,
            key=lambda message: message.properties.message_id or message.number,
            shared_errors=(Unavailable,),
            name="publish",
            observe=observe,
        )

    async def publish(self, message: Outgoing) -> None:
        """Returns when the broker has taken the message. Raises Unavailable: it was perhaps taken; NotTaken: it was
        not; and Invalid for what AMQP cannot carry: a name or a mark over 255 bytes, headers over one frame."""
        if self._away and self._trying:
            raise Unavailable(self._away)
        try:
            async with asyncio.timeout(self._timeout):
                error = await self._batcher.add(message)
        except TimeoutError as late:
            raise Unavailable("the broker is away: it confirmed nothing in time") from late
        if error is not None:
            raise NotTaken(f"the broker did not take the message: {_words(error)}") from error

    async def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await close(connection)

    async def _flush(self, messages: Sequence[Outgoing]) -> Sequence[BaseException | None]:
        self._trying += 1
        try:
            async with asyncio.timeout(self._timeout):
                outcomes = await self._send(messages)
                returned = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, PublishError)]
                if returned:
                    await self._declare({messages[i].queue for i in returned})
                    again = await self._send([messages[i] for i in returned])
                    for i, outcome in zip(returned, again, strict=True):
                        outcomes[i] = outcome
        except (asyncio.CancelledError, *AWAY) as error:
            if being_cancelled():
                raise
            await self._drop()
            self._away = f"the broker is away: {_words(error)}"
            raise Unavailable(self._away) from error
        finally:
            self._trying -= 1
        self._away = None
        return outcomes

    async def _send(self, messages: Sequence[Outgoing]) -> list[BaseException | None]:
        channel = await self._open()
        async with self._writing:  # the broker numbers messages in the order in which they are written
            confirmations = await _write(channel, messages)
        confirmed = asyncio.gather(*confirmations, return_exceptions=True)
        closing = channel.closing
        try:
            await asyncio.wait([confirmed, closing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()  # an observer that is not cancelled stays with the channel as long as it lives
        if not confirmed.done():
            confirmed.add_done_callback(lambda future: future.exception())
            confirmed.cancel()
            raise ConnectionError("the channel was closed before the broker confirmed")
        return [outcome if isinstance(outcome, BaseException) else None for outcome in confirmed.result()]

    async def _open(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                await self._drop()
                self._connection = await connect(self._url, "gonets publisher", timeout=self._timeout)
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            return self._channel

    async def _declare(self, queues: set[str]) -> None:
        if self._connection is not None:
            log.warning("declaring queues that were gone", extra={"queues": sorted(queues)})
            await topology.ensure(self._connection, *queues)

    async def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            # Not awaited: a broker in alarm does not answer the goodbye either.
            task = asyncio.create_task(close(connection))
            _closing.add(task)
            task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()


async def _write(channel: Any, messages: Sequence[Outgoing]) -> list[asyncio.Future[Any]]:
    """All frames in one write; returns the confirms to wait for. Raises Invalid for what AMQP cannot carry.

    aiormq's own publish takes a lock, a timer and a write for each message, which is most of what publishing costs
    (docs/adr/004). This does what it does, for many: it numbers the messages and enters their confirmations.
    """
    try:
        await write(channel, [frame for message in messages for frame in _frames(channel, message)])
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        raise Invalid("message", f"is nothing that AMQP can carry: {error}") from error
    # Numbered once it is handed over, for the broker numbers only what it gets; nothing else runs in between.
    return [_number(channel, message) for message in messages]


def _frames(channel: Any, message: Outgoing) -> list[Any]:
    header = ContentHeader(properties=message.properties, body_size=len(message.body))
    if message.properties.headers and len(header.marshal()) > channel.max_content_size:
        raise ValueError("its headers do not fit into a frame")
    publish = commands.Basic.Publish(routing_key=message.queue, mandatory=message.mandatory)
    return [publish, header, *channel._split_body(message.body)]


def _number(channel: Any, message: Outgoing) -> asyncio.Future[Any]:
    channel.delivery_tag += 1
    tag = channel.delivery_tag
    confirmation: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    channel.confirmations[tag] = confirmation
    if message.mandatory:
        message_id = message.properties.message_id
        channel.message_id_delivery_tag[message_id] = tag
        confirmation.add_done_callback(partial(_forget, channel, message_id))
    return confirmation


def _forget(channel: Any, message_id: str | None, _: object) -> None:
    channel.message_id_delivery_tag.pop(message_id, None)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
