"""The way to a provider, on a budget and circuits in memory."""

import asyncio
from datetime import timedelta

import pytest

from fakes import FakeBudget, FakeCircuits
from gonets.core.shared.errors import Category
from gonets.core.tasks.circuit import Circuit, CircuitPolicy
from gonets.core.tasks.gate import Entered, Gate, Gates, Pace, Postponed, permits_of
from gonets.core.tasks.model import Failure, ProviderError

DOWN = ProviderError(Category.UNAVAILABLE, "HTTP 503")
POLICY = CircuitPolicy(failures=2, first_pause=timedelta(seconds=10))


@pytest.fixture
def budget():
    return FakeBudget()


@pytest.fixture
def circuits():
    return FakeCircuits()


@pytest.fixture
def clock():
    return [1000.0]


@pytest.fixture
def make(budget, circuits, clock):
    def make(*, pace=None, in_flight=0, most_waiting=2):
        return Gate(
            "p",
            budget,
            circuits,
            POLICY,
            pace=pace,
            in_flight=in_flight,
            most_waiting=most_waiting,
            monotonic=lambda: clock[0],
        )

    return make


async def _turns(number=20):
    for _ in range(number):
        await asyncio.sleep(0)


class TestTheCircuit:
    async def test_a_closed_one_lets_everybody_pass(self, make):
        gate = make()
        assert [await gate.enter() for _ in range(100)] == [Entered()] * 100

    async def test_failures_in_a_row_open_it_for_all_workers(self, make, circuits):
        one, other = make(), make()
        for _ in range(2):
            await one.leave(await one.enter(), DOWN)
        assert isinstance(await one.enter(), Postponed)
        await Gates(circuits, [other]).refresh()
        postponed = await other.enter()
        assert isinstance(postponed, Postponed)
        assert postponed.failure == Failure(Category.UNAVAILABLE, "HTTP 503")
        assert postponed.delay >= timedelta(seconds=10)

    async def test_a_success_between_starts_the_count_anew(self, make):
        gate = make()
        for error in (DOWN, None, DOWN):
            await gate.leave(await gate.enter(), error)
        assert await gate.enter() == Entered()

    async def test_when_the_pause_is_over_one_may_probe_and_its_success_closes(self, make, circuits, clock):
        gate = make()
        for _ in range(2):
            await gate.leave(await gate.enter(), DOWN)
        clock[0] += 10
        circuits.over = True
        first, second = await gate.enter(), await gate.enter()
        assert first == Entered(probe=True)
        assert isinstance(second, Postponed)
        await gate.leave(first, None)
        assert await gate.enter() == Entered()
        assert circuits.circuits["p"] == Circuit()

    async def test_a_failed_probe_opens_it_again_for_longer(self, make, circuits, clock):
        gate = make()
        for _ in range(2):
            await gate.leave(await gate.enter(), DOWN)
        clock[0] += 10
        circuits.over = True
        await gate.leave(await gate.enter(), DOWN)
        assert circuits.circuits["p"].opened == 2
        assert circuits.circuits["p"].pause_left == timedelta(seconds=15)

    async def test_calls_that_were_under_way_when_it_opened_do_not_open_it_further(self, make, circuits):
        gate = make()
        under_way = [await gate.enter() for _ in range(50)]
        for entered in under_way:
            await gate.leave(entered, DOWN)
        assert circuits.circuits["p"].opened == 1

    async def test_without_the_database_the_worker_still_knows(self, make, circuits):
        gate = make()
        circuits.available = False
        for _ in range(2):
            await gate.leave(await gate.enter(), DOWN)
        assert isinstance(await gate.enter(), Postponed)


class TestPermits:
    async def test_no_more_than_there_are(self, make, budget):
        budget.free_permits = 2
        gate = make(in_flight=2)
        entered = [await gate.enter(), await gate.enter()]
        waiting = asyncio.create_task(gate.enter())
        await _turns()
        assert not waiting.done()
        await gate.leave(entered[0], None)
        assert await waiting == Entered()

    async def test_who_turns_back_gives_the_permit_back_and_says_nothing_of_the_provider(self, make, budget):
        gate = make(in_flight=1)
        await gate.enter()
        gate.turn_back()
        assert await gate.enter() == Entered()

    async def test_what_nobody_here_needs_goes_back_to_all(self, make, budget):
        budget.free_permits = 1
        gate = make(in_flight=1)
        await gate.leave(await gate.enter(), None)
        await _turns()
        assert (budget.given_back, budget.free_permits) == (1, 1)

    async def test_a_permit_that_cannot_be_given_back_is_kept_for_the_next(self, make, budget):
        budget.free_permits = 1
        gate = make(in_flight=1)
        entered = await gate.enter()
        budget.available = False
        await gate.leave(entered, None)
        await _turns()
        assert await gate.enter() == Entered()

    async def test_who_leaves_the_line_takes_no_permit_with_him(self, make, budget):
        budget.free_permits = 1
        gate = make(in_flight=1)
        entered = await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await _turns()
        waiting.cancel()
        await _turns()
        await gate.leave(entered, None)
        await _turns()
        assert budget.free_permits == 1

    async def test_only_so_many_wait_in_the_worker(self, make, budget):
        budget.free_permits = 0
        gate = make(in_flight=1, most_waiting=2)
        waiting = [asyncio.create_task(gate.enter()) for _ in range(3)]
        done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().failure.category for task in done] == [Category.QUOTA_EXHAUSTED]
        for task in rest:
            task.cancel()


class TestTheRate:
    async def test_without_a_moment_near_enough_the_task_is_set_aside(self, make):
        gate = make(pace=Pace(FakeBudget(free_permits=1), 0.1), most_waiting=10)
        first, second = await asyncio.gather(gate.enter(), gate.enter())
        assert first == Entered()
        assert isinstance(second, Postponed)

    async def test_with_no_moment_its_permit_is_free_again(self, make, budget):
        budget.free_permits = 1
        gate = make(pace=Pace(FakeBudget(free_permits=0), 1), in_flight=1)
        assert isinstance(await gate.enter(), Postponed)
        await _turns()
        assert budget.free_permits == 1

    async def test_a_call_counts_until_a_second_after_its_answer(self, make):
        paced = FakeBudget(free_permits=2)
        gate = make(pace=Pace(paced, 40), most_waiting=10)
        loop = asyncio.get_running_loop()
        await gate.enter()
        entered = await gate.enter()
        await gate.leave(entered, None)
        answered_at = loop.time()
        await gate.enter()
        assert loop.time() >= answered_at + 0.9

    async def test_one_without_an_answer_is_taken_to_have_arrived_soon(self):
        paced = FakeBudget(free_permits=1)
        pace = Pace(paced, 10)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await pace.wait()
        await pace.wait()
        assert loop.time() - began > 1.0

    async def test_they_come_in_no_burst(self):
        pace = Pace(FakeBudget(), 50)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(pace.wait() for _ in range(10)))
        assert loop.time() - began >= 9 * 0.8 / 50

    async def test_who_leaves_rests_until_nothing_of_it_counts(self):
        pace = Pace(FakeBudget(), 5)
        await pace.wait()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await pace.rest()
        assert loop.time() - began >= 0.9

    @pytest.mark.parametrize(("rate", "permits"), [(0.01, 1), (0.5, 1), (1, 1), (2.5, 2), (100, 100)])
    async def test_a_rate_is_so_many_permits(self, rate, permits):
        assert permits_of(rate) == permits
