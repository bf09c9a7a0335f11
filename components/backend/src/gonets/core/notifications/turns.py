"""The rate of each channel, over all workers, and the peace it asked for."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from gonets.core.channels.model import Channel
from gonets.core.notifications.ports import Turn
from gonets.core.tasks.gate import Pace
from gonets.core.tasks.ports import Budget

_SOON = timedelta(seconds=1)


class Pauses(Protocol):
    """Which channels are to be left in peace, shared by all workers. Raises Unavailable."""

    async def read(self) -> Mapping[str, timedelta]:
        """How long each pause still lasts."""

    async def add(self, channel: str, lasting: timedelta) -> None:
        """A longer one that lasts already stays."""


class _Free:
    """A turn of a channel without a limit."""

    def over(self) -> None:
        pass


_FREE = _Free()


@dataclass(slots=True)
class _Lane:
    budget: Budget
    pace: Pace
    waiting: int = 0


@dataclass(slots=True)
class ChannelTurns:
    """Implements Turns. `rate_of`: messages a second by a channel, 0 for no limit; `budget_of`: what all workers share
    of it, by name and rate; `most_waiting`: messages of one channel that may wait here, so that a slow one never fills
    a worker."""

    rate_of: Callable[[Channel], float]
    budget_of: Callable[[str, float], Budget]
    pauses: Pauses
    most_waiting: int
    monotonic: Callable[[], float] = time.monotonic
    _lanes: dict[tuple[str, float], _Lane] = field(default_factory=dict)
    _paused: dict[str, float] = field(default_factory=dict)

    async def turn(self, channel: Channel) -> Turn | timedelta:
        name, rate = name_of(channel), self.rate_of(channel)
        paused = timedelta(seconds=self._paused.get(name, 0.0) - self.monotonic())
        if paused > timedelta(0) and not rate:
            return max(paused, _SOON)
        if not rate:
            return _FREE
        lane = self._lane(name, rate)
        if paused <= timedelta(0) and lane.waiting < self.most_waiting:
            lane.waiting += 1
            try:
                if turn := await lane.pace.wait():
                    return turn
            finally:
                lane.waiting -= 1
        [place] = await lane.budget.place_in_line(1, max(paused, _SOON))
        return place

    def _lane(self, name: str, rate: float) -> _Lane:
        # By the rate too: an owner who changes it gets another lane over the same row.
        if (name, rate) not in self._lanes:
            budget = self.budget_of(name, rate)
            self._lanes[name, rate] = _Lane(budget, Pace(budget, rate))
        return self._lanes[name, rate]

    async def pause(self, channel: Channel, lasting: timedelta) -> None:
        name = name_of(channel)
        until = self.monotonic() + lasting.total_seconds()
        self._paused[name] = max(self._paused.get(name, 0.0), until)
        await self.pauses.add(name, lasting)

    async def rest(self) -> None:
        """For a worker that leaves: until what it sent counts no more. Its part of the limits is then anybody's."""
        await asyncio.gather(*(lane.pace.rest() for lane in self._lanes.values()))

    async def refresh(self) -> None:
        """Reads the pauses that others began. Raises Unavailable: this worker goes on with what it knew."""
        now = self.monotonic()
        self._paused = {name: now + left.total_seconds() for name, left in (await self.pauses.read()).items()}


def name_of(channel: Channel) -> str:
    """What all workers know it by: the operator's channels have no number of their own."""
    return f"channel-{channel.id}" if channel.id else f"operator-{channel.type.value}"
