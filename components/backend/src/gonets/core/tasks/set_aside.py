"""What needs a person: tasks that failed, and messages that are none. And how a person chooses among them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from gonets.core.shared.errors import Category, Invalid
from gonets.core.tasks.model import Attempt, Failure, Task

Id = TypeVar("Id", int, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Generic[Id]):
    """Which of them: those that meet every condition. A condition that is None is none; `ids` name them one by one.

    `reason` is a part of the reason, small letters or capitals alike; `since` is inclusive, `until` exclusive.
    """

    ids: Collection[Id] | None = None
    category: Category | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.reason is not None and (not self.reason or "\0" in self.reason):
            raise Invalid("reason", "must have a character, and not NUL (U+0000)")
        for name in ("since", "until"):
            object.__setattr__(self, name, _in_utc(name, getattr(self, name)))

    @property
    def is_everything(self) -> bool:
        return self == Choice()

    def takes(self, id_: Id, category: Category | None, reason: str, at: datetime | None) -> bool:
        """Whether this one is chosen. What has no known time meets no condition on time."""
        return (
            (self.ids is None or id_ in self.ids)
            and (self.category is None or category is self.category)
            and (self.reason is None or self.reason.casefold() in reason.casefold())
            and (self.since is None or (at is not None and at >= self.since))
            and (self.until is None or (at is not None and at < self.until))
        )


def _in_utc(name: str, time: datetime | None) -> datetime | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise Invalid(name, "must say its time zone")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise Invalid(name, "is beyond the years 1 to 9999") from error


@dataclass(frozen=True, slots=True)
class Handled:
    """How many were replayed or dropped. Not `complete`: some of the chosen were left; ask again."""

    count: int
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTask:
    """A task that ended without a result. Times are in UTC."""

    task: Task
    failure: Failure
    """With the provider's last words, as far as it said anything."""
    attempts: int
    """Since it was taken, or replayed."""
    replays: int
    created_at: datetime
    first_failed_at: datetime | None
    """The first try that failed, those before a replay included; None where no try came to an end."""
    failed_at: datetime
    dropped_at: datetime | None
    told: bool
    """Whether the failure was told. While it is not, the task cannot be replayed."""
    history: Sequence[Attempt] = ()
    """The tries that failed, oldest first; only where one task is looked at."""


@dataclass(frozen=True, slots=True)
class FailedPage:
    """One page of a list, latest failure first; `next_cursor` is None on the last page."""

    tasks: Sequence[FailedTask] = ()
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that is no task or no notification, or contradicts one. Copies of one message, made by a crash, share
    one id."""

    id: str
    queue: str
    """Where a replay sends it."""
    category: Category | None
    """None where it was not set aside by us."""
    reason: str
    dead_at: datetime | None
    """None where nobody knows."""
    body: bytes
    properties: Mapping[str, str] = field(default_factory=dict)
    """What it carries besides, for a reader."""


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """The letters that were found, oldest first. Not `complete`: there are more behind them."""

    letters: Sequence[DeadLetter] = ()
    complete: bool = True
