"""The queue door: tasks come in from `TaskProcessingQueue`."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from pamqp.commands import Basic

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.connection import keep_connected
from gonets.adapters.rabbitmq.frames import write
from gonets.adapters.rabbitmq.outcomes import DeadLetters, read_task
from gonets.core.shared.errors import Conflict, GonetsError, Invalid
from gonets.core.shared.patience import until_available
from gonets.core.tasks.model import Claimed, Waiter
from gonets.core.tasks.use_cases import RunAlone, RunTask, TakeTask

log = logging.getLogger(__name__)


class TaskConsumer:
    """Takes a task when a slot is free, acknowledges it when its row is committed, and asks the provider in the slot.

    The slot is free again when the provider has done its part; then the task is stored and told. So at most
    `concurrency` tasks are with their providers, and at most twice as many are in hand or wait here unacknowledged. A
    message is handled apart from its channel: a provider call goes on when the broker goes away.
    """

    def __init__(
        self,
        url: str,
        take: TakeTask,
        run: RunTask,
        run_alone: RunAlone,
        dead_letters: DeadLetters,
        *,
        concurrency: int,
        new_token: Callable[[], int],
    ) -> None:
        self._url = url
        self._take = take
        self._run = run
        self._run_alone = run_alone
        self._dead_letters = dead_letters
        self._concurrency = concurrency
        self._new_token = new_token
        self._slots = asyncio.Semaphore(concurrency)
        self._in_hand = asyncio.Semaphore(2 * concurrency)
        self._alone = asyncio.Lock()
        self._acknowledging: dict[AbstractChannel, list[int]] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._link: asyncio.Task[None] | None = None
        self._taking: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._link = asyncio.create_task(
            keep_connected(self._url, "gonets worker", self._consume), name="task consumer"
        )

    async def stop(self, graceful_timeout: float) -> None:
        """Stops taking: what is not taken yet goes back to the queue. What is run may end before the deadline."""
        self._stopping = True
        for task in self._taking:
            task.cancel()
        # What was taken is acknowledged before the connection goes, and with it the claim to the rest.
        if self._writing:
            await asyncio.wait(self._writing, timeout=1)
        if self._link:
            self._link.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._link
        if self._running or self._taking:
            _, late = await asyncio.wait(self._running | self._taking, timeout=graceful_timeout)
            for task in late:
                task.cancel()
            if late:
                log.warning("left with tasks in hand, others will take them", extra={"tasks": len(late)})
                await asyncio.wait(late)

    async def _consume(self, connection: AbstractConnection) -> None:
        await topology.ensure(connection, *topology.PUBLIC)
        channel = await connection.channel(publisher_confirms=False)
        cancelled = asyncio.Event()
        channel.on_consumer_cancel_callbacks.add(lambda _: cancelled.set())
        await channel.basic_qos(prefetch_count=2 * self._concurrency)
        await channel.basic_consume(topology.TASKS, self._receive)
        log.info("taking tasks", extra={"queue": topology.TASKS, "concurrency": self._concurrency})
        waiting = asyncio.create_task(cancelled.wait())
        try:
            # Until the connection or the channel is lost, or the queue was deleted under us.
            await asyncio.wait([connection.closing, channel.closing, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _receive(self, message: DeliveredMessage) -> None:
        if self._stopping:
            return
        task = asyncio.create_task(self._handle(message))
        self._taking.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._taking.discard(task)
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a task was left in hand by an error of ours", exc_info=error)

    async def _handle(self, message: DeliveredMessage) -> None:
        async with self._in_hand:
            async with self._slots:
                claim = await self._claim(message)
                self._acknowledge(message)
                if claim is None:
                    return
                current = asyncio.current_task()
                assert current is not None  # noqa: S101 - for the type checker: this runs in a task
                self._taking.discard(current)
                self._running.add(current)
                said = None if claim.suspect else await self._run.ask(claim)
            if not claim.suspect:
                await self._run.finish(claim, said)
                return
        await self._with_empty_hands(claim)

    async def _with_empty_hands(self, suspect: Claimed) -> None:
        # It has let go of its own place: two suspects that kept theirs would wait for one another.
        async with self._alone, AsyncExitStack() as hands:
            for _ in range(2 * self._concurrency):
                await hands.enter_async_context(self._in_hand)
            await self._run_alone(suspect)

    async def _claim(self, message: DeliveredMessage) -> Claimed | None:
        token = self._new_token()
        try:
            task, waiter = read_task(message.body), _waiter(message)
            # While the database is away nothing is acknowledged: the queue waits in the broker.
            return await until_available(lambda: self._take(task, waiter, token))
        except (Invalid, Conflict) as error:
            await self._set_aside(message, error)
        return None

    async def _set_aside(self, message: DeliveredMessage, error: GonetsError) -> None:
        await until_available(lambda: self._dead_letters.put(message, error))
        log.warning("message set aside", extra={"category": error.category.value, "reason": error.reason})

    def _acknowledge(self, message: DeliveredMessage) -> None:
        # What is ready in one turn of the loop travels in one write: a write for each is dear (docs/performance.md).
        channel: AbstractChannel = message.channel
        tags = self._acknowledging.setdefault(channel, [])
        tags.append(message.delivery_tag or 0)
        if len(tags) == 1:
            task = asyncio.create_task(self._write_acknowledgements(channel))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _write_acknowledgements(self, channel: AbstractChannel) -> None:
        tags = self._acknowledging.pop(channel)
        if channel.is_closed:
            # The broker delivers them again, and their rows say that they were taken.
            log.debug("acknowledged too late", extra={"delivery_tags": tags})
            return
        await write(channel, [Basic.Ack(tag) for tag in tags])


def _waiter(message: DeliveredMessage) -> Waiter | None:
    properties = message.header.properties
    return Waiter(properties.reply_to, properties.correlation_id) if properties.reply_to else None
