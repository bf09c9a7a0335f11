#!/usr/bin/env python3
"""The whole service on this machine without Docker: `up`, `down`, `remove`, `pgadmin`, `is-up`.

Run by the scripts in ../manage with the virtual environment's Python. Data, logs and configuration are under .run/.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

import packages
import pgadmin
from postgres import PrivatePostgres
from private_server import LOCAL, PrivateServer
from processes import ServerError, alive, end, port_is_taken, wait_until
from rabbitmq import PrivateRabbit
from supervision import NUMBER, Program, Supervisor
from variables import ROOT, Variables, read

RUN = ROOT / ".run"
GONETS = str(ROOT / ".venv/bin/gonets")
WORKERS = 2
METRICS_PORT = 9101
TASK_QUEUE = "TaskProcessingQueue"
SANDBOX_PORTS = ("HTTP", "GRPC", "SMTP", "SMTPS", "SMPP")


class Stack:
    """What runs here, given the variables: servers named elsewhere are not ours to start."""

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self.supervisor = Supervisor(RUN)
        self.postgres = PrivatePostgres(
            RUN / "postgres",
            variables.port("DATABASE_PORT"),
            variables["DATABASE_USER"],
            variables["DATABASE_PASSWORD"],
        )
        self.rabbit = PrivateRabbit(
            RUN / "rabbitmq",
            variables.port("RABBITMQ_AMQP_PORT"),
            variables.port("RABBITMQ_WEB_PORT"),
            variables["RABBITMQ_USER"],
            variables["RABBITMQ_PASSWORD"],
        )
        self.own_postgres = variables.is_local("DATABASE_HOST")
        self.own_rabbit = variables.is_local("RABBITMQ_HOST")
        self.own_sandbox = variables.is_local("SANDBOX_HOST")

    @property
    def virtual_host(self) -> str:
        return quote(self.variables["RABBITMQ_VHOST"], safe="")

    @property
    def servers(self) -> list[PrivateServer]:
        return [*([self.postgres] if self.own_postgres else []), *([self.rabbit] if self.own_rabbit else [])]

    @property
    def services(self) -> list[str]:
        return [*(["sandbox"] if self.own_sandbox else []), "scheduler", "worker", "api"]

    def programs(self) -> list[Program]:
        servers = [
            Program(
                server.name,
                server.command(),
                server.working_directory,
                user=server.user,
                environment=server.environment(),
                stop_signal=server.stop_signal.name.removeprefix("SIG"),
                stop_seconds=60,
                order=10,
                autostart=True,
            )
            for server in self.servers
        ]
        services = [
            Program(name, self.command(name), ROOT, count=WORKERS if name == "worker" else 1) for name in self.services
        ]
        return [*servers, *services]

    @property
    def metrics_port(self) -> int:
        """The scheduler's; those of the workers follow. A port that is taken only costs that process its metrics."""
        return self.variables.port("METRICS_PORT") if self.variables["METRICS_PORT"] != "0" else METRICS_PORT

    def command(self, name: str) -> list[str]:
        if name not in ("scheduler", "worker"):
            return [GONETS, name]
        number = f"{self.metrics_port} + {NUMBER}"
        return ["/bin/sh", "-c", f"METRICS_PORT=$(({number})) exec {shlex.quote(GONETS)} {name}"]

    def ports(self) -> list[str]:
        """The variables of the ports we listen on."""
        return [
            "API_PORT",
            *(["DATABASE_PORT"] if self.own_postgres else []),
            *(["RABBITMQ_AMQP_PORT", "RABBITMQ_WEB_PORT"] if self.own_rabbit else []),
            *([f"SANDBOX_{kind}_PORT" for kind in SANDBOX_PORTS] if self.own_sandbox else []),
        ]

    def up(self) -> None:
        if self.supervisor.pid() is None:
            self.end_strays()
            self.refuse_taken_ports()
            self.launch()
        else:
            say("already running; what is down is started again (after a change of .env or code: make restart)")
        for server in self.servers:
            step(server.name, server.ready, server.ready_timeout, server.name, self.supervisor)
        if self.own_rabbit:
            self.rabbit.manage("PUT", f"/api/vhosts/{self.virtual_host}")
        self.migrate()
        for name in self.services:
            self.supervisor.start(name)
        for name in self.services:
            label = f"{name} ×{WORKERS}" if name == "worker" else name
            step(label, partial(self.healthy, name), 90, name, self.supervisor)
        say(self.table())

    def refuse_taken_ports(self) -> None:
        used: dict[int, str] = {}
        wrong = []
        for name in self.ports():
            port = self.variables.port(name)
            if port in used:
                wrong.append(f"{name} and {used[port]} are both {port}: change one")
            elif port_is_taken(port):
                wrong.append(f"port {port} is taken by another program: set {name} to a free one (in .env)")
            used[port] = name
        if wrong:
            raise ServerError("nothing was started:\n  " + "\n  ".join(wrong))

    def launch(self) -> None:
        packages.ensure(self.own_postgres, self.own_rabbit)
        for server in self.servers:
            server.prepare()
            server.sweep()
        self.supervisor.forget("pgadmin")
        self.supervisor.launch(self.programs(), self.trust() | self.variables.given)

    def trust(self) -> dict[str, str]:
        """In development the sandbox's certificates are trusted: it makes an authority whenever it starts."""
        if not self.own_sandbox or self.variables.given.get("ENVIRONMENT", "development") != "development":
            return {}
        return dict.fromkeys(("SANDBOX_CA_FILE", "TLS_CA_FILE"), str(RUN / "sandbox-ca.pem"))

    def migrate(self) -> None:
        """Creates the database if it is absent and brings its tables up to date."""
        log = self.supervisor.logs / "migrate.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with log.open("w") as output:
            done = subprocess.run(
                [GONETS, "migrate"], cwd=ROOT, env=self.variables.given, stdout=output, stderr=output, check=False
            )
        if done.returncode:
            raise ServerError(f"gonets migrate failed, see {log}:\n{tail(log.read_text())}")
        report("migrate", began, "done")

    def healthy(self, name: str) -> bool:
        if not self.supervisor.running(name):
            return False
        if name == "api":
            return answers(f"http://{LOCAL}:{self.variables.port('API_PORT')}/health/ready")
        if name == "sandbox":
            return all(map(port_is_taken, [self.variables.port(f"SANDBOX_{kind}_PORT") for kind in SANDBOX_PORTS]))
        if name == "worker" and self.own_rabbit:
            return self.consumers() >= WORKERS
        return True

    def consumers(self) -> int:
        with contextlib.suppress(OSError):
            queue = self.rabbit.manage("GET", f"/api/queues/{self.virtual_host}/{TASK_QUEUE}")
            return int(queue.get("consumers", 0))
        return 0

    def down(self) -> None:
        """Nothing that was started here is alive afterwards, even if supervisord was killed before."""
        pid = self.supervisor.pid()
        if pid is not None:
            say("stopping (work in hand is finished first)")
            with contextlib.suppress(OSError):
                self.supervisor.call("shutdown")
            with contextlib.suppress(ServerError):
                wait_until(lambda: not alive(pid), 180, "supervisord did not stop")
        self.end_strays()
        self.supervisor.forget("pgadmin")
        say("stopped; the data stays in .run/ (remove.sh deletes it)")

    def end_strays(self) -> None:
        """A supervisord that was killed leaves its children running: end them in the order it would have."""
        end(self.supervisor.strays(), 30, "the service")
        for server in (self.rabbit, self.postgres):
            server.stop()
            server.sweep()

    def remove(self) -> None:
        self.down()
        self.postgres.remove()
        shutil.rmtree(RUN, ignore_errors=True)
        say("removed: data, logs and configuration under .run/")

    def start_pgadmin(self) -> None:
        if self.supervisor.pid() is None:
            raise ServerError("nothing is running yet: make up first")
        port = self.variables.port("PGADMIN_PORT")
        if not self.supervisor.processes("pgadmin"):
            if port_is_taken(port):
                raise ServerError(f"port {port} is taken by another program: set PGADMIN_PORT to a free one (in .env)")
            self.supervisor.add(pgadmin.prepare(RUN, self.variables))
        self.supervisor.start("pgadmin")
        step("pgadmin", lambda: answers(f"http://{LOCAL}:{port}/login"), 120, "pgadmin", self.supervisor)
        login = f"{self.variables['PGADMIN_EMAIL']} / {self.variables['PGADMIN_PASSWORD']}"
        say(f"\n  pgAdmin   http://localhost:{port}   {login}")

    def table(self) -> str:
        v = self.variables
        api = f"http://localhost:{v['API_PORT']}"
        rows = [
            ("API", api, "POST /api/v1/tasks"),
            ("Swagger", f"{api}/api/v1/docs", ""),
            ("ReDoc", f"{api}/api/v1/redoc", ""),
            ("Health", f"{api}/health/ready", ""),
            ("Metrics", f"{api}/metrics", f"scheduler :{self.metrics_port}, workers from :{self.metrics_port + 1}"),
            ("RabbitMQ page", f"http://{v['RABBITMQ_HOST']}:{v['RABBITMQ_WEB_PORT']}", f"user {v['RABBITMQ_USER']}"),
            ("RabbitMQ", f"amqp://{v['RABBITMQ_HOST']}:{v['RABBITMQ_AMQP_PORT']}", "queue TaskProcessingQueue"),
            (
                "PostgreSQL",
                f"{v['DATABASE_HOST']}:{v['DATABASE_PORT']}",
                f"database {v['DATABASE_NAME']}, user {v['DATABASE_USER']}",
            ),
            ("Sandbox", f"http://{v['SANDBOX_HOST']}:{v['SANDBOX_HTTP_PORT']}", "plays the providers without keys"),
            ("pgAdmin", f"http://localhost:{v['PGADMIN_PORT']}", "" if self.pgadmin_runs() else "after: make pgadmin"),
            ("Logs", str(self.supervisor.logs), "make logs"),
        ]
        return "\n" + "\n".join(f"  {name:<14} {address:<36} {note}".rstrip() for name, address, note in rows)

    def pgadmin_runs(self) -> bool:
        return bool(self.supervisor.processes("pgadmin"))


def say(text: str) -> None:
    print(text, flush=True)


def report(name: str, began: float, word: str = "ready") -> None:
    say(f"  {name:<12} {word} ({time.monotonic() - began:.1f} s)")


def step(label: str, check: Callable[[], bool], timeout: float, log_name: str, supervisor: Supervisor) -> None:
    began = time.monotonic()
    try:
        wait_until(check, timeout, f"{label} is not healthy", pause=0.2)
    except ServerError as error:
        logs = sorted(supervisor.logs.glob(f"{log_name}*.log"))
        shown = "\n".join(f"the end of {log}:\n{tail(log.read_text(errors='replace'))}" for log in logs[:1])
        raise ServerError(f"{error}\n{shown}") from None
    report(label, began)


def tail(text: str, lines: int = 15) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


ACTIONS: dict[str, Callable[[Stack], None]] = {
    "up": Stack.up,
    "down": Stack.down,
    "remove": Stack.remove,
    "pgadmin": Stack.start_pgadmin,
}

if __name__ == "__main__":
    try:
        ACTIONS[sys.argv[1]](Stack(read()))
    except ServerError as error:
        sys.exit(f"gonets: {error}")
