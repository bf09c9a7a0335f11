"""asyncpg pools for the hot statements, and the one table of what the database's errors mean."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from gonets.core.shared.errors import Invalid, Unavailable, Unexplained

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
    asyncpg.ObjectNotInPrerequisiteStateError,  # class 55: closed for connections, as for a restore
    asyncpg.InsufficientPrivilegeError,  # a right that was taken away, and may be given back
)


# Every statement is planned anew, for the tables as they are. A plan that the server keeps was perhaps made when they
# were small, and reads them whole when they have grown, until they are analyzed: each statement takes longer than the
# one before. Planning costs about as much as running one with a few rows (docs/performance.md).
_PLANS = {"plan_cache_mode": "force_custom_plan", "jit": "off"}

# A statement that looks for what is due compares with statement_timestamp(): clock_timestamp() may change within a
# statement, so no index is entered by it, and each row that waits for later would be read every second.

# It was not done and never will be, for what the value holds.
INVALID = (
    asyncpg.DataError,  # class 22
    asyncpg.ProgramLimitExceededError,  # class 54: nested too deeply, too long
)


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """Without the reset query: our statements leave no state behind, and it costs a round trip each time."""

    def get_reset_query(self) -> str:
        return ""

    async def close(self, *, timeout: float | None = None) -> None:
        """The pool does this in the background to a connection that it doubts: silence is no news there."""
        with contextlib.suppress(TimeoutError):
            await super().close(timeout=timeout)


@asynccontextmanager
async def database_errors() -> AsyncIterator[None]:
    """Maps what asyncpg raises to the core's errors; what is no word of the server's is a bug and passes through."""
    try:
        yield
    except AWAY as error:
        raise Unavailable(f"the database is away: {words(error)}") from error
    except INVALID as error:
        raise Invalid("data", words(error)) from error
    except asyncpg.PostgresError as error:
        # A trigger or a constraint of somebody's, a sequence left behind by a restore, a damaged index: a paid answer
        # must outlast it.
        raise Unexplained(f"the database refused a statement: {words(error)} ({error.sqlstate})") from error


def words(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class Pool:
    """A pool that opens its connections when they are needed, so a process starts while the database is away.

    `timeout`: seconds to get a connection, and again for a statement; over that it is Unavailable. `answers_in`: where
    statements may take long, the seconds in which a connection has to show first that the database is there. `beside`:
    another pool of the same process: when one finds the network silent, the other need not find out for itself.
    """

    def __init__(
        self,
        dsn: str,
        *,
        size: int,
        timeout: float,
        lazy_commit: bool = False,
        answers_in: float | None = None,
        beside: "Pool | None" = None,
    ) -> None:
        self._answers_in = answers_in
        self._timeout = answers_in or timeout
        self._doubted: list[Pool] = [self]
        if beside is not None:
            self._doubted.append(beside)
            beside._doubted.append(self)
        self._pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=size,
            timeout=self._timeout,
            command_timeout=timeout,
            connection_class=Connection,
            server_settings={"application_name": "gonets"}
            | _PLANS
            | ({"synchronous_commit": "off"} if lazy_commit else {}),
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
                if self._answers_in:
                    await connection.fetch("SELECT", timeout=self._answers_in)
                rows: Sequence[Any] = await connection.fetch(statement, *values)
            except TimeoutError:
                # It may hang on a network that went silent; giving it back would wait for its cancellation there.
                connection.terminate()
                # So may all the others, and each would cost a timeout to find out: each is replaced when used.
                for pool in self._doubted:
                    await pool._pool.expire_connections()
                raise
            return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection (asyncpg's) with a transaction that is committed at the end. Raises as `fetch` does."""
        async with database_errors(), self._pool.acquire(timeout=self._timeout) as connection:
            try:
                async with connection.transaction():
                    yield connection
            except TimeoutError:
                connection.terminate()
                await self._pool.expire_connections()
                raise

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """A connection (asyncpg's), for temporary tables; it is closed at the end. Raises as `fetch` does."""
        async with database_errors():
            connection = await self._pool.acquire(timeout=self._timeout)
        try:
            yield connection
        finally:
            connection.terminate()
            await self._pool.release(connection)

    async def check(self) -> None:
        """Returns when the database answers and has the tables. Raises Unavailable."""
        await self.fetch("SELECT FROM task LIMIT 1")
