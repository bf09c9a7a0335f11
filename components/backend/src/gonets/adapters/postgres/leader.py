"""One of many leads: an advisory lock on a session of its own."""

import asyncpg

from gonets.adapters.postgres.pool import database_errors

# Arbitrary, but the same for every scheduler of a database.
_LOCK = 7_205_759_403_792_795


# PostgreSQL 13 has no such setting; there only TCP's keepalives notice.
_FORGET = """
SELECT set_config('idle_session_timeout', $1, false) WHERE current_setting('idle_session_timeout', true) IS NOT NULL
"""


class PostgresLeader:
    """Leads as long as its session lives. Two leaders for a moment are harmless, so a dying session may linger.

    `timeout`: seconds for each word with the server; `silence`: seconds after which the server forgets a leader that
    does not ask, for something between them may keep its connection open when it is long gone.
    """

    def __init__(self, dsn: str, *, timeout: float = 3.0, silence: float = 6.0) -> None:
        self._dsn = dsn
        self._timeout = timeout
        self._silence = silence
        self._session: asyncpg.Connection | None = None

    async def leads(self) -> bool:
        """True while this process leads; tries to become the leader otherwise. Raises Unavailable."""
        fresh = False
        async with database_errors():
            if self._session is None or self._session.is_closed():
                self._session = await asyncpg.connect(
                    self._dsn,
                    timeout=self._timeout,
                    command_timeout=self._timeout,
                    server_settings={
                        "application_name": "gonets leader",
                        # A leader whose machine vanished is forgotten within 15 s.
                        "tcp_keepalives_idle": "5",
                        "tcp_keepalives_interval": "5",
                        "tcp_keepalives_count": "2",
                    },
                )
                fresh = True
            try:
                if fresh:
                    await self._session.execute(_FORGET, str(round(self._silence * 1000)))
                held = await self._session.fetchval(
                    "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')"
                    " OR pg_try_advisory_lock($1)",
                    _LOCK,
                )
            except BaseException:
                self._session.terminate()
                raise
        return bool(held)

    async def close(self) -> None:
        if self._session is not None and not self._session.is_closed():
            self._session.terminate()
