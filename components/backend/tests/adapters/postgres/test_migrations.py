"""The way to the tables, and back."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from gonets.adapters.postgres.migrate import config, migrate
from gonets.adapters.postgres.tables import metadata


@pytest.fixture
async def fresh(servers) -> AsyncIterator[str]:
    """Where a database that nobody has made yet would be; its name is as awkward as names may be."""
    database = servers.database.model_copy(update={"name": f'test "fresh" {uuid.uuid4().hex[:8]}'})
    yield database.dsn
    connection = await asyncpg.connect(servers.database.dsn)
    await connection.execute('DROP DATABASE IF EXISTS "{}" WITH (FORCE)'.format(database.name.replace('"', '""')))
    await connection.close()


async def _fetch(dsn, query):
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def _tables(dsn):
    return {name for (name,) in await _fetch(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


async def _types(dsn):
    return {name for (name,) in await _fetch(dsn, "SELECT typname FROM pg_type WHERE typtype = 'e'")}


async def test_a_database_that_is_not_there_is_made_with_all_tables(fresh):
    await migrate(fresh)
    assert await _tables(fresh) == {*metadata.tables, "alembic_version"}


async def test_down_leaves_nothing_and_up_again_works(fresh):
    await migrate(fresh)
    await migrate(fresh, "base")
    assert await _tables(fresh) == {"alembic_version"}
    assert await _types(fresh) == set()
    await migrate(fresh)
    assert await _tables(fresh) == {*metadata.tables, "alembic_version"}


async def test_each_step_can_be_taken_back_and_made_again(fresh):
    await migrate(fresh)
    steps = len(list(ScriptDirectory.from_config(config()).walk_revisions()))
    for _ in range(steps):
        await migrate(fresh, "-1")
        before = await _tables(fresh)
        await migrate(fresh, "+1")
        await migrate(fresh, "-1")
        assert await _tables(fresh) == before
    assert await _tables(fresh) == {"alembic_version"}


async def test_migrating_twice_changes_nothing_and_loses_nothing(fresh):
    await migrate(fresh)
    await _fetch(fresh, "INSERT INTO integration_service (data, task_type) VALUES ('{}', 'gpt')")
    await migrate(fresh)
    assert await _fetch(fresh, "SELECT task_type::text FROM integration_service") == [("gpt",)]


async def test_the_migrations_lead_to_the_tables_the_code_knows(servers):
    engine = create_async_engine(make_url(servers.database.dsn).set(drivername="postgresql+asyncpg"))

    def compare(connection):
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": metadata}
        )
        return compare_metadata(context, metadata)

    async with engine.connect() as connection:
        assert await connection.run_sync(compare) == []
    await engine.dispose()


async def test_the_labels_of_the_enums_are_the_ones_the_code_knows(servers):
    """Alembic does not compare them."""
    found = await _fetch(
        servers.database.dsn,
        "SELECT t.typname::text, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)"
        " FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid GROUP BY t.typname",
    )
    known = {
        column.type.name: list(column.type.enums)
        for table in metadata.tables.values()
        for column in table.columns
        if hasattr(column.type, "enums")
    }
    assert dict(found) == known


async def test_results_are_a_table_of_exactly_three_columns(servers):
    columns = await _fetch(
        servers.database.dsn,
        "SELECT column_name::text, udt_name::text, is_nullable::text FROM information_schema.columns"
        " WHERE table_name = 'integration_service' ORDER BY ordinal_position",
    )
    assert columns == [("id", "int8", "NO"), ("data", "jsonb", "NO"), ("task_type", "task_type", "NO")]
    [(key,)] = await _fetch(
        servers.database.dsn,
        "SELECT a.attname::text FROM pg_index i"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
        " WHERE i.indrelid = 'integration_service'::regclass AND i.indisprimary",
    )
    assert key == "id"


async def test_several_processes_may_migrate_a_fresh_database_at_the_same_moment(fresh):
    await asyncio.gather(*(migrate(fresh) for _ in range(4)))
    assert await _tables(fresh) == {*metadata.tables, "alembic_version"}


async def test_a_server_that_is_not_there_is_said_so(servers, unused_tcp_port):
    nowhere = servers.database.model_copy(update={"host": "127.0.0.1", "port": unused_tcp_port})
    with pytest.raises(OSError, match=str(unused_tcp_port)):
        await migrate(nowhere.dsn)
