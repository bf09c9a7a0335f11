"""gonets user: the accounts, for whoever has a shell on the server.

Exit status: 0 done; 1 it cannot be done: such an account is there already, or there is none; 2 the command makes no
sense; 3 the database is away.
"""

import argparse
import asyncio
import getpass
import sys
from typing import TYPE_CHECKING

from gonets.core.identity.model import Role, User
from gonets.core.shared.errors import Conflict, Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from gonets.core.identity.administration import ManageUsers

_EPILOG = "The password is asked for; where nobody can be asked, it is the first line of the standard input."


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand to the parser of `gonets`."""
    summary = "make accounts, and let people in again"
    actions = commands.add_parser("user", help=summary, description=summary).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    create = actions.add_parser("create", help="make an account, also where sign-up is closed", epilog=_EPILOG)
    create.add_argument("email", nargs="?", metavar="EMAIL", help="asked for where it is left out")
    create.add_argument("--admin", action="store_true", help="may do everything; without it, a member")
    reset = actions.add_parser("reset", help="print a token by which a user sets a new password, once, within a day")
    disable = actions.add_parser("disable", help="lock a user out: no session and no API key of theirs works")
    enable = actions.add_parser("enable", help="let a disabled user in again")
    promote = actions.add_parser("promote", help="make a user an admin")
    for action in (reset, disable, enable, promote):
        action.add_argument("email", metavar="EMAIL")


def main(arguments: argparse.Namespace) -> None:
    """Exit status: see above."""
    # Loaded here, for it brings the adapters with it, and every other command reads this module.
    from gonets.bootstrap.user import UserContainer
    from gonets.entrypoints.process import configured

    configured()
    email, password = arguments.email, ""
    if arguments.action == "create":
        email, password = email or _ask("E-mail address: "), _ask_secret()
    container = UserContainer()

    async def run() -> str:
        pool = container.pool()
        await pool.open()
        try:
            return await _do(container.users(), arguments, email, password)
        finally:
            await pool.close()

    try:
        sys.stdout.write(asyncio.run(run()) + "\n")
    except Invalid as error:
        _end(f"{error.field} {error.reason}", 2)
    except (Conflict, NotFound) as error:
        _end(error.reason, 1)
    except Unavailable as error:
        _end(error.reason, 3)


async def _do(users: "ManageUsers", arguments: argparse.Namespace, email: str, password: str) -> str:
    if arguments.action == "create":
        return _shown(await users.create(None, email, password, Role.ADMIN if arguments.admin else Role.MEMBER))
    user = await users.find(email)
    match arguments.action:
        case "disable" | "enable":
            return _shown(await users.change(None, user.id, disabled=arguments.action == "disable"))
        case "promote":
            return _shown(await users.change(None, user.id, role=Role.ADMIN))
    token, expires_at = await users.issue_reset(None, user.id)
    return f"{token}\ngood for one POST /api/v1/auth/password/reset until {expires_at:%Y-%m-%d %H:%M} UTC"


def _shown(user: User) -> str:
    return f"{user.role.value} {user.email} has the id {user.id}" + (", disabled" if user.disabled_at else "")


def _ask(prompt: str) -> str:
    if sys.stdin.isatty():
        sys.stderr.write(prompt)
    return sys.stdin.readline().strip()


def _ask_secret() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        _end("the two are not the same", 2)
    return password


def _end(words: str, status: int) -> None:
    sys.stderr.write(f"gonets user: {words}\n")
    sys.exit(status)
