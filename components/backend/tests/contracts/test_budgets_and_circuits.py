"""What workers share of a provider, in PostgreSQL: limits hold between workers, whatever happens to one of them."""

import asyncio
from datetime import timedelta

import pytest

from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.providers import PostgresBudget, PostgresCircuits
from gonets.adapters.postgres.wakes import PostgresTaskWakes
from gonets.core.shared.errors import Category
from gonets.core.tasks.circuit import Circuit, Open
from gonets.core.tasks.model import Failure

SECOND, MINUTE, NOTHING = timedelta(seconds=1), timedelta(minutes=1), timedelta(0)
DOWN = Failure(Category.UNAVAILABLE, "HTTP 503")


@pytest.fixture
def worker(pool):
    async def worker(rate=0.0, in_flight=0):
        lifeline = PostgresLifeline(pool, fresh_for=60)
        await lifeline.beat()
        return PostgresBudget(pool, lifeline, "p", rate=rate, in_flight=in_flight), lifeline

    return worker


class TestPermits:
    async def test_never_more_than_there_are_between_all(self, worker):
        workers = [(await worker(in_flight=10))[0] for _ in range(4)]
        granted = await asyncio.gather(*(budget.permits(1) for budget in workers * 10))
        assert sum(granted) == 10

    async def test_what_is_given_back_can_be_taken(self, worker):
        (one, _), (other, _) = await worker(in_flight=3), await worker(in_flight=3)
        assert (await one.permits(5), await other.permits(5)) == (3, 0)
        await one.give_back(2)
        assert await other.permits(5) == 2

    async def test_they_die_with_the_worker(self, worker, pool):
        (dead, lifeline), (other, _) = await worker(in_flight=3), await worker(in_flight=3)
        await dead.permits(3)
        wakes = PostgresTaskWakes(pool)
        await wakes.bury({lifeline.life: (await wakes.heartbeats())[lifeline.life]})
        assert await other.permits(3) == 3

    async def test_more_given_back_than_taken_makes_no_more_of_them(self, worker):
        budget, _ = await worker(in_flight=3)
        await budget.permits(1)
        await budget.give_back(5)
        assert await budget.permits(9) == 3


class TestTheLine:
    async def test_everybody_gets_a_later_place(self, worker):
        budget, _ = await worker(rate=1 / 60)
        places = [*await budget.place_in_line(3, MINUTE), *await budget.place_in_line(2, MINUTE)]
        assert places == sorted(places)
        assert places[0] >= MINUTE - timedelta(milliseconds=100)
        assert places[-1] - places[0] >= 3 * MINUTE

    async def test_a_line_that_was_served_begins_anew(self, worker, pool):
        budget, _ = await worker(rate=10)
        await budget.place_in_line(3, SECOND)
        await pool.fetch("UPDATE provider SET line_at = line_at - interval '1 hour'")
        [place] = await budget.place_in_line(1, SECOND)
        assert place <= SECOND


class TestCircuits:
    @pytest.fixture
    def circuits(self, pool):
        return PostgresCircuits(pool)

    async def test_what_one_opens_all_read(self, circuits):
        await circuits.open("p", Open(MINUTE, DOWN), 1)
        circuit = (await circuits.read())["p"]
        assert (circuit.opened, circuit.failure) == (1, DOWN)
        assert MINUTE / 2 < circuit.pause_left <= MINUTE

    async def test_a_probe_is_one_caller_s_and_only_when_the_pause_is_over(self, circuits):
        await circuits.open("p", Open(MINUTE, DOWN), 1)
        assert not await circuits.probe("p", MINUTE)
        await circuits.open("p", Open(NOTHING, DOWN), 2)
        assert sorted(await asyncio.gather(*(circuits.probe("p", MINUTE) for _ in range(5)))) == [False] * 4 + [True]

    async def test_a_probe_that_says_nothing_is_given_to_another(self, circuits):
        await circuits.open("p", Open(NOTHING, DOWN), 1)
        assert await circuits.probe("p", NOTHING)
        assert await circuits.probe("p", NOTHING)

    async def test_closed_is_closed(self, circuits):
        await circuits.open("p", Open(MINUTE, DOWN), 1)
        await circuits.close("p")
        assert await circuits.read() == {"p": Circuit()}
        assert not await circuits.probe("p", MINUTE)

    async def test_a_late_word_does_not_shorten_the_pause(self, circuits):
        await circuits.open("p", Open(MINUTE, DOWN), 2)
        await circuits.open("p", Open(SECOND, DOWN), 1)
        circuit = (await circuits.read())["p"]
        assert (circuit.opened, circuit.pause_left > SECOND * 10) == (2, True)

    async def test_a_clock_that_is_set_back_keeps_it_open_no_longer_than_its_pause(self, circuits, pool):
        await circuits.open("p", Open(SECOND, DOWN), 1)
        await pool.fetch("UPDATE provider SET circuit_until = circuit_until + interval '1 hour'")
        assert (await circuits.read())["p"].pause_left <= SECOND
        assert await circuits.probe("p", MINUTE)
