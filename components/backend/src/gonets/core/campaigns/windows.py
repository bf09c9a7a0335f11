"""When a message may leave, by the clock on the recipient's wall. Pure: the same arguments give the same answer."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EVERY_DAY = frozenset(range(1, 8))
_LOOK_AHEAD = 16  # days: two weeks, for the clocks may skip the one opening of a week, and a day on either side


@dataclass(frozen=True, slots=True)
class SendWindow:
    """From `opens` until before `closes`, on these `days` (ISO: Monday is 1), in the recipient's time zone, or in
    `zone` where none is known. Where `closes` is not after `opens` it closes on the next day; it belongs to the day on
    which it opens."""

    opens: time
    closes: time
    zone: str
    days: Set[int] = EVERY_DAY


@dataclass(frozen=True, slots=True)
class Opening:
    """A window on one day, as two moments: it is open from the first until before the second."""

    opens_at: datetime
    closes_at: datetime


def next_opening(window: SendWindow, zone: str, after: datetime) -> Opening:
    """The opening that is under way at `after` (aware), or else the next one. An hour that the clocks skip opens when
    they have skipped it; of an hour that they repeat both are inside."""
    local = ZoneInfo(zone)
    today = after.astimezone(local).date()
    for distance in range(-1, _LOOK_AHEAD):
        day = today + timedelta(days=distance)
        if day.isoweekday() not in window.days:
            continue
        last = day if window.closes > window.opens else day + timedelta(days=1)
        opens_at = _moment(datetime.combine(day, window.opens), local, fold=0)
        closes_at = _moment(datetime.combine(last, window.closes), local, fold=1)
        if after < closes_at and opens_at < closes_at:
            return Opening(max(opens_at, after), closes_at)
    raise AssertionError("a window opens at least once in two weeks")


def known_zone(name: str) -> str | None:
    """The name, where it is one of the IANA's; None: nobody knows it."""
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _moment(wall: datetime, zone: ZoneInfo, *, fold: int) -> datetime:
    """In UTC. A time on the wall that does not exist is the moment at which the clocks jump over it."""
    utc = ZoneInfo("UTC")
    found = wall.replace(tzinfo=zone, fold=fold).astimezone(utc)
    if found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    # In a gap fold=0 counts with the offset from before the jump, fold=1 with the one after it: the jump is between.
    early = wall.replace(tzinfo=zone, fold=1).astimezone(utc)
    late = wall.replace(tzinfo=zone, fold=0).astimezone(utc)
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)
