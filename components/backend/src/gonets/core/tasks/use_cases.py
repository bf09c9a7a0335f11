"""What the outside can ask of tasks. REST routes, queue handlers and the scheduler call these and nothing else."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

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
            return await self._take(task, None)
        with reply:
            result_id = await self._take(task, reply.waiter)
            if result_id is None:
                outcome = await reply.wait(wait)
                result_id = None if outcome is None else _result_id(outcome)
        return result_id

    async def _take(self, task: Task, waiter: Waiter | None) -> int | None:
        match await self.intake.submit(task, waiter):
            case Conflicting() as conflicting:
                raise Conflict(conflicting.failure.reason)
            case Finished(outcome=outcome):
                return _result_id(outcome)
            case Pending(new=True):
                try:
                    await self.announcements.wake(task)
                except Unavailable as error:
                    # The row is there: the scheduler will wake it when the broker is back.
                    log.warning("task taken, wake-up delayed", extra={"task_id": task.task_id, "reason": error.reason})
        return None


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
        await self.outcomes.told(end.task_id)


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

    async def __call__(self, claim: Claimed) -> None:
        """Both halves. Never raises for what a provider, the database or the broker does."""
        await self.finish(claim, await self.ask(claim))

    async def ask(self, claim: Claimed) -> Answered | RetryDecision | None:
        """The half that keeps the provider busy: its answer, or what becomes of the task without one. None where the
        claim was lost before the call."""
        # The heartbeat is fresh for longer than the gate lets anybody wait.
        if not await self.lifeline.holds(claim):
            log.warning("claim lost before the call", extra={"task_id": claim.task.task_id})
            return None
        gate = self.gates[claim.task.task_type]
        entered = await until_available(gate.enter)
        if isinstance(entered, Postponed):
            return Park(entered.delay, entered.failure, counted=False)
        said = await self._call(claim.task, gate, entered)
        if isinstance(said, Answered):
            return said
        return decide(said, claim, self.policies[claim.task.task_type], self.random, probe=entered.probe)

    async def _call(self, task: Task, gate: Gate, entered: Entered) -> Answered | ProviderError:
        said: Answered | ProviderError
        said = ProviderError(Category.OUTCOME_UNKNOWN, "the worker stopped during the call")
        try:
            said = Answered(await self.providers[task.task_type].ask(task.data))
        except ProviderError as error:
            said = error
        except Exception as bug:
            # An adapter's mistake must not leave the task in hand for ever; nobody knows whether the call was made.
            log.exception("a provider's adapter broke", extra={"task_id": task.task_id})
            reason = f"an error of ours while the provider was asked: {type(bug).__name__}"
            said = ProviderError(Category.OUTCOME_UNKNOWN, reason)
        finally:
            await gate.leave(entered, said if isinstance(said, ProviderError) else None)
        return said

    async def finish(self, claim: Claimed, said: Answered | RetryDecision | None) -> None:
        """Keeps what the provider said, and tells it."""
        match said:
            case Answered(data=data):
                end = await self._keep(claim, data)
            case GiveUp(failure=failure):
                end = await self._fail(claim, failure)
            case Park():
                await self._park(claim, said)
                return
            case None:
                return
        if end is None:
            return
        try:
            await self.tell(end)
        except Unavailable:
            await until_available(lambda: self.outcomes.tell_later(claim.task.task_id))

    async def _keep(self, claim: Claimed, answer: JSON) -> Finished | None:
        # The answer is paid for: it is kept in hand until the database takes it.
        try:
            end = await until_available(lambda: self.outcomes.answer(claim, answer))
        except Invalid as error:
            failure = Failure(Category.REFUSED, f"the provider's answer cannot be stored: {error.reason}")
            return await self._fail(claim, failure)
        log.info("task answered", extra={"task_id": claim.task.task_id, "attempts": claim.attempts})
        return end

    async def _park(self, claim: Claimed, park: Park) -> None:
        held = await until_available(lambda: self.outcomes.park(claim, park.failure, park.delay, counted=park.counted))
        # A task that only waits for its turn is no outcome worth a line each time.
        level = logging.INFO if park.counted or not held else logging.DEBUG
        log.log(level, "task parked" if held else "claim lost", extra=_facts(claim, park.failure))

    async def _fail(self, claim: Claimed, failure: Failure) -> Finished | None:
        end = await until_available(lambda: self.outcomes.fail(claim, failure))
        log.warning("task failed" if end else "claim lost", extra=_facts(claim, failure))
        return end


@dataclass(frozen=True, slots=True)
class RunAlone:
    """Run a suspect. The caller MUST have nothing else in hand until it returns."""

    outcomes: TaskOutcomes
    run: RunTask

    async def __call__(self, claim: Claimed) -> None:
        """If the process dies of it, the task is set aside. Never raises for what the outside does."""
        log.warning("running a suspect alone", extra={"task_id": claim.task.task_id, "takeovers": claim.takeovers})
        if await until_available(lambda: self.outcomes.alone(claim)):
            await self.run(claim)


def _facts(claim: Claimed, failure: Failure) -> dict[str, object]:
    return {
        "task_id": claim.task.task_id,
        "attempts": claim.attempts,
        "category": failure.category.value,
        "reason": failure.reason,
    }


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
        dead = self.watch.look(await self.wakes.heartbeats(), self.monotonic())
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
