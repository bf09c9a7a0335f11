"""What several modules ask of a row of figures."""

from collections.abc import Sequence
from statistics import quantiles


def percentile(values: Sequence[float], which: int) -> float:
    return quantiles(values, n=100, method="inclusive")[which - 1]
