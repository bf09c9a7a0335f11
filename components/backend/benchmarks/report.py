"""The table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.latency import Latencies
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
            lines.append(f"  {name:<48} {median(values):>9.2f}   {p99(values):>7.2f}")
    return lines


def p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]
