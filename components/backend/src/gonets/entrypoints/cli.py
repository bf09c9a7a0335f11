"""The command `gonets`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Mapping

from gonets.core.shared.errors import Unavailable
from gonets.entrypoints import failed, secrets, user
from gonets.entrypoints.process import configured


def _api() -> None:
    from gonets.entrypoints import api

    api.main()


def _worker() -> None:
    from gonets.entrypoints import worker

    worker.main()


def _scheduler() -> None:
    from gonets.entrypoints import scheduler

    scheduler.main()


def _sandbox() -> None:
    # A process of its own kind: the service and its sandbox share no code.
    os.execv(sys.executable, [sys.executable, "-m", "sandbox"])  # noqa: S606 - our own interpreter


def _migrate() -> None:
    from gonets.adapters.postgres.migrate import migrate
    from gonets.adapters.postgres.pool import database_errors

    async def once() -> None:
        async with database_errors():
            await migrate(settings.database.dsn)

    settings = configured()
    try:
        asyncio.run(once())
    except Unavailable as error:
        sys.exit(f"cannot migrate: {error.reason} (DATABASE_HOST={settings.database.host})")


def _doctor() -> None:
    from gonets.entrypoints import doctor

    doctor.main()


COMMANDS: Mapping[str, tuple[str, Callable[[], None]]] = {
    "api": ("serve the REST door", _api),
    "worker": ("take tasks and ask the providers", _worker),
    "scheduler": ("wake what is due", _scheduler),
    "sandbox": ("play the providers, for development", _sandbox),
    "migrate": ("make the database, and bring its tables up to date", _migrate),
    "doctor": ("say what is reachable and what is wrong", _doctor),
}


def main() -> None:
    """Each process imports only its own part, the API no provider's SDK. FastAPI comes with dependency-injector, which
    looks for it wherever it is installed: 7 MB that a worker does not use."""
    parser = argparse.ArgumentParser(prog="gonets", description="An integration and notification service on RabbitMQ")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, _) in COMMANDS.items():
        commands.add_parser(name, help=summary, description=summary)
    with_actions = {"failed": failed, "secrets": secrets, "user": user}
    for command in with_actions.values():
        command.add_to(commands)
    arguments = parser.parse_args()
    if arguments.command in with_actions:
        with_actions[arguments.command].main(arguments)
    else:
        COMMANDS[arguments.command][1]()


if __name__ == "__main__":
    main()
