"""The command line of the fault suite."""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from faults import campaigns, notifications, report
from faults.accounting import Account
from faults.machines import Machines
from faults.report import Conditions
from faults.runs import Scenario, run
from faults.scenarios import SCENARIOS
from faults.stack import Stack

SHOWN = 5
"""Violations of one run; those that follow are seldom of another kind."""


def main() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="faults", description="Breaks everything around the service, and counts")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"{', '.join(names)}; all of them if none")
    parser.add_argument("--tasks", type=int, default=5000, help="in each run (5000)")
    parser.add_argument("--seconds", type=float, default=25, help="over which they are handed in (25)")
    parser.add_argument("--seed", type=int, default=None, help="what a run printed, to have it again")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="leave out what was counted before, with this seed, and broke no promise",
    )
    parser.add_argument(
        "--table", action="store_true", help="run nothing: the page from what was counted with this seed"
    )
    parser.add_argument("--slowest", action="store_true", help="show what became of the task that ended last")
    parser.add_argument(
        "--logs", type=Path, default=None, help="where the processes' logs are kept (a temporary place)"
    )
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(names):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    wanted = [scenario for scenario in SCENARIOS if not options.scenarios or scenario.name in options.scenarios]
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    if options.write and len(wanted) < len(SCENARIOS):
        parser.error("--write needs all scenarios")
    for noisy in ("aiormq", "asyncio"):  # a lost connection is nothing to shout about here
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    conditions = Conditions(report.commit(), seed, options.tasks, options.seconds)
    if options.table:
        found = {scenario.words: report.kept(scenario.name, conditions) for scenario in SCENARIOS}
        report.write([account for account in found.values() if account], conditions,
                     missing=[words for words, account in found.items() if account is None])  # fmt: skip
        return
    with tempfile.TemporaryDirectory(prefix="gonets-faults-") as directory:
        Path(directory).chmod(0o755)  # PostgreSQL runs as another user
        logs = options.logs or Path(directory) / "logs"
        accounts = uvloop.run(_run(wanted, Path(directory), logs.resolve(), options, conditions))
    if options.write:
        report.write(accounts, conditions)
    sys.exit(0 if all(account.kept for account in accounts) else 1)


async def _run(
    wanted: list[Scenario], directory: Path, logs: Path, options: argparse.Namespace, conditions: Conditions
) -> list[Account]:
    _say(
        f"commit {conditions.commit}, seed {conditions.seed}, "
        f"{options.tasks} tasks in {options.seconds:g} s for each run\n{report.HEAD}"
    )
    earlier = {scenario.name: report.kept(scenario.name, conditions) for scenario in wanted if options.resume}
    accounts = []
    async with AsyncExitStack() as started:
        machines = None
        for scenario in wanted:
            if (account := earlier.get(scenario.name)) is None:
                machines = machines or await _start(Machines(directory / "servers"), started)
                account = await one(
                    scenario, machines, logs / scenario.name, options.tasks, options.seconds, conditions.seed
                )
                account.commit = conditions.commit
                report.keep(account, conditions)
            accounts.append(account)
            _say(report.line(account))
            for violation in account.violations[:SHOWN]:
                _say(f"\n{violation}")
            if len(account.violations) > SHOWN:
                _say(f"\n{len(account.violations) - SHOWN} more violations")
            if options.slowest:
                _say(account.slowest)
    return accounts


async def _start(machines: Machines, started: AsyncExitStack) -> Machines:
    started.push_async_callback(asyncio.to_thread, machines.remove)
    await machines.start()
    return machines


async def one(scenario: Scenario, machines: Machines, logs: Path, tasks: int, seconds: float, seed: int) -> Account:
    """A run on a stack of its own."""
    began = time.monotonic()
    if scenario.fake_clock:
        await machines.live_by_clock(True)
    messengers = scenario.notifications or scenario.campaign
    stack = Stack(machines, logs, variables=dict(scenario.variables), messengers=messengers)
    try:
        await stack.start()
        counted = campaigns.run if scenario.campaign else notifications.run if scenario.notifications else run
        account = await counted(scenario, stack, number=tasks, seconds=seconds, seed=seed)
    finally:
        await stack.stop()
        if scenario.fake_clock:
            await machines.live_by_clock(False)
    account.took = time.monotonic() - began
    return account


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
