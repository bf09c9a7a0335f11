"""The task table in memory."""

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gonets.core.shared.errors import Category, Invalid, Unavailable
from gonets.core.tasks.model import (
    JSON,
    Attempt,
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

_WAKE_AGAIN = timedelta(seconds=30)
_TELL_AGAIN = timedelta(seconds=5)
_MAX_WAITERS = 100
_ENDED = (TaskStatus.ANSWERED, TaskStatus.DONE, TaskStatus.FAILED)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def advance(self, time: timedelta) -> None:
        self.now += time


@dataclass
class _Row:
    task: Task
    status: TaskStatus
    created_at: datetime
    updated_at: datetime
    attempts: int = 0
    failure: Failure | None = None
    result_id: int | None = None
    waiters: list[Waiter] = field(default_factory=list)
    token: int | None = None
    life: int | None = None
    wake_at: datetime | None = None
    wakes: int = 0
    takeovers: int = 0
    alone: bool = False
    history: list[Attempt] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.status in _ENDED

    def add(self, waiter: Waiter | None) -> None:
        if waiter and waiter not in self.waiters and len(self.waiters) < _MAX_WAITERS:
            self.waiters.append(waiter)

    def end(self, *more: Waiter | None) -> Finished:
        outcome = self.failure if self.result_id is None else self.result_id
        assert outcome is not None
        waiters = self.waiters + [waiter for waiter in more if waiter and waiter not in self.waiters]
        return Finished(self.task.task_id, outcome, waiters)


class FakeTaskTable:
    """Implements TaskIntake, TaskClaims, TaskOutcomes, TaskWakes, TaskQueries, as one worker with one life sees it.

    `of` gives the same table through the eyes of another worker. Refuses everything while it is not `available`.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.rows: dict[int, _Row] = {}
        self.results: dict[int, JSON] = {}
        self.lives: dict[int, int] = {1: 0}
        self.life = 1
        self.available = True
        self._ids = itertools.count(1)

    def of(self, life: int) -> "FakeTaskTable":
        other = copy.copy(self)
        other.life = life
        self.lives.setdefault(life, 0)
        return other

    def _open(self) -> None:
        if not self.available:
            raise Unavailable("the database is away")

    # --- TaskIntake ---

    async def submit(self, task: Task, waiter: Waiter | None) -> Pending | Finished | Conflicting:
        self._open()
        row = self.rows.get(task.task_id)
        if row is None:
            row = self._record(task, TaskStatus.QUEUED)
            row.add(waiter)
            row.wake_at = self.clock.now + _WAKE_AGAIN
            return Pending(new=True)
        if row.task != task:
            return Conflicting(task.task_id)
        if row.ended:
            return Finished(task.task_id, row.end().outcome)
        row.add(waiter)
        return Pending()

    def _record(self, task: Task, status: TaskStatus) -> _Row:
        row = self.rows[task.task_id] = _Row(task, status, self.clock.now, self.clock.now)
        return row

    # --- TaskClaims ---

    async def claim(self, task: Task, waiter: Waiter | None, token: int) -> Claimed | Pending | Finished | Conflicting:
        self._open()
        row = self.rows.get(task.task_id) or self._record(task, TaskStatus.QUEUED)
        if row.task != task:
            return Conflicting(task.task_id)
        if row.ended:
            return row.end(waiter)
        row.add(waiter)
        due = row.status is TaskStatus.PARKED and row.wake_at is not None and row.wake_at <= self.clock.now
        if row.status is TaskStatus.QUEUED or due:
            row.status, row.token, row.life = TaskStatus.PROCESSING, token, self.life
            row.attempts += 1
            row.wake_at, row.wakes, row.updated_at = None, 0, self.clock.now
        if row.status is TaskStatus.PROCESSING and row.token == token:
            assert row.life is not None
            return Claimed(row.task, token, row.life, row.attempts, row.takeovers, self.clock.now - row.created_at)
        return Pending()

    # --- TaskOutcomes ---

    async def answer(self, claim: Claimed, data: JSON) -> Finished | None:
        self._open()
        data = _stored(data)
        row = self.rows.get(claim.task.task_id)
        if row is None:
            return None
        if not row.ended:
            row.result_id = next(self._ids)
            self.results[row.result_id] = data
            row.status, row.life, row.wake_at, row.updated_at = (
                TaskStatus.ANSWERED,
                claim.life,
                None,
                self.clock.now,
            )
        return row.end()

    async def park(self, claim: Claimed, failure: Failure, delay: timedelta, *, counted: bool = True) -> bool:
        self._open()
        row = self._held(claim, TaskStatus.PROCESSING)
        if row is None:
            return False
        self._enter(row, failure if counted else None)
        row.attempts -= not counted
        row.status, row.failure, row.wake_at = TaskStatus.PARKED, _readable(failure), self.clock.now + delay
        row.takeovers, row.alone = 0, False
        row.token, row.life, row.wakes, row.updated_at = None, None, 0, self.clock.now
        return True

    async def fail(self, claim: Claimed, failure: Failure) -> Finished | None:
        self._open()
        row = self._held(claim, TaskStatus.PROCESSING, TaskStatus.FAILED)
        if row is None:
            return None
        if row.status is TaskStatus.PROCESSING:
            self._enter(row, failure)
        row.alone = False
        row.status, row.failure, row.wake_at, row.updated_at = (
            TaskStatus.FAILED,
            _readable(failure),
            None,
            self.clock.now,
        )
        return row.end()

    def _enter(self, row: _Row, failure: Failure | None) -> None:
        if failure:
            row.history.append(Attempt(row.attempts, self.clock.now, _readable(failure)))

    async def alone(self, claim: Claimed) -> bool:
        self._open()
        row = self._held(claim, TaskStatus.PROCESSING)
        if row is not None:
            row.alone = True
        return row is not None

    def _held(self, claim: Claimed, *statuses: TaskStatus) -> _Row | None:
        row = self.rows.get(claim.task.task_id)
        return row if row and row.token == claim.token and row.status in statuses else None

    async def told(self, task_id: int) -> None:
        self._open()
        row = self.rows.get(task_id)
        if row and row.status in (TaskStatus.ANSWERED, TaskStatus.FAILED):
            row.status = TaskStatus.DONE if row.status is TaskStatus.ANSWERED else row.status
            row.life, row.token, row.wake_at, row.waiters = None, None, None, []
            row.updated_at = self.clock.now

    async def tell_later(self, task_id: int) -> None:
        self._open()
        row = self.rows.get(task_id)
        if row and row.status in (TaskStatus.ANSWERED, TaskStatus.FAILED):
            row.life, row.wake_at, row.wakes = None, self.clock.now + _TELL_AGAIN, 0

    # --- TaskWakes ---

    async def heartbeats(self) -> Mapping[int, int]:
        self._open()
        return dict(self.lives)

    async def bury(self, dead: Mapping[int, int]) -> int:
        self._open()
        for life, beats in dead.items():
            if self.lives.get(life) == beats:
                del self.lives[life]
        orphans = [row for row in self.rows.values() if row.life is not None and row.life not in self.lives]
        for row in orphans:
            if row.status is TaskStatus.PROCESSING:
                row.takeovers += 1
                row.status = TaskStatus.FAILED if row.alone else TaskStatus.QUEUED
                if row.alone:
                    row.failure = Failure(Category.POISON, "its workers died")
            row.alone = False
            row.life, row.token, row.wake_at, row.wakes, row.updated_at = None, None, self.clock.now, 0, self.clock.now
        return len(orphans)

    async def due(self, limit: int) -> Sequence[Wake]:
        self._open()
        due = [(row.wake_at, row.task) for row in self.rows.values() if row.wake_at and row.wake_at <= self.clock.now]
        due.sort(key=lambda entry: entry[0])
        return [Wake(task, due_at) for due_at, task in due[:limit]]

    async def woken(self, wakes: Sequence[Wake]) -> None:
        self._open()
        for wake in wakes:
            row = self.rows.get(wake.task.task_id)
            if row is None or row.wake_at != wake.due_at:
                continue
            if row.status is TaskStatus.PARKED:
                row.status = TaskStatus.QUEUED
            row.wake_at = self.clock.now + _WAKE_AGAIN * 2 ** min(row.wakes, 8)
            row.wakes += 1

    # --- TaskQueries ---

    async def get(self, task_id: int) -> TaskRecord | None:
        self._open()
        row = self.rows.get(task_id)
        return replace(self._record_of(row), history=list(row.history)) if row else None

    async def page(
        self, *, status: TaskStatus | None, task_type: TaskType | None, cursor: str | None, limit: int
    ) -> TaskPage:
        self._open()
        end = _from_cursor(cursor) if cursor else None
        rows = [
            row
            for row in sorted(self.rows.values(), key=_place, reverse=True)
            if (status is None or row.status is status)
            and (task_type is None or row.task.task_type is task_type)
            and (end is None or _place(row) < end)
        ]
        page = [self._record_of(row) for row in rows[:limit]]
        return TaskPage(page, _to_cursor(rows[limit - 1]) if len(rows) > limit else None)

    def _record_of(self, row: _Row) -> TaskRecord:
        return TaskRecord(
            task=row.task,
            status=row.status,
            attempts=row.attempts,
            last_failure=row.failure,
            result_id=row.result_id,
            result=None if row.result_id is None else self.results[row.result_id],
            created_at=row.created_at,
            updated_at=row.updated_at,
            next_attempt_at=row.wake_at if row.status is TaskStatus.PARKED else None,
        )


def _place(row: _Row) -> tuple[datetime, int]:
    return row.created_at, row.task.task_id


def _to_cursor(row: _Row) -> str:
    return f"{row.created_at.isoformat()} {row.task.task_id}"


def _from_cursor(cursor: str) -> tuple[datetime, int]:
    created_at, _, task_id = cursor.partition(" ")
    try:
        return datetime.fromisoformat(created_at).astimezone(UTC), int(task_id)
    except (ValueError, OverflowError) as error:
        raise Invalid("cursor", "is none of ours") from error


def _stored(value: JSON) -> JSON:
    """What a table that knows no NUL and no lone surrogates keeps of it."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise Invalid("data", "cannot be stored") from error
    return _cleaned(value)


def _readable(failure: Failure) -> Failure:
    return Failure(
        failure.category,
        str(_cleaned(failure.reason)),
        None if failure.answer is None else str(_cleaned(failure.answer)),
    )


def _cleaned(value: JSON) -> JSON:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {str(_cleaned(key)): _cleaned(item) for key, item in value.items()}
    return value
