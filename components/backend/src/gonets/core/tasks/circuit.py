"""When to stop asking a provider for a while: one pure judgement about each of its answers."""

from dataclasses import dataclass
from datetime import timedelta

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import Failure, ProviderError


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """How many failures in a row are too many, and how long to leave the provider in peace.

    The n-th pause in a row is `first_pause * 2**(n-1)`, at most `longest_pause`. What only an operator can mend
    (credentials, money) opens at once and for `operator_pause`.
    """

    failures: int = 10
    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(seconds=15)
    operator_pause: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Circuit:
    """A provider's circuit as the service shares it. `opened` counts the pauses in a row; 0: closed, work flows.

    `pause_left` may be negative: the pause is over, and one probe may be made.
    """

    opened: int = 0
    pause_left: timedelta = timedelta(0)
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """Leave the provider in peace for this long."""

    pause: timedelta
    failure: Failure


_SICK = frozenset({Category.UNAVAILABLE, Category.QUOTA_EXHAUSTED, Category.OUTCOME_UNKNOWN})


def judge(error: ProviderError, *, in_a_row: int, opened: int, policy: CircuitPolicy) -> Open | None:
    """What a failure says about the provider. None: go on.

    `in_a_row` counts failures without a success between, this one included; `opened` the pauses so far, 0 if the
    circuit is closed: a failed probe opens it again, for longer.
    """
    failure = Failure(error.category, error.reason)  # without the answer: it is shown to everybody
    if error.category is Category.MISCONFIGURED:
        return Open(policy.operator_pause, failure)
    if error.category not in _SICK:
        return None
    if opened or error.wait or in_a_row >= policy.failures:
        pause = min(policy.first_pause * 2 ** min(opened, 16), policy.longest_pause)
        return Open(max(pause, error.wait), failure)
    return None
