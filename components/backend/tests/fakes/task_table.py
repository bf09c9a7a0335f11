"""The task table in memory."""

import copy
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gonets.core.shared.errors import Category, Invalid, Unavailable
from gonets.core.tasks.model import (
    ERASED,
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
from gonets.core.tasks.set_aside import Choice, FailedPage, FailedTask, Handled

_WAKE_AGAIN = timedelta(seconds=30)
_TELL_AGAIN = timedelta(seconds=5)
_TOLD_WITHIN = timedelta(seconds=30)
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
    replays: int = 0
    replayed_at: datetime | None = None
    dropped_at: datetime | None = None

    @property
    def told(self) -> bool:
        return self.life is None and self.wake_at is None

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
            return Pending(new=True, queued=True)
        if row.task != task:
            return Conflicting(task.task_id)
        if row.ended:
            return Finished(task.task_id, row.end().outcome)
        row.add(waiter)
        return Pending(queued=row.status is TaskStatus.QUEUED)

    async def wake_soon(self, task_id: int) -> None:
        self._open()
        row = self.rows[task_id]
        if row.status is TaskStatus.QUEUED:
            row.wake_at = self.clock.now

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
            age = self.clock.now - (row.replayed_at or row.created_at)
            return Claimed(row.task, token, row.life, row.attempts, row.takeovers, age)
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
        row.takeovers, row.alone = 0 if counted else row.takeovers, False
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

    async def told(self, end: Finished) -> None:
        self._open()
        row = self.rows.get(end.task_id)
        if row is None or row.status not in (TaskStatus.ANSWERED, TaskStatus.FAILED):
            return
        known, said = row.end().outcome, end.outcome
        if isinstance(known, Failure) and isinstance(said, Failure):
            same = (known.category, known.reason) == (said.category, said.reason)
        else:
            same = known == said
        if same:
            if row.status is TaskStatus.ANSWERED:
                row.status, row.updated_at = TaskStatus.DONE, self.clock.now
            row.life, row.token, row.wake_at, row.waiters = None, None, None, []

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
        late = self.clock.now - _TOLD_WITHIN
        orphans = [
            row
            for row in self.rows.values()
            if row.life is not None
            and (
                row.life not in self.lives
                or (row.status in (TaskStatus.ANSWERED, TaskStatus.FAILED) and row.updated_at < late)
            )
        ]
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
            replays=row.replays,
        )


class FakeFailedTasks:
    """Implements FailedTasks, on a fake table."""

    def __init__(self, table: FakeTaskTable) -> None:
        self._table = table

    async def get(self, task_id: int) -> FailedTask | None:
        rows = self._chosen(Choice(ids=[task_id]))
        return replace(_failed(rows[0]), history=list(rows[0].history)) if rows else None

    async def page(self, chosen: Choice[int], *, cursor: str | None, limit: int) -> FailedPage:
        end = _from_cursor(cursor) if cursor else None
        rows = [row for row in self._chosen(chosen)[::-1] if end is None or _failed_place(row) < end]
        last = rows[limit - 1] if len(rows) > limit else None
        next_cursor = f"{last.updated_at.isoformat()} {last.task.task_id}" if last else None
        return FailedPage([_failed(row) for row in rows[:limit]], next_cursor)

    async def erased(self, ids: Collection[int]) -> Sequence[int]:
        return sorted(row.task.task_id for row in self._chosen(Choice(ids=ids)) if row.task.data == ERASED)

    async def replay(self, chosen: Choice[int]) -> Handled:
        rows = self._chosen(chosen)
        told = [row for row in rows if row.told]
        replayed = [row for row in told if row.task.data != ERASED]
        for row in replayed:
            row.status, row.wakes, row.attempts, row.takeovers, row.alone = TaskStatus.PARKED, 0, 0, 0, False
            row.replays += 1
            row.wake_at = row.replayed_at = row.updated_at = self._table.clock.now
            row.dropped_at = None
        return Handled(len(replayed), complete=len(told) == len(rows))

    async def drop(self, chosen: Choice[int]) -> Handled:
        rows = [row for row in self._chosen(chosen) if row.dropped_at is None]
        for row in rows:
            row.dropped_at = self._table.clock.now
        return Handled(len(rows))

    def _chosen(self, chosen: Choice[int]) -> list[_Row]:
        self._table._open()
        return sorted(
            (
                row
                for row in self._table.rows.values()
                if row.status is TaskStatus.FAILED
                and row.failure
                and (chosen.ids is not None or row.dropped_at is None)
                and chosen.takes(row.task.task_id, row.failure.category, row.failure.reason, row.updated_at)
            ),
            key=_failed_place,
        )


def _failed_place(row: _Row) -> tuple[datetime, int]:
    return row.updated_at, row.task.task_id


def _failed(row: _Row) -> FailedTask:
    assert row.failure is not None
    return FailedTask(
        task=row.task,
        failure=replace(row.failure, answer=row.history[-1].failure.answer if row.history else None),
        attempts=row.attempts,
        replays=row.replays,
        created_at=row.created_at,
        first_failed_at=row.history[0].ended_at if row.history else None,
        failed_at=row.updated_at,
        dropped_at=row.dropped_at,
        told=row.told,
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
