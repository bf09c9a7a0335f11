"""Connections to the broker: one that is kept open as long as the process lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiormq
from aiormq.abc import AbstractConnection, DeliveredMessage
from aiormq.exceptions import AMQPError

from gonets.adapters.rabbitmq import lenient

lenient.install()

log = logging.getLogger(__name__)

# What a broker that is away, or going away, makes of a call. aiormq raises CancelledError too where a connection dies
# under a call that waits: it counts as away unless this very task is being cancelled.
AWAY = (AMQPError, OSError, TimeoutError, RuntimeError)

RECONNECT_PAUSE = 0.5  # seconds

Receive = Callable[[DeliveredMessage], Coroutine[Any, Any, None]]


class _Connection(aiormq.Connection):
    """Knows within 8 s, at heartbeats of 5 s, that the broker has gone silent, instead of within 20.

    The broker sends one every 2.5 s, and aiormq looks every 2 s. RabbitMQ's documents warn of heartbeats under 5 s.
    """

    HEARTBEAT_GRACE_MULTIPLIER = 1  # of one second more than a heartbeat


async def connect(url: str, name: str, *, timeout: float = 5.0) -> AbstractConnection:
    """Opens a connection that is listed under this name on the management pages. Raises one of AWAY."""
    connection = _Connection(url, client_properties={"connection_name": name})
    try:
        async with asyncio.timeout(timeout):
            await connection.connect()
    except (asyncio.CancelledError, StopAsyncIteration) as error:
        # The latter is aiormq's word for a server that hangs up between two frames of the greeting.
        if being_cancelled():
            raise
        raise ConnectionError("the connection died while it was opened") from error
    return connection


def being_cancelled() -> bool:
    """Whether a CancelledError here is meant for this task, and is not aiormq's word for a lost connection."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


async def close(connection: AbstractConnection) -> None:
    """Closes it without waiting for a broker that does not answer."""
    try:
        async with asyncio.timeout(2):
            await connection.close()
    except AWAY as error:
        log.debug("a connection did not close in order", extra={"reason": str(error)})
    except asyncio.CancelledError as error:
        if being_cancelled():
            raise
        log.debug("a connection did not close in order", extra={"reason": str(error)})


async def keep_connected(url: str, name: str, session: Callable[[AbstractConnection], Awaitable[None]]) -> None:
    """Runs the session on a connection; when either ends, again on a new one. Ends by cancellation only."""
    while True:
        connection = None
        try:
            connection = await connect(url, name)
            await session(connection)
        except (asyncio.CancelledError, *AWAY) as error:
            if being_cancelled():
                raise asyncio.CancelledError from error
            log.warning("lost the broker", extra={"connection": name, "reason": str(error) or type(error).__name__})
        except Exception:
            # Whatever it is: a process that lives on without its connection would be worse.
            log.exception("lost the broker by an error of ours", extra={"connection": name})
        finally:
            if connection is not None:
                await close(connection)
        await asyncio.sleep(RECONNECT_PAUSE)


async def end(link: asyncio.Task[None]) -> None:
    """Ends a task that keeps a connection. aiormq may lose a cancellation that finds it opening a channel: it is said
    again."""
    while not link.done():
        link.cancel()
        await asyncio.wait([link], timeout=0.5)


async def consume(
    connection: AbstractConnection, queue: str, receive: Receive, *, prefetch: int
) -> Callable[[], Awaitable[None]]:
    """Has a queue's messages delivered, to be acknowledged. What it returns waits until none come any more: the
    connection or the channel is lost, or the queue was deleted under us."""
    channel = await connection.channel(publisher_confirms=False)
    cancelled = asyncio.Event()
    channel.on_consumer_cancel_callbacks.add(lambda _: cancelled.set())
    await channel.basic_qos(prefetch_count=prefetch)
    await channel.basic_consume(queue, receive)

    async def lost() -> None:
        waiting = asyncio.create_task(cancelled.wait())
        try:
            await asyncio.wait([connection.closing, channel.closing, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    return lost
