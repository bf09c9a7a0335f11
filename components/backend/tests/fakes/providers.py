"""What workers share of a provider, in memory, with everything allowed until a test says otherwise."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from gonets.core.shared.errors import Unavailable
from gonets.core.tasks.circuit import Circuit, Open


class FakeBudget:
    """Implements Budget. `free_permits` are what is left; None: without end."""

    def __init__(self, *, free_permits: int | None = None) -> None:
        self.free_permits = free_permits
        self.given_back = 0
        self.available = True

    def _open(self) -> None:
        if not self.available:
            raise Unavailable("the database is away")

    async def permits(self, wanted: int) -> int:
        self._open()
        if self.free_permits is None:
            return wanted
        n = min(wanted, self.free_permits)
        self.free_permits -= n
        return n

    async def give_back(self, permits: int) -> None:
        self._open()
        self.given_back += permits
        if self.free_permits is not None:
            self.free_permits += permits

    async def place_in_line(self, waiting: int, not_before: timedelta) -> Sequence[timedelta]:
        self._open()
        return [not_before + timedelta(milliseconds=number) for number in range(waiting)]


class FakeCircuits:
    """Implements Circuits. Pauses do not end by themselves: `over` ends them."""

    def __init__(self) -> None:
        self.circuits: dict[str, Circuit] = {}
        self.over = False
        self.probing = False
        self.available = True

    def _open(self) -> None:
        if not self.available:
            raise Unavailable("the database is away")

    async def read(self) -> Mapping[str, Circuit]:
        self._open()
        return dict(self.circuits)

    async def open(self, provider: str, opening: Open, opened: int) -> None:
        self._open()
        self.circuits[provider] = Circuit(opened, opening.pause, opening.failure)
        self.over, self.probing = False, False

    async def probe(self, provider: str, lasting: timedelta) -> bool:
        self._open()
        granted = self.over and not self.probing
        self.probing = self.probing or granted
        return granted

    async def close(self, provider: str) -> None:
        self._open()
        self.circuits[provider] = Circuit()
        self.probing = False
