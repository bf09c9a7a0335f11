"""gonets failed: what needs a person, listed, looked at, replayed and dropped.

Exit status: 0 done; 1 something that was named is not there, or some were left, or cannot be
replayed; 2 the command makes no sense; 3 the
database or the broker is away.
"""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gonets.core.shared.errors import Category, Conflict, Invalid, NotFound, Unavailable
from gonets.core.tasks.model import MAX_TASK_ID
from gonets.core.tasks.set_aside import Choice, Handled
from gonets.entrypoints import failed_text

if TYPE_CHECKING:
    from gonets.bootstrap.failed import FailedContainer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_KINDS = ("tasks", "messages")
_PAGE = 500

_EPILOG = """
An ID is a task_id, or the id of a message as the list shows it (m and 16 digits). TIME is RFC 3339, or how long ago:
90s, 15m, 2h, 7d. What is named by several conditions meets all of them.
"""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand to the parser of `gonets`."""
    summary = "list, show, replay or drop failed tasks and dead letters"
    actions = commands.add_parser("failed", help=summary, description=summary, epilog=_EPILOG).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    listing = actions.add_parser("list", help="failed tasks, latest first; messages, oldest first", epilog=_EPILOG)
    listing.add_argument("--limit", type=_positive, default=50, help="of each kind (50)")
    _add_conditions(listing)
    show = actions.add_parser("show", help="everything about these", epilog=_EPILOG)
    show.add_argument("ids", nargs="+", metavar="ID", type=_id)
    replay = actions.add_parser("replay", help="try tasks again; send messages where they came from", epilog=_EPILOG)
    drop = actions.add_parser("drop", help="give tasks up; throw messages away", epilog=_EPILOG)
    drop.add_argument("--yes", action="store_true", help="really: needed where no ID is given")
    for action in (replay, drop):
        action.add_argument("ids", nargs="*", metavar="ID", type=_id)
        action.add_argument("--all", action="store_true", help="needed where nothing else says which ones")
        _add_conditions(action)
    for action in (listing, show, replay, drop):
        action.add_argument("--json", action="store_true", help="JSON instead of tables")


def _add_conditions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=_KINDS, help="only this kind; without it both")
    parser.add_argument("--reason", help="a part of the reason")
    parser.add_argument("--category", type=Category, choices=list(Category), metavar="CATEGORY", help="of the failure")
    parser.add_argument("--since", type=_time, metavar="TIME", help="failed, or set aside, then or later")
    parser.add_argument("--until", type=_time, metavar="TIME", help="failed, or set aside, before")


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return int(text)


def _id(text: str) -> int | str:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= MAX_TASK_ID:
        return int(text)
    if re.fullmatch("m[0-9a-f]{16}", text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no task_id and no id of a message")


def _time(text: str) -> datetime:
    try:
        if match := re.fullmatch(r"(\d+)([smhd])", text):
            return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        time = datetime.fromisoformat(text)
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time") from error


def main(arguments: argparse.Namespace) -> None:
    """Exit status: see above."""
    # Loaded here, for it brings the adapters with it, and every other command reads this module.
    from gonets.bootstrap.failed import FailedContainer
    from gonets.entrypoints.process import configured

    if arguments.action in ("replay", "drop"):
        _check(arguments)
    configured()
    container = FailedContainer()
    try:
        sys.exit(0 if asyncio.run(_run(container, arguments)) else 1)
    except (Conflict, Invalid, Unavailable) as error:
        sys.stderr.write(f"{error.reason}\n")
        sys.exit({Category.CONFLICT: 1, Category.INVALID: 2, Category.UNAVAILABLE: 3}[error.category])


def _check(arguments: argparse.Namespace) -> None:
    conditions = [arguments.reason, arguments.category, arguments.since, arguments.until]
    if arguments.all and (arguments.ids or any(conditions)):
        _refuse("--all goes with no ID and no condition")
    if arguments.ids and arguments.kind:
        _refuse("--kind goes with no ID: an ID says itself what it is")
    if not (arguments.all or arguments.ids or any(conditions)):
        _refuse(f"{arguments.action} which ones? Give IDs, a condition, or --all")
    if arguments.action == "drop" and not arguments.ids and not arguments.yes:
        _refuse("look first with gonets failed list, then add --yes")


def _refuse(words: str) -> None:
    sys.stderr.write(f"gonets failed: {words}\n")
    sys.exit(2)


async def _run(container: "FailedContainer", arguments: argparse.Namespace) -> bool:
    pool, publisher = container.pool(), container.publisher()
    command = _Command(container, arguments)
    try:
        await pool.open()
        return await {"list": command.overview, "show": command.show, "replay": command.replay, "drop": command.drop}[
            arguments.action
        ]()
    finally:
        await publisher.close()
        await pool.close()


@dataclass(frozen=True)
class _Command:
    """One call of `gonets failed`. Each method says whether everything that was asked for is done."""

    container: "FailedContainer"
    arguments: argparse.Namespace

    async def overview(self) -> bool:
        found: dict[str, Any] = {}
        if self._asks_for("tasks"):
            found["tasks"], found["tasks_complete"] = await self._tasks()
        if self._asks_for("messages"):
            page = await self.container.dead_letters().page(self._messages_choice(), limit=self.arguments.limit)
            found["messages"] = [_message(letter, whole=False) for letter in page.letters]
            found["messages_complete"] = page.complete
        self._say(found, failed_text.tables)
        return True

    async def _tasks(self) -> tuple[Sequence[dict[str, Any]], bool]:
        tasks: list[dict[str, Any]] = []
        cursor = None
        while (room := self.arguments.limit - len(tasks)) > 0:
            page = await self.container.tasks().page(self._tasks_choice(), cursor=cursor, limit=min(room, _PAGE))
            tasks += map(_task, page.tasks)
            cursor = page.next_cursor
            if cursor is None:
                break
        return tasks, cursor is None

    async def show(self) -> bool:
        found: dict[str, list[dict[str, Any]]] = {"tasks": [], "messages": []}
        missing = []
        for id_ in self.arguments.ids:
            try:
                if isinstance(id_, int):
                    found["tasks"].append(_task(await self.container.tasks().one(id_)))
                else:
                    found["messages"].append(_message(await self.container.dead_letters().one(id_), whole=True))
            except NotFound as error:
                missing.append(error.reason)
        self._say(found, failed_text.pages)
        sys.stderr.writelines(f"{reason}\n" for reason in missing)
        return not missing

    async def replay(self) -> bool:
        return await self._handle("replayed", self.container.tasks().replay, self.container.dead_letters().replay)

    async def drop(self) -> bool:
        return await self._handle("dropped", self.container.tasks().drop, self.container.dead_letters().drop)

    async def _handle(
        self, done: str, tasks: Callable[..., Awaitable[Handled]], messages: Callable[..., Awaitable[Handled]]
    ) -> bool:
        everything = self.arguments.all
        found: dict[str, Any] = {}
        if self._asks_for("tasks"):
            handled = await tasks(self._tasks_choice(), everything=everything)
            found["tasks"] = {done: handled.count, "complete": handled.complete}
        if self._asks_for("messages"):
            handled = await messages(self._messages_choice(), everything=everything)
            found["messages"] = {done: handled.count, "complete": handled.complete}
        self._say(found, lambda counts: failed_text.counts(counts, done))
        enough = not self.arguments.ids or sum(kind[done] for kind in found.values()) >= len(set(self.arguments.ids))
        return enough and all(kind["complete"] for kind in found.values())

    def _asks_for(self, kind: str) -> bool:
        if getattr(self.arguments, "ids", None):
            return bool(self._ids(int if kind == "tasks" else str))
        return self.arguments.kind in (None, kind)

    def _ids(self, type_: type) -> list[Any]:
        return [id_ for id_ in getattr(self.arguments, "ids", ()) if isinstance(id_, type_)]

    def _tasks_choice(self) -> Choice[int]:
        return Choice(ids=self._ids(int) or None, **self._conditions())

    def _messages_choice(self) -> Choice[str]:
        return Choice(ids=self._ids(str) or None, **self._conditions())

    def _conditions(self) -> dict[str, Any]:
        return {name: getattr(self.arguments, name) for name in ("category", "reason", "since", "until")}

    def _say(self, found: dict[str, Any], as_text: Callable[[dict[str, Any]], str]) -> None:
        as_json = json.dumps(found, ensure_ascii=False, indent=2) + "\n" if self.arguments.json else None
        # What a terminal cannot show (a lone surrogate in a header) must not end the command.
        text = (as_json or as_text(found)).encode(errors="replace").decode()
        sys.stdout.write(text)


def _task(task: Any) -> dict[str, Any]:
    from gonets.contract import FailedTaskView

    return FailedTaskView.of(task).model_dump(mode="json")


def _message(letter: Any, *, whole: bool) -> dict[str, Any]:
    from gonets.contract import DeadLetterView

    return DeadLetterView.of(letter, whole=whole).model_dump(mode="json")
