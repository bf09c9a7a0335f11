"""The database's clock as this process knows it, however long an answer was under way."""

_DRIFT = 0.001
"""By so much of a second may two clocks part within one, and be no others."""


class DatabaseClock:
    """How far the database's clock is ahead of our monotonic one. Seconds.

    Each answer that tells its time bounds the difference from both sides, the quickest one most narrowly. Where the
    bounds contradict one another a clock was set, and the newest answer alone counts.
    """

    def __init__(self) -> None:
        self._least = self._most = 0.0
        self._learned_at: float | None = None

    def learn(self, asked_at: float, told: float, answered_at: float) -> None:
        """The database said `told` at some moment between these two of our own clock."""
        least, most = told - answered_at, told - asked_at
        if self._learned_at is not None:
            drift = max(0.0, answered_at - self._learned_at) * _DRIFT
            closer = max(least, self._least - drift), min(most, self._most + drift)
            if closer[0] <= closer[1]:
                least, most = closer
        self._least, self._most, self._learned_at = least, most, answered_at

    def at(self, monotonic: float) -> float:
        """What the database's clock shows at this moment of our own."""
        return monotonic + (self._least + self._most) / 2
