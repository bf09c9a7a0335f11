"""What TaskIntake and TaskClaims promise."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import (
    MAX_TASK_ID,
    Claimed,
    Conflicting,
    Failure,
    Finished,
    Pending,
    Task,
    TaskStatus,
    TaskType,
    Waiter,
)

TASK = Task(7, TaskType.PHONE, "8 916 823 34 54")
ANNA, BERT, CARL = Waiter("anna", "a-1"), Waiter("bert"), Waiter("carl", "c-1")
REFUSED = Failure(Category.REFUSED, "no such number")


async def _status(table, task_id=TASK.task_id):
    return (await table.queries.get(task_id)).status


async def _answered(table, *waiters):
    """The task with an end that is not told yet; returns the result's id."""
    claim = await table.worker.claim(TASK, None, 1)
    for token, waiter in enumerate(waiters, start=100):
        await table.worker.claim(TASK, waiter, token)
    return (await table.worker.answer(claim, {})).outcome


# --- submit ---


async def test_a_new_task_is_recorded_as_queued(table):
    assert await table.intake.submit(TASK, None) == Pending(new=True)
    assert await _status(table) is TaskStatus.QUEUED


async def test_a_task_that_nobody_wakes_is_found_by_the_scheduler(table):
    await table.intake.submit(TASK, None)
    assert await table.wakes.due(10) == []
    await table.pass_time(timedelta(seconds=30))
    assert [wake.task for wake in await table.wakes.due(10)] == [TASK]


async def test_submitting_says_whether_a_worker_has_taken_it(table):
    assert (await table.intake.submit(TASK, None)).queued
    assert (await table.intake.submit(TASK, None)).queued
    await table.worker.claim(TASK, None, 1)
    assert not (await table.intake.submit(TASK, None)).queued


async def test_submitting_again_is_no_new_task(table):
    await table.intake.submit(TASK, None)
    assert await table.intake.submit(TASK, None) == Pending(new=False)


@pytest.mark.parametrize("other", [replace(TASK, task_type=TaskType.GPT), replace(TASK, data=TASK.data + " ")])
async def test_submitting_an_id_with_other_content_is_a_conflict(table, other):
    await table.intake.submit(TASK, None)
    assert await table.intake.submit(other, ANNA) == Conflicting(7)
    claim = await table.worker.claim(TASK, None, 1)
    assert claim.task == TASK
    assert not (await table.worker.answer(claim, {})).waiters


async def test_submitting_an_ended_task_returns_its_end_and_nobody_to_tell(table):
    result_id = await _answered(table, BERT)
    assert await table.intake.submit(TASK, ANNA) == Finished(7, result_id)
    await table.worker.told(Finished(7, result_id))
    assert await table.intake.submit(TASK, ANNA) == Finished(7, result_id)


async def test_submitting_a_failed_task_returns_the_failure(table):
    await table.worker.fail(await table.worker.claim(TASK, None, 1), REFUSED)
    assert await table.intake.submit(TASK, None) == Finished(7, REFUSED)


async def test_the_same_task_at_the_same_moment_at_the_door_is_new_once(table):
    found = await asyncio.gather(*(table.intake.submit(TASK, Waiter("w", str(n))) for n in range(20)))
    assert sorted(answer.new for answer in found) == [False] * 19 + [True]


# --- waiters ---


async def test_waiters_are_told_once_each_whichever_way_they_came(table):
    await table.intake.submit(TASK, ANNA)
    await table.intake.submit(TASK, ANNA)
    claim = await table.worker.claim(TASK, BERT, 1)
    await table.worker.claim(TASK, CARL, 2)
    await table.worker.claim(TASK, CARL, 3)
    assert list((await table.worker.answer(claim, {})).waiters) == [ANNA, BERT, CARL]


async def test_one_queue_may_wait_with_several_marks(table):
    waiters = [Waiter("anna", "1"), Waiter("anna", "2"), Waiter("anna")]
    for waiter in waiters:
        await table.intake.submit(TASK, waiter)
    claim = await table.worker.claim(TASK, None, 1)
    assert list((await table.worker.answer(claim, {})).waiters) == waiters


async def test_waiters_survive_parking_and_are_told_of_the_failure_too(table):
    claim = await table.worker.claim(TASK, ANNA, 1)
    await table.worker.park(claim, REFUSED, timedelta(minutes=1))
    await table.worker.claim(TASK, BERT, 2)
    await table.pass_time(timedelta(minutes=1))
    claim = await table.worker.claim(TASK, None, 3)
    assert list((await table.worker.fail(claim, REFUSED)).waiters) == [ANNA, BERT]


async def test_once_told_the_waiters_are_forgotten(table):
    await table.worker.told(Finished(7, await _answered(table, ANNA)))
    assert list((await table.worker.claim(TASK, None, 9)).waiters) == []


async def test_a_crowd_of_waiters_is_bounded_and_the_first_are_kept(table):
    for number in range(110):
        await table.intake.submit(TASK, Waiter("w", str(number)))
    claim = await table.worker.claim(TASK, None, 1)
    waiters = (await table.worker.answer(claim, {})).waiters
    assert list(waiters) == [Waiter("w", str(number)) for number in range(100)]


# --- claim ---


async def test_a_new_task_is_recorded_and_claimed_at_once(table):
    claim = await table.worker.claim(TASK, None, 11)
    assert (claim.task, claim.token, claim.attempts) == (TASK, 11, 1)
    assert await _status(table) is TaskStatus.PROCESSING


async def test_a_queued_task_is_claimed(table):
    await table.intake.submit(TASK, None)
    assert isinstance(await table.worker.claim(TASK, None, 1), Claimed)


async def test_a_task_in_hand_is_not_claimed_again(table):
    await table.worker.claim(TASK, None, 1)
    assert await table.worker.claim(TASK, None, 2) == Pending()
    assert await (await table.another_worker()).claim(TASK, None, 3) == Pending()


async def test_the_same_token_gets_the_same_claim_again(table):
    claim = await table.worker.claim(TASK, ANNA, 1)
    assert await table.worker.claim(TASK, ANNA, 1) == claim
    assert list((await table.worker.answer(claim, {})).waiters) == [ANNA]


async def test_the_same_token_in_another_life_gets_the_claim_of_the_first(table):
    """A worker taken for dead between two tries must learn by its heartbeat that the claim is lost, for the sweep gives
    the task to another."""
    claim = await table.worker.claim(TASK, None, 1)
    again = await (await table.another_worker()).claim(TASK, None, 1)
    assert again == claim


async def test_a_parked_task_is_claimed_only_when_due_and_counts_its_attempts(table):
    await table.worker.park(await table.worker.claim(TASK, None, 1), REFUSED, timedelta(minutes=1))
    assert await table.worker.claim(TASK, None, 2) == Pending()
    await table.pass_time(timedelta(minutes=1))
    claim = await table.worker.claim(TASK, None, 3)
    assert (claim.token, claim.attempts) == (3, 2)


async def test_an_answered_task_is_told_to_all_waiters_the_new_one_included(table):
    result_id = await _answered(table, ANNA)
    end = await table.worker.claim(TASK, BERT, 9)
    assert (end.outcome, list(end.waiters)) == (result_id, [ANNA, BERT])


async def test_a_done_task_is_told_to_the_new_waiter_only(table):
    result_id = await _answered(table, ANNA)
    await table.worker.told(Finished(7, result_id))
    end = await table.worker.claim(TASK, BERT, 9)
    assert (end.outcome, list(end.waiters)) == (result_id, [BERT])


async def test_a_failed_task_is_told_to_all_and_once_told_to_the_new_waiter_only(table):
    await table.worker.fail(await table.worker.claim(TASK, ANNA, 1), REFUSED)
    end = await table.worker.claim(TASK, BERT, 9)
    assert (end.outcome, list(end.waiters)) == (REFUSED, [ANNA, BERT])
    await table.worker.told(end)
    end = await table.worker.claim(TASK, BERT, 10)
    assert (end.outcome, list(end.waiters)) == (REFUSED, [BERT])


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("other", [replace(TASK, task_type=TaskType.GPT), replace(TASK, data="other")])
async def test_claiming_an_id_with_other_content_is_a_conflict_that_changes_nothing(table, other, ended):
    claim = await table.worker.claim(TASK, None, 1)
    if ended:
        await table.worker.answer(claim, {})
    before = await table.queries.get(7)
    assert await table.worker.claim(other, ANNA, 2) == Conflicting(7)
    assert await table.queries.get(7) == before
    assert not (await table.worker.answer(claim, {})).waiters


async def test_a_conflicting_message_cannot_claim_even_with_the_holder_s_token(table):
    await table.worker.claim(TASK, None, 1)
    assert await table.worker.claim(replace(TASK, data="other"), None, 1) == Conflicting(7)


async def test_the_largest_id_and_the_strangest_text_are_kept(table):
    text = '\x01\u2028 "\\ 𝄞 {}\n' + "я" * 9_000
    task = Task(MAX_TASK_ID, TaskType.GPT, text)
    assert (await table.worker.claim(task, None, 2**63 - 1)).task == task
    assert (await table.queries.get(MAX_TASK_ID)).task == task
    assert await table.worker.claim(task, None, 5) == Pending()


async def test_two_workers_claiming_the_same_tasks_at_the_same_moment_share_them(table):
    tasks = [Task(number, TaskType.PHONE, f"number {number}") for number in range(1, 201)]
    other = await table.another_worker()
    found = await asyncio.gather(
        *(table.worker.claim(task, None, task.task_id) for task in tasks),
        *(other.claim(task, None, task.task_id + 1000) for task in reversed(tasks)),
    )
    assert sorted(claim.task.task_id for claim in found if isinstance(claim, Claimed)) == [t.task_id for t in tasks]
    assert sum(isinstance(claim, Pending) for claim in found) == len(tasks)


async def test_the_same_task_many_times_in_one_moment_is_claimed_once_and_keeps_every_waiter(table):
    waiters = [Waiter("w", str(number)) for number in range(30)]
    found = await asyncio.gather(*(table.worker.claim(TASK, w, n) for n, w in enumerate(waiters)))
    [claim] = [claim for claim in found if isinstance(claim, Claimed)]
    end = await table.worker.answer(claim, {})
    assert sorted(end.waiters, key=lambda w: int(w.correlation_id)) == waiters


async def test_both_doors_at_the_same_moment_record_every_task_once(table):
    tasks = [Task(number, TaskType.EMAIL, f"{number}@example.com") for number in range(1, 101)]
    submitted, claimed = await asyncio.gather(
        asyncio.gather(*(table.intake.submit(task, ANNA) for task in tasks)),
        asyncio.gather(*(table.worker.claim(task, BERT, task.task_id) for task in reversed(tasks))),
    )
    assert all(isinstance(answer, Pending) for answer in submitted)
    assert all(isinstance(claim, Claimed) for claim in claimed)
    ends = await asyncio.gather(*(table.worker.answer(claim, {}) for claim in claimed))
    assert all(sorted(end.waiters, key=lambda w: w.reply_to) == [ANNA, BERT] for end in ends)
    assert len(await table.stored()) == len(tasks)
