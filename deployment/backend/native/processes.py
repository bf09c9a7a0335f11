"""Processes and ports of this machine: who is alive, who belongs to whom, what is taken."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_PROC = Path("/proc")
_reserved: list[socket.socket] = []


class ServerError(Exception):
    """Something a person has to put right; the message is one line and says what."""


def alive(pid: int) -> bool:
    """A zombie counts as dead: nobody can do anything with it, and it holds no port and no file."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError, IndexError):
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def command_line(pid: int) -> str:
    """The command of a process, words separated by spaces; empty when it is gone."""
    if _PROC.is_dir():
        with contextlib.suppress(OSError):
            return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


def _parents() -> dict[int, int]:
    if not _PROC.is_dir():
        lines = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        return {int(pid): int(parent) for pid, parent in (line.split() for line in lines.splitlines())}
    parents = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return parents


def family(pid: int) -> list[int]:
    """The process and everything it started, parents first."""
    parents = _parents()
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def working_in(directory: Path) -> list[int]:
    """The living processes whose working directory this is; where the system does not tell, none."""
    found = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == directory and alive(int(entry.name)):
                    found.append(int(entry.name))
    return found


def send(pids: Iterable[int], signum: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def wait_until(check: Callable[[], bool], timeout: float, what: str, pause: float = 0.05) -> None:
    """Raises ServerError naming `what` when `check` has not become true in `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            raise ServerError(f"{what}: not within {timeout:.0f} seconds")
        time.sleep(pause)


def wait_gone(pids: Iterable[int], timeout: float, what: str) -> None:
    pids = list(pids)
    wait_until(lambda: not any(map(alive, pids)), timeout, f"{what} did not stop")


def port_is_taken(port: int, hosts: Iterable[str] = ("127.0.0.1", "::1")) -> bool:
    for host in hosts:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return True
    return False


def free_ports(count: int, among: range = range(20000, 32000)) -> list[int]:
    """Different ports nobody listens on now, below the range the kernel hands to outgoing connections; none of
    them is handed out again, here or by another process, as long as this one lives."""
    found: list[int] = []
    while len(found) < count:
        candidate = random.choice(among)  # noqa: S311 (not a secret)
        # Nobody else who asks for ports this way can take the UDP port of the same number as well.
        reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", candidate))
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", candidate))
        except OSError:
            reservation.close()
        else:
            _reserved.append(reservation)
            found.append(candidate)
    return found


def with_variable(name: str, value: str) -> list[int]:
    """The processes started with this in their environment, as far as one may look; where the system does not tell,
    none."""
    wanted = f"{name}={value}".encode()
    found = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def end(pids: Iterable[int], timeout: float, what: str) -> None:
    """SIGTERM, and SIGKILL to those that do not follow in time."""
    pids = list(pids)
    send(pids, signal.SIGTERM)
    try:
        wait_gone(pids, timeout, what)
    except ServerError:
        send(pids, signal.SIGKILL)
        wait_gone(pids, 10, what)
