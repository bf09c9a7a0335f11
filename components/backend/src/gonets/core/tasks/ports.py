"""What the tasks feature needs from the outside. Implementations live in adapters; one contract suite runs on each."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from gonets.core.tasks.circuit import Circuit, Open
from gonets.core.tasks.model import (
    JSON,
    Claimed,
    Conflicting,
    Failure,
    Finished,
    Pending,
    Task,
    TaskPage,
    TaskRecord,
    TaskStatus,
    TaskType,
    Waiter,
    Wake,
)
from gonets.core.tasks.set_aside import Choice, DeadLetterPage, FailedPage, FailedTask, Handled


class TaskIntake(Protocol):
    """The door's side of the task table."""

    async def submit(self, task: Task, waiter: Waiter | None) -> Pending | Finished | Conflicting:
        """MUST record a new task as `queued`, durably, before it returns; the scheduler MUST find it if nobody does.

        A task that is known and not finished: MUST add the waiter. Finished: MUST return the end, with no waiters.
        Raises Unavailable; the call may be repeated.
        """

    async def wake_soon(self, task_id: int) -> None:
        """No wake-up could be sent: the scheduler MUST find the task at once if nobody has it in hand. May be lost in a
        crash, which only delays it. Raises Unavailable."""


class TaskClaims(Protocol):
    """The worker's side of the task table, before the provider is asked."""

    async def claim(self, task: Task, waiter: Waiter | None, token: int) -> Claimed | Pending | Finished | Conflicting:
        """MUST record the task if it is new, and MUST hand it to exactly one caller at a time.

        `token` is the caller's mark for this delivery: a call repeated with it, after a commit whose outcome was not
        seen, MUST get the same claim.

        Claimable: new, `queued`, or `parked` and due. `processing`, or `parked` and not due: MUST add the waiter and
        return Pending. `answered`: MUST return Finished with all waiters, the given one included; `done` or `failed`:
        with the given one only (`failed` and not yet told: with all). Raises Unavailable; the call may be repeated.
        """


class TaskOutcomes(Protocol):
    """The worker's side of the task table, after the provider was asked."""

    async def answer(self, claim: Claimed, data: JSON) -> Finished | None:
        """MUST store the answer and set `answered` in one step unless the task has an end already, which then MUST be
        returned. So it may be repeated until it returns, also by a worker whose claim was given to another.
        None where the row is gone (someone deleted it).

        Raises Unavailable, and Invalid where the database can never store this answer.
        """

    async def park(self, claim: Claimed, failure: Failure, delay: timedelta, *, counted: bool = True) -> bool:
        """Set aside until `delay` from now. False, and nothing changed, where the claim is no longer held.

        Counted, the try MUST be entered in the task's history; not counted, it MUST NOT be one of its attempts.
        """

    async def fail(self, claim: Claimed, failure: Failure) -> Finished | None:
        """End without a result, and enter the try in the history. None, and nothing changed, where the claim is no
        longer held."""

    async def alone(self, claim: Claimed) -> bool:
        """From now on nothing else is in this worker's hands: if it dies, this task MUST be failed as poison by `bury`,
        not made due. False, and nothing changed, where the claim is no longer held."""

    async def told(self, end: Finished) -> None:
        """This end was told: `answered` becomes `done`. May be lost in a crash, which only tells it again. MUST change
        nothing where the task has another end since: a replayed task's new end is still to be told."""

    async def tell_later(self, task_id: int) -> None:
        """The end could not be told: the scheduler MUST wake the task again until it is."""


class TaskWakes(Protocol):
    """The scheduler's side of the task table."""

    async def heartbeats(self) -> Mapping[int, int]:
        """The lives of all workers, each with the number of times it beat."""

    async def bury(self, dead: Mapping[int, int]) -> int:
        """Forgets these lives, unless they have beaten since, and takes every task from lives that are not known: they
        become due at once. A worker that comes back learns it at its next beat. Ends that a living worker holds untold
        for long MUST become due as well: that it told them may have been forgotten. Returns the number of tasks."""

    async def due(self, limit: int) -> Sequence[Wake]:
        """The rows whose time has come, longest overdue first."""

    async def woken(self, wakes: Sequence[Wake]) -> None:
        """The wake-ups are with the broker: rows that did not change since become `queued` (unless answered or failed)
        and are due again, later each time, in case the wake-up is lost."""


class TaskQueries(Protocol):
    """The readers' side of the task table."""

    async def get(self, task_id: int) -> TaskRecord | None: ...

    async def page(
        self, *, status: TaskStatus | None, task_type: TaskType | None, cursor: str | None, limit: int
    ) -> TaskPage:
        """Newest first. Raises Invalid for a cursor that is none of ours."""


class FailedTasks(Protocol):
    """The operator's side of the task table. The rows are those that failed; dropped ones only where `ids` name them.
    Raises Unavailable; each call may be repeated."""

    async def get(self, task_id: int) -> FailedTask | None:
        """With its history; dropped or not."""

    async def page(self, chosen: Choice[int], *, cursor: str | None, limit: int) -> FailedPage:
        """Latest failure first. Raises Invalid for a cursor that is none of ours."""

    async def erased(self, ids: Collection[int]) -> Sequence[int]:
        """Those of them whose data went with the person it was about, in order."""

    async def replay(self, chosen: Choice[int]) -> Handled:
        """They become `parked` and due now, their attempts, takeovers and age begin anew; the history MUST stay. MUST
        NOT touch one that is erased.

        MUST NOT touch a row that has not failed, and MUST leave one whose failure is not told yet, which makes it not
        `complete`: whoever tells it must find what it tells. Each failure is replayed once, however many ask, and
        what fails again during the call is not. Replayed in short transactions, the first failure first.
        """

    async def drop(self, chosen: Choice[int]) -> Handled:
        """An operator gave them up: hidden from now on. MUST keep the row `failed`, so that a late copy is told the
        failure and not paid for, and MUST leave the telling of an untold one as it is."""


class DeadLetters(Protocol):
    """What was set aside as no task and no notification, oldest first. The broker's queues are the only store: a
    message is in nobody's hands but for the time of a call, and MUST be back when the call ends, in whatever way,
    unless it was handled. What others have in hand meanwhile is not seen. Raises Unavailable; each call may be
    repeated."""

    async def look(self, chosen: Choice[str], limit: int) -> DeadLetterPage:
        """At most `limit` of them, all back in the queue when it returns."""

    async def replay(self, chosen: Choice[str]) -> Handled:
        """Sends them where they were meant for, body and properties as they came, and takes them out only when the
        broker has confirmed: a crash in between MUST leave a copy, which the rows make harmless. What is set aside
        again during the call is left."""

    async def drop(self, chosen: Choice[str]) -> Handled:
        """Throws them away."""


class Announcements(Protocol):
    """Telling the world, by queue. Each call MUST return only when the broker has taken the message (persistent,
    confirmed), and raises Unavailable otherwise; telling twice does no harm."""

    async def result(self, task_id: int, result_id: int) -> None:
        """To `TaskResultDeliveryQueue`. MUST NOT return before the message is in the queue."""

    async def failure(self, task_id: int, failure: Failure) -> None:
        """To `TaskFailureDeliveryQueue`. MUST NOT return before the message is in the queue."""

    async def reply(self, waiter: Waiter, task_id: int, outcome: int | Failure) -> None:
        """To one waiter, best effort: a reply queue that is gone is no error."""

    async def wake(self, task: Task) -> None:
        """To `TaskProcessingQueue`: "look at this row"."""


class ReplyInbox(Protocol):
    """Where a process that submitted a task hears its end."""

    def open(self) -> "Reply | None":
        """A fresh address, or None while no reply could arrive (the broker is away)."""


class Reply(Protocol):
    """One awaited reply. A context manager: leaving it stops listening."""

    waiter: Waiter

    def __enter__(self) -> "Reply": ...

    def __exit__(self, *_: object) -> None: ...

    async def wait(self, timeout: timedelta) -> int | Failure | None:
        """The outcome, or None when the time is over."""


class Provider(Protocol):
    """Someone outside who answers one type of task."""

    async def ask(self, data: str) -> JSON:
        """Everything the provider answered, as JSON. Raises ProviderError with the category that says what is known;
        MUST return or raise within its own timeout, and MUST NOT retry by itself."""


class Run(Protocol):
    """Seeing a claimed task to its next state."""

    async def __call__(self, claim: Claimed, asked: Callable[[], None] = ...) -> None:
        """MUST call `asked` once the provider has done its part, and MUST NOT raise for what the outside does."""


class Lifeline(Protocol):
    """This worker's heartbeat in the database."""

    async def holds(self, claim: Claimed) -> bool:
        """Waits until the heartbeat is fresh; True if the claim hangs on this life. False: it was given away."""

    def surely_holds(self, claim: Claimed) -> bool:
        """True if the heartbeat is fresh at this moment and the claim hangs on this life. False: perhaps not."""


class Budget(Protocol):
    """What all workers together may ask of one provider. Raises Unavailable while the database is away."""

    async def permits(self, wanted: int) -> int:
        """Takes up to `wanted` permits; they are lost with this worker's life. 0: all are taken."""

    async def give_back(self, permits: int) -> None:
        """Permits that are no longer used."""

    async def place_in_line(self, waiting: int, not_before: timedelta) -> Sequence[timedelta]:
        """For each of so many tasks that cannot be run now: how long to set it aside, so that they do not all come
        back at one moment, in the order in which they asked."""


class Circuits(Protocol):
    """The circuit of each provider, shared by all workers. Raises Unavailable while the database is away."""

    async def read(self) -> Mapping[str, Circuit]: ...

    async def open(self, provider: str, opening: Open, opened: int) -> None:
        """Opens it, or opens it again: `opened` is the number of pauses in a row, this one included."""

    async def probe(self, provider: str, lasting: timedelta) -> bool:
        """True for one caller when the pause is over: it may ask the provider once, and MUST then open or close. A
        probe that says nothing for `lasting` is given to another."""

    async def close(self, provider: str) -> None:
        """The provider answers again."""
