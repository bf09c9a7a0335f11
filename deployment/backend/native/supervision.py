"""supervisord, which keeps the processes running: its configuration, its life, and what it can be asked."""

from __future__ import annotations

import hashlib
import http.client
import os
import shlex
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import ServerError, alive, with_variable
from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

NUMBER = "@number@"
MARK = "GONETS_RUN"  # in the environment of everything supervisord starts: how the strays of a killed one are found


@dataclass(frozen=True)
class Program:
    """One thing to keep running. A given `environment` replaces the inherited one. NUMBER in the command becomes the
    process's number among `count`, from 1; 0 where there is only one."""

    name: str
    command: list[str]
    directory: Path
    user: str | None = None
    environment: dict[str, str] | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 30
    count: int = 1
    order: int = 30
    autostart: bool = False

    def section(self, logs: Path) -> str:
        command = self.command
        if self.environment is not None:
            command = ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in self.environment.items()), *command]
        settings = {
            "command": shlex.join(command).replace(NUMBER, "\0"),
            "directory": str(self.directory),
            "autostart": str(self.autostart).lower(),
            "autorestart": "true",
            "startsecs": "1",
            "startretries": "1000",
            "stopsignal": self.stop_signal,
            "stopwaitsecs": str(self.stop_seconds),
            "killasgroup": "true",
            "priority": str(self.order),
            "redirect_stderr": "true",
            "stdout_logfile": str(logs / f"{self.name}.log"),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "2",
        }
        if self.user:
            settings["user"] = self.user
        if self.environment is None:
            settings["environment"] = 'PYTHONUNBUFFERED="1"'
        name_template = "%(program_name)s"
        if self.count > 1:
            settings |= {"numprocs": str(self.count), "numprocs_start": "1"}
            settings["stdout_logfile"] = str(logs / f"{self.name}-") + "\0.log"
            name_template += "-%(process_num)d"
        lines = [f"{key}={value.replace('%', '%%')}" for key, value in settings.items()]
        lines.append(f"process_name={name_template}")
        return "\n".join([f"[program:{self.name}]", *lines]).replace("\0", "%(process_num)d") + "\n"


class Supervisor:
    """The supervisord of one run directory."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.logs = run / "logs"
        self.configuration = run / "supervisord.conf"
        self.additions = run / "supervisord.d"
        self.socket = run / "supervisord.sock"
        if len(str(self.socket)) > 90:  # a socket's path may have 107 characters, and supervisord adds some for a while
            name = hashlib.sha256(str(run).encode()).hexdigest()[:12]
            self.socket = Path(tempfile.gettempdir()) / f"gonets-{name}.sock"

    def call(self, method: str, *arguments: Any) -> Any:
        # A connection of its own each time: the transport cannot go on after a failure.
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        try:
            return getattr(xmlrpc.client.ServerProxy("http://localhost", transport).supervisor, method)(*arguments)
        finally:
            transport.close()

    def pid(self) -> int | None:
        """Its process, if it answers; a pid file is never asked, so a stale one cannot mislead."""
        try:
            return int(self.call("getPID"))
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return None

    def launch(self, programs: list[Program], environment: Mapping[str, str]) -> None:
        """Writes the configuration and starts the daemon, which outlives the caller."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.additions.mkdir(exist_ok=True)
        self.configuration.touch(mode=0o600)
        self.configuration.write_text(self._text(programs))
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.configuration)],
            env={**environment, MARK: str(self.run)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"supervisord did not start: {(done.stderr or done.stdout).strip()[-500:]}")

    def _text(self, programs: list[Program]) -> str:
        head: dict[str, dict[str, object]] = {
            "unix_http_server": {"file": self.socket, "chmod": "0700"},
            "supervisord": {
                "directory": self.run,
                "logfile": self.logs / "supervisord.log",
                "pidfile": self.run / "supervisord.pid",
                "childlogdir": self.logs,
                "minfds": "1024",
                **({"user": "root"} if os.geteuid() == 0 else {}),
            },
            "rpcinterface:supervisor": {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
            },
            "supervisorctl": {"serverurl": f"unix://{self.socket}"},
            "include": {"files": self.additions / "*.conf"},
        }
        sections = [
            f"[{name}]\n" + "".join(f"{key}={str(value).replace('%', '%%')}\n" for key, value in settings.items())
            for name, settings in head.items()
        ]
        return "\n".join([*sections, *(program.section(self.logs) for program in programs)])

    def add(self, program: Program) -> None:
        """A program more, while running; it is gone after `forget`."""
        self.additions.mkdir(exist_ok=True)
        (self.additions / f"{program.name}.conf").write_text(program.section(self.logs))
        self.call("reloadConfig")
        if program.name not in {info["group"] for info in self.call("getAllProcessInfo")}:
            self.call("addProcessGroup", program.name)

    def forget(self, name: str) -> None:
        (self.additions / f"{name}.conf").unlink(missing_ok=True)

    def start(self, group: str) -> None:
        """Those of the group that run already are left alone. Does not wait."""
        for info in self.processes(group):
            if info["statename"] not in {"RUNNING", "STARTING"}:
                self.call("startProcess", f"{group}:{info['name']}", False)

    def processes(self, group: str) -> list[dict[str, Any]]:
        return [info for info in self.call("getAllProcessInfo") if info["group"] == group]

    def running(self, group: str) -> bool:
        return all(info["statename"] == "RUNNING" for info in self.processes(group))

    def strays(self) -> list[int]:
        """What a supervisord of this directory started and is still alive, whoever minds it now."""
        return [pid for pid in with_variable(MARK, str(self.run)) if alive(pid)]
