"""The way to a provider: past its circuit, its rate and its permits, or aside for a while."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gonets.core.shared.batching import Batcher
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.circuit import Circuit, CircuitPolicy, Open, judge
from gonets.core.tasks.model import Failure, ProviderError
from gonets.core.tasks.ports import Budget, Circuits

log = logging.getLogger(__name__)

NEAR = timedelta(seconds=2)
"""A task whose turn comes within this time waits for it in the worker; any other is parked."""

PROBE = timedelta(minutes=2)
"""After this time a probe that said nothing is given to another task; longer than any call."""

_SOON = timedelta(seconds=1)
_CLOSED = Failure(Category.UNAVAILABLE, "the provider is left in peace for a while")
_LIMIT = Failure(Category.QUOTA_EXHAUSTED, "waits for its turn: as much is asked of the provider as may be")

_LATE = 0.02
"""Seconds after its moment at which a reserved slot is worth nothing: used late, it would crowd the next ones."""

_ASK_AGAIN = 0.1
"""Seconds between two looks for a permit, while all are in other workers' hands."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """Not now. It is no try: nothing was asked."""

    delay: timedelta
    failure: Failure


@dataclass(frozen=True, slots=True)
class Entered:
    """The provider may be asked, once, and `leave` called afterwards; or `turn_back` instead. `probe`: on whose answer
    the circuit hangs."""

    probe: bool = False


class Gate:
    """One provider's, in one worker.

    `rate`: calls a second, 0 for no limit; `in_flight`: calls at one time, 0 for no limit; both over all workers.
    `most_waiting`: tasks that may wait here, so that one slow provider never fills a worker.
    """

    def __init__(
        self,
        provider: str,
        budget: Budget,
        circuits: Circuits,
        policy: CircuitPolicy,
        *,
        rate: float,
        in_flight: int,
        most_waiting: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = provider
        self._budget = budget
        self._circuits = circuits
        self._policy = policy
        self._monotonic = monotonic
        self._slots = Slots(budget, monotonic) if rate else None
        self._permits = _Permits(budget) if in_flight else None
        self._most_waiting = most_waiting
        self._waiting = 0
        self._in_a_row = 0
        self._line: Batcher[timedelta, timedelta] = Batcher(self._place, shared_errors=(Unavailable,))
        self._circuit = Circuit()
        self._read_at = monotonic()

    def learn(self, circuit: Circuit) -> None:
        """What the service knows of this provider's circuit, read now."""
        self._circuit = circuit
        self._read_at = self._monotonic()
        if circuit.opened:
            self._in_a_row = 0

    async def enter(self) -> Entered | Postponed:
        """Waits at most NEAR. Whoever entered MUST call `leave` or `turn_back`. Raises Unavailable."""
        probe = False
        if self._circuit.opened:
            left = self._circuit.pause_left - timedelta(seconds=self._monotonic() - self._read_at)
            if left > timedelta(0) or not await self._circuits.probe(self.provider, PROBE):
                return await self._aside(self._circuit.failure or _CLOSED, max(left, _SOON))
            probe = True
        if self._permits is None and self._slots is None:
            return Entered(probe)
        if self._waiting >= self._most_waiting:
            return await self._aside(_LIMIT, _SOON)
        self._waiting += 1
        try:
            passed = await self._wait_for_turn()
        finally:
            self._waiting -= 1
        return Entered(probe) if passed else await self._aside(_LIMIT, _SOON)

    async def _wait_for_turn(self) -> bool:
        if self._permits is not None and not await self._permits.take(NEAR.total_seconds()):
            return False
        passed = False
        try:
            passed = self._slots is None or await self._slots.wait()
        finally:
            if not passed and self._permits is not None:
                self._permits.release()
        return passed

    async def _aside(self, failure: Failure, not_before: timedelta) -> Postponed:
        return Postponed(await self._line.add(not_before), failure)

    async def _place(self, delays: Sequence[timedelta]) -> Sequence[timedelta]:
        return await self._budget.place_in_line(len(delays), max(delays))

    def turn_back(self) -> None:
        """Whoever entered did not ask after all. A probe is given to another task in time."""
        if self._permits is not None:
            self._permits.release()

    async def leave(self, entered: Entered, error: ProviderError | None) -> None:
        """The call is over: with an answer, or with this error. While the database is away only this worker learns."""
        if self._permits is not None:
            self._permits.release()
        try:
            await self._draw_conclusions(entered, error)
        except Unavailable as away:
            log.warning("circuit not shared", extra={"provider": self.provider, "reason": away.reason})

    async def _draw_conclusions(self, entered: Entered, error: ProviderError | None) -> None:
        if error is None or error.category is Category.REFUSED:
            self._in_a_row = 0
            if entered.probe:
                self.learn(Circuit())
                log.warning("provider answers again", extra={"provider": self.provider})
                await self._circuits.close(self.provider)
            return
        self._in_a_row += 1
        if self._circuit.opened and not entered.probe:
            return  # one of those that were under way when it opened
        opening = judge(error, in_a_row=self._in_a_row, opened=self._circuit.opened, policy=self._policy)
        if opening is not None:
            await self._open(opening)

    async def _open(self, opening: Open) -> None:
        opened = self._circuit.opened + 1
        self.learn(Circuit(opened, opening.pause, opening.failure))
        facts = {
            "provider": self.provider,
            "pause_s": opening.pause.total_seconds(),
            "category": opening.failure.category.value,
            "reason": opening.failure.reason,
        }
        if opening.failure.category is Category.MISCONFIGURED:
            log.error("provider needs an operator, its tasks wait", extra=facts)
        else:
            log.warning("provider left in peace for a while", extra=facts)
        await self._circuits.open(self.provider, opening, opened)


class Gates:
    """All gates of a worker, kept to what the service knows of the circuits."""

    def __init__(self, circuits: Circuits, gates: Iterable[Gate]) -> None:
        self._circuits = circuits
        self._gates = {gate.provider: gate for gate in gates}

    async def refresh(self) -> None:
        """Reads the circuits. Raises Unavailable: each gate goes on with what it knew."""
        for provider, circuit in (await self._circuits.read()).items():
            if provider in self._gates:
                self._gates[provider].learn(circuit)


class Slots:
    """Moments at which a call may begin, reserved for many callers at once."""

    def __init__(self, budget: Budget, monotonic: Callable[[], float]) -> None:
        self._budget = budget
        self._monotonic = monotonic
        self._batcher: Batcher[None, float | None] = Batcher(self._reserve, in_flight=1, shared_errors=(Unavailable,))

    async def wait(self) -> bool:
        """True at one's moment; False where the next free one is too far away."""
        while True:
            moment = await self._batcher.add(None)
            if moment is None:
                return False
            await asyncio.sleep(moment - self._monotonic())
            if self._monotonic() - moment <= _LATE:
                return True

    async def _reserve(self, wanted: Sequence[None]) -> Sequence[float | None]:
        offsets = await self._budget.slots(len(wanted), NEAR)
        now = self._monotonic()
        moments: list[float | None] = [now + offset.total_seconds() for offset in offsets]
        return moments + [None] * (len(wanted) - len(moments))


class _Permits:
    """Permits of this worker. One that is released goes to the next who waits here, else back to all workers."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._spare = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking = False

    async def take(self, timeout: float) -> bool:
        """False where none became free in time."""
        if self._spare:
            self._spare -= 1
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if not self._asking:
            self._asking = True
            self._start(self._ask())
        try:
            await asyncio.wait([future], timeout=timeout)
        except asyncio.CancelledError:
            if not future.cancel():
                self.release()
            raise
        return not future.cancel()

    def release(self) -> None:
        if not self._hand_over():
            self._start(self._give_back())

    def _hand_over(self) -> bool:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return True
        return False

    async def _ask(self) -> None:
        try:
            while self._waiting:
                try:
                    granted = await self._budget.permits(len(self._waiting))
                except Unavailable:
                    granted = 0
                for _ in range(granted):
                    self.release()
                if not granted:
                    await asyncio.sleep(_ASK_AGAIN)
                while self._waiting and self._waiting[0].done():
                    self._waiting.popleft()
        finally:
            self._asking = False

    async def _give_back(self) -> None:
        try:
            await self._budget.give_back(1)
        except Unavailable:
            self._spare += 1  # kept for the next one here

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
