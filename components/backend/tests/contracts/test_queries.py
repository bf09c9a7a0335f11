"""What TaskQueries promises."""

import base64
from datetime import UTC, timedelta

import pytest

from gonets.core.shared.errors import Category, Invalid
from gonets.core.tasks.model import Failure, Task, TaskRecord, TaskStatus, TaskType

AWAY = Failure(Category.UNAVAILABLE, "HTTP 503")


async def _claim(table, task):
    return await table.worker.claim(task, None, task.task_id)


async def _six(table):
    """A task in each status, ids 1 to 6 in the order of their coming."""
    queued, processing, parked, answered, done, failed = (
        Task(number, kind, f"data {number}") for number, kind in enumerate(list(TaskType) * 2, start=1)
    )
    await table.intake.submit(queued, None)
    await table.pass_time(timedelta(seconds=1))
    await _claim(table, processing)
    await table.pass_time(timedelta(seconds=1))
    await table.worker.park(await _claim(table, parked), AWAY, timedelta(hours=1))
    await table.pass_time(timedelta(seconds=1))
    await table.worker.answer(await _claim(table, answered), {})
    await table.pass_time(timedelta(seconds=1))
    await table.worker.told(await table.worker.answer(await _claim(table, done), {}))
    await table.pass_time(timedelta(seconds=1))
    await table.worker.fail(await _claim(table, failed), AWAY)


async def _page(table, *, status=None, task_type=None, cursor=None, limit=50):
    return await table.queries.page(status=status, task_type=task_type, cursor=cursor, limit=limit)


def _ids(page):
    return [record.task.task_id for record in page.records]


async def test_a_task_that_was_never_taken_is_none(table):
    assert await table.queries.get(1) is None


async def test_a_record_carries_every_field_and_back(table):
    task = Task(42, TaskType.EMAIL, 'serega@yandex/ru "ё"')
    await table.worker.park(await _claim(table, task), AWAY, timedelta(hours=1))
    await table.pass_time(timedelta(hours=2))
    claim = await table.worker.claim(task, None, 2)
    end = await table.worker.answer(claim, {"qc": 4})
    record = await table.queries.get(42)
    assert record == TaskRecord(
        task=task,
        status=TaskStatus.ANSWERED,
        attempts=2,
        last_failure=AWAY,
        result_id=end.outcome,
        result={"qc": 4},
        created_at=record.created_at,
        updated_at=record.updated_at,
        next_attempt_at=None,
        history=record.history,
    )
    assert abs(record.updated_at - record.created_at - timedelta(hours=2)) < timedelta(seconds=10)
    assert record.created_at.utcoffset() == record.updated_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("category", list(Category))
async def test_every_category_of_failure_is_read_back(table, category):
    failure = Failure(category, "зачем")
    await table.worker.fail(await _claim(table, Task(1, TaskType.GPT, "x")), failure)
    assert (await table.queries.get(1)).last_failure == failure


async def test_a_time_to_go_on_is_shown_for_parked_tasks_only(table):
    await _six(table)
    shown = {record.status for record in (await _page(table)).records if record.next_attempt_at}
    assert shown == {TaskStatus.PARKED}


async def test_an_empty_table_is_an_empty_last_page(table):
    page = await _page(table)
    assert (list(page.records), page.next_cursor) == ([], None)


async def test_the_list_is_newest_first(table):
    await _six(table)
    assert _ids(await _page(table)) == [6, 5, 4, 3, 2, 1]


async def test_pages_follow_one_another_without_gap_or_repeat(table):
    await _six(table)
    seen, cursor = [], None
    for size in (4, 1):
        page = await _page(table, limit=size, cursor=cursor)
        assert len(page.records) == size
        seen += _ids(page)
        cursor = page.next_cursor
        assert cursor
    page = await _page(table, limit=1, cursor=cursor)
    assert page.next_cursor is None
    assert seen + _ids(page) == [6, 5, 4, 3, 2, 1]


async def test_pages_of_large_ids_follow_one_another(table):
    ids = [2**31, 2**40, 2**63 - 1]
    for number in ids:
        await table.intake.submit(Task(number, TaskType.GPT, "x"), None)
        await table.pass_time(timedelta(seconds=1))
    first = await _page(table, limit=1)
    second = await _page(table, limit=2, cursor=first.next_cursor)
    assert _ids(first) + _ids(second) == ids[::-1]


async def test_a_page_that_is_just_full_is_the_last(table):
    await _six(table)
    assert (await _page(table, limit=6)).next_cursor is None


async def test_what_comes_in_meanwhile_does_not_shift_the_pages(table):
    await _six(table)
    # The clock of a fake stands still: the cursor must be taken after the last move.
    await table.pass_time(timedelta(seconds=1))
    page = await _page(table, limit=3)
    await table.intake.submit(Task(99, TaskType.GPT, "new"), None)
    assert _ids(await _page(table, limit=3, cursor=page.next_cursor)) == [3, 2, 1]
    assert _ids(await _page(table, limit=1)) == [99]


@pytest.mark.parametrize("status", list(TaskStatus))
async def test_the_list_is_filtered_by_status(table, status):
    await _six(table)
    [record] = (await _page(table, status=status)).records
    assert record.status is status


async def test_the_list_is_filtered_by_type_and_by_both(table):
    await _six(table)
    assert _ids(await _page(table, task_type=TaskType.PHONE)) == [4, 1]
    assert _ids(await _page(table, task_type=TaskType.PHONE, status=TaskStatus.QUEUED)) == [1]
    assert _ids(await _page(table, task_type=TaskType.PHONE, status=TaskStatus.DONE)) == []


async def test_a_filter_goes_on_over_pages(table):
    await _six(table)
    first = await _page(table, task_type=TaskType.GPT, limit=1)
    second = await _page(table, task_type=TaskType.GPT, limit=1, cursor=first.next_cursor)
    assert _ids(first) + _ids(second) == [6, 3]
    assert second.next_cursor is None


FORGED = [
    "2026-01-01T00:00:00 5",
    "2026-01-01T00:00:00+00:00 0",
    "2026-01-01T00:00:00+00:00 9223372036854775808",
    "0001-01-01T00:00:00+23:59 5",
    "9999-12-31T23:59:59-23:59 5",
    "yesterday 5",
    "2026-01-01T00:00:00+00:00",
    "",
]


@pytest.mark.parametrize("place", FORGED)
async def test_a_forged_cursor_is_invalid(postgres, place):
    cursor = base64.urlsafe_b64encode(place.encode()).decode()
    with pytest.raises(Invalid) as caught:
        await _page(postgres, cursor=cursor or "=")
    assert caught.value.field == "cursor"


@pytest.mark.parametrize("cursor", ["x", "ы", "====", "nonsense", "\0", "AAAA" * 500, "a b c"])
async def test_a_cursor_that_is_none_of_ours_is_invalid(table, cursor):
    with pytest.raises(Invalid) as caught:
        await _page(table, cursor=cursor)
    assert caught.value.field == "cursor"


async def test_times_are_in_utc_whatever_the_session_says(table):
    await table.intake.submit(Task(1, TaskType.GPT, "x"), None)
    record = await table.queries.get(1)
    assert record.created_at.astimezone(UTC).isoformat() == record.created_at.isoformat()
