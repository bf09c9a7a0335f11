"""A worker's heartbeat."""

import asyncio
from datetime import timedelta

import pytest

from eventually import eventually
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.tasks import PostgresTasks
from gonets.adapters.postgres.wakes import PostgresTaskWakes
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.model import Claimed, Failure, Task, TaskType
from proxy import Proxy

TASK = Task(7, TaskType.PHONE, "8 916 823 34 54")
REFUSED = Failure(Category.REFUSED, "no such number")


@pytest.fixture
async def lifeline(pool):
    lifeline = PostgresLifeline(pool, interval=0.1, fresh_for=5)
    await lifeline.start()
    await eventually(lambda: _alive(lifeline), "the first beat")
    yield lifeline
    await lifeline.stop()


@pytest.fixture
def tasks(pool, lifeline):
    return PostgresTasks(pool, pool, lifeline)


@pytest.fixture
def wakes(pool):
    return PostgresTaskWakes(pool)


def _alive(lifeline):
    try:
        return lifeline.life
    except Unavailable:
        return None


async def _row(pool, task_id=7):
    [row] = await pool.fetch(
        "SELECT status::text, life, claim_token, takeovers, wake_at <= clock_timestamp() AS due"
        " FROM task WHERE task_id = $1",
        task_id,
    )
    return row


async def test_it_beats(lifeline, wakes):
    first = (await wakes.heartbeats())[lifeline.life]

    async def beaten():
        return (await wakes.heartbeats())[lifeline.life] >= first + 2

    await eventually(beaten, "two more beats")


async def test_no_claim_is_made_before_the_first_beat(pool):
    lifeline = PostgresLifeline(pool)
    with pytest.raises(Unavailable):
        await PostgresTasks(pool, pool, lifeline).claim(TASK, None, 1)
    assert await pool.fetch("SELECT FROM task") == []


async def test_its_own_claims_are_held_and_no_others(lifeline, tasks):
    claim = await tasks.claim(TASK, None, 1)
    assert await lifeline.holds(claim)
    assert not await lifeline.holds(Claimed(TASK, 1, claim.life + 1, 1))


async def test_a_worker_that_was_buried_lives_on_in_a_new_life_without_its_old_claims(lifeline, tasks, wakes, pool):
    claim = await tasks.claim(TASK, None, 1)
    while not await wakes.bury(await wakes.heartbeats()):
        pass  # it has beaten in between
    await eventually(lambda: _alive(lifeline) not in (None, claim.life), "a new life")
    assert not await lifeline.holds(claim)
    again = await tasks.claim(TASK, None, 2)
    assert again.life == lifeline.life
    assert await lifeline.holds(again)
    assert (await _row(pool))["takeovers"] == 1


async def test_a_heartbeat_that_cannot_be_renewed_lets_no_call_begin_until_it_can(servers, pool):
    lifeline = PostgresLifeline(pool, interval=60, fresh_for=0.2)

    async def claimed():
        await lifeline.beat()
        try:
            return await PostgresTasks(pool, pool, lifeline).claim(TASK, None, 1)
        except Unavailable:  # it took longer than the beat is fresh
            return None

    claim = await eventually(claimed, "a claim under a fresh beat")
    await eventually(lambda: _alive(lifeline) is None, "the beat grows old")
    holding = asyncio.create_task(lifeline.holds(claim))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(holding), 0.3)
    with pytest.raises(Unavailable):
        await PostgresTasks(pool, pool, lifeline).claim(Task(8, TaskType.GPT, "x"), None, 1)

    async def answered():
        await lifeline.beat()
        return holding.done()

    await eventually(answered, "an answer under a fresh beat")
    assert await holding


async def test_a_slow_answer_makes_a_beat_older(pool, monkeypatch):
    """Its time is the one at which it was sent."""
    lifeline = PostgresLifeline(pool, fresh_for=0.2)
    fetch = pool.fetch

    async def slow(*args):
        await asyncio.sleep(0.3)
        return await fetch(*args)

    monkeypatch.setattr(pool, "fetch", slow)
    await lifeline.beat()
    assert _alive(lifeline) is None


async def test_while_the_database_is_away_it_goes_on_trying(servers):

    async with Proxy(servers.database.host, servers.database.port) as proxy:
        through = servers.database.model_copy(update={"host": "127.0.0.1", "port": proxy.port})
        pool = Pool(through.dsn, size=2, timeout=2)
        await pool.open()
        lifeline = PostgresLifeline(pool, interval=0.1, fresh_for=1)
        await lifeline.start()
        life = await eventually(lambda: _alive(lifeline), "the first beat")
        await proxy.cut()
        await eventually(lambda: _alive(lifeline) is None, "the beat grows old")
        await proxy.restore()
        assert await eventually(lambda: _alive(lifeline), "it beats again") == life
        await lifeline.stop()
        await pool.close()


async def test_stopping_gives_back_what_is_in_hand_at_once(pool, wakes):
    lifeline = PostgresLifeline(pool)
    await lifeline.beat()
    tasks = PostgresTasks(pool, pool, lifeline)
    await tasks.claim(TASK, None, 1)
    answered = await tasks.claim(Task(8, TaskType.GPT, "x"), None, 2)
    await tasks.answer(answered, {})
    failed = await tasks.claim(Task(9, TaskType.GPT, "x"), None, 3)
    await tasks.fail(failed, REFUSED)
    parked = await tasks.claim(Task(10, TaskType.GPT, "x"), None, 4)
    await tasks.park(parked, REFUSED, timedelta(hours=1))
    await lifeline.stop()

    assert await wakes.heartbeats() == {}
    assert [(await _row(pool, number))["status"] for number in (7, 8, 9, 10)] == [
        "queued",
        "answered",
        "failed",
        "parked",
    ]
    assert {wake.task.task_id for wake in await wakes.due(10)} == {7, 8, 9}
    row = await _row(pool)
    assert (row["life"], row["claim_token"]) == (None, None)
    assert row["takeovers"] == 0, "nobody died"


async def test_stopping_takes_nothing_from_other_workers(pool, lifeline, tasks):
    await tasks.claim(TASK, None, 1)
    other = PostgresLifeline(pool)
    await other.beat()
    await other.stop()
    assert (await _row(pool))["status"] == "processing"


async def test_stopping_while_the_database_is_away_is_no_error(servers, unused_tcp_port):

    nowhere = servers.database.model_copy(update={"host": "127.0.0.1", "port": unused_tcp_port})
    pool = Pool(nowhere.dsn, size=1, timeout=1)
    await pool.open()
    lifeline = PostgresLifeline(pool)
    await lifeline.start()
    await lifeline.stop()
    await pool.close()


async def test_a_death_with_a_task_in_hand_counts_as_a_takeover_and_one_with_an_answer_does_not(pool, wakes):
    for number, token in [(7, 1), (8, 2)]:
        lifeline = PostgresLifeline(pool)
        await lifeline.beat()
        tasks = PostgresTasks(pool, pool, lifeline)
        claim = await tasks.claim(Task(number, TaskType.GPT, "x"), None, token)
        if number == 8:
            await tasks.answer(claim, {})
    assert await wakes.bury(await wakes.heartbeats()) == 2
    assert (await _row(pool, 7))["takeovers"] == 1
    assert (await _row(pool, 8))["takeovers"] == 0
