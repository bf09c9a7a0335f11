"""What FailedTasks promises."""

import asyncio
from datetime import timedelta

import pytest

from gonets.core.shared.errors import Category, Invalid
from gonets.core.tasks.model import ERASED, Claimed, Failure, Finished, Pending, Task, TaskStatus, TaskType, Waiter
from gonets.core.tasks.set_aside import Choice, Handled

TASK = Task(7, TaskType.PHONE, "8 916 823 34 54")
REFUSED = Failure(Category.REFUSED, "no such number", "HTTP 400: bad number")
AWAY = Failure(Category.UNAVAILABLE, "HTTP 503 (gave up after 5 attempts)", "busy")
ALL = Choice()
HOUR = timedelta(hours=1)


async def _claim(table, token=1, task=TASK, waiter=None):
    claim = await table.worker.claim(task, waiter, token)
    assert isinstance(claim, Claimed), claim
    return claim


async def _fail(table, task_id=7, failure=REFUSED, *, token=None):
    task = Task(task_id, TASK.task_type, TASK.data)
    return await table.worker.fail(await _claim(table, token or task_id, task), failure)


async def _failed(table, task_id=7, failure=REFUSED, *, token=None):
    """Failed, and told."""
    await table.worker.told(await _fail(table, task_id, failure, token=token))


async def _status(table, task_id=7):
    return (await table.queries.get(task_id)).status


async def _ids(table, **conditions):
    page = await table.failed.page(Choice(**conditions), cursor=None, limit=100)
    return [failed.task.task_id for failed in page.tasks]


async def _due(table):
    return [wake.task.task_id for wake in await table.wakes.due(100)]


# --- get, page ---


async def test_a_failed_task_carries_everything(table):
    await table.worker.park(await _claim(table), AWAY, timedelta(0))
    await table.pass_time(HOUR)
    await _failed(table, token=2)
    await table.pass_time(HOUR)
    failed = await table.failed.get(7)
    assert (failed.task, failed.failure) == (TASK, REFUSED)
    assert (failed.attempts, failed.replays, failed.told, failed.dropped_at) == (2, 0, True, None)
    assert [(attempt.number, attempt.failure) for attempt in failed.history] == [(1, AWAY), (2, REFUSED)]
    assert abs(failed.failed_at - failed.first_failed_at - HOUR) < timedelta(seconds=10)
    assert abs(failed.created_at - failed.first_failed_at) < timedelta(seconds=10)


async def test_telling_a_failure_later_does_not_make_it_a_later_failure(table):
    end = await _fail(table)
    before = (await table.failed.get(7)).failed_at
    await table.worker.told(end)
    assert (await table.failed.get(7)).failed_at == before


async def test_a_list_shows_the_provider_s_last_words_and_no_history(table):
    await table.worker.park(await _claim(table), AWAY, timedelta(0))
    await _failed(table, token=2)
    [failed] = (await table.failed.page(ALL, cursor=None, limit=10)).tasks
    assert failed.failure.answer == "HTTP 400: bad number"
    assert list(failed.history) == []


async def test_a_poisoned_task_has_no_try_that_failed_and_is_listed_all_the_same(table):
    worker = await table.another_worker()
    claim = await worker.claim(TASK, None, 1)
    await worker.alone(claim)
    await table.wakes.bury({claim.life: (await table.wakes.heartbeats())[claim.life]})
    [failed] = (await table.failed.page(ALL, cursor=None, limit=10)).tasks
    assert (failed.failure.category, failed.failure.answer, failed.first_failed_at) == (Category.POISON, None, None)
    assert not failed.told


async def test_what_has_not_failed_is_no_failed_task(table):
    await table.intake.submit(Task(1, TaskType.GPT, "queued"), None)
    await table.worker.park(await _claim(table, 2, Task(2, TaskType.GPT, "parked")), AWAY, HOUR)
    await table.worker.answer(await _claim(table, 3, Task(3, TaskType.GPT, "answered")), {})
    assert await _ids(table) == []
    assert [await table.failed.get(number) for number in (1, 2, 3, 4)] == [None] * 4


async def test_pages_follow_one_another_latest_failure_first(table):
    for number in (3, 1, 2, 5, 4):
        await _failed(table, number)
        await table.pass_time(HOUR)
    seen, cursor = [], None
    for size in (2, 2, 2):
        page = await table.failed.page(ALL, cursor=cursor, limit=size)
        seen += [failed.task.task_id for failed in page.tasks]
        cursor = page.next_cursor
    assert seen == [4, 5, 2, 1, 3]
    assert cursor is None


async def test_a_page_that_is_just_full_is_the_last(table):
    await _failed(table)
    assert (await table.failed.page(ALL, cursor=None, limit=1)).next_cursor is None


async def test_a_cursor_that_is_none_of_ours_is_invalid(table):
    with pytest.raises(Invalid):
        await table.failed.page(ALL, cursor="nonsense", limit=1)


async def _four(table):
    """One an hour, the last one a moment ago."""
    for number, failure in enumerate([REFUSED, AWAY, REFUSED, AWAY], start=1):
        await table.pass_time(HOUR)
        await _failed(table, number, failure)
    return (await table.failed.get(4)).failed_at


async def test_they_are_chosen_by_every_condition_and_by_all_of_them_together(table):
    now = await _four(table)
    half = timedelta(minutes=30)
    assert await _ids(table, ids=[1, 4, 99]) == [4, 1]
    assert await _ids(table, category=Category.REFUSED) == [3, 1]
    assert await _ids(table, reason="GAVE UP") == [4, 2]
    assert await _ids(table, reason="5 attempts)") == [4, 2]
    assert await _ids(table, reason="%") == []
    assert await _ids(table, since=now - HOUR - half) == [4, 3]
    assert await _ids(table, until=now - half) == [3, 2, 1]
    assert await _ids(table, since=now) == [4], "inclusive"
    assert await _ids(table, until=now) == [3, 2, 1], "exclusive"
    assert await _ids(table, category=Category.REFUSED, since=now - HOUR - half) == [3]
    assert await _ids(table, ids=[1, 2], reason="gave up") == [2]


@pytest.mark.parametrize("ids", [[], [2**63 - 1]])
async def test_ids_that_name_nothing_choose_nothing(table, ids):
    await _failed(table)
    assert await table.failed.replay(Choice(ids=ids)) == Handled(0)
    assert await _ids(table, ids=ids) == []


# --- replay ---


async def test_a_replayed_task_is_due_at_once_with_all_its_attempts_and_keeps_its_history(table):
    await table.worker.park(await _claim(table), AWAY, timedelta(0))
    await _failed(table, token=2)
    assert await table.failed.replay(Choice(ids=[7])) == Handled(1)
    record = await table.queries.get(7)
    assert (record.status, record.attempts, record.replays, len(record.history)) == (TaskStatus.PARKED, 0, 1, 2)
    assert await _due(table) == [7]
    await _failed(table, failure=AWAY, token=3)
    failed = await table.failed.get(7)
    assert (failed.attempts, failed.replays) == (1, 1)
    assert [attempt.failure for attempt in failed.history] == [AWAY, REFUSED, AWAY]


async def test_a_replayed_task_gives_one_result_like_any_other(table):
    await _failed(table)
    await table.failed.replay(ALL)
    end = await table.worker.answer(await _claim(table, 2), {"n": 1})
    await table.worker.told(end)
    assert await _status(table) is TaskStatus.DONE
    assert await table.stored() == {end.outcome: {"n": 1}}
    assert await table.failed.replay(Choice(ids=[7])) == Handled(0)
    assert await _status(table) is TaskStatus.DONE


async def test_its_age_begins_anew(table):
    await _failed(table)
    await table.pass_time(timedelta(days=30))
    await table.failed.replay(ALL)
    await table.pass_time(HOUR)
    assert abs((await _claim(table, 2)).age - HOUR) < timedelta(seconds=10)


async def test_the_workers_that_died_of_it_are_forgiven(table):
    for token in range(3):
        worker = await table.another_worker()
        claim = await worker.claim(TASK, None, token)
        await worker.alone(claim)
        await table.wakes.bury({claim.life: (await table.wakes.heartbeats())[claim.life]})
        if not isinstance(end := await table.worker.claim(TASK, None, 90), Finished):
            continue
        await table.worker.told(end)
        assert await table.failed.replay(ALL) == Handled(1)
        assert not (await _claim(table, 91)).suspect
        return
    raise AssertionError("it was not set aside as poison")


@pytest.mark.parametrize("state", ["in the hands of a worker", "to be told later", "of a dead worker"])
async def test_a_failure_that_is_not_told_yet_is_left_and_told_first(table, state):
    end = await table.worker.fail(await _claim(table, waiter=Waiter("anna")), REFUSED)
    if state == "to be told later":
        await table.worker.tell_later(7)
    elif state == "of a dead worker":
        await table.wakes.bury(await table.wakes.heartbeats())
    assert await table.failed.replay(Choice(ids=[7])) == Handled(0, complete=False)
    assert not (await table.failed.get(7)).told
    woken = await (await table.another_worker()).claim(TASK, None, 2)
    assert (woken.outcome.reason, list(woken.waiters)) == (REFUSED.reason, [Waiter("anna")]), "that is still to be told"
    await table.worker.told(end)
    assert await table.failed.replay(Choice(ids=[7])) == Handled(1)


@pytest.mark.parametrize("status", [status for status in TaskStatus if status is not TaskStatus.FAILED])
async def test_only_what_failed_is_touched(table, status):
    if status is TaskStatus.QUEUED:
        await table.intake.submit(TASK, None)
    else:
        claim = await _claim(table)
        if status is TaskStatus.PARKED:
            await table.worker.park(claim, AWAY, HOUR)
        elif status is not TaskStatus.PROCESSING:
            end = await table.worker.answer(claim, {})
            if status is TaskStatus.DONE:
                await table.worker.told(end)
    before = await table.queries.get(7)
    assert before.status is status
    for chosen in (ALL, Choice(ids=[7])):
        assert await table.failed.replay(chosen) == Handled(0)
        assert await table.failed.drop(chosen) == Handled(0)
    assert await table.queries.get(7) == before


async def test_replays_that_race_one_another_replay_each_task_once(table):
    for number in range(1, 8):
        await _failed(table, number)
    handled = await asyncio.gather(*(table.failed.replay(ALL) for _ in range(6)))
    assert sum(one.count for one in handled) == 7
    assert {(await table.queries.get(number)).replays for number in range(1, 8)} == {1}


async def test_replays_and_drops_that_race_one_another_never_do_both_to_a_task(table):
    for number in range(1, 8):
        await _failed(table, number)
    calls = [table.failed.replay(ALL), table.failed.drop(ALL)] * 3
    handled = await asyncio.gather(*calls)
    dropped = [number for number in range(1, 8) if (found := await table.failed.get(number)) and found.dropped_at]
    replayed = [number for number in range(1, 8) if await _status(table, number) is TaskStatus.PARKED]
    assert sorted(dropped + replayed) == list(range(1, 8))
    assert sum(one.count for one in handled) >= 7


async def test_what_fails_again_is_replayed_again_only_when_it_is_asked_again(table):
    await _failed(table)
    await table.failed.replay(ALL)
    assert await table.failed.replay(ALL) == Handled(0)
    await table.pass_time(HOUR)
    await _failed(table, token=2)
    assert await table.failed.replay(ALL) == Handled(1)
    assert (await table.queries.get(7)).replays == 2


async def test_a_copy_that_comes_after_the_replay_waits_for_the_new_end(table):
    await _failed(table)
    await table.failed.replay(ALL)
    await table.wakes.woken(await table.wakes.due(10))
    assert isinstance(await table.intake.submit(TASK, Waiter("anna")), Pending)
    end = await table.worker.answer(await _claim(table, 2), {})
    assert list(end.waiters) == [Waiter("anna")]


async def test_a_late_word_on_the_old_failure_is_none_on_the_new_result(table):
    """A copy's teller was slow; meanwhile the task was replayed and answered, and that is still to be told."""
    old = await _fail(table)
    await table.worker.told(old)
    await table.failed.replay(ALL)
    end = await table.worker.answer(await _claim(table, 2), {})
    await table.worker.told(old)
    assert await _status(table) is TaskStatus.ANSWERED
    await table.wakes.bury(await table.wakes.heartbeats())
    assert await _due(table) == [7]
    assert (await (await table.another_worker()).claim(TASK, None, 3)).outcome == end.outcome


async def test_a_late_answer_of_the_first_try_is_the_replayed_task_s_result(table):
    """Its worker was taken for dead, and another one's try failed for good."""
    slow = await _claim(table)
    await table.wakes.bury(await table.wakes.heartbeats())
    other = await table.another_worker()
    await other.told(await other.fail(await other.claim(TASK, None, 2), REFUSED))
    await table.failed.replay(ALL)
    end = await table.worker.answer(slow, {"late": True})
    assert await table.stored() == {end.outcome: {"late": True}}
    assert await table.worker.claim(TASK, None, 3) == end


async def test_chosen_ones_only_are_replayed(table):
    await _four(table)
    assert await table.failed.replay(Choice(category=Category.REFUSED)) == Handled(2)
    assert await _ids(table) == [4, 2]
    assert sorted(await _due(table)) == [1, 3]


async def test_an_erased_task_is_known_and_never_replayed(table):
    for number, data in ((9, ERASED), (8, TASK.data), (7, ERASED)):
        claim = await _claim(table, number, Task(number, TASK.task_type, data))
        await table.worker.told(await table.worker.fail(claim, REFUSED))
    await table.worker.park(await _claim(table, 6, Task(6, TASK.task_type, ERASED)), AWAY, HOUR)
    assert await table.failed.erased([9, 8, 7, 6, 5]) == [7, 9]
    assert await table.failed.replay(ALL) == Handled(1)
    assert [await _status(table, number) for number in (7, 8, 9)] == [
        TaskStatus.FAILED,
        TaskStatus.PARKED,
        TaskStatus.FAILED,
    ]


async def test_many_are_replayed_in_one_call_and_those_that_are_left_do_not_stop_it(table):
    await _fail(table, 1)
    for number in range(2, 10):
        await _failed(table, number)
    assert await table.failed.replay(ALL) == Handled(8, complete=False)
    assert await _ids(table) == [1]


# --- drop ---


async def test_a_dropped_task_is_not_listed_and_a_copy_is_told_the_failure(table):
    await _failed(table)
    assert await table.failed.drop(Choice(ids=[7])) == Handled(1)
    assert await _ids(table) == []
    assert await table.failed.replay(ALL) == Handled(0)
    assert (await table.failed.get(7)).dropped_at
    copy = await table.worker.claim(TASK, None, 2)
    assert isinstance(copy, Finished), "it is not run and paid for"
    assert copy.outcome.category is Category.REFUSED


async def test_dropping_again_is_nothing(table):
    await _failed(table)
    await table.failed.drop(ALL)
    before = (await table.failed.get(7)).dropped_at
    await table.pass_time(HOUR)
    assert await table.failed.drop(Choice(ids=[7])) == Handled(0)
    assert (await table.failed.get(7)).dropped_at == before


async def test_dropping_an_untold_failure_does_not_keep_it_from_being_told(table):
    await _fail(table)
    await table.worker.tell_later(7)
    assert await table.failed.drop(ALL) == Handled(1)
    await table.pass_time(HOUR)
    assert await _due(table) == [7]


async def test_named_by_its_id_a_dropped_task_is_taken_back(table):
    await _failed(table)
    await table.failed.drop(ALL)
    assert await table.failed.replay(Choice(ids=[7])) == Handled(1)
    await table.pass_time(HOUR)
    await _failed(table, token=2)
    assert await _ids(table) == [7]


async def test_chosen_ones_only_are_dropped(table):
    await _four(table)
    assert await table.failed.drop(Choice(reason="no such")) == Handled(2)
    assert await _ids(table) == [4, 2]
