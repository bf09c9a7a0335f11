"""One of many schedulers leads."""

import asyncio

import pytest

from eventually import eventually
from gonets.adapters.postgres.leader import PostgresLeader
from gonets.core.shared.errors import Unavailable
from proxy import Proxy


@pytest.fixture
async def leader(servers):
    leaders = []

    def make(database=servers.database, **options):
        leaders.append(PostgresLeader(database.dsn, **options))
        return leaders[-1]

    yield make
    for one in leaders:
        await one.close()


async def _kill(pool):
    """Ends the sessions of whoever leads in the test database."""
    await pool.fetch(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE l.locktype = 'advisory' AND d.datname = current_database()"
    )


async def _leads(one):
    try:
        return await one.leads()
    except Unavailable:
        return False


async def test_who_leads_goes_on_leading(leader):
    one = leader()
    assert [await one.leads() for _ in range(3)] == [True] * 3


async def test_one_of_two_leads(leader):
    one, two = leader(), leader()
    assert await one.leads()
    assert not await two.leads()
    assert await one.leads()


async def test_of_many_that_start_at_the_same_moment_one_leads(leader):
    assert sum(await asyncio.gather(*(leader().leads() for _ in range(8)))) == 1


async def test_when_the_leader_closes_another_leads(leader):
    one, two = leader(), leader()
    assert await one.leads()
    await one.close()
    await eventually(lambda: _leads(two), "the other leads")


async def test_when_the_leader_s_session_is_killed_the_other_leads_and_it_knows(leader, pool):
    one, two = leader(), leader()
    assert await one.leads()
    assert not await two.leads()
    await _kill(pool)
    await eventually(lambda: _leads(two), "the other leads")
    [leads] = await eventually(lambda: _answer(one), "the first has a session again")
    assert not leads


async def _answer(one):
    try:
        return [await one.leads()]
    except Unavailable:
        return None


async def test_a_leader_whose_session_was_killed_leads_again_if_nobody_else_does(leader, pool):
    one = leader()
    assert await one.leads()
    await _kill(pool)
    await eventually(lambda: _leads(one), "it leads again")


async def test_leaders_of_different_databases_do_not_disturb_one_another(leader, servers):
    one, other = leader(), leader(servers.database.model_copy(update={"name": "postgres"}))
    assert await one.leads()
    assert await other.leads()


async def test_without_a_database_nobody_leads(leader, servers, unused_tcp_port):
    nowhere = servers.database.model_copy(update={"host": "127.0.0.1", "port": unused_tcp_port})
    with pytest.raises(Unavailable):
        await leader(nowhere).leads()


async def test_a_server_that_went_silent_is_unavailable_in_time_and_no_reason_to_go_on_leading(leader, servers):
    async with Proxy(servers.database.host, servers.database.port) as proxy:
        through = servers.database.model_copy(update={"host": "127.0.0.1", "port": proxy.port})
        one = leader(through, timeout=0.3)
        await eventually(lambda: _leads(one), "it leads")
        proxy.freeze()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(one.leads(), 30)
        proxy.thaw()
        await eventually(lambda: _leads(one), "it leads again")


async def test_a_leader_that_something_between_keeps_alive_is_forgotten(leader, servers):
    async with Proxy(servers.database.host, servers.database.port) as proxy:
        through = servers.database.model_copy(update={"host": "127.0.0.1", "port": proxy.port})
        gone, other = leader(through, silence=1), leader()
        assert await gone.leads()
        proxy.lose()
        await eventually(lambda: _leads(other), "another leads")
