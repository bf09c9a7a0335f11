"""Rate limits a provider imposes."""

import time
from collections.abc import Callable


class TokenBucket:
    """Full at the start; `capacity` tokens come back in `period_s` seconds."""

    def __init__(self, capacity: int, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(capacity)
        self._per_second = capacity / period_s
        self._clock = clock
        self._tokens = self._capacity
        self._seen = clock()

    def take(self) -> bool:
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._seen) * self._per_second)
        self._seen = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
