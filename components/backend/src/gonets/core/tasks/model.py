"""What a task is, what may come of it, and the words for both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from gonets.core.shared.errors import Category, GonetsError, Invalid
from gonets.core.shared.json import JSON as JSON

MAX_TASK_ID = 2**63 - 1
MAX_DATA_LENGTH = 10_000
ERASED = "(erased)"
"""Stands in place of the data of a task that was asked about a person who was erased since."""
LONGEST_WAIT = timedelta(days=1)
"""No provider puts a task off for longer, whatever it asks for."""
SUSPECT_FROM = 2
"""Takeovers. One is chance: every task in a dead worker's hands has one."""


class TaskType(StrEnum):
    """Which question the data is: each type is asked of one provider."""

    PHONE = "phone"
    EMAIL = "email"
    GPT = "gpt"


class TaskStatus(StrEnum):
    """Where a task stands. `done` and `failed` are final."""

    QUEUED = "queued"
    """Recorded; a wake-up is on its way to a worker."""
    PROCESSING = "processing"
    """A worker holds it and may be asking the provider."""
    PARKED = "parked"
    """A try failed for a passing reason; it waits for its next one."""
    ANSWERED = "answered"
    """The provider's answer is stored; telling it is under way."""
    DONE = "done"
    """Answered, and told."""
    FAILED = "failed"
    """No further try will be made by itself."""


@dataclass(frozen=True, slots=True)
class Task:
    """What was asked. Two tasks with one id must be equal: the id is the sender's idempotency key."""

    task_id: int
    task_type: TaskType
    data: str

    def __post_init__(self) -> None:
        if not 1 <= self.task_id <= MAX_TASK_ID:
            raise Invalid("task_id", f"must be an integer from 1 to {MAX_TASK_ID}")
        if not 1 <= len(self.data) <= MAX_DATA_LENGTH:
            raise Invalid("data", f"must have 1 to {MAX_DATA_LENGTH} characters, has {len(self.data)}")
        if "\0" in self.data:
            raise Invalid("data", "must not contain the NUL character (U+0000)")


@dataclass(frozen=True, slots=True)
class Waiter:
    """Someone who wants to hear the end of a task, in AMQP's words: a queue, and the mark that goes with the reply."""

    reply_to: str
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try, or the whole task, failed. The reason is for a person and holds no secret.

    `answer`: what the provider said, as far as it said anything, shortened and with secrets out.
    """

    category: Category
    reason: str
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The task is this worker's to run. `token` proves it, `life` names the heartbeat it hangs on; `attempts` counts
    this try (1 for the first); `takeovers` the workers that died with it in hand; `age` is that of the task."""

    task: Task
    token: int
    life: int
    attempts: int
    takeovers: int = 0
    age: timedelta = field(default=timedelta(0), compare=False)

    @property
    def suspect(self) -> bool:
        """It may have killed its workers: it is run with nothing else in hand."""
        return self.takeovers >= SUSPECT_FROM


@dataclass(frozen=True, slots=True)
class Answered:
    """What the provider answered, as it is stored."""

    data: JSON


@dataclass(frozen=True, slots=True)
class Pending:
    """It is under way already, or waits; whoever asked was added to the waiters. `new`: this very call recorded it;
    `queued`: no worker has taken it yet, so its wake-up may have been lost with whoever recorded it."""

    new: bool = False
    queued: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a task ended: with a result or with a failure, never both. `waiters` still have to be told."""

    task_id: int
    outcome: "int | Failure"
    """The id of the row in `integration_service`, or why there is none."""
    waiters: Sequence[Waiter] = ()


@dataclass(frozen=True, slots=True)
class Conflicting:
    """The same task_id was taken before with another type or other data."""

    task_id: int

    @property
    def failure(self) -> Failure:
        return Failure(
            Category.CONFLICT, f"task_id {self.task_id} was taken before with another task_type or other data"
        )


@dataclass(frozen=True, slots=True)
class Wake:
    """A row whose time has come. `due_at` is what the row said when it was read, so that a change since then shows."""

    task: Task
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try that failed. `ended_at` is in UTC."""

    number: int
    ended_at: datetime
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """Everything known about one task, as its readers see it. Times are in UTC."""

    task: Task
    status: TaskStatus
    attempts: int
    last_failure: Failure | None
    result_id: int | None
    result: JSON
    created_at: datetime
    updated_at: datetime
    next_attempt_at: datetime | None
    replays: int = 0
    """Times an operator had it tried again; `attempts` begins anew with each."""
    history: Sequence[Attempt] = ()
    """The tries that failed, oldest first; only where one task is looked at."""


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of a list, newest first; `next_cursor` is None on the last page."""

    records: Sequence[TaskRecord] = field(default_factory=tuple)
    next_cursor: str | None = None


class TaskFailed(GonetsError):
    """The task ended without a result."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.category = failure.category


class ProviderError(GonetsError):
    """A provider did not answer as asked. The category says whether it did the work and whether to ask again.

    `retry_after`: seconds the provider asked us to wait, None where it said nothing; `answer`: see Failure.
    """

    def __init__(
        self, category: Category, reason: str, *, retry_after: float | None = None, answer: str | None = None
    ) -> None:
        super().__init__(reason)
        self.category = category
        self.retry_after = retry_after
        self.answer = answer

    @property
    def failure(self) -> Failure:
        return Failure(self.category, self.reason, self.answer)

    @property
    def wait(self) -> timedelta:
        """For how long the provider asked to be left in peace; zero where it said nothing, or nonsense."""
        if self.retry_after is None or not self.retry_after > 0:
            return timedelta(0)
        return timedelta(seconds=min(self.retry_after, LONGEST_WAIT.total_seconds()))
