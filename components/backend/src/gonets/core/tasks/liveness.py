"""Who is dead: judged by heartbeats that stand still while the watcher itself is awake and sees the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Watch:
    """Compares counters over the watcher's own monotonic clock, so no stepped wall clock can kill a living worker.

    A gap in the watching (the database was away, the watcher was frozen) starts every observation anew: the living get
    the full time to show themselves.
    """

    silence: float
    """Seconds without a beat after which a life is over."""
    gap: float
    """Seconds between two looks after which nothing can be concluded from the earlier one."""
    _seen: dict[int, tuple[int, float]] = field(default_factory=dict)
    _looked_at: float = float("-inf")

    def look(self, beats: Mapping[int, int], now: float) -> dict[int, int]:
        """Takes what the heartbeats read at `now`; returns those that are dead."""
        if now - self._looked_at > self.gap:
            self._seen.clear()
        self._looked_at = now
        self._seen = {
            life: self._seen[life] if life in self._seen and self._seen[life][0] == count else (count, now)
            for life, count in beats.items()
        }
        return {life: count for life, (count, since) in self._seen.items() if now - since >= self.silence}
