"""Tries that failed are kept; a task that kills its workers is set aside, and nothing else with it."""

from datetime import timedelta

import pytest

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import Claimed, Failure, Finished, Task, TaskStatus, TaskType

TASK = Task(7, TaskType.GPT, "text")
AWAY = Failure(Category.UNAVAILABLE, "HTTP 503", "try later")
REFUSED = Failure(Category.REFUSED, "no")
NOW = timedelta(0)


async def _claim(table, token=1, task=TASK):
    claim = await table.worker.claim(task, None, token)
    assert isinstance(claim, Claimed)
    return claim


async def _die(table, claim):
    beats = await table.wakes.heartbeats()
    return await table.wakes.bury({claim.life: beats[claim.life]})


async def test_a_counted_try_is_entered_with_the_provider_s_words(table):
    await table.worker.park(await _claim(table), AWAY, NOW)
    [attempt] = (await table.queries.get(7)).history
    assert (attempt.number, attempt.failure) == (1, AWAY)


async def test_a_try_that_was_none_is_neither_counted_nor_entered(table):
    await table.worker.park(await _claim(table), AWAY, NOW, counted=False)
    record = await table.queries.get(7)
    assert (record.status, record.attempts, record.history) == (TaskStatus.PARKED, 0, [])
    assert (await _claim(table, 2)).attempts == 1


async def test_the_last_try_is_entered_once_however_often_it_is_said(table):
    await table.worker.park(await _claim(table, 1), AWAY, NOW)
    claim = await _claim(table, 2)
    for _ in range(2):
        assert await table.worker.fail(claim, REFUSED) == Finished(7, REFUSED, [])
    record = await table.queries.get(7)
    assert [(attempt.number, attempt.failure) for attempt in record.history] == [(1, AWAY), (2, REFUSED)]


async def test_what_the_provider_said_may_hold_anything(table):
    await table.worker.park(await _claim(table), Failure(Category.UNAVAILABLE, "x", "nul \0 and \ud800"), NOW)
    [attempt] = (await table.queries.get(7)).history
    assert attempt.failure.answer == "nul \ufffd and \ufffd"


async def test_a_try_that_was_none_says_nothing_about_what_a_dead_worker_asked(table):
    await _die(table, await (await table.another_worker()).claim(TASK, None, 1))
    await table.worker.park(await _claim(table, 2), AWAY, NOW, counted=False)
    claim = await _claim(table, 3)
    assert claim.takeovers == 1
    await table.worker.park(claim, AWAY, NOW)
    assert (await _claim(table, 4)).takeovers == 0


@pytest.mark.parametrize(("deaths", "suspect"), [(0, False), (1, False), (2, True), (3, True)])
async def test_from_the_second_death_on_it_is_a_suspect(table, deaths, suspect):
    for token in range(deaths):
        worker = await table.another_worker()
        await _die(table, await worker.claim(TASK, None, token))
    assert (await _claim(table, 99)).suspect is suspect


async def test_dying_alone_sets_it_aside_as_poison_to_be_told(table):
    worker = await table.another_worker()
    claim = await worker.claim(TASK, None, 1)
    assert await worker.alone(claim)
    assert await _die(table, claim) == 1
    [wake] = await table.wakes.due(10)
    assert wake.task == TASK
    end = await table.worker.claim(TASK, None, 2)
    assert isinstance(end, Finished)
    assert end.outcome.category is Category.POISON
    assert (await table.queries.get(7)).status is TaskStatus.FAILED


async def test_what_was_in_the_same_hands_is_not_set_aside_with_it(table):
    worker = await table.another_worker()
    await worker.claim(Task(8, TaskType.PHONE, "1"), None, 1)
    claim = await worker.claim(TASK, None, 2)
    await worker.alone(claim)
    await _die(table, claim)
    assert (await table.queries.get(8)).status is TaskStatus.QUEUED


async def test_a_suspect_that_ends_well_is_none_any_more(table):
    for token in range(2):
        worker = await table.another_worker()
        await _die(table, await worker.claim(TASK, None, token))
    claim = await _claim(table, 50)
    await table.worker.alone(claim)
    await table.worker.park(claim, AWAY, NOW)
    assert not (await _claim(table, 51)).suspect


async def test_only_the_holder_can_run_it_alone(table):
    worker = await table.another_worker()
    claim = await worker.claim(TASK, None, 1)
    await _die(table, claim)
    assert not await worker.alone(claim)
