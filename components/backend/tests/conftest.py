"""Real servers for the tests: each test process gets a database and a virtual host of its own.

`make test` names the servers in the environment; without it the tests look for them where the settings' defaults are.
"""

import asyncio
import base64
import json
import os
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

import sandbox.app
from gonets.adapters.postgres.migrate import migrate
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.tables import metadata
from gonets.settings import Database, Rabbit

# A pause of the machine says nothing of an example that was just being made or tried.
settings.register_profile("unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# A sandbox draws its ports before it listens on them; of several processes of the tests each has ports of its own.
PLACE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PLACES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
sandbox.app._UNASKED = sandbox.app._UNASKED[PLACE::PLACES]


@dataclass(frozen=True)
class Servers:
    """Where this test process finds its database and its virtual host."""

    database: Database
    rabbit: Rabbit

    @property
    def environment(self) -> dict[str, str]:
        """For processes that are to use the same."""
        return {
            "DATABASE_HOST": self.database.host,
            "DATABASE_PORT": str(self.database.port),
            "DATABASE_USER": self.database.user,
            "DATABASE_PASSWORD": self.database.password.get_secret_value(),
            "DATABASE_NAME": self.database.name,
            "RABBITMQ_HOST": self.rabbit.host,
            "RABBITMQ_AMQP_PORT": str(self.rabbit.amqp_port),
            "RABBITMQ_WEB_PORT": str(self.rabbit.web_port),
            "RABBITMQ_USER": self.rabbit.user,
            "RABBITMQ_PASSWORD": self.rabbit.password.get_secret_value(),
            "RABBITMQ_VHOST": self.rabbit.vhost,
        }

    def manage(self, method: str, path: str, body: Any = None) -> Any:
        """Asks RabbitMQ's management API."""
        credentials = f"{self.rabbit.user}:{self.rabbit.password.get_secret_value()}".encode()
        request = urllib.request.Request(
            f"http://{self.rabbit.host}:{self.rabbit.web_port}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Basic {base64.b64encode(credentials).decode()}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
        return json.loads(text) if text else None


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A migrated database and an empty virtual host, gone after the session."""
    mark = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{uuid.uuid4().hex[:8]}"
    found = Servers(Database(name=mark), Rabbit(vhost=mark))
    asyncio.run(migrate(found.database.dsn))
    found.manage("PUT", f"vhosts/{quote(mark, safe='')}")
    found.manage(
        "PUT",
        f"permissions/{quote(mark, safe='')}/{quote(found.rabbit.user, safe='')}",
        {"configure": ".*", "write": ".*", "read": ".*"},
    )
    yield found
    found.manage("DELETE", f"vhosts/{quote(mark, safe='')}")
    asyncio.run(_drop(found.database))


async def _drop(database: Database) -> None:
    connection = await asyncpg.connect(database.model_copy(update={"name": "postgres"}).dsn)
    try:
        await connection.execute(f'DROP DATABASE "{database.name}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.fixture
async def pool(servers: Servers) -> AsyncIterator[Pool]:
    """A pool on the test database, whose tables are emptied first."""
    pool = Pool(servers.database.dsn, size=8, timeout=20)
    await pool.open()
    await pool.fetch(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")
    yield pool
    await pool.close()
