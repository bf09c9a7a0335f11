"""How often somebody may try a password, or make an account: a pure decision."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class ThrottlePolicy:
    """After `free` failures in a row each further one closes the door, for twice as long each time. A tally that rests
    for `forget_after` is forgotten."""

    free: int
    first_pause: timedelta = timedelta(seconds=10)
    longest_pause: timedelta = timedelta(minutes=15)
    forget_after: timedelta = timedelta(hours=1)


ACCOUNT = ThrottlePolicy(free=5)
"""Tries with one e-mail address, whoever makes them."""
ADDRESS = ThrottlePolicy(free=30)
"""Tries from one network address, behind which there may be an office; and accounts made from there, for each costs as
much as a try, and what is refused tells who has one."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The failures in a row of one account or address. A try counts as a failure until it has succeeded."""

    failures: int
    last_at: datetime
    closed_until: datetime


def attempt(tally: Tally | None, policy: ThrottlePolicy, now: datetime) -> Tally | timedelta:
    """The tally with one more try, or how long the door stays closed."""
    if tally and tally.closed_until > now:
        return tally.closed_until - now
    before = tally.failures if tally and now - tally.last_at < policy.forget_after else 0
    failures = before + 1
    return Tally(failures, now, now + _pause(failures, policy))


def succeeded(tally: Tally, now: datetime) -> Tally:
    """The try was none of the failures after all."""
    return Tally(max(0, tally.failures - 1), now, now)


def _pause(failures: int, policy: ThrottlePolicy) -> timedelta:
    if failures < policy.free:
        return timedelta(0)
    doubled = min(failures - policy.free, 20)
    pause: timedelta = policy.first_pause * 2**doubled
    return min(policy.longest_pause, pause)
