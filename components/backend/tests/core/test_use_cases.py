"""What the outside can ask of tasks, on fakes."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes import FakeAnnouncements, FakeBudget, FakeCircuits, FakeLifeline, FakeProvider, FakeReplyInbox, FakeTaskTable
from gonets.core.shared.errors import Category, Conflict, Invalid, NotFound, Unavailable
from gonets.core.tasks.circuit import Circuit, CircuitPolicy
from gonets.core.tasks.gate import Gate
from gonets.core.tasks.liveness import Watch
from gonets.core.tasks.model import (
    Attempt,
    Claimed,
    Failure,
    Finished,
    ProviderError,
    Task,
    TaskFailed,
    TaskStatus,
    TaskType,
    Waiter,
)
from gonets.core.tasks.retry import RetryPolicy
from gonets.core.tasks.use_cases import ReadTasks, RunAlone, RunTask, SubmitTask, TakeTask, TellTask, WakeTasks

TASK = Task(7, TaskType.PHONE, "8 916 823 34 54")
OTHER = Task(7, TaskType.PHONE, "another number")
ANNA, BERT = Waiter("anna", "a-1"), Waiter("bert")
REFUSED = Failure(Category.REFUSED, "no such number")
SOON, LONG, NO_TIME = timedelta(milliseconds=5), timedelta(seconds=10), timedelta(0)


@pytest.fixture
def table():
    return FakeTaskTable()


@pytest.fixture
def announcements():
    return FakeAnnouncements()


@pytest.fixture
def inbox():
    return FakeReplyInbox()


@pytest.fixture
def tell(announcements, table):
    return TellTask(announcements, table)


@pytest.fixture
def take(table, announcements, tell):
    return TakeTask(table, announcements, tell)


@pytest.fixture
def submit(table, announcements, inbox):
    return SubmitTask(table, announcements, inbox)


async def _turns(number=10):
    for _ in range(number):
        await asyncio.sleep(0)


def _status(table, task_id=7):
    return table.rows[task_id].status


class TestSubmitTask:
    async def test_without_time_to_wait_it_is_taken_and_woken(self, submit, table, announcements, inbox):
        assert await submit(TASK, NO_TIME) is None
        assert _status(table) is TaskStatus.QUEUED
        assert table.rows[7].waiters == []
        assert announcements.wakes == [TASK]
        assert inbox.listening == {}

    async def test_the_result_is_heard_within_the_wait(self, submit, table, inbox):
        waiting = asyncio.create_task(submit(TASK, LONG))
        await _turns()
        [waiter] = table.rows[7].waiters
        inbox.answer(waiter, 42)
        assert await waiting == 42
        assert inbox.listening == {}, "nobody listens for it any more"

    async def test_a_failure_is_heard_within_the_wait(self, submit, table, inbox):
        waiting = asyncio.create_task(submit(TASK, LONG))
        await _turns()
        inbox.answer(table.rows[7].waiters[0], REFUSED)
        with pytest.raises(TaskFailed) as caught:
            await waiting
        assert (caught.value.category, caught.value.reason) == (REFUSED.category, REFUSED.reason)
        assert inbox.listening == {}

    async def test_when_the_wait_is_over_it_is_taken_all_the_same(self, submit, table, inbox):
        assert await submit(TASK, SOON) is None
        assert _status(table) is TaskStatus.QUEUED
        assert inbox.listening == {}

    async def test_a_known_end_is_returned_at_once_and_nobody_is_woken(self, submit, table, announcements):
        end = await table.answer(await table.claim(TASK, None, 1), {})
        assert await submit(TASK, LONG) == end.outcome
        assert announcements.wakes == []

    async def test_a_known_failure_is_raised_at_once(self, submit, table):
        await table.fail(await table.claim(TASK, None, 1), REFUSED)
        with pytest.raises(TaskFailed):
            await submit(TASK, LONG)

    async def test_a_copy_of_a_task_under_way_waits_for_its_end_but_wakes_nobody(
        self, submit, table, announcements, inbox
    ):
        await table.claim(TASK, None, 1)
        waiting = asyncio.create_task(submit(TASK, LONG))
        await _turns()
        assert announcements.wakes == []
        inbox.answer(table.rows[7].waiters[0], 42)
        assert await waiting == 42

    async def test_other_content_is_a_conflict(self, submit, table, announcements):
        await submit(TASK, NO_TIME)
        with pytest.raises(Conflict, match="task_id 7"):
            await submit(OTHER, LONG)
        assert announcements.wakes == [TASK]

    async def test_while_nobody_can_be_woken_it_is_taken_without_waiting(self, submit, table, announcements):
        announcements.available = False
        async with asyncio.timeout(5):
            assert await submit(TASK, LONG) is None
        assert _status(table) is TaskStatus.QUEUED

    async def test_while_no_reply_could_arrive_it_is_taken_without_waiting(self, submit, table, inbox):
        inbox.available = False
        assert await submit(TASK, LONG) is None
        assert table.rows[7].waiters == []

    async def test_handed_in_again_it_is_woken_for_its_first_wake_up_may_be_lost(self, submit, table, announcements):
        await table.submit(TASK, None)  # and there the process died
        await submit(TASK, NO_TIME)
        assert announcements.wakes == [TASK]
        await table.claim(TASK, None, 1)
        await submit(TASK, NO_TIME)
        assert announcements.wakes == [TASK]

    async def test_while_the_broker_is_away_it_is_taken_and_woken_by_the_scheduler(self, submit, table, announcements):
        announcements.available = False
        assert await submit(TASK, NO_TIME) is None
        assert [wake.task for wake in await table.due(10)] == [TASK]

    async def test_while_the_database_is_away_it_is_not_taken(self, submit, table, announcements, inbox):
        table.available = False
        with pytest.raises(Unavailable):
            await submit(TASK, LONG)
        assert announcements.wakes == []
        assert inbox.listening == {}


class TestTellTask:
    async def test_a_result_is_told_to_its_queue_and_to_all_who_wait(self, tell, table, announcements):
        end = await table.answer(await table.claim(TASK, ANNA, 1), {})
        await tell(Finished(7, end.outcome, [ANNA, BERT]))
        assert announcements.results == [(7, end.outcome)]
        assert announcements.replies == [(ANNA, 7, end.outcome), (BERT, 7, end.outcome)]
        assert announcements.failures == []
        assert _status(table) is TaskStatus.DONE

    async def test_a_failure_is_told_to_its_own_queue_and_to_all_who_wait(self, tell, table, announcements):
        await tell(await table.fail(await table.claim(TASK, ANNA, 1), REFUSED))
        assert announcements.failures == [(7, REFUSED)]
        assert announcements.replies == [(ANNA, 7, REFUSED)]
        assert announcements.results == []
        assert _status(table) is TaskStatus.FAILED

    async def test_what_could_not_be_told_is_not_done(self, tell, table, announcements):
        end = await table.answer(await table.claim(TASK, None, 1), {})
        announcements.available = False
        with pytest.raises(Unavailable):
            await tell(end)
        assert _status(table) is TaskStatus.ANSWERED


class TestTakeTask:
    async def test_a_new_task_is_the_caller_s(self, take):
        assert isinstance(await take(TASK, None, 1), Claimed)

    async def test_the_same_token_gets_the_same_claim(self, take):
        assert await take(TASK, None, 1) == await take(TASK, None, 1)

    async def test_a_copy_of_a_task_under_way_is_nobody_s_and_its_waiter_is_kept(self, take, table, announcements):
        await take(TASK, None, 1)
        assert await take(TASK, ANNA, 2) is None
        assert table.rows[7].waiters == [ANNA]
        assert announcements.replies == []

    async def test_a_known_result_is_told_again(self, take, table, announcements):
        end = await table.answer(await table.claim(TASK, None, 1), {})
        await table.told(end)
        assert await take(TASK, ANNA, 2) is None
        assert announcements.results == [(7, end.outcome)]
        assert announcements.replies == [(ANNA, 7, end.outcome)]
        assert _status(table) is TaskStatus.DONE

    async def test_a_known_failure_is_told_again(self, take, table, announcements):
        await table.fail(await table.claim(TASK, None, 1), REFUSED)
        assert await take(TASK, ANNA, 2) is None
        assert announcements.failures == [(7, REFUSED)]
        assert announcements.replies == [(ANNA, 7, REFUSED)]

    async def test_a_conflict_is_raised_after_the_waiter_was_told(self, take, announcements):
        await take(TASK, None, 1)
        with pytest.raises(Conflict):
            await take(OTHER, ANNA, 2)
        [(waiter, task_id, failure)] = announcements.replies
        assert (waiter, task_id, failure.category) == (ANNA, 7, Category.CONFLICT)
        assert announcements.failures == []

    async def test_a_conflict_without_a_waiter_tells_nobody(self, take, announcements):
        await take(TASK, None, 1)
        with pytest.raises(Conflict):
            await take(OTHER, None, 2)
        assert announcements.replies == []

    async def test_while_the_database_is_away_nothing_is_taken(self, take, table):
        table.available = False
        with pytest.raises(Unavailable):
            await take(TASK, None, 1)

    async def test_while_the_broker_is_away_a_known_end_is_not_taken_as_told(self, take, table, announcements):
        await table.answer(await table.claim(TASK, None, 1), {})
        announcements.available = False
        with pytest.raises(Unavailable):
            await take(TASK, None, 2)
        assert _status(table) is TaskStatus.ANSWERED


class TestRunTask:
    @pytest.fixture
    def provider(self):
        return FakeProvider({"phone": "+7 916 823-34-54"})

    @pytest.fixture
    def lifeline(self):
        return FakeLifeline()

    @pytest.fixture
    def gate(self):
        return Gate("p", FakeBudget(), FakeCircuits(), CircuitPolicy(), pace=None, in_flight=0, most_waiting=50)

    @pytest.fixture
    def run(self, provider, gate, lifeline, table, tell):
        policy = RetryPolicy(max_attempts=2, first_delay=timedelta(seconds=8))
        providers = dict.fromkeys(TaskType, FakeProvider(AssertionError("the wrong provider"))) | {
            TaskType.PHONE: provider
        }
        gates = dict.fromkeys(TaskType, gate)
        return RunTask(providers, gates, lifeline, table, tell, dict.fromkeys(TaskType, policy), random=lambda: 0.0)

    @pytest.fixture
    async def claim(self, table):
        return await table.claim(TASK, ANNA, 1)

    def _script(self, provider, *script):
        provider.__init__(*script)

    async def test_the_answer_is_stored_told_and_done(self, run, claim, table, announcements, provider):
        await run(claim)
        assert provider.asked == [TASK.data]
        [(result_id, answer)] = table.results.items()
        assert answer == {"phone": "+7 916 823-34-54"}
        assert announcements.results == [(7, result_id)]
        assert announcements.replies == [(ANNA, 7, result_id)]
        assert _status(table) is TaskStatus.DONE

    async def test_a_lost_claim_asks_nobody(self, run, claim, table, lifeline, provider, announcements):
        lifeline.life = 2
        await run(claim)
        assert provider.asked == []
        assert announcements.results == []

    async def test_a_claim_that_was_lost_at_the_gate_asks_nobody(
        self, run, claim, lifeline, provider, announcements, gate, monkeypatch
    ):
        enter = gate.enter

        async def frozen_for_long():
            lifeline.life, lifeline.fresh = 2, False
            return await enter()

        monkeypatch.setattr(gate, "enter", frozen_for_long)
        await run(claim)
        assert provider.asked == []
        assert announcements.results == []

    async def test_a_heart_that_stood_still_at_the_gate_beats_again_before_the_call(
        self, run, claim, lifeline, provider, gate, monkeypatch
    ):
        enter, entered = gate.enter, []

        async def frozen_once():
            lifeline.fresh = bool(entered)
            entered.append(await enter())
            return entered[-1]

        monkeypatch.setattr(gate, "enter", frozen_once)
        await run(claim)
        assert (provider.asked, len(entered)) == ([TASK.data], 2)

    async def test_what_a_dead_worker_may_have_asked_is_asked_again_and_logged(self, run, claim, provider, caplog):
        await run(replace(claim, takeovers=1))
        assert provider.asked == [TASK.data]
        [line] = [record for record in caplog.records if record.message == "asking again"]
        assert (line.task_id, line.category) == (7, "outcome_unknown")

    async def test_it_is_not_asked_again_where_that_may_be_paid_twice(self, run, claim, table, provider, announcements):
        policies = dict.fromkeys(TaskType, RetryPolicy(repeat_unknown=False))
        await replace(run, policies=policies)(replace(claim, takeovers=1))
        assert provider.asked == []
        [(_, failure)] = announcements.failures
        assert (failure.category, _status(table)) == (Category.OUTCOME_UNKNOWN, TaskStatus.FAILED)

    @pytest.mark.parametrize(
        "category", [Category.UNAVAILABLE, Category.QUOTA_EXHAUSTED, Category.OUTCOME_UNKNOWN], ids=str
    )
    async def test_a_passing_failure_parks_the_task_and_tells_nobody(
        self, run, claim, table, provider, announcements, category
    ):
        self._script(provider, ProviderError(category, "HTTP 503"))
        await run(claim)
        record = await table.get(7)
        assert (record.status, record.last_failure) == (TaskStatus.PARKED, Failure(category, "HTTP 503"))
        assert record.next_attempt_at == table.clock.now + timedelta(seconds=8)
        assert announcements.failures == announcements.replies == []

    async def test_the_provider_s_wish_for_time_is_kept(self, run, claim, table, provider):
        self._script(provider, ProviderError(Category.QUOTA_EXHAUSTED, "slow down", retry_after=60))
        await run(claim)
        assert table.rows[7].wake_at == table.clock.now + timedelta(seconds=60)

    async def test_an_operator_s_mistake_parks_the_task_and_counts_no_try(self, run, claim, table, provider):
        self._script(provider, ProviderError(Category.MISCONFIGURED, "wrong key"))
        await run(claim)
        record = await table.get(7)
        assert (record.status, record.attempts, record.history) == (TaskStatus.PARKED, 0, [])

    async def test_behind_an_open_circuit_the_provider_is_not_asked(self, run, claim, table, provider, gate):
        gate.learn(Circuit(1, timedelta(seconds=30), REFUSED))
        await run(claim)
        record = await table.get(7)
        assert (record.status, record.attempts, record.last_failure) == (TaskStatus.PARKED, 0, REFUSED)
        assert record.next_attempt_at >= table.clock.now + timedelta(seconds=29)
        assert provider.asked == []

    async def test_tries_that_failed_are_the_task_s_history(self, run, claim, table, provider):
        self._script(provider, ProviderError(Category.UNAVAILABLE, "HTTP 503", answer="busy"))
        await run(claim)
        [attempt] = (await table.get(7)).history
        assert attempt == Attempt(1, table.clock.now, Failure(Category.UNAVAILABLE, "HTTP 503", "busy"))

    @pytest.mark.parametrize("category", [Category.REFUSED, Category.INVALID], ids=str)
    async def test_a_failure_that_will_not_pass_is_final_and_told(
        self, run, claim, table, provider, announcements, category
    ):
        self._script(provider, ProviderError(category, "no"))
        await run(claim)
        assert _status(table) is TaskStatus.FAILED
        assert announcements.failures == [(7, Failure(category, "no"))]
        assert announcements.replies == [(ANNA, 7, Failure(category, "no"))]

    async def test_the_last_attempt_fails_for_good(self, run, claim, table, provider, announcements):
        self._script(provider, ProviderError(Category.UNAVAILABLE, "HTTP 503"))
        await run(claim)
        table.clock.advance(timedelta(seconds=8))
        await run(await table.claim(TASK, None, 2))
        [(_, failure)] = announcements.failures
        assert failure == Failure(Category.UNAVAILABLE, "HTTP 503 (gave up after 2 attempts)")
        assert _status(table) is TaskStatus.FAILED

    async def test_a_mistake_of_an_adapter_is_a_failure_like_others(self, run, claim, table, provider):
        self._script(provider, KeyError("surprise"))
        await run(claim)
        record = await table.get(7)
        assert record.status is TaskStatus.PARKED
        assert record.last_failure.category is Category.OUTCOME_UNKNOWN
        assert "surprise" not in record.last_failure.reason, "it may hold a secret"

    async def test_an_answer_that_cannot_be_stored_fails_the_task(self, run, claim, table, provider, announcements):
        self._script(provider, {"deep": float("nan")})
        await run(claim)
        [(_, failure)] = announcements.failures
        assert failure.category is Category.REFUSED
        assert _status(table) is TaskStatus.FAILED

    async def test_the_paid_answer_is_kept_in_hand_until_the_database_takes_it(self, run, claim, table, provider):
        provider.free.clear()
        running = asyncio.create_task(run(claim))
        await _turns()
        table.available = False
        provider.free.set()
        await asyncio.sleep(0.06)
        assert not running.done()
        table.available = True
        await running
        assert provider.asked == [TASK.data]
        assert len(table.results) == 1

    @pytest.mark.parametrize("category", [Category.UNAVAILABLE, Category.REFUSED], ids=["park", "fail"])
    async def test_a_failure_is_kept_in_hand_until_the_database_takes_it(self, run, claim, table, provider, category):
        self._script(provider, ProviderError(category, "no"))
        table.available = False
        running = asyncio.create_task(run(claim))
        await asyncio.sleep(0.06)
        assert not running.done()
        table.available = True
        await running
        assert _status(table) in (TaskStatus.PARKED, TaskStatus.FAILED)

    async def test_an_end_that_cannot_be_told_is_left_to_the_scheduler(self, run, claim, table, announcements):
        announcements.available = False
        await run(claim)
        assert _status(table) is TaskStatus.ANSWERED
        table.clock.advance(timedelta(seconds=5))
        assert [wake.task for wake in await table.due(10)] == [TASK]

    @pytest.mark.parametrize(
        "script", [{"late": True}, ProviderError(Category.UNAVAILABLE, "no"), ProviderError(Category.REFUSED, "no")]
    )
    async def test_what_another_worker_answered_meanwhile_stands(self, run, claim, table, provider, script):
        self._script(provider, script)
        provider.free.clear()
        running = asyncio.create_task(run(claim))
        await _turns()
        await table.bury(await table.heartbeats())
        await table.of(2).answer(await table.of(2).claim(TASK, None, 2), {"first": True})
        provider.free.set()
        await running
        assert list(table.results.values()) == [{"first": True}]
        assert (await table.get(7)).last_failure is None

    async def test_a_failure_of_a_lost_claim_is_dropped_and_not_told(self, run, claim, table, provider, announcements):
        self._script(provider, ProviderError(Category.REFUSED, "no"))
        provider.free.clear()
        running = asyncio.create_task(run(claim))
        await _turns()
        await table.bury(await table.heartbeats())
        await table.of(2).claim(TASK, None, 2)
        provider.free.set()
        await running
        assert _status(table) is TaskStatus.PROCESSING
        assert announcements.failures == []

    async def test_a_row_that_someone_deleted_is_no_error(self, run, claim, table, announcements):
        del table.rows[7]
        await run(claim)
        assert announcements.results == []


class TestRunAlone:
    async def test_a_suspect_that_kills_its_worker_is_set_aside(self, table):
        claim = await table.claim(TASK, None, 1)

        async def die(_):
            assert table.rows[7].alone
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await RunAlone(table, die)(claim)
        await table.bury(await table.heartbeats())
        assert (_status(table), table.rows[7].failure.category) == (TaskStatus.FAILED, Category.POISON)

    async def test_a_claim_that_was_lost_is_not_run(self, table):
        claim = await table.claim(TASK, None, 1)
        await table.bury(await table.heartbeats())

        async def never(_):
            raise AssertionError("it is somebody else's now")

        await RunAlone(table, never)(claim)


class TestWakeTasks:
    @pytest.fixture
    def clock(self):
        """The scheduler's own monotonic clock."""
        return [1000.0]

    @pytest.fixture
    def wake(self, table, announcements, clock):
        return WakeTasks(table, announcements, Watch(silence=10, gap=3), lambda: clock[0], limit=3)

    async def _sweep(self, wake, clock, seconds):
        sent = 0
        for _ in range(seconds):
            clock[0] += 1
            sent += await wake()
        return sent

    async def _parked(self, table, *task_ids):
        for number in task_ids:
            task = Task(number, TaskType.GPT, "x")
            await table.park(await table.claim(task, None, number), REFUSED, timedelta(seconds=number))

    async def test_who_looked_on_knows_the_dead_when_it_takes_the_lead(self, wake, table, clock):
        await table.claim(TASK, None, 1)
        for _ in range(11):
            clock[0] += 1
            await wake.look_on()
        assert _status(table) is TaskStatus.PROCESSING, "who only looks on changes nothing"
        assert await wake() == 1

    async def test_nothing_due_wakes_nobody(self, wake, table, announcements):
        await self._parked(table, 5)
        assert await wake() == 0
        assert announcements.wakes == []

    async def test_what_is_due_is_woken_once(self, wake, table, announcements):
        await self._parked(table, 1, 2)
        table.clock.advance(timedelta(seconds=2))
        assert await wake() == 2
        assert [task.task_id for task in announcements.wakes] == [1, 2]
        assert await wake() == 0
        assert _status(table, 1) is _status(table, 2) is TaskStatus.QUEUED

    async def test_one_sweep_wakes_no_more_than_the_limit_the_longest_overdue_first(self, wake, table, announcements):
        await self._parked(table, 1, 2, 3, 4)
        table.clock.advance(timedelta(seconds=9))
        assert await wake() == wake.limit == 3
        assert await wake() == 1
        assert [task.task_id for task in announcements.wakes] == [1, 2, 3, 4]

    async def test_what_could_not_be_sent_is_sent_by_a_later_sweep_and_the_rest_is_not_repeated(
        self, wake, table, announcements
    ):
        await self._parked(table, 1, 2, 3)
        table.clock.advance(timedelta(seconds=9))
        announcements.unwakeable = {2}
        with pytest.raises(Unavailable):
            await wake()
        assert _status(table, 2) is TaskStatus.PARKED
        announcements.unwakeable = set()
        assert await wake() == 1
        assert [task.task_id for task in announcements.wakes] == [1, 3, 2]

    async def test_while_the_database_is_away_it_is_unavailable(self, wake, table):
        table.available = False
        with pytest.raises(Unavailable):
            await wake()

    async def test_the_tasks_of_a_silent_worker_are_taken_back_and_woken(self, wake, table, clock, announcements):
        await table.claim(TASK, None, 1)
        assert await self._sweep(wake, clock, 10) == 0
        assert _status(table) is TaskStatus.PROCESSING
        assert await self._sweep(wake, clock, 2) == 1
        assert announcements.wakes == [TASK]

    async def test_a_worker_that_beats_keeps_its_tasks(self, wake, table, clock):
        await table.claim(TASK, None, 1)
        for _ in range(10):
            table.lives[1] += 1
            assert await self._sweep(wake, clock, 5) == 0
        assert _status(table) is TaskStatus.PROCESSING

    async def test_a_stepped_wall_clock_kills_nobody(self, wake, table, clock):
        await table.claim(TASK, None, 1)
        await wake()
        table.clock.advance(timedelta(days=365))
        clock[0] += 1
        assert await wake() == 0
        assert _status(table) is TaskStatus.PROCESSING

    async def test_after_the_database_was_away_the_living_get_time_to_show_themselves(self, wake, table, clock):
        await table.claim(TASK, None, 1)
        await self._sweep(wake, clock, 5)
        clock[0] += 600
        assert await self._sweep(wake, clock, 9) == 0
        assert _status(table) is TaskStatus.PROCESSING


class TestReadTasks:
    async def test_one_task_is_read(self, table):
        await table.submit(TASK, None)
        assert (await ReadTasks(table).one(7)).task == TASK

    async def test_a_task_that_is_not_there_is_not_found(self, table):
        with pytest.raises(NotFound, match="no task has the id 7"):
            await ReadTasks(table).one(7)

    async def test_a_page_is_read_with_its_filters(self, table):
        await table.submit(TASK, None)
        await table.submit(Task(8, TaskType.GPT, "x"), None)
        page = await ReadTasks(table).page(status=TaskStatus.QUEUED, task_type=TaskType.GPT, cursor=None, limit=1)
        assert [record.task.task_id for record in page.records] == [8]

    async def test_a_cursor_that_is_none_of_ours_is_invalid(self, table):
        with pytest.raises(Invalid):
            await ReadTasks(table).page(status=None, task_type=None, cursor="x", limit=1)
