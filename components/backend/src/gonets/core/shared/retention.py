"""How long things are kept after their end: what is older goes, a few at a time, oldest first."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

log = logging.getLogger(__name__)

Place = tuple[object, ...]
"""Where in the order of age a look ended; what it holds is known to whoever gave it."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What one look came to. `next` is None where nothing older is left to be looked at."""

    count: int
    next: Place | None


class Expiring(Protocol):
    """Things of one kind."""

    async def remove(self, age: timedelta, place: Place | None, limit: int) -> Removed:
        """MUST look at no more than `limit` things, the oldest after `place`, and remove those whose end is longer ago
        than `age`; what has not ended MUST stay, however old. Any number may do so at one time. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Of one kind: how long it is kept."""

    kind: str
    things: Expiring
    age: timedelta


@dataclass(frozen=True, slots=True)
class RemoveExpired:
    """Remove what is older than it may be. `observe` hears the kind and how many went."""

    kept: Sequence[Retention]
    observe: Callable[[str, int], None]
    limit: int = 1000

    async def __call__(self, going: Callable[[], bool]) -> None:
        """`going`: asked between two batches whether to go on. Raises Unavailable; what is left goes next time."""
        for one in self.kept:
            await self._of(one, going)

    async def _of(self, one: Retention, going: Callable[[], bool]) -> None:
        total, place = 0, None
        try:
            while going():
                removed = await one.things.remove(one.age, place, self.limit)
                total, place = total + removed.count, removed.next
                self.observe(one.kind, removed.count)
                if place is None:
                    return
        finally:
            if total:
                log.info("what was kept long enough is removed", extra={"kind": one.kind, "removed": total})
