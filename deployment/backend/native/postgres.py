"""A private PostgreSQL."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import packages
from private_server import LOCAL, PrivateServer, as_user, can_enter, group_of, ordinary_user
from processes import ServerError, alive, command_line, send, wait_gone, working_in


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
        return ordinary_user() if os.geteuid() == 0 else None

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
        if self.user and not can_enter(self.user, self.directory):
            home = Path("/var/lib/gonets") / hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]
            home.mkdir(parents=True, exist_ok=True)
            (home / "data").mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(home / "data")
        link.mkdir(exist_ok=True)
        if self.user:
            shutil.chown(self.data, self.user, group_of(self.user))
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
            **as_user(self.user),
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
