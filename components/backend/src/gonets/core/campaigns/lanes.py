"""So many sends at one time, for all chunks of a worker."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any


class Lanes:
    """Runs what it is given, in order, so many at one time."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.stopping = False
        self._waiting: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._lanes: set[asyncio.Task[None]] = set()
        self._open = 0

    def add(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`work` MUST NOT raise."""
        self._waiting.append(work)
        if self._open < self.width:
            self._open += 1
            lane = asyncio.create_task(self._run())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._waiting.popleft()()
        finally:
            self._open -= 1

    def stop(self) -> None:
        """No further step is begun."""
        self.stopping = True
