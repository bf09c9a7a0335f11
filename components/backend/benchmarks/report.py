"""The table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.latency import Latencies
from benchmarks.load import SHARES, SLOTS, Loads
from benchmarks.statistics import percentile
from benchmarks.throughput import Run


@dataclass(frozen=True)
class Line:
    """A ratio or another figure with a target."""

    what: str
    value: float
    unit: str
    target: float
    at_least: bool
    goal: float | None = None
    digits: int = 2

    def __str__(self) -> str:
        reached = self.value >= self.target if self.at_least else self.value <= self.target
        bound = f"{'at least' if self.at_least else 'at most'} {self.target:g}{self.unit}"
        if self.goal is not None:
            bound += f", goal {self.goal:g}{self.unit}"
        value = f"{self.value:.{self.digits}f}{self.unit}"
        return f"  {self.what:<48} {value:>9}   {bound:<25} {'PASS' if reached else 'below target'}"


def ratio(above: Sequence[Run], below: Sequence[Run]) -> float:
    """The median of the ratios within each round: what slowed a round down slowed both."""
    return median(a.per_second / b.per_second for a, b in zip(above, below, strict=True))


def rates(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    lines = [f"  {'':<48} {'tasks/s':>9}   {'lowest - highest':<17} {'CPU ms/task':>11}  {'peak MB':>7}"]
    for name, turns in runs.items():
        speeds = [run.per_second for run in turns]
        spread = f"{min(speeds):,.0f} - {max(speeds):,.0f}"
        cpu, peak = median(run.cpu_ms for run in turns), max(run.peak_megabytes for run in turns)
        lines.append(f"  {name:<48} {median(speeds):>9,.0f}   {spread:<17} {cpu:>11.2f}  {peak:>7.0f}")
    return lines


def milliseconds(latencies: Latencies) -> list[str]:
    named = {
        "a hop through a quorum queue": latencies.hop,
        "worker alone: task published to result received": latencies.worker,
        "the same, batches off": latencies.unbatched,
        "POST /api/v1/tasks": latencies.rest,
    }
    lines = [f"  {'':<48} {'p50 ms':>9}   {'p99 ms':>7}"]
    for name, values in named.items():
        if values:
            lines.append(f"  {name:<48} {median(values):>9.2f}   {percentile(values, 99):>7.2f}")
    return lines


def loads(found: Loads) -> list[str]:
    lines = [
        "Under load: a producer, a reader of the results and a scheduler beside the workers (medians of the rounds)",
        f"  {'':<48} {'tasks/s':>9}   {'lowest - highest':<17} {'of one worker':>13}",
    ]
    for name, by_fleet in (
        ("the provider answers at once", found.sustained),
        (f"{SLOTS} slots each, provider takes 200 ms", found.waiting),
    ):
        for fleet, speeds in by_fleet.items():
            spread = f"{min(speeds):,.0f} - {max(speeds):,.0f}"
            growth = median(several / one for several, one in zip(speeds, by_fleet[1], strict=True))
            workers = f"{fleet} worker{'s' if fleet > 1 else ''}, {name}"
            lines.append(f"  {workers:<48} {median(speeds):>9,.0f}   {spread:<17} {growth:>13.2f}")
    lines += ["", f"  {'one worker: task due to result received':<48} {'offered/s':>9}   {'told':>5}"]
    lines[-1] += "".join(f" {name:>9}" for name in ("p50 ms", "p95 ms", "p99 ms", "sent late"))
    for share in SHARES:
        timed = found.timed[share]
        told = median(run.told / run.offered for run in timed)
        figures = [median(getattr(run, name) for run in timed) for name in ("p50", "p95", "p99", "sent_late")]
        lines.append(f"  {f'at {share:.0%} of what it sustains':<48} {median(run.offered for run in timed):>9,.0f}")
        lines[-1] += f"   {told:>5.0%}" + "".join(f" {figure:>9.2f}" for figure in figures)
    return lines
