"""The service as its operator runs it: real processes, each pair of them and a server joined by a link that breaks."""

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from acceptance.stack import START, Process, free_port
from faults.machines import Machines
from proxy import Proxy

PROVIDERS = ("dadata", "yandexgpt")
MESSENGERS = ("telegram", "twilio")
LATENCY: dict[str, object] = {"latency_ms": [20, 200]}
PROVIDER_LINKS = ("worker-dadata", "worker-yandexgpt")

TUNED: dict[str, object] = {
    "ENVIRONMENT": "test",
    "CHANNELS_SIMULATED": "false",
    "LOG_JSON": "true",  # to be read by the accounting
    "DADATA_RATE": 0,
    "YANDEXGPT_MAX_IN_FLIGHT": 0,
    "DADATA_TIMEOUT": 3,
    "YANDEXGPT_TIMEOUT": 5,
}
"""Where the processes' settings differ from the defaults, in every scenario."""


@dataclass
class Member:
    """One process, from its start to its end. `mark`: by what the sandbox's journal knows a worker."""

    kind: str
    process: Process
    mark: str
    fake_clock: bool = False
    started_at: float = field(default_factory=time.time)
    killed_at: float | None = None
    stopped_at: float | None = None

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self.killed_at = time.time()
        self.process.kill()
        self.process.exit_code()

    @property
    def peak_megabytes(self) -> float:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) / 1024
        return 0.0


@dataclass(frozen=True)
class Disturbance:
    """What was done to whom, and when (wall clock)."""

    at: float
    what: str
    links: tuple[str, ...] = ()


@dataclass
class Stack:
    """Workers, schedulers, an API and a sandbox on a database and a virtual host of their own."""

    machines: Machines
    logs: Path
    workers: int = 2
    schedulers: int = 2
    variables: dict[str, object] = field(default_factory=dict)
    messengers: bool = False
    """The operator has a Telegram bot and a Twilio account; they are reached by the link to Dadata's sandbox."""
    links: dict[str, Proxy] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    clock_steps: list[tuple[float, float]] = field(default_factory=list)
    """When (true), and by how many seconds the clocks were set apart."""
    name: str = field(default_factory=lambda: f"faults_{uuid.uuid4().hex[:10]}")
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        self.api_port, self.sandbox_http, self.sandbox_grpc = (free_port() for _ in range(3))
        await asyncio.to_thread(self._make_vhost)
        await self._make_links()
        await asyncio.to_thread(self._migrate)
        self.http = await self._stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        )
        for kind, number in (("sandbox", 1), ("worker", self.workers), ("scheduler", self.schedulers), ("api", 1)):
            for _ in range(number):
                self.spawn(kind)
        await asyncio.gather(*(self.ready(member) for member in self.members))
        await self.providers_well()

    def _make_vhost(self) -> None:
        rabbit = self.machines.rabbit
        rabbit.manage("PUT", f"/api/vhosts/{self.name}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        rabbit.manage("PUT", f"/api/permissions/{self.name}/{rabbit.role}", everything)

    async def _make_links(self) -> None:
        database, broker = self.machines.postgres.port, self.machines.rabbit.amqp_port
        ways = {f"{kind}-{name}": port for kind in ("worker", "api", "scheduler")
                for name, port in (("database", database), ("broker", broker))}  # fmt: skip
        ways |= {"worker-dadata": self.sandbox_http, "worker-yandexgpt": self.sandbox_grpc}
        ways |= {"client-broker": broker, "client-api": self.api_port}
        for name, port in ways.items():
            self.links[name] = await self._stack.enter_async_context(Proxy("127.0.0.1", port))

    def _migrate(self) -> None:
        process = Process("migrate", self._environment("scheduler"), self.logs / "migrate.log")
        assert process.exit_code(timeout=START) == 0, process.log

    def _environment(self, kind: str) -> dict[str, str]:
        found: dict[str, object] = self.machines.variables() | {
            "DATABASE_NAME": self.name,
            "RABBITMQ_VHOST": self.name,
            "API_HOST": "127.0.0.1",
            "API_PORT": self.api_port,
            "SANDBOX_HTTP_PORT": self.sandbox_http,
            "SANDBOX_GRPC_PORT": self.sandbox_grpc,
            "SANDBOX_BOT_PORT": 0,
            "SANDBOX_SMTP_PORT": 0,
            "SANDBOX_SMTPS_PORT": 0,
            "SANDBOX_SMPP_PORT": 0,
            "DADATA_API_KEY": "faults",
            "DADATA_SECRET_KEY": "faults",
            "YANDEXGPT_API_KEY": "faults",
            "FOLDER_ID": "faults",
        }
        if kind != "sandbox":
            found |= {
                "DATABASE_PORT": self.links[f"{kind}-database"].port,
                "RABBITMQ_AMQP_PORT": self.links[f"{kind}-broker"].port,
            }
        if kind == "worker":
            clean = f"http://127.0.0.1:{self.links['worker-dadata'].port}/dadata/api/v1/clean"
            found |= {
                "DADATA_PHONE_API_URL": f"{clean}/phone",
                "DADATA_EMAIL_API_URL": f"{clean}/email",
                "YANDEXGPT_ENDPOINT": f"127.0.0.1:{self.links['worker-yandexgpt'].port}",
                "YANDEXGPT_INSECURE": "true",
            }
        if self.messengers:
            found |= self._messengers(kind)
        return {name: str(value) for name, value in (found | TUNED | self.variables).items()}

    def _messengers(self, kind: str) -> dict[str, object]:
        port = self.links["worker-dadata"].port if kind == "worker" else self.sandbox_http
        return {
            "PUBLIC_URL": f"http://127.0.0.1:{self.api_port}",
            "TELEGRAM_BOT_TOKEN": "1000000001:faults",
            "TELEGRAM_API_URL": f"http://127.0.0.1:{port}/telegram",
            "TWILIO_ACCOUNT_SID": "ACfaults",
            "TWILIO_AUTH_TOKEN": "faults",
            "TWILIO_FROM": "+15005550006",
            "TWILIO_API_URL": f"http://127.0.0.1:{port}/twilio",
            "NOTIFICATIONS_RATES": "",
            "NOTIFICATIONS_GRACE": 10,
            "NOTIFICATIONS_FIRST_DELAY": 0.5,
            "NOTIFICATIONS_FIRST_INQUIRY": 2,
            "NOTIFICATIONS_FIRST_REMINDER": 5,
        }

    def spawn(self, kind: str) -> Member:
        """Starts a process and does not wait for it. A worker's keys end in its mark, which the journal shows."""
        mark = f"{next(self._numbers):04d}"
        environment = self._environment(kind)
        if kind == "worker":
            environment |= dict.fromkeys(("DADATA_API_KEY", "YANDEXGPT_API_KEY"), f"faults-worker-{mark}")
        clock = self.machines.postgres.clock if kind != "sandbox" else None
        environment |= clock.environment if clock else {}
        member = Member(kind, Process(kind, environment, self.logs / f"{kind}-{mark}.log"), mark, clock is not None)
        self.members.append(member)
        return member

    async def ready(self, member: Member) -> None:
        """Returns when it does its work, however long a busy machine takes for that."""
        url = {
            "api": f"http://127.0.0.1:{self.api_port}/health/live",
            "sandbox": f"{self.sandbox_url}/control/settings",
        }.get(member.kind)
        async with asyncio.timeout(180):
            while not await self._is_ready(member, url):
                assert member.process.running(), f"{member.process.name} ended:\n{member.process.log}"
                await asyncio.sleep(0.1)

    async def _is_ready(self, member: Member, url: str | None) -> bool:
        if url is None:
            return member.kind != "worker" or "taking tasks" in member.process.log
        try:
            async with self.http.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False

    def living(self, kind: str) -> list[Member]:
        return [member for member in self.members if member.kind == kind and member.process.running()]

    def working(self) -> list[Member]:
        """The workers that take tasks."""
        return [member for member in self.living("worker") if "taking tasks" in member.process.log]

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_http}"

    @property
    def broker_url(self) -> str:
        rabbit = self.machines.rabbit
        return f"amqp://{rabbit.role}:{rabbit.password}@127.0.0.1:{{port}}/{self.name}?heartbeat=5"

    def note(self, what: str, *links: str) -> None:
        """Enters a disturbance, for the accounting to judge by."""
        self.disturbances.append(Disturbance(time.time(), what, links))

    def step_clock(self, seconds: int) -> None:
        """Of PostgreSQL and the service, not of the sandbox."""
        self.clock_steps.append((time.time(), seconds))
        self.machines.clock.step(seconds)

    async def fault(self, provider: str, **fault: object) -> None:
        """What goes wrong with a provider from now on; see docs/sandbox.md."""
        self.note(f"{provider}: {fault}", *PROVIDER_LINKS)
        await self._put_fault(provider, LATENCY | fault)

    async def providers_well(self) -> None:
        """They answer everything, as slowly as the real ones do on a good day."""
        async with self.http.delete(f"{self.sandbox_url}/control/faults") as answer:
            answer.raise_for_status()
        for provider in (*PROVIDERS, *(MESSENGERS if self.messengers else ())):
            await self._put_fault(provider, LATENCY)

    async def _put_fault(self, provider: str, fault: dict[str, object]) -> None:
        async with self.http.put(f"{self.sandbox_url}/control/faults/{provider}", json=fault) as answer:
            answer.raise_for_status()

    async def journal(self) -> list[dict[str, Any]]:
        """Every call the providers received, oldest first."""
        async with self.http.get(f"{self.sandbox_url}/control/journal", params={"limit": "200000"}) as answer:
            found = await answer.json()
        assert not found["dropped"], "the sandbox's journal is too small for this run"
        entries: list[dict[str, Any]] = found["entries"]
        return entries

    async def inbox(self) -> list[dict[str, Any]]:
        """Every message that the providers took, oldest first."""
        async with self.http.get(f"{self.sandbox_url}/control/inbox", params={"limit": "10000"}) as answer:
            found: list[dict[str, Any]] = (await answer.json())["messages"]
        assert len(found) < 10_000, "the sandbox's inbox is too small for this run"
        return found

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """Directly, past the links."""
        postgres = self.machines.postgres
        connection = await asyncpg.connect(
            host="127.0.0.1", port=postgres.port, user=postgres.role, password=postgres.password, database=self.name,
            timeout=20, command_timeout=60,
        )  # fmt: skip
        try:
            yield connection
        finally:
            connection.terminate()

    async def stop(self) -> None:
        """Ends everything and removes the database and the virtual host."""
        running = [member for member in self.members if member.process.running()]
        for member in running:
            member.process.terminate()
        for member in running:
            try:
                await asyncio.to_thread(member.process.exit_code, timeout=25)
            except Exception:  # noqa: BLE001 - whatever it hangs on, it has to go
                member.process.kill()
                await asyncio.to_thread(member.process.exit_code)
        await self._stack.aclose()
        await asyncio.to_thread(self.machines.rabbit.manage, "DELETE", f"/api/vhosts/{self.name}")
