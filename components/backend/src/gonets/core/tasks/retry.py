"""Try again, and when: one pure decision about a failed try."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import Claimed, Failure, ProviderError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How stubborn we are.

    The n-th delay is `first_delay * 2**(n-1)`, at most `longest_delay`, less up to half of it by jitter. A task that is
    older than `max_age` is not tried again.
    """

    max_attempts: int = 5
    first_delay: timedelta = timedelta(seconds=1)
    longest_delay: timedelta = timedelta(minutes=5)
    operator_delay: timedelta = timedelta(minutes=1)
    max_age: timedelta = timedelta(days=1)
    repeat_unknown: bool = True
    """Ask again where the outcome is unknown. Right for look-ups; each repeat may be paid twice."""


@dataclass(frozen=True, slots=True)
class Park:
    """Put it aside and try again after the delay. `counted`: the try counts as one of the task's."""

    delay: timedelta
    failure: Failure
    counted: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further try."""

    failure: Failure


RetryDecision = Park | GiveUp

_PASSING = frozenset({Category.UNAVAILABLE, Category.QUOTA_EXHAUSTED, Category.OUTCOME_UNKNOWN})


def decide(
    error: ProviderError, claim: Claimed, policy: RetryPolicy, random: Callable[[], float], *, probe: bool = False
) -> RetryDecision:
    """`random` gives numbers from 0 to 1; `probe`: the try was the provider's more than the task's."""
    jitter = 1 - random() / 2
    if error.category is Category.MISCONFIGURED:
        # The operator's mistake is not the task's: it waits as long as it takes.
        return Park(policy.operator_delay * jitter, error.failure, counted=False)
    if error.category not in _PASSING:
        return GiveUp(error.failure)
    if error.category is Category.OUTCOME_UNKNOWN and not policy.repeat_unknown:
        return GiveUp(error.failure)
    if claim.age >= policy.max_age:
        return GiveUp(_because(error, f"gave up after {policy.max_age}"))
    if claim.attempts >= policy.max_attempts and not probe:
        return GiveUp(_because(error, f"gave up after {claim.attempts} attempts"))
    # In seconds, as floats, for no number of attempts to overflow.
    seconds = policy.first_delay.total_seconds() * 2.0 ** min(claim.attempts - 1, 64)
    delay = timedelta(seconds=min(seconds, policy.longest_delay.total_seconds())) * jitter
    return Park(max(delay, error.wait), error.failure, counted=not probe)


def _because(error: ProviderError, why: str) -> Failure:
    return replace(error.failure, reason=f"{error.reason} ({why})")
