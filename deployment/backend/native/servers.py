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
import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import packages
from postgres import PrivatePostgres
from processes import ServerError, alive, free_ports
from rabbitmq import PrivateRabbit

__all__ = ["PrivatePostgres", "PrivateRabbit", "ServerError", "describe", "free_ports", "rebuild", "start_pair"]


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
