"""asyncpg pools for the hot statements, and the one table of what the database's errors mean."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from gonets.core.shared.errors import Invalid, Unavailable

# It was not done, or perhaps was: the statements are idempotent, so both are asked again later.
AWAY: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a session that the server ended while it was idle, not yet closed on our side
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.OperatorInterventionError,  # class 57: shutdown, starting up, cancelled
    asyncpg.InsufficientResourcesError,  # class 53: disk full, too many connections
    asyncpg.TransactionRollbackError,  # class 40: deadlock, serialization
    asyncpg.PostgresSystemError,  # class 58: I/O error
    asyncpg.InvalidCatalogNameError,  # the database is not made yet
    asyncpg.UndefinedTableError,  # nor its tables
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ReadOnlySQLTransactionError,  # a replica about to be promoted
)


# It was not done and never will be, for what the value holds.
INVALID = (
    asyncpg.DataError,  # class 22
    asyncpg.ProgramLimitExceededError,  # class 54: nested too deeply, too long
)


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """Without the reset query: our statements leave no state behind, and it costs a round trip each time."""

    def get_reset_query(self) -> str:
        return ""


@asynccontextmanager
async def database_errors() -> AsyncIterator[None]:
    """Maps what asyncpg raises to the core's errors; anything else is a bug and passes through."""
    try:
        yield
    except AWAY as error:
        raise Unavailable(f"the database is away: {words(error)}") from error
    except INVALID as error:
        raise Invalid("data", words(error)) from error


def words(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class Pool:
    """A pool that opens its connections when they are needed, so a process starts while the database is away.

    `timeout`: seconds to get a connection, and again for a statement; over that it is Unavailable.
    """

    def __init__(self, dsn: str, *, size: int, timeout: float, lazy_commit: bool = False) -> None:
        self._timeout = timeout
        self._pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=size,
            timeout=timeout,
            command_timeout=timeout,
            connection_class=Connection,
            server_settings={"application_name": "gonets"} | ({"synchronous_commit": "off"} if lazy_commit else {}),
        )

    async def open(self) -> None:
        async with database_errors():
            await self._pool

    async def close(self) -> None:
        """Waits a moment for statements under way, then closes hard."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout=2)
        except TimeoutError:
            self._pool.terminate()

    async def fetch(self, statement: str, *values: object) -> Sequence[Any]:
        """One statement, one transaction. Raises Unavailable, and Invalid for a value no table can hold."""
        async with database_errors(), self._pool.acquire(timeout=self._timeout) as connection:
            try:
                rows: Sequence[Any] = await connection.fetch(statement, *values)
            except TimeoutError:
                # It may hang on a network that went silent; giving it back would wait for its cancellation there.
                connection.terminate()
                raise
            return rows

    async def check(self) -> None:
        """Returns when the database answers and has the tables. Raises Unavailable."""
        await self.fetch("SELECT FROM task LIMIT 1")
