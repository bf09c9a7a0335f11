"""What `gonets failed` says to a person. What came from outside is shown, never obeyed by the terminal."""

from collections.abc import Sequence
from typing import Any


def tables(found: dict[str, Any]) -> str:
    """What `gonets failed list` says."""
    parts = []
    if "tasks" in found:
        rows = [
            [
                task["task_id"],
                task["task_type"],
                task["attempts"],
                task["replays"],
                _moment(task["first_failed_at"]),
                _moment(task["failed_at"]),
                task["error"]["category"],
                task["error"]["reason"] + ("" if task["told"] else " (not told yet)"),
            ]
            for task in found["tasks"]
        ]
        heads = ["TASK_ID", "TYPE", "TRIES", "REPLAYS", "FIRST", "LAST", "CATEGORY", "REASON"]
        parts.append(_table("failed task", heads, rows, complete=found["tasks_complete"]))
    if "messages" in found:
        rows = [
            [
                message["id"],
                message["queue"],
                _moment(message["dead_at"]),
                message["size"],
                message["category"] or "-",
                message["reason"] or "-",
                message["body"],
            ]
            for message in found["messages"]
        ]
        heads = ["ID", "QUEUE", "SINCE", "BYTES", "CATEGORY", "REASON", "BODY"]
        parts.append(_table("dead letter", heads, rows, complete=found["messages_complete"]))
    return "\n".join(parts)


def _moment(time: str | None) -> str:
    return time[:19] + "Z" if time else "-"


def _table(name: str, heads: Sequence[str], rows: Sequence[Sequence[Any]], *, complete: bool) -> str:
    plural = "" if len(rows) == 1 else "s"
    title = f"{len(rows)}{'' if complete else ' or more'} {name}{plural}"
    if not rows:
        return f"{title}\n"
    cells = [heads, *([_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([title, *lines, ""])


_WIDEST = 60


def _line(cell: object) -> str:
    """On one line, and nothing that a terminal would obey."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(cell))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def pages(found: dict[str, Any]) -> str:
    """What `gonets failed show` says."""
    return "\n".join(_page(one) for kind in found.values() for one in kind)


def _page(one: dict[str, Any]) -> str:
    facts = dict(one)
    facts |= {f"error.{name}": value for name, value in facts.pop("error", {}).items()}
    history = facts.pop("history", ())
    facts |= {f"properties.{name}": value for name, value in facts.pop("properties", {}).items()}
    width = max(map(len, facts))
    lines = [f"{name.ljust(width)}  {_visible(value)}" for name, value in facts.items() if value is not None]
    for attempt in history:
        error = attempt["error"]
        lines.append(f"  try {attempt['number']}  {_moment(attempt['ended_at'])}  {error['category']}")
        lines.append(f"    {_visible(error['reason'])}")
        if attempt["answer"]:
            lines.append(f"    the provider said: {_visible(attempt['answer'])}")
    return "\n".join([*lines, ""])


def _visible(value: object) -> str:
    """The whole text, with nothing that a terminal would obey."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))


def counts(found: dict[str, Any], done: str) -> str:
    """What `replay` and `drop` say; `done` is the word for it."""
    lines = []
    for kind, handled in found.items():
        lines.append(f"{handled[done]} {'failed tasks' if kind == 'tasks' else 'dead letters'} {done}")
        if not handled["complete"]:
            why = "their failure is still being told" if kind == "tasks" else "there were too many at a time"
            lines.append(f"some {kind} were left, because {why}: ask again")
    return "\n".join([*lines, ""])
