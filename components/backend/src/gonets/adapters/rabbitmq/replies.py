"""Where a process hears the end of tasks it submitted: one exclusive queue, one correlation id for each task."""

import asyncio
import contextlib
import logging
import uuid
from datetime import timedelta

from aiormq.abc import AbstractConnection, DeliveredMessage
from aiormq.exceptions import ChannelLockedResource
from pydantic import TypeAdapter, ValidationError

from gonets.adapters.rabbitmq.connection import end, keep_connected
from gonets.contract import TaskFailure, TaskResult
from gonets.core.shared.errors import Unavailable
from gonets.core.tasks.model import Failure, Waiter

log = logging.getLogger(__name__)

_END: TypeAdapter[TaskResult | TaskFailure] = TypeAdapter(TaskResult | TaskFailure)


def _new_name() -> str:
    return f"gonets.replies.{uuid.uuid4()}"


class RabbitReplyInbox:
    """Implements ReplyInbox. The queue lives and dies with the connection: replies that nobody can hear any more are
    dropped by the broker, and their tasks' rows keep the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._queue = _new_name()
        self._listening = False
        self._heard = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[int | Failure]] = {}
        self._link: asyncio.Task[None] | None = None

    async def start(self, patience: float = 0.0) -> None:
        """Waits at most so many seconds for the broker, so that the first client need not wait in vain."""
        self._link = asyncio.create_task(keep_connected(self._url, "gonets replies", self._listen), name="replies")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._heard.wait()

    async def stop(self) -> None:
        if self._link:
            await end(self._link)

    def open(self) -> "RabbitReply | None":
        if not self._listening:
            return None
        return RabbitReply(Waiter(self._queue, str(uuid.uuid4())), self._waiting)

    async def check(self) -> None:
        """Returns while the broker is there. Raises Unavailable."""
        if not self._listening:
            raise Unavailable("the broker is away")

    async def _listen(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=False)
        try:
            await channel.queue_declare(self._queue, exclusive=True)
        except ChannelLockedResource:
            # The broker has not noticed yet that our last connection is dead. Replies there are lost, the rows stay.
            self._queue = _new_name()
            raise
        await channel.basic_consume(self._queue, self._receive, no_ack=True)
        self._listening = True
        self._heard.set()
        try:
            await asyncio.wait([connection.closing, channel.closing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._listening = False

    async def _receive(self, message: DeliveredMessage) -> None:
        future = self._waiting.get(message.header.properties.correlation_id or "")
        if future is None or future.done():
            return
        try:
            end = _END.validate_json(message.body)
        except ValidationError:
            log.warning("a reply that is none", extra={"correlation_id": message.header.properties.correlation_id})
            return
        if isinstance(end, TaskResult):
            future.set_result(end.id)
        else:
            future.set_result(Failure(end.error.category, end.error.reason))


class RabbitReply:
    """Implements Reply."""

    def __init__(self, waiter: Waiter, waiting: dict[str, asyncio.Future[int | Failure]]) -> None:
        self.waiter = waiter
        self._waiting = waiting
        self._key = waiter.correlation_id or ""
        self._future: asyncio.Future[int | Failure]

    def __enter__(self) -> "RabbitReply":
        self._future = self._waiting[self._key] = asyncio.get_running_loop().create_future()
        return self

    def __exit__(self, *_: object) -> None:
        del self._waiting[self._key]

    async def wait(self, timeout: timedelta) -> int | Failure | None:
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._future
        except TimeoutError:
            return None
