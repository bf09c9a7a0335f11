"""An installation as its operator sees it: real processes, each with its variables, its log and its pid."""

import asyncio
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from gonets.adapters.postgres.migrate import migrate

if TYPE_CHECKING:
    from conftest import Servers

BACKEND = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(BACKEND.parents[1] / "deployment" / "backend" / "native"))

from processes import free_ports  # type: ignore[import-not-found]  # noqa: E402

START = 120  # seconds that a process may take to start on a busy machine

# What the developer's own environment says about the service must not reach the processes under test.
_OURS = re.compile(
    "^(DATABASE|RABBITMQ|API|WORKER|SCHEDULER|METRICS|OTEL|SANDBOX|CIRCUIT|DADATA|YANDEXGPT|SECRETS|IDENTITY|CONTACTS|FILES)_"
    "|^(EGRESS|TLS|CHANNELS|NOTIFICATIONS|CAMPAIGNS|TELEGRAM|SLACK|TWILIO|SMSAERO|EMAIL|SMTP|SMPP|SMS)_"
    "|^(FOLDER_ID|IAM_TOKEN|ENVIRONMENT|LOG_LEVEL|LOG_JSON)$"
)


def wait_for(look: Callable[[], bool], what: Callable[[], str], *, timeout: float = START) -> None:
    """Looks again and again. Fails, saying `what`, when the time is over."""
    deadline = time.monotonic() + timeout
    while not look():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what()}"
        time.sleep(0.05)


def free_port() -> int:
    """Below those that anybody else of the tests draws, and kept while they run, so it is still free later."""
    [port] = free_ports(1, range(10_000, 18_000))
    return int(port)


class Process:
    """One `gonets COMMAND`, or a test's own program. Its output goes to a file, which is shown where a test fails."""

    def __init__(self, command: str, environment: dict[str, str], log: Path, program: Path | None = None) -> None:
        self.name = f"{command} ({log.stem})"
        self.environment = environment
        self._log = log
        inherited = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *([program] if program else ["-m", "gonets.entrypoints.cli", command])],
                cwd=BACKEND,
                env=inherited | environment | {"PYTHONPATH": str(BACKEND / "src")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['API_PORT']}"

    def running(self) -> bool:
        return self._process.poll() is None

    def logged(self, words: str, *, timeout: float = START) -> None:
        """Returns when the log holds the words."""
        wait_for(
            lambda: words in self.log or self._died(words), f"{words!r} in the log of {self.name}", timeout=timeout
        )

    def _died(self, words: str) -> bool:
        assert self.running(), f"{self.name} ended before it logged {words!r}:\n{self.log}"
        return False

    def answers(self, url: str) -> None:
        """Returns when the URL is answered with 200."""
        seen = ""

        def look() -> bool:
            nonlocal seen
            assert self.running(), f"{self.name} ended:\n{self.log}"
            try:
                answer = httpx.get(url, timeout=2, verify=False)
            except httpx.TransportError as error:
                seen = repr(error)
                return False
            seen = answer.text
            return answer.status_code == 200

        wait_for(look, lambda: f"{self.name} answers {url}: {seen}\n{self.log}")

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()

    def exit_code(self, *, timeout: float = 30) -> int:
        """Waits for the end."""
        return self._process.wait(timeout)


@dataclass
class Installation:
    """A database, a virtual host, a sandbox, and what is started on them."""

    servers: "Servers"
    logs: Path
    sandbox_http: int = field(default_factory=free_port)
    sandbox_grpc: int = field(default_factory=free_port)
    sandbox_smtp: int = field(default_factory=free_port)
    sandbox_smpp: int = field(default_factory=free_port)
    processes: list[Process] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def environment(self) -> dict[str, str]:
        dadata = f"http://127.0.0.1:{self.sandbox_http}/dadata/api/v1/clean"
        return self.servers.environment | {
            "ENVIRONMENT": "test",
            "CHANNELS_SIMULATED": "false",
            # A busy machine is no outage.
            "API_DATABASE_TIMEOUT": "5",
            # Named in full, so that keys in a developer's .env are never used for tests.
            "DADATA_API_KEY": "acceptance",
            "DADATA_SECRET_KEY": "acceptance",
            "DADATA_PHONE_API_URL": f"{dadata}/phone",
            "DADATA_EMAIL_API_URL": f"{dadata}/email",
            "DADATA_RATE": "0",
            # Short, so that one test's broken provider is not the next one's.
            "CIRCUIT_OPERATOR_PAUSE": "1",
            "CIRCUIT_LONGEST_PAUSE": "1",
            "FOLDER_ID": "acceptance",
            "YANDEXGPT_API_KEY": "acceptance",
            "YANDEXGPT_ENDPOINT": f"127.0.0.1:{self.sandbox_grpc}",
            "YANDEXGPT_INSECURE": "true",
            "FILES_FOLDER": str(self.logs / "files"),
            "SANDBOX_HTTP_PORT": str(self.sandbox_http),
            "SANDBOX_GRPC_PORT": str(self.sandbox_grpc),
            "SANDBOX_BOT_PORT": "0",
            "SANDBOX_SMTP_PORT": str(self.sandbox_smtp),
            "SANDBOX_SMTPS_PORT": "0",
            "SANDBOX_SMPP_PORT": str(self.sandbox_smpp),
        }

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_http}"

    def launch(self, command: str, *, program: Path | None = None, **variables: object) -> Process:
        """Starts a process, or a `program` in its place, and does not wait for it."""
        environment = self.environment | {"API_HOST": "127.0.0.1", "API_PORT": str(free_port())}
        environment |= {name: str(value) for name, value in variables.items()}
        process = Process(command, environment, self.logs / f"{command.strip('-')}-{next(self._numbers)}.log", program)
        self.processes.append(process)
        return process

    def start(self, command: str, **variables: object) -> Process:
        """Starts a process and returns when it does its work."""
        process = self.launch(command, **variables)
        if command == "api":
            process.answers(f"{process.url}/health/ready")
        elif command == "sandbox":
            process.answers(f"{self.sandbox_url}/control/settings")
        elif command == "worker":
            process.logged("taking tasks")
        return process

    def run(self, command: str, **variables: object) -> tuple[int, str]:
        """Runs a command to its end: exit status and output."""
        process = self.launch(command, **variables)
        return process.exit_code(timeout=START), process.log

    def stop(self) -> None:
        """Ends what still runs, in order where that works in time."""
        running = [process for process in self.processes if process.running()]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.exit_code(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.exit_code()

    def prepare(self) -> None:
        """The virtual host and the database."""
        vhost, user = (quote(name, safe="") for name in (self.servers.rabbit.vhost, self.servers.rabbit.user))
        self.servers.manage("PUT", f"vhosts/{vhost}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.servers.manage("PUT", f"permissions/{vhost}/{user}", everything)
        asyncio.run(migrate(self.servers.database.dsn))

    def remove(self) -> None:
        self.servers.manage("DELETE", f"vhosts/{quote(self.servers.rabbit.vhost, safe='')}")


@dataclass
class Stack:
    """An installation with everything running."""

    installation: Installation
    api: Process
    workers: list[Process]
    scheduler: Process
    sandbox: Process

    @classmethod
    def start(cls, installation: Installation, *, workers: int = 2, **variables: object) -> "Stack":
        sandbox = installation.start("sandbox")
        started = [installation.launch("worker", **variables) for _ in range(workers)]
        scheduler = installation.launch("scheduler", **variables)
        api = installation.start("api", **variables)
        for worker in started:
            worker.logged("taking tasks")
        return cls(installation, api, started, scheduler, sandbox)
