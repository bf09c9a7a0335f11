"""What the database's errors mean."""

import asyncio
import contextlib
import uuid

import asyncpg
import pytest
from pydantic import SecretStr

from eventually import eventually, own_clock
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.tasks import PostgresTasks
from gonets.core.shared.errors import Invalid, Unavailable, Unexplained
from gonets.core.tasks.model import Finished, Task, TaskType
from proxy import Proxy


@pytest.mark.parametrize(
    "text",
    ["1" * 140_000, "1e400000", '"\\u0000"', "[" * 100_000 + "]" * 100_000, "no json", '"\ud800"'],
    ids=["long number", "large number", "NUL", "deep", "no json", "lone surrogate"],
)
async def test_a_value_that_no_table_can_hold_is_invalid(pool, text):
    with pytest.raises(Invalid):
        await pool.fetch("SELECT $1::jsonb", text)
    assert await pool.fetch("SELECT 1"), "the connection is as good as before"


async def test_what_no_table_of_ours_knows_is_unexplained(pool):
    """Perhaps a mistake of ours, perhaps a migration that is not through: what is in hand must outlast both."""
    with pytest.raises(Unexplained, match="nonsense"):
        await pool.fetch("SELECT nonsense")


async def test_a_statement_over_its_time_is_unavailable(servers):
    pool = Pool(servers.database.dsn, size=1, timeout=0.2)
    await pool.open()
    with pytest.raises(Unavailable):
        await pool.fetch("SELECT pg_sleep(10)")
    await pool.close()


async def test_no_plan_is_kept_for_tables_that_grow(servers):
    pool = Pool(servers.database.dsn, size=1, timeout=5)
    await pool.open()
    statement = "SELECT task_id FROM task WHERE task_id = ANY($1::bigint[])"
    for _ in range(10):
        await pool.fetch(statement, [1, 2, 3])
    kept = await pool.fetch("SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1", statement)
    assert [row["generic_plans"] for row in kept] == [0]
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


@pytest.mark.parametrize(
    ("close", "reopen"),
    [
        ('ALTER DATABASE "{0}" ALLOW_CONNECTIONS false', 'ALTER DATABASE "{0}" ALLOW_CONNECTIONS true'),
        ('REVOKE CONNECT ON DATABASE "{0}" FROM public', 'GRANT CONNECT ON DATABASE "{0}" TO public'),
    ],
)
async def test_a_database_that_an_operator_closed_is_unavailable_until_it_is_opened(servers, close, reopen):
    name, admin = f"closed_{uuid.uuid4().hex[:8]}", await asyncpg.connect(servers.database.dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    await admin.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'x'")
    user = {"name": name, "user": name, "password": SecretStr("x")}
    pool = Pool(servers.database.model_copy(update=user).dsn, size=1, timeout=5)
    await pool.open()
    try:
        await admin.execute(close.format(name))
        with pytest.raises(Unavailable):
            await pool.fetch("SELECT 1")
        await admin.execute(reopen.format(name))
        assert await pool.fetch("SELECT 1")
    finally:
        await pool.close()
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.execute(f'DROP ROLE "{name}"')
        await admin.close()


async def test_a_session_killed_under_a_statement_is_unavailable_and_the_next_one_works(servers, pool):
    victim = Pool(servers.database.dsn, size=1, timeout=5)
    await victim.open()
    [row] = await victim.fetch("SELECT pg_backend_pid() AS pid")
    await pool.fetch("SELECT pg_terminate_backend($1)", row["pid"])
    with contextlib.suppress(Unavailable):
        await victim.fetch("SELECT 1")
    assert await eventually(lambda: victim.fetch("SELECT 1"), "a new session")
    await victim.close()


async def test_connections_that_were_forgotten_by_the_network_cost_one_timeout(servers, caplog):
    async with Proxy(servers.database.host, servers.database.port) as proxy, own_clock() as clock:
        database = servers.database.model_copy(update={"host": "127.0.0.1", "port": proxy.port})
        pool = Pool(database.dsn, size=4, timeout=3)
        beside = Pool(database.dsn, size=2, timeout=3, beside=pool)
        for each in (pool, beside):
            await each.open()
            await asyncio.gather(*(each.fetch("SELECT pg_sleep(0.2)") for _ in range(4)))
        proxy.lose()
        with pytest.raises(Unavailable):
            await pool.fetch("SELECT 1")
        since = clock()
        await asyncio.gather(*(pool.fetch("SELECT pg_sleep(0.2)") for _ in range(4)), beside.fetch("SELECT 1"))
        assert clock() - since < 2
        await asyncio.sleep(3.5)  # by then the old ones are given up
        await pool.close()
        await beside.close()
    assert caplog.text == ""


async def test_what_a_trigger_of_somebody_s_refuses_is_unexplained_and_its_neighbours_are_stored(pool):
    """A paid answer outlasts it: whoever has it in hand repeats what is Unavailable."""
    lifeline = PostgresLifeline(pool)
    await lifeline.beat()
    tasks = PostgresTasks(pool, pool, lifeline)
    claims = [await tasks.claim(Task(number, TaskType.PHONE, "x"), None, number) for number in (1, 2, 3)]
    await pool.fetch(
        "CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.data = '2' THEN RAISE EXCEPTION 'boom'; END IF; RETURN NEW; END $$"
    )
    await pool.fetch("CREATE TRIGGER boom BEFORE INSERT ON integration_service FOR EACH ROW EXECUTE FUNCTION boom()")
    try:
        found = await asyncio.gather(*(tasks.answer(claim, claim.token) for claim in claims), return_exceptions=True)
    finally:
        await pool.fetch("DROP FUNCTION boom CASCADE")
    assert [type(end) for end in found] == [Finished, Unexplained, Finished]
    assert "boom" in found[1].reason
    assert isinstance(await tasks.answer(claims[1], 2), Finished)
