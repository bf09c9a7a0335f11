"""Group commit: many callers share one flush, and each waits for the batch that carries its item."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Generic, TypeVar

from gonets.core.shared.errors import Unexplained

Item = TypeVar("Item")
Result = TypeVar("Result")

Flush = Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]

Observe = Callable[[str, int], None]
"""Hears of each flush: what is flushed, and how many items. MUST NOT raise, nor take long."""


Weigh = Callable[[Item], int]
"""How much an item weighs, in any unit."""


def nobody(_: str, __: int) -> None:
    """Observes nothing."""


class Batcher(Generic[Item, Result]):
    """Collects items and flushes them together. No timer: idle, it flushes at once; busy, it gathers meanwhile.

    `flush` gets 1 to `most` items and returns one result per item, in order; of items with one key only one is in any
    flush under way, the others wait. It must be safe to repeat: when a batch fails on its content (not with one of
    `shared_errors`, or with one that is Unexplained), its items are flushed one by one, so that a poisoned item fails
    alone. With `weigh`, items that together weigh more than `heaviest` do not travel together. `eager`: what is there
    is flushed at once, beside up to `in_flight` others, however little it is. `observe` hears of each flush under
    `name`.
    """

    def __init__(
        self,
        flush: Flush[Item, Result],
        *,
        key: Callable[[Item], Hashable] | None = None,
        most: int = 500,
        in_flight: int = 2,
        shared_errors: tuple[type[BaseException], ...] = (),
        weigh: Weigh[Item] | None = None,
        heaviest: int = 0,
        eager: bool = False,
        name: str = "",
        observe: Observe = nobody,
    ) -> None:
        self._flush = flush
        self._name = name
        self._observe = observe
        self._key = key
        self._most = most
        self._weigh = weigh
        self._heaviest = heaviest
        self._eager = eager
        self._free = in_flight
        self._under_way = 0
        self._shared_errors = shared_errors
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[Hashable] = set()
        self._scheduled = False
        # Asked for once: with each item it would be a system call, for Python looks whether the process was forked.
        self._loop: asyncio.AbstractEventLoop | None = None

    async def add(self, item: Item) -> Result:
        """Returns when the batch with this item is through; raises what the flush raised for it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = self._loop.create_future()
        self._waiting.append((item, future))
        if self._free and not self._scheduled:
            # One turn of the loop later, so that everything that is ready now travels together.
            self._scheduled = True
            self._loop.call_soon(self._start)
        return await future

    def _start(self) -> None:
        self._scheduled = False
        # A further flush at the same time has to be worth it: it carries at least as much as is under way.
        while self._free and self._waiting and (self._eager or len(self._waiting) >= self._under_way):
            batch = self._take()
            if not batch:
                return
            self._free -= 1
            self._under_way += len(batch)
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(partial(self._finished, batch))

    def _finished(self, batch: list[tuple[Item, asyncio.Future[Result]]], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._key is not None:
            self._busy.difference_update(self._key(item) for item, _ in batch)
        self._free += 1
        self._under_way -= len(batch)
        self._start()

    def _take(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        again: list[tuple[Item, asyncio.Future[Result]]] = []
        weight = 0
        while self._waiting and len(batch) < self._most:
            weight += self._weigh(self._waiting[0][0]) if self._weigh else 0
            if batch and weight > self._heaviest > 0:
                break
            entry = self._waiting.popleft()
            if entry[1].cancelled():
                continue
            if self._key is not None:
                key = self._key(entry[0])
                if key in self._busy:
                    again.append(entry)
                    continue
                self._busy.add(key)
            batch.append(entry)
        self._waiting.extendleft(reversed(again))
        return batch

    async def _run(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        self._observe(self._name, len(batch))
        try:
            results = await self._flush([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - handed to the callers, each its own
            shared = isinstance(error, self._shared_errors) and not isinstance(error, Unexplained)
            if len(batch) == 1 or shared:
                for _, future in batch:
                    _fail(future, error)
                return
            for entry in batch:
                await self._run([entry])
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(future: asyncio.Future[Result], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
