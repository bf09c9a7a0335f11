"""Replies that a test gives by hand."""

import asyncio
import itertools
from datetime import timedelta

from gonets.core.tasks.model import Failure, Waiter


class FakeReplyInbox:
    """Hears what `answer` says; opens nothing while it is not `available`."""

    def __init__(self) -> None:
        self.available = True
        self.listening: dict[str, asyncio.Future[int | Failure]] = {}
        self._numbers = itertools.count(1)

    def open(self) -> "FakeReply | None":
        return FakeReply(self, str(next(self._numbers))) if self.available else None

    def answer(self, waiter: Waiter, outcome: int | Failure) -> None:
        future = self.listening.get(waiter.correlation_id or "")
        if future is not None and not future.done():
            future.set_result(outcome)


class FakeReply:
    def __init__(self, inbox: FakeReplyInbox, number: str) -> None:
        self.waiter = Waiter("inbox", number)
        self._inbox = inbox
        self._number = number

    def __enter__(self) -> "FakeReply":
        self._inbox.listening[self._number] = asyncio.get_running_loop().create_future()
        return self

    def __exit__(self, *_: object) -> None:
        del self._inbox.listening[self._number]

    async def wait(self, timeout: timedelta) -> int | Failure | None:
        try:
            return await asyncio.wait_for(self._inbox.listening[self._number], timeout.total_seconds())
        except TimeoutError:
            return None
