"""What the outside can ask of tasks. REST routes, queue handlers and the scheduler call these and nothing else."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

from gonets.core.shared.errors import Category, Conflict, Invalid, NotFound, Unavailable
from gonets.core.shared.patience import until_available
from gonets.core.tasks.gate import Entered, Gate, Postponed
from gonets.core.tasks.liveness import Watch
from gonets.core.tasks.model import (
    JSON,
    Answered,
    Claimed,
    Conflicting,
    Failure,
    Finished,
    Pending,
    ProviderError,
    Task,
    TaskFailed,
    TaskPage,
    TaskRecord,
    TaskStatus,
    TaskType,
    Waiter,
    Wake,
)
from gonets.core.tasks.ports import (
    Announcements,
    Lifeline,
    Provider,
    ReplyInbox,
    TaskClaims,
    TaskIntake,
    TaskOutcomes,
    TaskQueries,
    TaskWakes,
)
from gonets.core.tasks.retry import GiveUp, Park, RetryDecision, RetryPolicy, decide

log = logging.getLogger(__name__)


class _Taken(Enum):
    """There is no end yet; LATER: nor will there be one soon, so nobody need wait for it."""

    ON_ITS_WAY = auto()
    LATER = auto()


@dataclass(frozen=True, slots=True)
class SubmitTask:
    """Take a task at the door of a process that does not run it, and wait a while for its end."""

    intake: TaskIntake
    announcements: Announcements
    inbox: ReplyInbox

    async def __call__(self, task: Task, wait: timedelta) -> int | None:
        """The result's id, or None: it is taken and its end will come later.

        Raises Conflict, TaskFailed where it ended without a result, Unavailable where it could not be taken.
        """
        reply = self.inbox.open() if wait else None
        if reply is None:
            taken = await self._take(task, None)
            return taken if isinstance(taken, int) else None
        with reply:
            taken = await self._take(task, reply.waiter)
            if isinstance(taken, int):
                return taken
            outcome = await reply.wait(wait) if taken is _Taken.ON_ITS_WAY else None
        return None if outcome is None else _result_id(outcome)

    async def _take(self, task: Task, waiter: Waiter | None) -> "int | _Taken":
        match await self.intake.submit(task, waiter):
            case Conflicting() as conflicting:
                raise Conflict(conflicting.failure.reason)
            case Finished(outcome=outcome):
                return _result_id(outcome)
            case Pending(queued=True):
                try:
                    await self.announcements.wake(task)
                except Unavailable as error:
                    # The row is there: the scheduler will wake it when the broker is back.
                    log.warning("task taken, wake-up delayed", extra={"task_id": task.task_id, "reason": error.reason})
                    with contextlib.suppress(Unavailable):
                        await self.intake.wake_soon(task.task_id)
                    return _Taken.LATER
        return _Taken.ON_ITS_WAY


def _result_id(outcome: int | Failure) -> int:
    if isinstance(outcome, Failure):
        raise TaskFailed(outcome)
    return outcome


@dataclass(frozen=True, slots=True)
class TellTask:
    """Tell how a task ended: on its queue, and to everyone who waits."""

    announcements: Announcements
    outcomes: TaskOutcomes

    async def __call__(self, end: Finished) -> None:
        """Returns when the message is in the queue. Raises Unavailable: then it was perhaps told, and will be again."""
        if isinstance(end.outcome, Failure):
            announcement = self.announcements.failure(end.task_id, end.outcome)
        else:
            announcement = self.announcements.result(end.task_id, end.outcome)
        replies = [self.announcements.reply(waiter, end.task_id, end.outcome) for waiter in end.waiters]
        await asyncio.gather(announcement, *replies)
        await self.outcomes.told(end)


@dataclass(frozen=True, slots=True)
class TakeTask:
    """Take a delivered task. After it returns the delivery has done its work and can be acknowledged."""

    claims: TaskClaims
    announcements: Announcements
    tell: TellTask

    async def __call__(self, task: Task, waiter: Waiter | None, token: int) -> Claimed | None:
        """The claim, if the task is the caller's to run. Known ends are told again; a copy of a task under way adds its
        waiter. Raises Conflict, after telling the waiter, and Unavailable: repeat with the same token."""
        match await self.claims.claim(task, waiter, token):
            case Claimed() as claim:
                return claim
            case Finished() as end:
                await self.tell(end)
            case Conflicting(task_id=task_id) as conflicting:
                if waiter:
                    await self.announcements.reply(waiter, task_id, conflicting.failure)
                raise Conflict(conflicting.failure.reason)
        return None


_PERHAPS_ASKED = Failure(
    Category.OUTCOME_UNKNOWN, "a worker died with the task in hand; nobody knows whether the provider was asked"
)


@dataclass(frozen=True, slots=True)
class RunTask:
    """Ask the provider and see the task to its next state. No transaction is open while the provider is asked."""

    providers: Mapping[TaskType, Provider]
    gates: Mapping[TaskType, Gate]
    lifeline: Lifeline
    outcomes: TaskOutcomes
    tell: TellTask
    policies: Mapping[TaskType, RetryPolicy]
    random: Callable[[], float]

    async def __call__(self, claim: Claimed, asked: Callable[[], None] = lambda: None) -> None:
        """Calls `asked` when the provider has done its part; the rest is storing and telling. Never raises for what a
        provider, the database or the broker does."""
        said = await self._ask(claim)
        asked()
        match said:
            case None:
                log.warning("claim lost before the call", extra={"task_id": claim.task.task_id})
                return
            case Answered(data=data):
                end = await self._keep(claim, data)
            case GiveUp(failure=failure):
                end = await self._fail(claim, failure)
            case Park():
                await self._park(claim, said)
                return
            case Postponed(delay=delay, failure=failure):
                # A task that only waits for its turn is no outcome worth a line each time.
                await self._park(claim, Park(delay, failure, counted=False), level=logging.DEBUG)
                return
        if end is None:
            return
        try:
            await self.tell(end)
        except Unavailable:
            await until_available(lambda: self.outcomes.tell_later(claim.task.task_id))

    async def _ask(self, claim: Claimed) -> Answered | RetryDecision | Postponed | None:
        policy = self.policies[claim.task.task_type]
        if claim.takeovers and not policy.repeat_unknown:
            return GiveUp(_PERHAPS_ASKED)
        gate = self.gates[claim.task.task_type]
        entered = await self._enter(claim, gate)
        if not isinstance(entered, Entered):
            return entered
        if claim.takeovers:
            log.warning("asking again", extra=_facts(claim, _PERHAPS_ASKED))
        said = await self._call(claim, gate, entered)
        return said if isinstance(said, Answered) else decide(said, claim, policy, self.random, probe=entered.probe)

    async def _enter(self, claim: Claimed, gate: Gate) -> Entered | Postponed | None:
        """None where the claim was given away."""
        while await self.lifeline.holds(claim):
            entered = await until_available(gate.enter)
            # A process that stood still at the gate (a debugger, a machine that slept) wakes with its task given away.
            if isinstance(entered, Postponed) or self.lifeline.surely_holds(claim):
                return entered
            gate.turn_back()
        return None

    async def _call(self, claim: Claimed, gate: Gate, entered: Entered) -> Answered | ProviderError:
        broken_off = ProviderError(Category.OUTCOME_UNKNOWN, "the worker stopped during the call")
        said: Answered | ProviderError = broken_off
        try:
            said = Answered(await self.providers[claim.task.task_type].ask(claim.task.data))
        except ProviderError as error:
            said = error
        except asyncio.CancelledError:
            log.warning("call broken off", extra=_facts(claim, broken_off.failure))
            raise
        except Exception as bug:
            # An adapter's mistake must not leave the task in hand for ever; nobody knows whether the call was made.
            log.exception("a provider's adapter broke", extra={"task_id": claim.task.task_id})
            reason = f"an error of ours while the provider was asked: {type(bug).__name__}"
            said = ProviderError(Category.OUTCOME_UNKNOWN, reason)
        finally:
            await gate.leave(entered, said if isinstance(said, ProviderError) else None)
        return said

    async def _keep(self, claim: Claimed, answer: JSON) -> Finished | None:
        # The answer is paid for: it is kept in hand until the database takes it.
        try:
            end = await until_available(lambda: self.outcomes.answer(claim, answer))
        except Invalid as error:
            failure = Failure(Category.REFUSED, f"the provider's answer cannot be stored: {error.reason}")
            return await self._fail(claim, failure)
        log.info("task answered", extra=_task(claim))
        return end

    async def _park(self, claim: Claimed, park: Park, *, level: int = logging.INFO) -> None:
        held = await until_available(lambda: self.outcomes.park(claim, park.failure, park.delay, counted=park.counted))
        if held:
            delay = {"delay_s": round(park.delay.total_seconds(), 3)}
            log.log(level, "task parked", extra=_facts(claim, park.failure) | delay)
        else:
            log.info("claim lost", extra=_facts(claim, park.failure))

    async def _fail(self, claim: Claimed, failure: Failure) -> Finished | None:
        end = await until_available(lambda: self.outcomes.fail(claim, failure))
        log.warning("task failed" if end else "claim lost", extra=_facts(claim, failure))
        return end


@dataclass(frozen=True, slots=True)
class RunAlone:
    """Run a suspect. The caller MUST have nothing else in hand until it returns."""

    outcomes: TaskOutcomes
    run: Callable[[Claimed], Awaitable[None]]

    async def __call__(self, claim: Claimed) -> None:
        """If the process dies of it, the task is set aside. Never raises for what the outside does."""
        log.warning("running a suspect alone", extra={"task_id": claim.task.task_id, "takeovers": claim.takeovers})
        if await until_available(lambda: self.outcomes.alone(claim)):
            await self.run(claim)


def _task(claim: Claimed) -> dict[str, object]:
    return {"task_id": claim.task.task_id, "task_type": claim.task.task_type.value, "attempts": claim.attempts}


def _facts(claim: Claimed, failure: Failure) -> dict[str, object]:
    return _task(claim) | {"category": failure.category.value, "reason": failure.reason}


@dataclass(frozen=True, slots=True)
class WakeTasks:
    """The sweep: wake the rows whose time has come, and take the tasks of dead workers back."""

    wakes: TaskWakes
    announcements: Announcements
    watch: Watch
    monotonic: Callable[[], float]
    limit: int = 500

    async def __call__(self) -> int:
        """Returns the number of wake-ups sent. Raises Unavailable; what was not sent is sent by a later sweep."""
        dead = await self.look_on()
        if released := await self.wakes.bury(dead):
            log.warning("took tasks back from dead workers", extra={"tasks": released, "workers": len(dead)})
        due = await self.wakes.due(self.limit)
        outcomes = await asyncio.gather(*map(self._wake, due), return_exceptions=True)
        sent = [wake for wake, outcome in zip(due, outcomes, strict=True) if outcome is None]
        if sent:
            await self.wakes.woken(sent)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return len(sent)

    async def look_on(self) -> Mapping[int, int]:
        """The lives that are over, by their heartbeats so far. Who does not lead does only this, and so need not watch
        for the whole silence anew when it takes the lead. Raises Unavailable."""
        return self.watch.look(await self.wakes.heartbeats(), self.monotonic())

    async def _wake(self, wake: Wake) -> None:
        await self.announcements.wake(wake.task)


@dataclass(frozen=True, slots=True)
class ReadTasks:
    """Look at tasks, one or many."""

    queries: TaskQueries

    async def one(self, task_id: int) -> TaskRecord:
        """Raises NotFound."""
        record = await self.queries.get(task_id)
        if record is None:
            raise NotFound(f"no task has the id {task_id}")
        return record

    async def page(
        self, *, status: TaskStatus | None, task_type: TaskType | None, cursor: str | None, limit: int
    ) -> TaskPage:
        """Newest first. Raises Invalid for a cursor that is none of ours."""
        return await self.queries.page(status=status, task_type=task_type, cursor=cursor, limit=limit)
