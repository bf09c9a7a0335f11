"""The core's ports, counted: each wraps an implementation and adds nothing but figures."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any

from gonets.adapters.telemetry.metrics import DoorMetrics, ProviderMetrics, TaskMetrics, WakeMetrics
from gonets.core.shared.errors import Category
from gonets.core.tasks.circuit import Circuit, Open
from gonets.core.tasks.model import (
    JSON,
    Claimed,
    Conflicting,
    Failure,
    Finished,
    Pending,
    ProviderError,
    Task,
    TaskType,
    Waiter,
    Wake,
)
from gonets.core.tasks.ports import Circuits, Provider, Run, TaskClaims, TaskIntake, TaskOutcomes, TaskWakes

ANSWERED = "answered"


class MeteredIntake:
    """Implements TaskIntake."""

    def __init__(self, intake: TaskIntake, metrics: DoorMetrics) -> None:
        self._intake = intake
        self._taken = metrics.taken

    async def submit(self, task: Task, waiter: Waiter | None) -> Pending | Finished | Conflicting:
        known = await self._intake.submit(task, waiter)
        self._taken["rest", task.task_type.value, _verdict(known)].inc()
        return known

    async def wake_soon(self, task_id: int) -> None:
        await self._intake.wake_soon(task_id)


class MeteredClaims:
    """Implements TaskClaims."""

    def __init__(self, claims: TaskClaims, metrics: DoorMetrics) -> None:
        self._claims = claims
        self._taken = metrics.taken

    async def claim(self, task: Task, waiter: Waiter | None, token: int) -> Claimed | Pending | Finished | Conflicting:
        known = await self._claims.claim(task, waiter, token)
        self._taken["queue", task.task_type.value, _verdict(known)].inc()
        return known


def _verdict(known: Claimed | Pending | Finished | Conflicting) -> str:
    if isinstance(known, Claimed):
        return "claimed"
    if isinstance(known, Pending):
        return "new" if known.new else "under_way"
    return "finished" if isinstance(known, Finished) else "conflict"


class MeteredRun:
    """Runs claims, and knows since when each is run."""

    def __init__(self, run: Run, metrics: TaskMetrics) -> None:
        self._run = run
        self._since = metrics.since

    async def __call__(self, claim: Claimed, asked: Callable[[], None] = lambda: None) -> None:
        self._since[claim.token] = time.monotonic()
        try:
            await self._run(claim, asked)
        finally:
            del self._since[claim.token]


class MeteredOutcomes:
    """Implements TaskOutcomes. An end that somebody else wrote is not counted again."""

    def __init__(self, outcomes: TaskOutcomes, metrics: TaskMetrics) -> None:
        self._outcomes = outcomes
        self._metrics = metrics

    async def answer(self, claim: Claimed, data: JSON) -> Finished | None:
        end = await self._outcomes.answer(claim, data)
        if end is not None and not isinstance(end.outcome, Failure):
            self._count(claim, ANSWERED, "")
            self._time(claim, ANSWERED)
        return end

    async def park(self, claim: Claimed, failure: Failure, delay: timedelta, *, counted: bool = True) -> bool:
        held = await self._outcomes.park(claim, failure, delay, counted=counted)
        if held and counted:
            self._count(claim, "parked", failure.category.value)
        elif held:
            # Not a try: nothing to count among the retries.
            self._metrics.outcomes[claim.task.task_type.value, "postponed", failure.category.value].inc()
        return held

    async def fail(self, claim: Claimed, failure: Failure) -> Finished | None:
        end = await self._outcomes.fail(claim, failure)
        if end is not None:
            self._count(claim, "failed", failure.category.value)
            self._time(claim, "failed")
        return end

    def alone(self, claim: Claimed) -> Coroutine[Any, Any, bool]:
        return self._outcomes.alone(claim)

    def told(self, end: Finished) -> Coroutine[Any, Any, None]:
        return self._outcomes.told(end)

    def tell_later(self, task_id: int) -> Coroutine[Any, Any, None]:
        return self._outcomes.tell_later(task_id)

    def _count(self, claim: Claimed, outcome: str, category: str) -> None:
        task_type = claim.task.task_type.value
        self._metrics.outcomes[task_type, outcome, category].inc()
        if claim.attempts > 1:
            self._metrics.retries[(task_type,)].inc()

    def _time(self, claim: Claimed, outcome: str) -> None:
        now = time.monotonic()
        age = claim.age.total_seconds() + now - self._metrics.since.get(claim.token, now)
        self._metrics.duration[claim.task.task_type.value, outcome].observe(age)


class MeteredProvider:
    """Implements Provider."""

    def __init__(self, provider: Provider, name: str, task_type: TaskType, metrics: ProviderMetrics) -> None:
        self._provider = provider
        self._name = name
        self._task_type = task_type.value
        self._calls = metrics.calls
        self._duration = metrics.duration
        self._in_flight = metrics.in_flight
        metrics.know(name)

    async def ask(self, data: str) -> JSON:
        outcome = "error"  # of ours
        since = time.perf_counter()
        self._in_flight[self._name] += 1
        try:
            answer = await self._provider.ask(data)
            outcome = ANSWERED
        except ProviderError as error:
            outcome = error.category.value
            raise
        except asyncio.CancelledError:
            outcome = Category.OUTCOME_UNKNOWN.value
            raise
        finally:
            self._in_flight[self._name] -= 1
            self._calls[self._name, self._task_type, outcome].inc()
            self._duration[self._name, outcome].observe(time.perf_counter() - since)
        return answer


class MeteredCircuits:
    """Implements Circuits."""

    def __init__(self, circuits: Circuits, metrics: ProviderMetrics) -> None:
        self._circuits = circuits
        self._openings = metrics.openings

    def read(self) -> Coroutine[Any, Any, Mapping[str, Circuit]]:
        return self._circuits.read()

    def open(self, provider: str, opening: Open, opened: int) -> Coroutine[Any, Any, None]:
        self._openings[provider, opening.failure.category.value].inc()
        return self._circuits.open(provider, opening, opened)

    def probe(self, provider: str, lasting: timedelta) -> Coroutine[Any, Any, bool]:
        return self._circuits.probe(provider, lasting)

    def close(self, provider: str) -> Coroutine[Any, Any, None]:
        return self._circuits.close(provider)


class MeteredWakes:
    """Implements TaskWakes."""

    def __init__(self, wakes: TaskWakes, metrics: WakeMetrics) -> None:
        self._wakes = wakes
        self._metrics = metrics

    def heartbeats(self) -> Coroutine[Any, Any, Mapping[int, int]]:
        return self._wakes.heartbeats()

    async def bury(self, dead: Mapping[int, int]) -> int:
        tasks = await self._wakes.bury(dead)
        self._metrics.taken_back.inc(tasks)
        return tasks

    def due(self, limit: int) -> Coroutine[Any, Any, Sequence[Wake]]:
        return self._wakes.due(limit)

    async def woken(self, wakes: Sequence[Wake]) -> None:
        self._metrics.woken.inc(len(wakes))
        await self._wakes.woken(wakes)
