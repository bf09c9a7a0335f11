"""How the figures are kept and shown: a line while the suite runs, and the table of docs/reliability.md."""

import json
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from faults.accounting import Account
from faults.machines import ROOT
from faults.stack import TUNED

PAGE = ROOT / "docs" / "reliability.md"
TEMPLATE = Path(__file__).with_name("reliability.md")
PLACE = "<!-- figures -->"
KEPT = ROOT / ".run" / "faults"

HEAD = (
    f"{'':<18} {'sent':>6} {'results':>8} {'rows':>6} {'failed':>6} {'lost':>5} {'dup.':>5} {'beyond':>6} "
    f"{'unknow.':>7} {'logged':>6} {'recov. s':>8} {'return':>6} {'takeover':>8} {'slowest':>7} {'MB':>5} {'took':>5}"
)


@dataclass(frozen=True)
class Conditions:
    """Under which figures may stand in one table."""

    commit: str
    seed: int
    tasks: int
    seconds: float

    @property
    def clean(self) -> bool:
        return not self.commit.endswith("-dirty")


def commit() -> str:
    """The last one that changed what is tested or what tests it; `-dirty` if the working tree differs from it there.
    Words are no part of it."""
    paths = ("components/backend/src", "components/backend/tests", "deployment/backend/native", ":(exclude)*.md")
    name, changes = (
        subprocess.run(["git", "-C", str(ROOT), *command, "--", *paths], capture_output=True, text=True, check=False)
        for command in (["log", "-1", "--format=%h", "--abbrev=12"], ["status", "--porcelain"])
    )
    return (name.stdout.strip() or "unknown") + ("-dirty" if changes.stdout.strip() else "")


def keep(account: Account, conditions: Conditions) -> None:
    """Puts it where `kept` finds it."""
    KEPT.mkdir(parents=True, exist_ok=True)
    content = {"conditions": asdict(conditions), "account": vars(account)}
    (KEPT / f"{account.scenario}.json").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def kept(scenario: str, conditions: Conditions) -> Account | None:
    """What was counted before with the same seed, at whatever commit and size, and broke no promise; nothing of a tree
    with changes. The row says what it was."""
    path = KEPT / f"{scenario}.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    account = Account(**content["account"])
    for name in ("reasons", "ends", "clarified"):
        setattr(account, name, Counter(getattr(account, name)))
    then = Conditions(**content["conditions"])
    return account if then.clean and then.seed == conditions.seed and account.kept else None


def line(account: Account) -> str:
    """One run, with the reasons of what nobody could know."""
    counted = [*account.reasons.items(), *account.ends.items(), *account.clarified.items()]
    reasons = "".join(f"\n{'':<19}{count} × {why}" for why, count in counted)
    return (
        f"{account.scenario:<18} {account.sent:>6} {account.distinct:>8} {account.rows:>6} {account.failed:>6} "
        f"{account.lost:>5} {account.duplicate_rows:>5} {account.beyond:>6} {account.unknowable:>7} "
        f"{account.logged:>6} {account.recovery:>8.1f} {_seconds(account.returned):>6} "
        f"{_seconds(account.takeover):>8} {account.slowest_answer:>7.2f} "
        f"{account.peak_megabytes:>5.0f} {account.took:>5.0f} "
        f"{'' if account.kept else f' {len(account.violations)} VIOLATIONS'}{reasons}"
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def write(accounts: Sequence[Account], conditions: Conditions, missing: Sequence[str] = ()) -> None:
    """Puts the figures into the template, and the page in its place. `missing`: faults that were not counted."""
    text = TEMPLATE.read_text(encoding="utf-8")
    found = figures(accounts, conditions)
    if missing:
        found += "\n\nNot counted this time: " + "; ".join(missing) + "."
    PAGE.write_text(text.replace(PLACE, found), encoding="utf-8")


def figures(accounts: Sequence[Account], conditions: Conditions) -> str:
    """The table as Markdown, with what is needed to have it again."""
    settings = ", ".join(f"`{name}={value}`" for name, value in TUNED.items())
    machine = f"{os.cpu_count()} cores for everything, Python {platform.python_version()}"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed {conditions.seed}: "
        f"{sum(account.sent for account in accounts)} tasks and notifications ({machine}). "
        f"Settings apart from the defaults: {settings}.",
        "",
        "| fault | tasks sent, in | results (messages) | rows | failed | lost | duplicate rows | calls | beyond one | "
        "unknowable | logged | everybody works again in | a dead worker's tasks go on in | everything done in | "
        "slowest answer | commit |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
        *map(_row, accounts),
        _sum(accounts),
    ]
    return "\n".join([*lines, "", *_reasons(accounts)])


def _row(account: Account) -> str:
    takeover = "" if account.takeover is None else f"{account.takeover:.1f} s ({account.orphans} tasks)"
    cells = (
        *(account.words, f"{account.sent}, {account.seconds:g} s", f"{account.distinct} ({account.results})"),
        *(account.rows, account.failed, account.lost, account.duplicate_rows, account.calls),
        *(account.beyond, account.unknowable, account.logged),
        *("" if account.returned is None else f"{account.returned:.1f} s", takeover),
        *(f"{account.recovery:.1f} s", f"{account.slowest_answer:.2f} s", f"`{account.commit}`"),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _sum(accounts: Sequence[Account]) -> str:
    names = ("rows", "failed", "lost", "duplicate_rows", "calls", "beyond", "unknowable", "logged")
    sums = [sum(getattr(account, name) for account in accounts) for name in names]
    sent, distinct, results = (
        sum(getattr(account, name) for account in accounts) for name in ("sent", "distinct", "results")
    )
    cells = ("**all of them**", sent, f"{distinct} ({results})", *sums, "", "", "", "", "")
    return f"| {' | '.join(map(str, cells))} |"


def _reasons(accounts: Sequence[Account]) -> list[str]:
    found = ["Why nobody could know, for each call beyond one:", ""]
    found += [
        f"- {account.words}: {', '.join(f'{why} ({count})' for why, count in sorted(account.reasons.items()))}"
        for account in accounts
        if account.reasons
    ]
    for account in accounts:
        if account.ends:
            found += ["", f"How they ended, {account.words}: {_listed(account.ends)}."]
        if account.clarified:
            found += ["", f"What became of sends whose outcome was unknown at first: {_listed(account.clarified)}."]
    return found


def _listed(counted: Counter[str]) -> str:
    return ", ".join(f"{what} ({count})" for what, count in sorted(counted.items()))
