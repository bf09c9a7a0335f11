"""The queue door: tasks come in from `TaskProcessingQueue`."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager

from aiormq.abc import AbstractConnection, DeliveredMessage

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.acknowledgements import Acknowledgements
from gonets.adapters.rabbitmq.connection import consume, end, keep_connected
from gonets.adapters.rabbitmq.outcomes import DeadLetters, read_task
from gonets.core.shared.errors import Conflict, GonetsError, Invalid
from gonets.core.shared.patience import until_available
from gonets.core.tasks.model import Claimed, Waiter
from gonets.core.tasks.ports import Run
from gonets.core.tasks.use_cases import TakeTask

log = logging.getLogger(__name__)

Continued = Callable[[Mapping[str, object]], AbstractContextManager[None]]
"""Given a message's headers: a context in which to handle it."""


class TaskConsumer:
    """Takes a task when a slot is free, acknowledges it when its row is committed, and asks the provider in the slot.

    The slot is free again when the provider has done its part; then the task is stored and told. So at most
    `concurrency` tasks are with their providers, and at most twice as many are in hand or wait here unacknowledged. A
    message is handled apart from its channel: a provider call goes on when the broker goes away.
    """

    queue = topology.TASKS

    def __init__(
        self,
        url: str,
        take: TakeTask,
        run: Run,
        run_alone: Callable[[Claimed], Awaitable[None]],
        dead_letters: DeadLetters,
        *,
        concurrency: int,
        new_token: Callable[[], int],
        continued: Continued | None = None,
    ) -> None:
        self._url = url
        self._take = take
        self._run = run
        self._run_alone = run_alone
        self._dead_letters = dead_letters
        self._concurrency = concurrency
        self._new_token = new_token
        self._continued = continued
        self._slots = asyncio.Semaphore(concurrency)
        self._in_hand = asyncio.Semaphore(2 * concurrency)
        self._alone = asyncio.Lock()
        self._acknowledgements = Acknowledgements()
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
        await self._acknowledgements.written(timeout=1)
        if self._link:
            await end(self._link)
        if self._running or self._taking:
            _, late = await asyncio.wait(self._running | self._taking, timeout=graceful_timeout)
            for task in late:
                task.cancel()
            if late:
                log.warning("left with tasks in hand, others will take them", extra={"tasks": len(late)})
                await asyncio.wait(late)

    async def _consume(self, connection: AbstractConnection) -> None:
        await topology.ensure(connection, *topology.PUBLIC)
        lost = await consume(connection, self.queue, self._receive, prefetch=2 * self._concurrency)
        log.info("taking tasks", extra={"queue": self.queue, "concurrency": self._concurrency})
        await lost()

    async def _receive(self, message: DeliveredMessage) -> None:
        if self._stopping:
            return
        if self._continued is None:
            task = asyncio.create_task(self._handle(message))
        else:
            with self._continued(message.header.properties.headers or {}):
                task = asyncio.create_task(self._handle(message))
        self._taking.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._taking.discard(task)
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a task was left in hand by an error of ours", exc_info=error)

    async def _handle(self, message: DeliveredMessage) -> None:
        async with self._in_hand, self._slot() as free_slot:
            claim = await self._claim(message)
            self._acknowledgements.add(message)
            if claim is None:
                return
            current = asyncio.current_task()
            assert current is not None  # noqa: S101 - for the type checker: this runs in a task
            self._taking.discard(current)
            self._running.add(current)
            if not claim.suspect:
                await self._run(claim, free_slot)
                return
        await self._with_empty_hands(claim)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[Callable[[], None]]:
        """A slot, and a way to free it before the context ends."""
        await self._slots.acquire()
        with ExitStack() as held:
            held.callback(self._slots.release)
            yield held.close

    async def _with_empty_hands(self, suspect: Claimed) -> None:
        # It has let go of its own place: two suspects that kept theirs would wait for one another.
        async with self._alone, AsyncExitStack() as hands:
            for _ in range(2 * self._concurrency):
                await hands.enter_async_context(self._in_hand)
            await self._run_alone(suspect)

    async def _claim(self, message: DeliveredMessage) -> Claimed | None:
        token = self._new_token()
        facts: dict[str, object] = {"message_id": message.header.properties.message_id}
        try:
            task, waiter = read_task(message.body), _waiter(message)
            facts |= {"task_id": task.task_id, "task_type": task.task_type.value}
            # While the database is away nothing is acknowledged: the queue waits in the broker.
            return await until_available(lambda: self._take(task, waiter, token))
        except (Invalid, Conflict) as error:
            await self._set_aside(message, error, facts)
        return None

    async def _set_aside(self, message: DeliveredMessage, error: GonetsError, facts: dict[str, object]) -> None:
        await until_available(lambda: self._dead_letters.put(message, error))
        what = {"category": error.category.value, "reason": error.reason}
        log.warning("message set aside", extra=facts | what)


def _waiter(message: DeliveredMessage) -> Waiter | None:
    properties = message.header.properties
    return Waiter(properties.reply_to, properties.correlation_id) if properties.reply_to else None
