"""What TaskOutcomes promises."""

import asyncio
import math
from datetime import timedelta

import pytest

from gonets.core.shared.errors import Category, Invalid
from gonets.core.tasks.model import Claimed, Failure, Finished, Pending, Task, TaskStatus, TaskType, Waiter

TASK = Task(7, TaskType.PHONE, "8 916 823 34 54")
REFUSED = Failure(Category.REFUSED, "no such number")
AWAY = Failure(Category.UNAVAILABLE, "HTTP 503")
FOREVER = timedelta(days=1)


async def _claim(table, token=1, task=TASK) -> Claimed:
    claim = await table.worker.claim(task, None, token)
    assert isinstance(claim, Claimed)
    return claim


async def _status(table, task_id=7):
    return (await table.queries.get(task_id)).status


async def _given_to_another(table):
    """The claim of a worker that died, and the one of the worker that took the task over."""
    old = await _claim(table)
    await table.wakes.bury(await table.wakes.heartbeats())
    new = await (await table.another_worker()).claim(TASK, None, 2)
    assert isinstance(new, Claimed)
    return old, new


# --- answer ---


async def test_an_answer_is_stored_and_its_id_returned(table):
    answer = {
        "source": "тел 7165219",
        "phone": "+7 495 716-52-19",
        "qc": 0,
        "extension": None,
        "deep": [{"a": [1.5, True]}],
    }
    end = await table.worker.answer(await _claim(table), answer)
    assert await table.stored() == {end.outcome: answer}
    assert await _status(table) is TaskStatus.ANSWERED


@pytest.mark.parametrize("answer", [None, True, 0, -1.5, "", "text", [], {}, [1, "two", None], 2**70])
async def test_any_json_is_an_answer(table, answer):
    end = await table.worker.answer(await _claim(table), answer)
    assert (await table.stored())[end.outcome] == answer


async def test_answering_again_returns_the_same_id_and_stores_nothing(table):
    claim = await _claim(table)
    first = await table.worker.answer(claim, {"n": 1})
    assert await table.worker.answer(claim, {"n": 2}) == first
    await table.worker.told(first)
    assert (await table.worker.answer(claim, {"n": 3})).outcome == first.outcome
    assert await table.stored() == {first.outcome: {"n": 1}}


async def test_answers_racing_one_another_make_one_row_and_hear_the_same_id(table):
    old, new = await _given_to_another(table)
    other = await table.another_worker()
    ends = await asyncio.gather(*(worker.answer(c, {}) for c in (old, new) for worker in (table.worker, other) * 5))
    assert len({end.outcome for end in ends}) == 1
    assert len(await table.stored()) == 1


async def test_many_tasks_answered_by_two_workers_at_once_make_one_row_each(table):
    claims = [await _claim(table, number, Task(number, TaskType.GPT, "text")) for number in range(1, 101)]
    other = await table.another_worker()
    mine, others = await asyncio.gather(
        asyncio.gather(*(table.worker.answer(claim, claim.token) for claim in claims)),
        asyncio.gather(*(other.answer(claim, claim.token) for claim in reversed(claims))),
    )
    assert {end.task_id: end.outcome for end in mine} == {end.task_id: end.outcome for end in others}
    assert sorted((await table.stored()).values()) == list(range(1, 101))


async def test_a_late_answer_of_a_claim_given_to_another_wins_and_the_other_hears_of_it(table):
    old, new = await _given_to_another(table)
    end = await table.worker.answer(old, {"by": "old"})
    assert await table.worker.fail(new, REFUSED) is None
    assert not await table.worker.park(new, AWAY, FOREVER)
    assert (await table.worker.answer(new, {"by": "new"})).outcome == end.outcome
    assert await table.stored() == {end.outcome: {"by": "old"}}


async def test_the_paid_answer_for_a_task_parked_or_queued_meanwhile_is_kept(table):
    claim = await _claim(table)
    await table.worker.park(claim, AWAY, FOREVER)
    assert isinstance((await table.worker.answer(claim, {"late": True})).outcome, int)
    assert await _status(table) is TaskStatus.ANSWERED
    assert await table.wakes.due(10) == []


async def test_a_late_answer_to_a_failed_task_hears_of_the_failure(table):
    claim = await _claim(table)
    await table.worker.fail(claim, REFUSED)
    assert (await table.worker.answer(claim, {})).outcome == REFUSED
    assert await table.stored() == {}


async def test_an_answer_for_a_row_that_someone_deleted_is_nothing(table):
    claim = await _claim(table)
    await table.delete(7)
    assert await table.worker.answer(claim, {}) is None
    assert await table.stored() == {}


async def test_what_no_table_can_hold_is_replaced(table):
    answer = {"nul\0": "a\0b", "half": ["\ud83d!"], "pair": "\ud83d\ude00", "escaped": "\\u0000", "fine": "я𝄞"}
    end = await table.worker.answer(await _claim(table), answer)
    assert (await table.stored())[end.outcome] == {
        "nul\ufffd": "a\ufffdb",
        "half": ["\ufffd!"],
        "pair": "😀",
        "escaped": "\\u0000",
        "fine": "я𝄞",
    }


def _nested(depth):
    value = None
    for _ in range(depth):
        value = [value]
    return value


POISON = [math.nan, math.inf, {"deep": [-math.inf]}, 10**5000, _nested(100_000)]


@pytest.mark.parametrize("poison", POISON, ids=["nan", "inf", "-inf", "long number", "deep"])
async def test_an_answer_that_can_never_be_stored_is_invalid_and_its_neighbours_succeed(table, poison):
    claims = [await _claim(table, number, Task(number, TaskType.GPT, "text")) for number in range(1, 8)]
    answers = [poison if claim.token == 4 else claim.token for claim in claims]
    found = await asyncio.gather(*map(table.worker.answer, claims, answers), return_exceptions=True)
    assert [type(end) for end in found] == [Finished] * 3 + [Invalid] + [Finished] * 3
    assert sorted((await table.stored()).values()) == [1, 2, 3, 5, 6, 7]
    assert await _status(table, 4) is TaskStatus.PROCESSING


# --- park ---


async def test_a_parked_task_shows_why_and_when_it_goes_on(table):
    assert await table.worker.park(await _claim(table), AWAY, timedelta(hours=1))
    record = await table.queries.get(7)
    assert (record.status, record.last_failure, record.attempts) == (TaskStatus.PARKED, AWAY, 1)
    assert abs(record.next_attempt_at - record.updated_at - timedelta(hours=1)) < timedelta(seconds=1)


async def test_parking_needs_the_claim(table):
    old, new = await _given_to_another(table)
    assert not await table.worker.park(old, AWAY, FOREVER)
    assert await _status(table) is TaskStatus.PROCESSING
    assert await table.worker.park(new, AWAY, FOREVER)
    assert not await table.worker.park(new, REFUSED, FOREVER)
    assert (await table.queries.get(7)).last_failure == AWAY


# --- fail ---


async def test_a_failed_task_shows_why(table):
    end = await table.worker.fail(await _claim(table), REFUSED)
    assert end.outcome == REFUSED
    record = await table.queries.get(7)
    assert (record.status, record.last_failure, record.result_id) == (TaskStatus.FAILED, REFUSED, None)


async def test_failing_again_with_the_same_claim_returns_the_same_end(table):
    """After a commit whose outcome was not seen."""
    claim = await _claim(table)
    assert await table.worker.fail(claim, REFUSED) == await table.worker.fail(claim, REFUSED)


async def test_failing_needs_the_claim(table):
    old, new = await _given_to_another(table)
    assert await table.worker.fail(old, REFUSED) is None
    assert await _status(table) is TaskStatus.PROCESSING
    await table.worker.answer(new, {})
    assert await table.worker.fail(new, REFUSED) is None
    assert await _status(table) is TaskStatus.ANSWERED


async def test_a_reason_that_no_table_can_hold_is_told_all_the_same(table):
    unreadable, readable = (Failure(Category.REFUSED, f"it said {mark}") for mark in ("\0\ud83d", "\ufffd\ufffd"))
    assert await table.worker.park(await _claim(table), unreadable, timedelta(0))
    assert (await table.queries.get(7)).last_failure == readable
    end = await table.worker.fail(await _claim(table, 2), unreadable)
    assert end.outcome == readable


async def test_a_task_that_succeeds_after_a_failure_tells_its_result(table):
    await table.worker.park(await _claim(table), AWAY, timedelta(0))
    end = await table.worker.answer(await _claim(table, 2), {})
    assert isinstance(end.outcome, int)
    assert isinstance((await table.worker.claim(TASK, None, 3)).outcome, int)


# --- told, tell_later ---


async def test_told_makes_an_answered_task_done_and_leaves_a_failed_one_failed(table):
    other = Task(8, TaskType.EMAIL, "x@example.com")
    answered = await table.worker.answer(await _claim(table), {})
    failed = await table.worker.fail(await _claim(table, 2, other), REFUSED)
    await asyncio.gather(table.worker.told(answered), table.worker.told(failed))
    assert await _status(table, 7) is TaskStatus.DONE
    assert await _status(table, 8) is TaskStatus.FAILED


async def test_told_is_nothing_for_a_task_without_an_end(table):
    await _claim(table)
    for outcome in (REFUSED, 1):
        await table.worker.told(Finished(7, outcome))
    assert await _status(table) is TaskStatus.PROCESSING


@pytest.mark.parametrize("end", ["answered", "failed"])
async def test_an_end_to_tell_later_is_due_again_until_it_is_told(table, end):
    claim = await _claim(table)
    ended = await (table.worker.answer(claim, {}) if end == "answered" else table.worker.fail(claim, REFUSED))
    await table.worker.tell_later(7)
    assert await table.wakes.due(10) == []
    await table.pass_time(timedelta(seconds=5))
    assert [wake.task for wake in await table.wakes.due(10)] == [TASK]
    await table.worker.told(ended)
    assert await table.wakes.due(10) == []


@pytest.mark.parametrize("other", [REFUSED, 10**9], ids=["failure", "another result"])
async def test_the_word_on_another_end_is_none_on_this_one(table, other):
    """A copy may speak of the failure of a task that was replayed, and answered, meanwhile."""
    await table.worker.answer(await _claim(table), {})
    await table.worker.told(Finished(7, other))
    assert await _status(table) is TaskStatus.ANSWERED


@pytest.mark.parametrize("other", [AWAY, Failure(REFUSED.category, "for another reason"), 1], ids=str)
async def test_the_word_on_another_end_is_none_on_a_failure(table, other):
    await table.worker.fail(await _claim(table), REFUSED)
    await table.worker.told(Finished(7, other))
    assert await table.wakes.bury(await table.wakes.heartbeats()) == 1, "it is still somebody's to tell"


async def test_tell_later_after_it_was_told_wakes_nobody(table):
    await table.worker.told(await table.worker.answer(await _claim(table), {}))
    await table.worker.tell_later(7)
    await table.pass_time(FOREVER)
    assert await table.wakes.due(10) == []


async def test_a_waiter_who_comes_after_the_answer_is_not_lost(table):
    await table.worker.answer(await _claim(table), {})
    assert Waiter("late") in (await table.worker.claim(TASK, Waiter("late"), 2)).waiters


async def test_a_failed_task_is_not_claimed_again(table):
    await table.worker.fail(await _claim(table), REFUSED)
    assert not isinstance(await table.worker.claim(TASK, None, 2), Claimed | Pending)
