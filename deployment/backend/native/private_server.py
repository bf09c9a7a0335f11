"""What the private servers have in common, and the system user they run as."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import signal
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from processes import ServerError, family, send, wait_gone, wait_until

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
                    **as_user(self.user),
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


def ordinary_user() -> str:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ServerError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def group_of(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None


def as_user(user: str | None) -> dict[str, Any]:
    """subprocess's options for running as that user, in no group but its own; None changes nothing."""
    return {"user": user, "group": group_of(user), "extra_groups": []} if user else {}


def can_enter(user: str, directory: Path) -> bool:
    done = subprocess.run(["test", "-x", str(directory)], **as_user(user), cwd="/", check=False)
    return done.returncode == 0
