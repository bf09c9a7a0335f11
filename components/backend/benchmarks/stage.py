"""Where everything is measured: a database and a virtual host of its own, the same queues for all."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
from aiormq.abc import AbstractChannel, AbstractConnection

from gonets.adapters.postgres.migrate import migrate
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.connection import close, connect
from gonets.settings import Database, Rabbit

HOP = "bench.hop"
QUORUM: Any = {"x-queue-type": "quorum"}


class BenchError(Exception):
    """Something broke; a figure that misses its target is no error."""


@dataclass(frozen=True)
class Contestant:
    """A process that takes tasks from the queue and tells their ends."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    provider: str = "static"
    stores: bool = True
    environment: Mapping[str, str] | None = None


@dataclass
class Child:
    """A process of ours, as /proc shows it."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended by itself:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_megabytes(self) -> float:
        """The most it ever had resident."""
        return self._megabytes("VmHWM")

    @property
    def megabytes(self) -> float:
        """What it has resident now."""
        return self._megabytes("VmRSS")

    def _megabytes(self, which: str) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{which}:"):
                return int(line.split()[1]) / 1024
        raise BenchError(f"{self.name} has no {which}")


class Stage:
    """The servers' corner that belongs to this run."""

    def __init__(self, directory: Path, providers: Mapping[str, str]) -> None:
        mark = f"bench_{uuid.uuid4().hex[:8]}"
        self.database = Database(name=mark)
        self.rabbit = Rabbit(vhost=mark)
        self._directory = directory
        self._providers = providers
        self.connection: AbstractConnection
        self.channel: AbstractChannel
        self.sql: Any
        self._next_id = 1

    async def __aenter__(self) -> "Stage":
        self._manage("PUT", f"vhosts/{self._vhost}")
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self._manage("PUT", f"permissions/{self._vhost}/{quote(self.rabbit.user, safe='')}", rights)
        await migrate(self.database.dsn)
        self.sql = await asyncpg.connect(self.database.dsn)
        self.connection = await connect(self.rabbit.url, "bench")
        self.channel = await self.connection.channel(publisher_confirms=False)
        for queue in (*topology.PUBLIC, HOP):
            await self.channel.queue_declare(queue, durable=True, arguments=QUORUM)
        return self

    async def __aexit__(self, *_: object) -> None:
        await close(self.connection)
        await self.sql.close()
        self._manage("DELETE", f"vhosts/{self._vhost}")
        connection = await asyncpg.connect(self.database.model_copy(update={"name": "postgres"}).dsn)
        await connection.execute(f'DROP DATABASE "{self.database.name}" WITH (FORCE)')
        await connection.close()

    @property
    def _vhost(self) -> str:
        return quote(self.rabbit.vhost, safe="")

    def _manage(self, method: str, path: str, body: object = None) -> None:
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
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60):
            pass

    async def clear(self) -> None:
        """Empty queues and tables, and nothing left over for the disk to do."""
        for queue in (*topology.PUBLIC, HOP):
            await self.channel.queue_purge(queue)
        await self.sql.execute("TRUNCATE task, integration_service RESTART IDENTITY")
        await self.sql.execute("CHECKPOINT")

    async def depth(self, queue: str) -> int:
        return (await self.channel.queue_declare(queue, passive=True)).message_count or 0

    async def consumers(self, queue: str) -> int:
        return (await self.channel.queue_declare(queue, passive=True)).consumer_count or 0

    def task_ids(self, count: int) -> Sequence[int]:
        """Ids that no other measurement of this run has."""
        self._next_id += count
        return range(self._next_id - count, self._next_id)

    def environment(self, provider: str) -> dict[str, str]:
        """The settings of every process, ours and the yardsticks."""
        url = self._providers[provider]
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("WORKER_", "API_"))},
            "ENVIRONMENT": "test",
            "CHANNELS_SIMULATED": "false",
            "LOG_JSON": "true",
            "LOG_LEVEL": "INFO",
            "DATABASE_NAME": self.database.name,
            "DATABASE_HOST": self.database.host,
            "DATABASE_PORT": str(self.database.port),
            "DATABASE_USER": self.database.user,
            "DATABASE_PASSWORD": self.database.password.get_secret_value(),
            "RABBITMQ_VHOST": self.rabbit.vhost,
            "RABBITMQ_HOST": self.rabbit.host,
            "RABBITMQ_AMQP_PORT": str(self.rabbit.amqp_port),
            "RABBITMQ_USER": self.rabbit.user,
            "RABBITMQ_PASSWORD": self.rabbit.password.get_secret_value(),
            "DADATA_API_KEY": "bench",
            "DADATA_RATE": "0",
            "DADATA_SECRET_KEY": "bench",
            "DADATA_PHONE_API_URL": f"{url}/phone",
            "DADATA_EMAIL_API_URL": f"{url}/email",
            "YANDEXGPT_API_KEY": "bench",
            "FOLDER_ID": "bench",
        }

    @contextmanager
    def running(self, contestant: Contestant) -> Iterator[Child]:
        """Its process; leaving asks it to stop, and checks that it does."""
        child = self.start(contestant)
        try:
            yield child
            child.check()
        finally:
            end(child.process)

    def start(self, contestant: Contestant) -> Child:
        """Its process, for the caller to end."""
        environment = self.environment(contestant.provider) | dict(contestant.environment or {})
        log = self._directory / f"{contestant.name.replace(' ', '-')}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", contestant.module, *contestant.arguments],
                env=environment,
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return Child(contestant.name, process, log)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL to one that does not follow."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def until(check: Any, timeout: float, what: str) -> None:
    deadline = time.monotonic() + timeout
    while not await check():
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {timeout:.0f} s")
        await asyncio.sleep(0.05)
