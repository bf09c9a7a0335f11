#!/usr/bin/env python3
"""Private PostgreSQL and RabbitMQ servers under one directory, for `make up`, `make test` and fault tests.

    python servers.py start --dir DIR [--database-port N] [--amqp-port N] [--web-port N]   prints `export …` lines
    python servers.py stop --dir DIR
    python servers.py remove --dir DIR
    python servers.py status --dir DIR

Standard library only: it runs before a virtual environment exists. Many pairs can live on one machine; nothing of
the system's own servers is touched, and nothing stays behind after `stop`.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parent))

import packages
from processes import (
    ServerError,
    alive,
    command_line,
    family,
    free_ports,
    port_is_taken,
    send,
    wait_gone,
    wait_until,
    working_in,
)

LOCAL = "127.0.0.1"


class PrivateServer:
    """What the two servers have in common: a directory, one foreground command, a log, a life.

    `command`, `environment`, `user` and `stop_signal` are all a process manager needs; `start`, `stop` and `kill` do
    without one. Any process may build the object again from the same arguments and go on with the running server.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    ready_timeout: ClassVar[float]

    def __init__(self, directory: Path | str, user: str, password: str) -> None:
        self.directory = Path(directory).resolve()
        self.role, self.password = user, password
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def user(self) -> str | None:
        """The system user to run as; None is the one who runs this."""
        return None

    @property
    def working_directory(self) -> Path:
        return self.directory

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Everything the server sees: a stray variable of the caller must not change it."""
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.directory), "LANG": "C.UTF-8"}

    def prepare(self) -> None:
        """Makes the directory and the configuration; harmless when they are there already."""
        raise NotImplementedError

    def sweep(self) -> None:
        """Clears away what a server that was killed left behind and that would hinder the next start."""

    def ready(self) -> bool:
        raise NotImplementedError

    def pid(self) -> int | None:
        """The running server's process, or None; a stale pid file is not believed."""
        raise NotImplementedError

    def start(self, wait: bool = True) -> None:
        if self.pid() is None:
            self.sweep()
            with self.log.open("ab") as log:
                self._child = subprocess.Popen(
                    self.command(),
                    env=self.environment(),
                    user=self.user,
                    group=_group_of(self.user),
                    extra_groups=[] if self.user else None,
                    cwd=self.working_directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout: float | None = None) -> None:
        def ready_or_dead() -> bool:
            if self._child is not None and self._child.poll() is not None:
                raise ServerError(f"{self.name} ended while starting; its log: {self.log}")
            return self.ready()

        wait_until(ready_or_dead, timeout or self.ready_timeout, f"{self.name} is not ready, see {self.log}")

    def stop(self, timeout: float = 60) -> None:
        """The orderly way; falls back on `kill` when the time is over."""
        pid = self.pid()
        if pid is None:
            return
        members = family(pid)
        send([pid], self.stop_signal)
        try:
            wait_gone(members, timeout, self.name)
        except ServerError:
            self.kill()
        self._reap()

    def kill(self) -> None:
        """SIGKILL to the server and everything it started; returns when all of it is gone."""
        pid = self.pid()
        if pid is None:
            return
        members = family(pid)
        send(members, signal.SIGKILL)
        wait_gone(members, 10, self.name)
        self._reap()
        self.sweep()

    def _reap(self) -> None:
        if self._child is not None:
            self._child.wait()
            self._child = None

    def _check_credentials(self, variables: str) -> None:
        """They are fixed when the data directory is made; a changed `.env` would else show as a refused login."""
        mark = self.directory / "credentials.sha256"
        now = hashlib.sha256(f"{self.role}\0{self.password}".encode()).hexdigest()
        if mark.exists() and mark.read_text() != now:
            raise ServerError(
                f"{variables} changed since {self.directory} was made: set them back, or remove that data "
                f"(deployment/backend/manage/remove.sh)"
            )
        mark.write_text(now)


class PrivatePostgres(PrivateServer):
    """One PostgreSQL cluster: TCP on 127.0.0.1 only, passwords required, every commit on disk before it is told."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": connections are closed, everything is written
    ready_timeout = 60

    def __init__(self, directory: Path | str, port: int, user: str = "postgres", password: str = "postgres") -> None:
        super().__init__(directory, user, password)
        self.port = port

    @property
    def user(self) -> str | None:
        return _ordinary_user() if os.geteuid() == 0 else None

    @property
    def working_directory(self) -> Path:
        return self.data

    @property
    def data(self) -> Path:
        return (self.directory / "data").resolve()

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": LOCAL,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "300",
            "password_encryption": "scram-sha-256",
            "log_line_prefix": "%m [%p] ",
        }
        arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(packages.postgres_bin(self.data) / "postgres"), "-D", str(self.data), *arguments]

    def prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._check_credentials("DATABASE_USER or DATABASE_PASSWORD")
        if (self.data / "PG_VERSION").exists():
            return
        self._place_data()
        password_file = self.data.parent / "initial-password"
        try:
            password_file.touch(mode=0o600)
            password_file.write_text(self.password + "\n")
            if self.user:
                shutil.chown(password_file, self.user)
            self._initdb(password_file)
        finally:
            password_file.unlink(missing_ok=True)

    def _place_data(self) -> None:
        """An empty data directory its user can reach: where a parent is closed to it (a clone under /root), the data
        goes to /var/lib and a link stays here."""
        link = self.directory / "data"
        if self.user and not _can_enter(self.user, self.directory):
            home = Path("/var/lib/gonets") / hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]
            home.mkdir(parents=True, exist_ok=True)
            (home / "data").mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(home / "data")
        link.mkdir(exist_ok=True)
        if self.user:
            shutil.chown(self.data, self.user, _group_of(self.user))
        self.data.chmod(0o700)

    def _initdb(self, password_file: Path) -> None:
        command = [
            *(str(packages.postgres_bin(self.data) / "initdb"), "-D", str(self.data), "-U", self.role),
            *("--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"),
            *("--locale=C.UTF-8" if sys.platform == "linux" else "--locale=en_US.UTF-8",),
        ]
        done = subprocess.run(
            command,
            env=self.environment(),
            user=self.user,
            group=_group_of(self.user),
            extra_groups=[] if self.user else None,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"initdb failed: {done.stderr.strip()}")

    def sweep(self) -> None:
        """PostgreSQL refuses to start while the old process is not reaped yet, or its children are on their way out."""
        orphans = working_in(self.data)
        if self.pid() is None:
            send(orphans, signal.SIGKILL)
            wait_gone(orphans, 10, self.name)
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def ready(self) -> bool:
        command = [str(packages.postgres_bin(self.data) / "pg_isready"), "-q", "-h", LOCAL, "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            if alive(pid) and str(self.data) in command_line(pid):
                return pid
        if self._child is not None and self._child.poll() is None:
            return self._child.pid
        return None

    def remove(self) -> None:
        """Ends the server and deletes its data, wherever it is."""
        self.kill()
        if (self.directory / "data").is_symlink():
            shutil.rmtree(self.data.parent, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def variables(self) -> dict[str, str]:
        return {
            "DATABASE_HOST": LOCAL,
            "DATABASE_PORT": str(self.port),
            "DATABASE_USER": self.role,
            "DATABASE_PASSWORD": self.password,
        }


class PrivateRabbit(PrivateServer):
    """One RabbitMQ node with the management page, on 127.0.0.1 only, without epmd: the node listens for its tools on a
    port of its own instead of registering it, so no daemon is shared with other brokers or left behind."""

    name = "rabbitmq"
    stop_signal = signal.SIGTERM
    ready_timeout = 120

    def __init__(
        self,
        directory: Path | str,
        amqp_port: int,
        web_port: int,
        user: str = "guest",
        password: str = "guest",
    ) -> None:
        super().__init__(directory, user, password)
        self.amqp_port, self.web_port = amqp_port, web_port

    @property
    def node(self) -> str:
        return f"gonets-{hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]}@localhost"

    @property
    def _tools_port(self) -> int:
        """Where the node's own command line tools find it; chosen once, kept while it is free."""
        return int((self.directory / "tools-port").read_text())

    def command(self) -> list[str]:
        return [str(packages.rabbitmq_server())]

    def environment(self) -> dict[str, str]:
        erlang = [
            *("-sname", self.node, "-erl_epmd_port", str(self._tools_port)),
            *("-kernel", "inet_dist_use_interface", "{127,0,0,1}"),
            *("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"),  # do not burn a shared CPU while idle
        ]
        return super().environment() | {
            "ERL_AFLAGS": "-start_epmd false",
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RUNNING_UNDER_SYSTEMD": "true",  # the script then becomes the server instead of minding it
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(erlang),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.directory / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(self.directory / "feature_flags"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.directory / "generated"),
            "RABBITMQ_LOG_BASE": str(self.directory),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.directory / "rabbitmq.pid"),
        }

    def prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._check_credentials("RABBITMQ_USER or RABBITMQ_PASSWORD")
        self._choose_tools_port()
        cookie = self.directory / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
        (self.directory / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {LOCAL}:{self.amqp_port}\n"
            f"management.tcp.ip = {LOCAL}\n"
            f"management.tcp.port = {self.web_port}\n"
            "log.console = true\n"
            "vm_memory_high_watermark.absolute = 1024MB\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        # Erlang terms can quote any password; the simple format cannot.
        role, password = _erlang_binary(self.role), _erlang_binary(self.password)
        advanced = self.directory / "advanced.config"
        advanced.touch(mode=0o600)
        advanced.write_text(f"[{{rabbit, [{{default_user, {role}}}, {{default_pass, {password}}}]}}].\n")

    def _choose_tools_port(self) -> None:
        chosen = self.directory / "tools-port"
        if self.pid() is None and (not chosen.exists() or port_is_taken(int(chosen.read_text()))):
            chosen.write_text(str(free_ports(1)[0]))

    def ready(self) -> bool:
        """AMQP answers a greeting, and the management page knows the user."""
        try:
            with socket.create_connection((LOCAL, self.amqp_port), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                if connection.recv(1) != b"\x01":
                    return False
            self.manage("GET", "/api/whoami")
        except OSError:
            return False
        return True

    def manage(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the management API. Raises OSError (HTTPError is one) when it is refused."""
        token = base64.b64encode(f"{self.role}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"http://{LOCAL}:{self.web_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def pid(self) -> int | None:
        if self._child is not None and self._child.poll() is None:
            return self._child.pid
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.directory / "rabbitmq.pid").read_text())
            if alive(pid) and self.node in command_line(pid):
                return pid
        return None

    def remove(self) -> None:
        """Ends the server and deletes its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def variables(self) -> dict[str, str]:
        return {
            "RABBITMQ_HOST": LOCAL,
            "RABBITMQ_AMQP_PORT": str(self.amqp_port),
            "RABBITMQ_WEB_PORT": str(self.web_port),
            "RABBITMQ_USER": self.role,
            "RABBITMQ_PASSWORD": self.password,
        }


def _erlang_binary(text: str) -> str:
    return "<<" + ",".join(str(byte) for byte in text.encode()) + ">>"


def _ordinary_user() -> str:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ServerError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def _group_of(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None


def _can_enter(user: str, directory: Path) -> bool:
    done = subprocess.run(
        ["test", "-x", str(directory)], user=user, group=_group_of(user), extra_groups=[], cwd="/", check=False
    )
    return done.returncode == 0


def describe(postgres: PrivatePostgres, rabbit: PrivateRabbit) -> dict[str, Any]:
    """What `rebuild` needs, as JSON: the file GONETS_TEST_SERVERS names holds it."""
    return {
        "postgres": {
            "directory": str(postgres.directory),
            "port": postgres.port,
            "user": postgres.role,
            "password": postgres.password,
        },
        "rabbitmq": {
            "directory": str(rabbit.directory),
            "amqp_port": rabbit.amqp_port,
            "web_port": rabbit.web_port,
            "user": rabbit.role,
            "password": rabbit.password,
        },
    }


def rebuild(description: Path | str) -> tuple[PrivatePostgres, PrivateRabbit]:
    """The servers of a description written by `start`, as objects that can stop, kill and start them."""
    content = json.loads(Path(description).read_text())
    return PrivatePostgres(**content["postgres"]), PrivateRabbit(**content["rabbitmq"])


def start_pair(directory: Path, database_port: int, amqp_port: int, web_port: int) -> Path:
    """Starts both (a port of 0 is a free one) and returns the path of the description."""
    description = directory / "servers.json"
    if description.exists():
        postgres, rabbit = rebuild(description)
    else:
        given = [database_port, amqp_port, web_port]
        free = iter(free_ports(len(given)))
        ports = [port or next(free) for port in given]
        postgres = PrivatePostgres(directory / "postgres", ports[0])
        rabbit = PrivateRabbit(directory / "rabbitmq", ports[1], ports[2])
    packages.ensure()
    directory.mkdir(parents=True, exist_ok=True)
    description.write_text(json.dumps(describe(postgres, rabbit), indent=2) + "\n")
    for server in (postgres, rabbit):
        server.prepare()
    rabbit.start(wait=False)  # it takes longest
    postgres.start()
    rabbit.wait_ready()
    return description


def remove_abandoned(directory: Path) -> None:
    """Removes the servers of runs that were killed: `directory/private-PID`, where no such process lives any more."""
    for pair in directory.glob("private-*"):
        if not alive(int(pair.name.removeprefix("private-"))):
            if (pair / "servers.json").exists():
                for server in rebuild(pair / "servers.json"):
                    server.remove()
            shutil.rmtree(pair, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["start", "stop", "remove", "status", "remove-abandoned"])
    parser.add_argument("--dir", type=Path, required=True, help="where data, logs and configuration live")
    parser.add_argument("--database-port", type=int, default=0, help="0, the default, is a free one")
    parser.add_argument("--amqp-port", type=int, default=0)
    parser.add_argument("--web-port", type=int, default=0)
    options = parser.parse_args()
    directory = options.dir.resolve()
    if options.action == "remove-abandoned":
        remove_abandoned(directory)
        return
    if options.action == "start":
        pair = rebuild(start_pair(directory, options.database_port, options.amqp_port, options.web_port))
    else:
        pair = rebuild(directory / "servers.json")
    for server in pair:
        if options.action == "start":
            for key, value in server.variables().items():
                sys.stdout.write(f"export {key}={shlex.quote(value)}\n")
        elif options.action == "status":
            sys.stdout.write(f"{server.name}: {'ready' if server.ready() else 'not ready'}, process {server.pid()}\n")
        elif options.action == "stop":
            server.stop()
        else:
            server.remove()


if __name__ == "__main__":
    try:
        main()
    except (ServerError, FileNotFoundError) as error:
        sys.exit(f"servers: {error}")
