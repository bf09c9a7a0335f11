"""What TaskWakes promises."""

from datetime import timedelta

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import Claimed, Failure, Pending, Task, TaskStatus, TaskType

TASK = Task(7, TaskType.PHONE, "8 916 823 34 54")
AWAY = Failure(Category.UNAVAILABLE, "HTTP 503")
REFUSED = Failure(Category.REFUSED, "no such number")
MINUTE = timedelta(minutes=1)


async def _status(table, task_id=7):
    return (await table.queries.get(task_id)).status


async def _due(table):
    return [wake.task.task_id for wake in await table.wakes.due(100)]


async def test_what_is_due_comes_longest_overdue_first_and_no_more_than_asked_for(table):
    for number, seconds in [(1, 30), (2, 10), (3, 20), (4, 500)]:
        task = Task(number, TaskType.PHONE, "x")
        await table.worker.park(await table.worker.claim(task, None, number), AWAY, timedelta(seconds=seconds))
    await table.pass_time(MINUTE)
    assert await _due(table) == [2, 3, 1]
    assert [wake.task.task_id for wake in await table.wakes.due(2)] == [2, 3]


async def test_a_task_whose_wake_up_could_not_be_sent_is_due_at_once(table):
    await table.intake.submit(TASK, None)
    assert await _due(table) == []
    await table.intake.wake_soon(7)
    assert await _due(table) == [7]
    await table.wakes.woken(await table.wakes.due(10))
    assert await _due(table) == []


async def test_it_is_not_woken_where_somebody_has_it_in_hand_or_it_waits(table):
    await table.intake.submit(TASK, None)
    claim = await table.worker.claim(TASK, None, 1)
    await table.intake.wake_soon(7)
    assert await _due(table) == []
    await table.worker.park(claim, AWAY, MINUTE)
    await table.intake.wake_soon(7)
    assert await _due(table) == []


async def test_a_woken_parked_task_is_queued_and_can_be_claimed(table):
    await table.worker.park(await table.worker.claim(TASK, None, 1), AWAY, MINUTE)
    await table.pass_time(MINUTE)
    await table.wakes.woken(await table.wakes.due(10))
    assert await _status(table) is TaskStatus.QUEUED
    assert await _due(table) == []
    assert (await table.worker.claim(TASK, None, 2)).attempts == 2


async def test_a_wake_up_that_got_lost_is_repeated_later_each_time(table):
    await table.intake.submit(TASK, None)
    waited = []
    for _ in range(3):
        seconds = 0
        while not await _due(table):
            await table.pass_time(timedelta(seconds=10))
            seconds += 10
        waited.append(seconds)
        await table.wakes.woken(await table.wakes.due(10))
    assert waited == [30, 30, 60]


async def test_a_task_claimed_between_the_wake_up_and_its_mark_stays_in_hand(table):
    await table.worker.park(await table.worker.claim(TASK, None, 1), AWAY, MINUTE)
    await table.pass_time(MINUTE)
    wakes = await table.wakes.due(10)
    await table.worker.claim(TASK, None, 2)
    await table.wakes.woken(wakes)
    assert await _status(table) is TaskStatus.PROCESSING
    assert await _due(table) == []


async def test_a_task_claimed_and_parked_anew_in_between_keeps_its_new_time(table):
    await table.worker.park(await table.worker.claim(TASK, None, 1), AWAY, MINUTE)
    await table.pass_time(MINUTE)
    wakes = await table.wakes.due(10)
    await table.worker.park(await table.worker.claim(TASK, None, 2), AWAY, MINUTE)
    await table.wakes.woken(wakes)
    assert await _status(table) is TaskStatus.PARKED
    await table.pass_time(MINUTE)
    assert await _due(table) == [7]


async def test_waking_an_end_that_is_to_be_told_does_not_queue_it(table):
    for number, settle in [(1, table.worker.answer), (2, table.worker.fail)]:
        claim = await table.worker.claim(Task(number, TaskType.PHONE, "x"), None, number)
        await settle(claim, {} if number == 1 else REFUSED)
        await table.worker.tell_later(number)
    await table.pass_time(MINUTE)
    await table.wakes.woken(await table.wakes.due(10))
    assert await _status(table, 1) is TaskStatus.ANSWERED
    assert await _status(table, 2) is TaskStatus.FAILED
    await table.pass_time(MINUTE)
    assert sorted(await _due(table)) == [1, 2]


async def test_a_task_in_living_hands_is_never_due(table):
    await table.worker.claim(TASK, None, 1)
    await table.pass_time(timedelta(days=30))
    assert await table.wakes.bury({}) == 0
    assert await _due(table) == []


async def test_every_worker_has_a_heartbeat(table):
    before = await table.wakes.heartbeats()
    await table.another_worker()
    assert len(await table.wakes.heartbeats()) == len(before) + 1


async def test_the_tasks_of_a_buried_worker_are_due_at_once_and_can_be_claimed(table):
    await table.worker.claim(TASK, None, 1)
    assert await table.wakes.bury(await table.wakes.heartbeats()) == 1
    assert await _due(table) == [7]
    assert await _status(table) is TaskStatus.QUEUED
    assert (await (await table.another_worker()).claim(TASK, None, 2)).attempts == 2


async def test_the_end_that_a_buried_worker_did_not_tell_is_told_by_another(table):
    ended = await table.worker.answer(await table.worker.claim(TASK, None, 1), {})
    await table.worker.fail(await table.worker.claim(Task(8, TaskType.GPT, "x"), None, 2), REFUSED)
    assert await table.wakes.bury(await table.wakes.heartbeats()) == 2
    assert sorted(await _due(table)) == [7, 8]
    assert await _status(table, 7) is TaskStatus.ANSWERED
    assert (await (await table.another_worker()).claim(TASK, None, 3)).outcome == ended.outcome


async def test_an_end_that_a_living_worker_holds_for_long_is_told_again(table):
    """A database that crashes may have forgotten that it was told, and the worker does not know."""
    await table.worker.answer(await table.worker.claim(TASK, None, 1), {})
    await table.worker.fail(await table.worker.claim(Task(8, TaskType.GPT, "x"), None, 2), REFUSED)
    assert await table.wakes.bury({}) == 0
    await table.pass_time(MINUTE)
    assert await table.wakes.bury({}) == 2
    assert sorted(await _due(table)) == [7, 8]
    assert await table.wakes.bury({}) == 0


async def test_a_worker_that_has_beaten_since_is_not_buried(table):
    await table.worker.claim(TASK, None, 1)
    heartbeats = await table.wakes.heartbeats()
    assert await table.wakes.bury({life: beats - 1 for life, beats in heartbeats.items()}) == 0
    assert await table.wakes.heartbeats() == heartbeats
    assert await _status(table) is TaskStatus.PROCESSING


async def test_only_the_dead_lose_their_tasks(table):
    other = await table.another_worker()
    await table.worker.claim(TASK, None, 1)
    claim = await other.claim(Task(8, TaskType.GPT, "x"), None, 2)
    heartbeats = await table.wakes.heartbeats()
    assert await table.wakes.bury({life: n for life, n in heartbeats.items() if life != claim.life}) == 1
    assert await _status(table, 8) is TaskStatus.PROCESSING
    assert await other.claim(TASK, None, 3) != Pending()


async def test_a_claim_that_was_committed_after_its_life_was_buried_is_found_by_the_next_sweep(table):
    await table.wakes.bury(await table.wakes.heartbeats())
    assert isinstance(await table.worker.claim(TASK, None, 1), Claimed)
    assert await table.wakes.bury({}) == 1
    assert await _due(table) == [7]


async def test_a_parked_task_is_nobody_s_and_outlives_its_worker(table):
    await table.worker.park(await table.worker.claim(TASK, None, 1), AWAY, MINUTE)
    assert await table.wakes.bury(await table.wakes.heartbeats()) == 0
    assert await _status(table) is TaskStatus.PARKED
