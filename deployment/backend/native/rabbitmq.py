"""A private RabbitMQ."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import shutil
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import packages
from private_server import LOCAL, PrivateServer
from processes import alive, command_line, free_ports, port_is_taken


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
        with opener.open(request, timeout=60) as answer:
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
