"""The two servers of a fault run, which it may kill, fill up and mislead about the time."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

BACKEND = Path(__file__).resolve().parents[2]
ROOT = BACKEND.parents[1]
sys.path.insert(0, str(ROOT / "deployment" / "backend" / "native"))

from servers import PrivatePostgres, PrivateRabbit, free_ports  # type: ignore[import-not-found]  # noqa: E402

LIBFAKETIME = sorted(Path("/").glob("usr/lib/*/faketime/libfaketimeMT.so.1"))


class Clock:
    """A wall clock that can be stepped while processes look at it; theirs alone, and not their monotonic one."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self._file.write_text("+0")
        self._file.chmod(0o644)

    @property
    def environment(self) -> dict[str, str]:
        """For the processes that are to live by it; without libfaketime, for none."""
        if not LIBFAKETIME:
            return {}
        return {
            "LD_PRELOAD": str(LIBFAKETIME[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: int) -> None:
        """Sets it apart from the true time."""
        self._file.write_text(f"{seconds:+d}")


class Postgres(PrivatePostgres):  # type: ignore[misc]
    """A PostgreSQL that lives by the clock given, if any."""

    clock: Clock | None = None

    def environment(self) -> dict[str, str]:
        own: dict[str, str] = super().environment()
        return own | (self.clock.environment if self.clock else {})


class Rabbit(PrivateRabbit):  # type: ignore[misc]
    """A RabbitMQ whose insides can be reached: without epmd its own tools do not find it."""

    def erlang(self, expression: str) -> str:
        """Evaluates an expression in the node and returns what came out."""
        code = f'R = {expression.replace("HERE", repr(self.node))}, io:format("~p", [R]), halt().'
        command = [
            *("erl", "-noinput", "-hidden", "-sname", f"faults{id(self)}@localhost"),
            *("-start_epmd", "false", "-dist_listen", "false", "-erl_epmd_port", str(self._tools_port)),
            *("-setcookie", (self.directory / ".erlang.cookie").read_text(), "-eval", code),
        ]
        environment = {name: value for name, value in self.environment().items() if name != "ERL_AFLAGS"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30)
        return done.stdout

    def full_disk(self, full: bool) -> None:
        """Raises or ends the broker's own disk alarm, by what it takes for too little free space."""
        limit = 10**15 if full else 50_000_000
        self.erlang(f"rpc:call(HERE, rabbit_disk_monitor, set_disk_free_limit, [{limit}])")

    def alarms(self) -> str:
        return self.erlang("rpc:call(HERE, rabbit_alarm, get_alarms, [])")


class Machines:
    """A private PostgreSQL and a private RabbitMQ, on free ports, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        database, amqp, web = free_ports(3)
        self.clock = Clock(directory)
        self.postgres = Postgres(directory / "postgres", database)
        self.rabbit = Rabbit(directory / "rabbitmq", amqp, web)

    async def start(self) -> None:
        for server in (self.postgres, self.rabbit):
            await asyncio.to_thread(server.prepare)
        self.rabbit.start(wait=False)
        await asyncio.to_thread(self.postgres.start)
        await asyncio.to_thread(self.rabbit.wait_ready)

    async def live_by_clock(self, fake: bool) -> None:
        """Starts PostgreSQL again, with a clock that can be stepped or with the true one."""
        self.postgres.clock = self.clock if fake else None
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.to_thread(self.postgres.start)

    def remove(self) -> None:
        for server in (self.postgres, self.rabbit):
            server.remove()
        shutil.rmtree(self.directory, ignore_errors=True)

    def variables(self) -> dict[str, Any]:
        return {**self.postgres.variables(), **self.rabbit.variables()}
