"""gonets secrets: the keys under which the secrets of channels are encrypted.

Exit status: 0 done; 1 some could not be decrypted; 3 the database is away.
"""

import argparse
import asyncio
import base64
import os
import sys
from datetime import UTC, datetime

from gonets.core.shared.errors import Unavailable
from gonets.entrypoints.process import configured


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand to the parser of `gonets`."""
    summary = "make a key for SECRETS_KEYS, or encrypt everything with the newest one"
    actions = commands.add_parser("secrets", help=summary, description=summary).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    actions.add_parser("new", help="print a new key, to be put into SECRETS_KEYS")
    actions.add_parser("rotate", help="encrypt with the newest key what is encrypted with an older one")


def main(arguments: argparse.Namespace) -> None:
    if arguments.action == "new":
        sys.stdout.write(new_key() + "\n")
    else:
        sys.exit(asyncio.run(_rotate()))


def new_key() -> str:
    """Named after the moment, so that no two are named alike."""
    return f"k{datetime.now(UTC):%Y%m%d%H%M%S}:{base64.b64encode(os.urandom(32)).decode()}"


async def _rotate() -> int:
    from gonets.bootstrap.secrets import SecretsContainer

    settings = configured()
    container = SecretsContainer()
    pool = container.pool()
    try:
        await pool.open()
        done = await container.channels().reseal()
    except Unavailable as error:
        sys.stderr.write(f"{error.reason} (DATABASE_HOST={settings.database.host})\n")
        return 3
    finally:
        await pool.close()
    newest = next(iter(settings.secret_keys.by_name))
    sys.stdout.write(f"{done.count} channels are encrypted with {newest} now\n")
    if done.unreadable:
        numbers = ", ".join(map(str, done.unreadable))
        sys.stderr.write(f"not to be decrypted with any key of SECRETS_KEYS: channels {numbers}\n")
    return 1 if done.unreadable else 0
