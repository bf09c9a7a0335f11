"""Brings a database to the tables this version knows, making the database itself if it is not there."""

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine

# Any number of processes may migrate at once: one does, the others wait for it. The key is arbitrary.
_LOCK = 7_205_759_403_792_794


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration: there is no ini file."""
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    configuration.attributes["connection"] = connection
    return configuration


async def migrate(dsn: str, revision: str = "head") -> None:
    """Up or down to the revision. Raises what asyncpg raises when the server cannot be reached."""
    url = make_url(dsn)
    await _create_database(url)
    engine = create_async_engine(url.set(drivername="postgresql+asyncpg"))
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run, revision)
            await connection.commit()
    finally:
        await engine.dispose()


def _run(connection: Connection, revision: str) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    if revision == "base" or revision.startswith("-"):
        command.downgrade(config(connection), revision)
    else:
        command.upgrade(config(connection), revision)


async def _create_database(url: URL) -> None:
    try:
        connection = await asyncpg.connect(_dsn(url))
    except asyncpg.InvalidCatalogNameError:
        connection = await asyncpg.connect(_dsn(url.set(database="postgres")))
        try:
            quoted = '"' + (url.database or "").replace('"', '""') + '"'
            await connection.execute(f"CREATE DATABASE {quoted}")
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            pass  # another process was quicker
        finally:
            await connection.close()
    else:
        await connection.close()


def _dsn(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
