"""What an operator can ask of failed tasks and dead letters, on fakes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from fakes import FakeDeadLetters, FakeFailedTasks, FakeTaskTable
from gonets.core.shared.errors import Category, Conflict, Invalid, NotFound, Unavailable
from gonets.core.tasks.failed import HandleDeadLetters, HandleFailedTasks
from gonets.core.tasks.model import ERASED, Failure, Task, TaskStatus, TaskType
from gonets.core.tasks.set_aside import Choice, DeadLetter, Handled

TASK = Task(7, TaskType.PHONE, "8 916 823 34 54")
REFUSED = Failure(Category.REFUSED, "no such number")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LETTER = DeadLetter(
    id="m1", queue="TaskProcessingQueue", category=Category.INVALID, reason="no JSON", dead_at=NOON, body=b"x"
)


@pytest.fixture
async def table():
    table = FakeTaskTable()
    await table.told(await table.fail(await table.claim(TASK, None, 1), REFUSED))
    return table


@pytest.fixture
def tasks(table):
    return HandleFailedTasks(FakeFailedTasks(table))


@pytest.fixture
def queue():
    queue = FakeDeadLetters()
    queue.letters.append(LETTER)
    return queue


@pytest.fixture
def letters(queue):
    return HandleDeadLetters(queue)


async def test_one_failed_task_is_shown_and_another_is_not_found(tasks):
    assert (await tasks.one(7)).failure == REFUSED
    with pytest.raises(NotFound, match="8"):
        await tasks.one(8)


async def test_one_dead_letter_is_shown_and_another_is_not_found(letters):
    assert await letters.one("m1") == LETTER
    with pytest.raises(NotFound, match="m2"):
        await letters.one("m2")


async def test_a_replayed_task_is_parked_and_a_replayed_letter_sent(tasks, letters, table, queue):
    assert await tasks.replay(Choice(ids=[7])) == await letters.replay(Choice(ids=["m1"])) == Handled(1)
    assert table.rows[7].status is TaskStatus.PARKED
    assert queue.sent == [LETTER]


async def test_nobody_is_asked_about_a_person_who_was_erased(tasks, table):
    table.rows[7].task = replace(TASK, data=ERASED)
    other = replace(TASK, task_id=8)
    await table.told(await table.fail(await table.claim(other, None, 2), REFUSED))
    with pytest.raises(Conflict, match="task 7 asked about was erased"):
        await tasks.replay(Choice(ids=[8, 7]))
    assert {row.status for row in table.rows.values()} == {TaskStatus.FAILED}
    assert await tasks.replay(Choice(ids=[8])) == Handled(1)


async def test_what_is_dropped_is_not_listed(tasks, letters):
    assert await tasks.drop(Choice(ids=[7])) == await letters.drop(Choice(ids=["m1"])) == Handled(1)
    assert list((await tasks.page(Choice(), cursor=None, limit=10)).tasks) == []
    assert list((await letters.page(Choice(), limit=10)).letters) == []


@pytest.mark.parametrize("action", ["replay", "drop"])
async def test_everything_must_be_meant(tasks, letters, table, queue, action):
    for act in (getattr(tasks, action), getattr(letters, action)):
        for chosen, everything in [(Choice(), False), (Choice(reason="no"), True)]:
            with pytest.raises(Invalid) as caught:
                await act(chosen, everything=everything)
            assert caught.value.field == "all"
        assert await act(Choice(), everything=True) == Handled(1)


async def test_while_the_stores_are_away_it_is_said(tasks, letters, table, queue):
    table.available = queue.available = False
    for call in (tasks.one(7), tasks.replay(Choice(ids=[7])), letters.one("m1"), letters.drop(Choice(ids=["m1"]))):
        with pytest.raises(Unavailable):
            await call


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", ""),
        ("reason", "nul \0"),
        ("since", datetime(2026, 1, 1)),  # noqa: DTZ001 - what is refused
        ("until", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23)))),
        ("since", datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-23)))),
    ],
)
def test_a_condition_that_can_mean_nothing_is_invalid(field, value):
    with pytest.raises(Invalid) as caught:
        Choice(**{field: value})
    assert caught.value.field == field


def test_times_are_compared_in_utc():
    at_noon = Choice(since=datetime(2026, 1, 1, 15, tzinfo=timezone(timedelta(hours=3))))
    assert at_noon.since.isoformat() == NOON.isoformat()
    assert at_noon.takes("m1", None, "", NOON)


def test_what_has_no_time_meets_no_condition_on_time():
    unknown = replace(LETTER, dead_at=None)
    assert not Choice(since=NOON).takes(unknown.id, unknown.category, unknown.reason, unknown.dead_at)
    assert not Choice(until=NOON).takes(unknown.id, unknown.category, unknown.reason, unknown.dead_at)
    assert Choice(category=Category.INVALID).takes(unknown.id, unknown.category, unknown.reason, unknown.dead_at)
