"""What the database's errors mean."""

import contextlib

import pytest

from eventually import eventually
from gonets.adapters.postgres.pool import Pool
from gonets.core.shared.errors import Invalid, Unavailable


@pytest.mark.parametrize(
    "text",
    ["1" * 140_000, "1e400000", '"\\u0000"', "[" * 100_000 + "]" * 100_000, "no json", '"\ud800"'],
    ids=["long number", "large number", "NUL", "deep", "no json", "lone surrogate"],
)
async def test_a_value_that_no_table_can_hold_is_invalid(pool, text):
    with pytest.raises(Invalid):
        await pool.fetch("SELECT $1::jsonb", text)
    assert await pool.fetch("SELECT 1"), "the connection is as good as before"


async def test_a_mistake_of_ours_is_neither(pool):
    with pytest.raises(Exception, match="nonsense") as caught:
        await pool.fetch("SELECT nonsense")
    assert not isinstance(caught.value, Invalid | Unavailable)


async def test_a_statement_over_its_time_is_unavailable(servers):
    pool = Pool(servers.database.dsn, size=1, timeout=0.2)
    await pool.open()
    with pytest.raises(Unavailable):
        await pool.fetch("SELECT pg_sleep(10)")
    await pool.close()


async def test_no_free_connection_in_time_is_unavailable(servers, pool):
    narrow = Pool(servers.database.dsn, size=1, timeout=0.2)
    await narrow.open()
    async with narrow._pool.acquire():
        with pytest.raises(Unavailable):
            await narrow.fetch("SELECT 1")
    await narrow.close()


@pytest.mark.parametrize("change", [{"name": "no such database"}, {"user": "nobody"}, {"host": "no-such-host.invalid"}])
async def test_a_server_that_is_not_as_configured_is_unavailable(servers, change):
    pool = Pool(servers.database.model_copy(update=change).dsn, size=1, timeout=5)
    await pool.open()
    with pytest.raises(Unavailable):
        await pool.check()
    await pool.close()


async def test_a_database_without_tables_is_unavailable(servers):
    pool = Pool(servers.database.model_copy(update={"name": "postgres"}).dsn, size=1, timeout=5)
    await pool.open()
    with pytest.raises(Unavailable):
        await pool.check()
    await pool.close()


async def test_a_session_killed_under_a_statement_is_unavailable_and_the_next_one_works(servers, pool):
    victim = Pool(servers.database.dsn, size=1, timeout=5)
    await victim.open()
    [row] = await victim.fetch("SELECT pg_backend_pid() AS pid")
    await pool.fetch("SELECT pg_terminate_backend($1)", row["pid"])
    with contextlib.suppress(Unavailable):
        await victim.fetch("SELECT 1")
    assert await eventually(lambda: victim.fetch("SELECT 1"), "a new session")
    await victim.close()
