"""Channels, remembered for a moment by those who send much."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gonets.core.channels.model import Channel
from gonets.core.channels.ports import ChannelsOf

_MOST_OWNERS = 10_000


@dataclass(slots=True)
class RecentChannels:
    """Implements ChannelsOf. What an owner changed is heeded within `seconds`; those who ask at one time share the
    answer. What is asked for by its id is always read anew."""

    channels: ChannelsOf
    seconds: float = 1.0
    monotonic: Callable[[], float] = time.monotonic
    _known: dict[int, tuple[float, Sequence[Channel]]] = field(default_factory=dict, repr=False)
    _asked: dict[int, asyncio.Task[Sequence[Channel]]] = field(default_factory=dict, repr=False)

    async def usable(self, owner_id: int) -> Sequence[Channel]:
        now = self.monotonic()
        read_at, known = self._known.get(owner_id, (float("-inf"), ()))
        if now - read_at < self.seconds:
            return known
        if owner_id not in self._asked:
            self._asked[owner_id] = asyncio.create_task(self._read(owner_id, now))
        # Who gives up waiting takes the answer from nobody else.
        return await asyncio.shield(self._asked[owner_id])

    async def _read(self, owner_id: int, now: float) -> Sequence[Channel]:
        try:
            found = await self.channels.usable(owner_id)
        finally:
            del self._asked[owner_id]
        if len(self._known) >= _MOST_OWNERS:
            self._known.clear()
        self._known[owner_id] = now, found
        return found

    async def get(self, owner_id: int, channel_id: int) -> Channel:
        return await self.channels.get(owner_id, channel_id)
