"""The dead queues, read and emptied by an operator. A queue is the store: nothing is kept anywhere else.

Messages are got one by one and held unacknowledged on one channel; what is not handled goes back when the call ends,
and by the broker itself if the process dies. A classic queue puts them back where they were, a quorum queue perhaps
behind the others, as with the management page's *Get messages*.

A quorum queue counts how often each message went back, and drops it over its limit (20 by default from RabbitMQ 4.0
on): looking would lose it. A message that went back often is therefore published anew, which begins the count again.
"""

import asyncio
import hashlib
import heapq
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.connection import AWAY, being_cancelled, close, connect
from gonets.adapters.rabbitmq.outcomes import (
    CATEGORY_HEADER,
    QUEUE_HEADER,
    REASON_HEADER,
    TIME_HEADER,
    without_key,
)
from gonets.adapters.rabbitmq.publisher import PERSISTENT, Outgoing, Publisher
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.set_aside import Choice, DeadLetter, DeadLetterPage, Handled

log = logging.getLogger(__name__)

MOST = 20_000
"""Messages of a queue that one call holds at a time. What is behind them is reached once they are handled."""

WORN = 8
"""Times a message may go back before it is published anew; far from the broker's default limit of 20."""

_BATCH = 100  # messages that are published together
_BATCH_BYTES = 2**24
_MOST_BYTES = 2**26  # of the bodies that are looked at together

_OURS = frozenset({REASON_HEADER, CATEGORY_HEADER, QUEUE_HEADER, TIME_HEADER})
_COUNT_HEADER = "x-delivery-count"
# The broker sends a message with CC to those queues too; they have had it.
_OF_THE_BROKER = frozenset({_COUNT_HEADER, "CC"})

_LONG_AGO = datetime.min.replace(tzinfo=UTC)

_Act = Callable[[str, Sequence[DeliveredMessage]], Awaitable[Sequence[BaseException | None]]]
"""Does what is asked with messages of a dead queue, and says what went wrong with each."""

_SHOWN = ("message_id", "correlation_id", "reply_to", "content_type", "content_encoding", "message_type", "app_id")


class RabbitDeadLetters:
    """Implements DeadLetters, over all dead queues. Each call opens a connection of its own for each of them.
    `timeout`: seconds for each word with the broker."""

    def __init__(self, url: str, publisher: Publisher, *, timeout: float = 5.0, most: int = MOST) -> None:
        self._url = url
        self._publisher = publisher
        self._timeout = timeout
        self._most = most

    async def look(self, chosen: Choice[str], limit: int) -> DeadLetterPage:
        pages = [await self._look(queue, chosen, limit) for queue in topology.SET_ASIDE]
        found = list(heapq.merge(*(page.letters for page in pages), key=lambda letter: letter.dead_at or _LONG_AGO))
        return DeadLetterPage(found[:limit], complete=len(found) <= limit and all(page.complete for page in pages))

    async def _look(self, queue: str, chosen: Choice[str], limit: int) -> DeadLetterPage:
        found: list[DeadLetter] = []
        size = 0
        async with self._pile(queue) as pile:
            async for message in pile:
                letter = _to_letter(message, queue)
                if _takes(chosen, letter):
                    found.append(letter)
                    size += len(letter.body)
                if pile.worn(message):
                    await self._renew(pile, message)
                if len(found) == limit or size > _MOST_BYTES:
                    break
            # As far as the broker says: what others have in hand is not counted.
            return DeadLetterPage(found, complete=pile.at_end)

    async def replay(self, chosen: Choice[str]) -> Handled:
        async def move(queue: str, messages: Sequence[DeliveredMessage]) -> Sequence[BaseException | None]:
            moves = [self._publisher.publish(_replayed(message, queue)) for message in messages]
            return await asyncio.gather(*moves, return_exceptions=True)

        return await self._handle(chosen, move)

    async def drop(self, chosen: Choice[str]) -> Handled:
        async def forget(_: str, messages: Sequence[DeliveredMessage]) -> Sequence[BaseException | None]:
            return [None] * len(messages)

        return await self._handle(chosen, forget)

    async def _handle(self, chosen: Choice[str], act: _Act) -> Handled:
        handled = [await self._handle_one(queue, chosen, act) for queue in topology.SET_ASIDE]
        return Handled(sum(one.count for one in handled), complete=all(one.complete for one in handled))

    async def _handle_one(self, queue: str, chosen: Choice[str], act: _Act) -> Handled:
        """Acts on those that are chosen, and only then takes them out."""
        count = 0

        async def settle(batch: list[DeliveredMessage]) -> None:
            nonlocal count
            outcomes = await act(queue, batch)
            for message, outcome in zip(batch, outcomes, strict=True):
                if outcome is None:
                    await pile.take_out(message)
                    count += 1
            for outcome in outcomes:
                if outcome is not None:
                    raise outcome
            batch.clear()

        batch: list[DeliveredMessage] = []
        async with self._pile(queue) as pile:
            async for message in pile:
                if _takes(chosen, _to_letter(message, queue)):
                    batch.append(message)
                elif pile.worn(message):
                    await self._renew(pile, message)
                if len(batch) == _BATCH or sum(len(held.body) for held in batch) > _BATCH_BYTES:
                    await settle(batch)
            await settle(batch)
            return Handled(count, complete=pile.at_end)

    async def _renew(self, pile: "_Pile", message: DeliveredMessage) -> None:
        headers = _headers(message, without=_OF_THE_BROKER)
        await self._publisher.publish(Outgoing(pile.queue, bytes(message.body), _properties(message, headers)))
        await pile.take_out(message)

    @asynccontextmanager
    async def _pile(self, queue: str) -> AsyncIterator["_Pile"]:
        connection = None
        try:
            connection = await connect(self._url, "gonets dead letters", timeout=self._timeout)
            async with asyncio.timeout(self._timeout):
                await topology.ensure(connection, queue)
                channel = await connection.channel(publisher_confirms=False)
            pile = _Pile(channel, queue, self._most, self._timeout)
            yield pile
            await pile.put_back()
        except (asyncio.CancelledError, *AWAY) as error:
            if being_cancelled():
                raise
            raise Unavailable(f"the broker is away: {str(error) or type(error).__name__}") from error
        finally:
            if connection is not None:
                # Whatever is still in hand goes back with it.
                await close(connection)


class _Pile:
    """What is in a queue when the first message is got, and not what comes in meanwhile: else a message that is set
    aside again would go round for ever."""

    def __init__(self, channel: AbstractChannel, queue: str, most: int, timeout: float) -> None:
        self.queue = queue
        self._channel = channel
        self._most = most
        self._timeout = timeout
        self._left: int | None = None
        self._held = 0
        self.at_end = False

    async def __aiter__(self) -> AsyncIterator[DeliveredMessage]:
        while self._left != 0 and self._held < self._most:
            message = await self._channel.basic_get(self.queue, timeout=self._timeout)
            if isinstance(message.delivery, Basic.GetEmpty):
                self.at_end = True
                return
            self._left = (message.message_count or 0) if self._left is None else self._left - 1
            self._held += 1
            self.at_end = self._left == 0
            yield message

    def worn(self, message: DeliveredMessage) -> bool:
        count = (message.header.properties.headers or {}).get(_COUNT_HEADER, 0)
        return isinstance(count, int) and count >= WORN

    async def take_out(self, message: DeliveredMessage) -> None:
        await self._channel.basic_ack(message.delivery_tag or 0)
        self._held -= 1

    async def put_back(self) -> None:
        """Returns when the broker has heard of everything that was taken out and put back."""
        async with asyncio.timeout(self._timeout):
            if self._held:
                await self._channel.basic_nack(0, multiple=True, requeue=True)
            await self._channel.close()


def _takes(chosen: Choice[str], letter: DeadLetter) -> bool:
    return chosen.takes(letter.id, letter.category, letter.reason, letter.dead_at)


def _to_letter(message: DeliveredMessage, queue: str) -> DeadLetter:
    properties = message.header.properties
    headers = properties.headers or {}
    shown = {name: str(getattr(properties, name)) for name in _SHOWN if getattr(properties, name)}
    shown |= {f"header {name}": str(value) for name, value in without_key(headers).items() if name not in _OURS}
    return DeadLetter(
        id=_id(message),
        # Whatever a header says: nothing is published to a queue that is not ours to consume.
        queue=topology.SET_ASIDE[queue],
        category=_category(headers.get(CATEGORY_HEADER)),
        reason=str(headers.get(REASON_HEADER, "")),
        dead_at=_time(headers.get(TIME_HEADER)),
        body=bytes(message.body),
        properties=shown,
    )


def _id(message: DeliveredMessage) -> str:
    """The same each time, and after a replay that ended here again. With a letter, for no task has such an id."""
    message_id = message.header.properties.message_id or ""
    nameless = _hash("", message.body)
    return nameless if message_id in ("", nameless) else _hash(message_id, message.body)


def _hash(message_id: str, body: bytes) -> str:
    return "m" + hashlib.sha256(b"\0".join((message_id.encode(), body))).hexdigest()[:16]


def _category(named: object) -> Category | None:
    return Category(named) if isinstance(named, str) and named in set(Category) else None


def _time(text: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(text))
        return None if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _replayed(message: DeliveredMessage, queue: str) -> Outgoing:
    properties = _properties(message, _headers(message, without=_OURS | _OF_THE_BROKER))
    return Outgoing(topology.SET_ASIDE[queue], bytes(message.body), properties)


def _headers(message: DeliveredMessage, *, without: frozenset[str]) -> dict[str, object]:
    headers = message.header.properties.headers or {}
    return {name: value for name, value in headers.items() if name not in without}


def _properties(message: DeliveredMessage, headers: Mapping[str, object]) -> Basic.Properties:
    old = message.header.properties
    return Basic.Properties(
        content_type=old.content_type,
        content_encoding=old.content_encoding,
        headers=dict(headers),  # type: ignore[arg-type]
        delivery_mode=PERSISTENT,
        priority=old.priority,
        correlation_id=old.correlation_id,
        reply_to=old.reply_to,
        # Never without: the broker names what it cannot route by it alone (see Publisher).
        message_id=old.message_id or _id(message),
        timestamp=old.timestamp,
        message_type=old.message_type,
        app_id=old.app_id,
    )
