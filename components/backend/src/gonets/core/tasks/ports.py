"""What the tasks feature needs from the outside. Implementations live in adapters; one contract suite runs on each."""

from collections.abc import Mapping, Sequence
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


class TaskIntake(Protocol):
    """The door's side of the task table."""

    async def submit(self, task: Task, waiter: Waiter | None) -> Pending | Finished | Conflicting:
        """MUST record a new task as `queued`, durably, before it returns; the scheduler MUST find it if nobody does.

        A task that is known and not finished: MUST add the waiter. Finished: MUST return the end, with no waiters.
        Raises Unavailable; the call may be repeated.
        """


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

    async def told(self, task_id: int) -> None:
        """The end was told: `answered` becomes `done`. May be lost in a crash, which only tells it again."""

    async def tell_later(self, task_id: int) -> None:
        """The end could not be told: the scheduler MUST wake the task again until it is."""


class TaskWakes(Protocol):
    """The scheduler's side of the task table."""

    async def heartbeats(self) -> Mapping[int, int]:
        """The lives of all workers, each with the number of times it beat."""

    async def bury(self, dead: Mapping[int, int]) -> int:
        """Forgets these lives, unless they have beaten since, and takes every task from lives that are not known: they
        become due at once. A worker that comes back learns it at its next beat. Returns the number of tasks."""

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


class Lifeline(Protocol):
    """This worker's heartbeat in the database."""

    async def holds(self, claim: Claimed) -> bool:
        """Waits until the heartbeat is fresh; True if the claim hangs on this life. False: it was given away."""


class Budget(Protocol):
    """What all workers together may ask of one provider. Raises Unavailable while the database is away."""

    async def slots(self, wanted: int, within: timedelta) -> Sequence[timedelta]:
        """Reserves up to `wanted` moments, spaced by the provider's rate, each less than `within` from now, the nearest
        first; none where the next free one is farther. A moment MUST be given to one caller only."""

    async def permits(self, wanted: int) -> int:
        """Takes up to `wanted` permits for calls in flight; they are lost with this worker's life. 0: all are taken."""

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
