"""Measures everything in one run and prints the table; options: `--help`."""

import argparse
import contextlib
import os
import platform
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import latency, load, mail, notifications, providers, report, throughput
from benchmarks.latency import Latencies
from benchmarks.load import SLOTS, Loads
from benchmarks.providers import SLOW_SECONDS
from benchmarks.report import Line, ratio
from benchmarks.stage import BenchError, Contestant, Stage
from benchmarks.throughput import Run

CONCURRENCY = 100

BARE = Contestant("bare pipe", "benchmarks.processes.bare_pipe", stores=False)
OBVIOUS = Contestant("obvious stack", "benchmarks.processes.obvious_stack")
OURS = Contestant("our worker", "gonets.entrypoints.cli", ("worker",))
SLOW = Contestant("our worker, provider takes 200 ms", OURS.module, OURS.arguments, provider="slow")
WAITING = Contestant(
    "waiting worker", OURS.module, OURS.arguments, provider="slow", environment={"WORKER_CONCURRENCY": str(SLOTS)}
)
UNBATCHED = Contestant("our worker, batches off", "benchmarks.processes.unbatched_worker")
FASTSTREAM = Contestant("our worker behind a FastStream subscriber", "benchmarks.processes.faststream_worker")

STANDARD = {"bare": BARE, "obvious": OBVIOUS, "ours": OURS, "slow": SLOW}
CHOICES = {**STANDARD, "faststream": FASTSTREAM}
LOAD, NOTIFICATIONS = "load", "notifications"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short run: one round of a few tasks")
    parser.add_argument("--rounds", type=int, help="how often each contestant has its turn (5)")
    parser.add_argument("--tasks", type=int, help="how many tasks each turn has (4000)")
    parser.add_argument("--samples", type=int, help="how many single tasks are timed in each round (100)")
    parser.add_argument("--seconds", type=float, help="of each measurement under load (5)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*CHOICES, LOAD, NOTIFICATIONS],
        help="contestants, load or notifications; without a table of targets",
    )
    parser.add_argument("--against", type=Path, metavar="SRC", help="the worker in this source directory has turns too")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.tasks = options.tasks or (2000 if options.quick else 4000)
    options.samples = options.samples or (50 if options.quick else 100)
    options.seconds = options.seconds or (2 if options.quick else 5)
    return options


def main() -> None:
    options = arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="gonets-bench-") as directory:
            uvloop.run(run(options, Path(directory)))
    except BenchError as error:
        sys.exit(f"bench: {error}")


async def run(options: argparse.Namespace, directory: Path) -> None:
    static_port, slow_port, api_port, mail_port, *notifying_ports = free_ports(7)
    contestants = [CHOICES[name] for name in options.only or STANDARD if name in CHOICES]
    if options.against:
        path = {"PYTHONPATH": str(options.against.resolve())}
        contestants.append(Contestant("the other source", OURS.module, OURS.arguments, environment=path))
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    latencies, loads, notified = Latencies(), Loads(), notifications.Found()
    with providers.static(directory, static_port) as static, providers.slow(directory, slow_port) as slow:
        async with Stage(directory, {"static": static, "slow": slow}) as stage:
            for number in range(options.rounds):
                # The order changes from round to round, so that nobody always comes after the same.
                for contestant in contestants if number % 2 == 0 else contestants[::-1]:
                    turn = await throughput.measure(stage, contestant, options.tasks)
                    runs[contestant.name].append(turn)
                    progress(f"round {number + 1}: {contestant.name}: {turn.per_second:,.0f}/s")
                if not options.only:
                    await latency.measure(stage, api_port, OURS, UNBATCHED, options.samples, latencies)
                    progress(f"round {number + 1}: single tasks")
                if not options.only or LOAD in options.only:
                    await load.measure(stage, OURS, WAITING, CONCURRENCY, options.seconds, loads)
                    progress(f"round {number + 1}: under load: {loads.sustained[1][-1]:,.0f}/s with one worker")
            if not options.only or NOTIFICATIONS in options.only:
                # In a quarter of the tasks: each is some four times the work.
                await notifications.measure(
                    stage, notifying_ports, options.tasks // 4, options.samples, options.rounds, notified
                )
                progress("notifications")
    mails = [] if options.only else await mail.run(mail_port, options.tasks // 2, options.rounds)
    print("\n".join(table(runs, latencies, loads, mails, notified, options)))


def table(
    runs: Mapping[str, list[Run]],
    latencies: Latencies,
    loads: Loads,
    mails: list[tuple[float, float]],
    notified: notifications.Found,
    options: argparse.Namespace,
) -> list[str]:
    lines = ["", f"{options.rounds} rounds of {options.tasks} tasks, the contestants by turns; {machine()}", ""]
    if not options.only:
        lines += ["Ratios (medians)", *map(str, [*targets(runs, latencies), mail.line(mails)]), ""]
    elif OURS.name in runs:
        others = [name for name in runs if name != OURS.name]
        lines += [f"  our worker / {name}: {ratio(runs[OURS.name], runs[name]):.2f}" for name in others] + [""]
    if runs:
        lines += [*report.rates(runs), ""]
    if not options.only:
        lines += [*report.milliseconds(latencies), "", *mail.rates(mails), ""]
    if notified.rates:
        lines += [*map(str, notifications.lines(notified)), "", *notifications.figures(notified), ""]
    if loads.sustained[1]:
        lines += report.loads(loads)
    return lines


def targets(runs: Mapping[str, list[Run]], latencies: Latencies) -> list[Line]:
    ours, slow = runs[OURS.name], runs[SLOW.name]
    processing = median(latencies.worker) - median(latencies.hop)
    return [
        Line("our worker / bare pipe", ratio(ours, runs[BARE.name]), "", 0.6, at_least=True, goal=0.8),
        Line("our worker / obvious stack", ratio(ours, runs[OBVIOUS.name]), "", 4, at_least=True),
        Line(
            f"provider takes 200 ms: rate / {CONCURRENCY / SLOW_SECONDS:.0f} a second",
            median(run.per_second for run in slow) * SLOW_SECONDS / CONCURRENCY,
            "",
            0.9,
            at_least=True,
        ),
        Line(
            "POST /api/v1/tasks p50 / worker's processing", median(latencies.rest) / processing, "", 3, at_least=False
        ),
        Line(
            "batching adds to a single task",
            median(latencies.worker) - median(latencies.unbatched),
            " ms",
            5,
            at_least=False,
        ),
        Line("our worker, most resident", max(r.peak_megabytes for r in (*ours, *slow)), " MB", 150, at_least=False),
    ]


def machine() -> str:
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} CPUs shared by all processes, load {load:.1f}, Python {platform.python_version()}"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]


def progress(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
