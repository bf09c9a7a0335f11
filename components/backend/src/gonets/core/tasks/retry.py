"""Try again, and when: one pure decision about a failed try."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import Failure, ProviderError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How stubborn we are.

    The n-th delay is `first_delay * 2**(n-1)`, at most `longest_delay`, less up to half of it by jitter.
    """

    max_attempts: int = 5
    first_delay: timedelta = timedelta(seconds=1)
    longest_delay: timedelta = timedelta(minutes=5)
    repeat_unknown: bool = True
    """Ask again where the outcome is unknown. Right for look-ups; each repeat may be paid twice."""


@dataclass(frozen=True, slots=True)
class Park:
    """Put it aside and try again after the delay."""

    delay: timedelta
    failure: Failure


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further try."""

    failure: Failure


RetryDecision = Park | GiveUp

LONGEST_WAIT = timedelta(days=1)
"""No provider puts a task off for longer, whatever it asks for."""

_PASSING = frozenset({Category.UNAVAILABLE, Category.QUOTA_EXHAUSTED, Category.OUTCOME_UNKNOWN})


def decide(error: ProviderError, attempts: int, policy: RetryPolicy, random: Callable[[], float]) -> RetryDecision:
    """`attempts` counts the tries made so far, this one included; `random` gives numbers from 0 to 1."""
    failure = Failure(error.category, error.reason)
    if error.category not in _PASSING:
        return GiveUp(failure)
    if error.category is Category.OUTCOME_UNKNOWN and not policy.repeat_unknown:
        return GiveUp(failure)
    if attempts >= policy.max_attempts:
        return GiveUp(Failure(error.category, f"{error.reason} (gave up after {attempts} attempts)"))
    # In seconds, as floats, for no number of attempts to overflow.
    seconds = policy.first_delay.total_seconds() * 2.0 ** min(attempts - 1, 64)
    delay = timedelta(seconds=min(seconds, policy.longest_delay.total_seconds()))
    delay *= 1 - random() / 2
    if error.retry_after is not None and error.retry_after > 0:
        delay = max(delay, timedelta(seconds=min(error.retry_after, LONGEST_WAIT.total_seconds())))
    return Park(delay, failure)
