"""The way to a provider: past its circuit, its rate and its permits, or aside for a while."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
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

_ON_THE_WAY = 0.045
"""Seconds from the decision to call until the call has arrived, where the answer does not tell: much longer, and a good
part of the limit would be lost."""

_REMEMBERED = 20  # answers

_APART = 0.8
"""Calls of one worker keep this part of the distance at which its permits would be used evenly."""

_WORKERS = 4
"""So many are taken to share a limit, as long as a worker does not have a greater part of it."""

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
    the circuit hangs; `turn`: of the rate."""

    probe: bool = False
    turn: "Turn | None" = field(default=None, compare=False)


class Gate:
    """One provider's, in one worker.

    `pace`: calls a second, None for no limit; `in_flight`: calls at one time, 0 for no limit; both over all workers.
    `most_waiting`: tasks that may wait here, so that one slow provider never fills a worker.
    """

    def __init__(
        self,
        provider: str,
        budget: Budget,
        circuits: Circuits,
        policy: CircuitPolicy,
        *,
        pace: "Pace | None",
        in_flight: int,
        most_waiting: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = provider
        self._budget = budget
        self._circuits = circuits
        self._policy = policy
        self._monotonic = monotonic
        self._pace = pace
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
        if self._permits is None and self._pace is None:
            return Entered(probe)
        if self._waiting >= self._most_waiting:
            return await self._aside(_LIMIT, _SOON)
        self._waiting += 1
        try:
            entered = await self._wait_for_turn(probe)
        finally:
            self._waiting -= 1
        return entered or await self._aside(_LIMIT, _SOON)

    async def _wait_for_turn(self, probe: bool) -> Entered | None:
        if self._permits is not None and not await self._permits.take(NEAR.total_seconds()):
            return None
        if self._pace is None:
            return Entered(probe)
        turn = None
        try:
            turn = await self._pace.wait()
        finally:
            if turn is None and self._permits is not None:
                self._permits.release()
        return Entered(probe, turn) if turn is not None else None

    async def _aside(self, failure: Failure, not_before: timedelta) -> Postponed:
        return Postponed(await self._line.add(not_before), failure)

    async def _place(self, delays: Sequence[timedelta]) -> Sequence[timedelta]:
        return await self._budget.place_in_line(len(delays), max(delays))

    async def rest(self) -> None:
        """For a worker that leaves: until its calls count no more. Its part of the limit is then anybody's."""
        if self._pace is not None:
            await self._pace.rest()

    def turn_back(self) -> None:
        """Whoever entered did not ask after all. A probe is given to another task in time."""
        if self._permits is not None:
            self._permits.release()

    async def leave(self, entered: Entered, error: ProviderError | None) -> None:
        """The call is over: with an answer, or with this error. While the database is away only this worker learns."""
        if self._permits is not None:
            self._permits.release()
        if entered.turn is not None:
            entered.turn.over()
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

    async def rest(self) -> None:
        await asyncio.gather(*(gate.rest() for gate in self._gates.values()))

    async def refresh(self) -> None:
        """Reads the circuits. Raises Unavailable: each gate goes on with what it knew."""
        for provider, circuit in (await self._circuits.read()).items():
            if provider in self._gates:
                self._gates[provider].learn(circuit)


def permits_of(rate: float) -> int:
    """How many of the calls of one rate there may be, each of which counts for `permits_of(rate) / rate` seconds."""
    return max(1, int(rate))


class Pace:
    """Calls a second, over all workers. `budget`: has `permits_of(rate)` permits, and nothing else.

    A call takes a permit, and gives it back a second after it was answered. So no second of the provider's holds more
    calls than there are permits, however late they were on the way and whoever made them.
    """

    def __init__(self, budget: Budget, rate: float) -> None:
        self._permits = _Permits(budget)
        self._counts_for = permits_of(rate) / rate
        self._fewest = permits_of(rate) / _WORKERS
        self._held = 0
        self._next_at = 0.0
        self._usual = 0.0  # seconds for an answer
        self._quiet_at = 0.0

    async def wait(self) -> "Turn | None":
        """At one's moment, which is near; None where it is too far away."""
        if not await self._permits.take(NEAR.total_seconds()):
            return None
        now = asyncio.get_running_loop().time()
        self._held += 1
        # Spread over the time, and not in a burst each second. What one of them lost is caught up with.
        apart = _APART * self._counts_for / max(self._held, self._fewest)
        moment = self._next_at = max(now, self._next_at + apart)
        try:
            await asyncio.sleep(moment - now)
        except asyncio.CancelledError:
            self._free()
            raise
        return Turn(self)

    def count(self, seconds: float) -> asyncio.TimerHandle:
        """The permit of a call that began now, or was answered now, is free after so many more seconds."""
        loop = asyncio.get_running_loop()
        free_at = loop.time() + seconds + self._counts_for
        self._quiet_at = max(self._quiet_at, free_at)
        return loop.call_at(free_at, self._free)

    def _free(self) -> None:
        self._held -= 1
        self._permits.release()

    def tells_arrival(self, took: float) -> bool:
        """Whether the answer after so many seconds came soon after the call: it did, or it was held up where answers
        usually come at once."""
        self._usual += (took - self._usual) / _REMEMBERED
        return took < self._counts_for and min(took, self._usual) < _ON_THE_WAY

    async def rest(self) -> None:
        """Until no call of this worker counts any more, which hangs on its life; two seconds at most."""
        await asyncio.sleep(min(2.0, self._quiet_at - asyncio.get_running_loop().time()))


class Turn:
    """One call, which may be made now."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._began = asyncio.get_running_loop().time()
        self._timer = pace.count(_ON_THE_WAY)

    def over(self) -> None:
        """It was answered, so it has arrived."""
        if self._pace.tells_arrival(asyncio.get_running_loop().time() - self._began):
            self._timer.cancel()
            self._pace.count(0.0)


class _Permits:
    """Permits of this worker. One that is released goes to the next who waits here, else back to all workers."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._spare = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking = False
        self._returns: Batcher[None, None] = Batcher(self._return, in_flight=1, shared_errors=(Unavailable,))

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
            await self._returns.add(None)
        except Unavailable:
            self._spare += 1  # kept for the next one here

    async def _return(self, permits: Sequence[None]) -> Sequence[None]:
        await self._budget.give_back(len(permits))
        return permits

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
