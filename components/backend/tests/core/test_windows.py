"""When a message may leave, by the clock on the recipient's wall."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from gonets.core.campaigns.windows import EVERY_DAY, Opening, SendWindow, known_zone, next_opening

DAY = SendWindow(time(9), time(21), "Europe/Moscow")
NIGHT = SendWindow(time(22), time(6), "Europe/Moscow")
WEEKDAYS = frozenset({1, 2, 3, 4, 5})
ON_WEEKDAYS = SendWindow(time(9), time(21), "UTC", WEEKDAYS)
WEEKNIGHTS = SendWindow(time(22), time(6), "UTC", WEEKDAYS)
SATURDAYS = SendWindow(time(22), time(6), "UTC", frozenset({6}))
MONDAYS = SendWindow(time(9), time(21), "UTC", frozenset({1}))


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "zone", "after", "opens", "closes"),
    [
        # Moscow is three hours ahead of UTC.
        (DAY, "Europe/Moscow", "2026-03-02T05:00", "2026-03-02T06:00", "2026-03-02T18:00"),
        (DAY, "Europe/Moscow", "2026-03-02T06:00", "2026-03-02T06:00", "2026-03-02T18:00"),
        (DAY, "Europe/Moscow", "2026-03-02T17:59", "2026-03-02T17:59", "2026-03-02T18:00"),
        (DAY, "Europe/Moscow", "2026-03-02T18:00", "2026-03-03T06:00", "2026-03-03T18:00"),
        # The same moment is morning in one place and night in another.
        (DAY, "Asia/Vladivostok", "2026-03-02T10:00", "2026-03-02T10:00", "2026-03-02T11:00"),
        (DAY, "America/Los_Angeles", "2026-03-02T10:00", "2026-03-02T17:00", "2026-03-03T05:00"),
        # Over midnight: it belongs to the day on which it opens.
        (NIGHT, "Europe/Moscow", "2026-03-02T12:00", "2026-03-02T19:00", "2026-03-03T03:00"),
        (NIGHT, "Europe/Moscow", "2026-03-02T22:00", "2026-03-02T22:00", "2026-03-03T03:00"),
        (NIGHT, "Europe/Moscow", "2026-03-03T02:59", "2026-03-03T02:59", "2026-03-03T03:00"),
        (NIGHT, "Europe/Moscow", "2026-03-03T03:00", "2026-03-03T19:00", "2026-03-04T03:00"),
        # Until midnight, and the whole day.
        (SendWindow(time(9), time(0), "UTC"), "UTC", "2026-03-02T23:59", "2026-03-02T23:59", "2026-03-03T00:00"),
        (SendWindow(time(0), time(0), "UTC"), "UTC", "2026-03-02T00:00", "2026-03-02T00:00", "2026-03-03T00:00"),
        # 2026-03-07 is a Saturday.
        (ON_WEEKDAYS, "UTC", "2026-03-06T21:00", "2026-03-09T09:00", "2026-03-09T21:00"),
        (WEEKNIGHTS, "UTC", "2026-03-07T05:00", "2026-03-07T05:00", "2026-03-07T06:00"),
        (SATURDAYS, "UTC", "2026-03-08T07:00", "2026-03-14T22:00", "2026-03-15T06:00"),
        # It is another day there already.
        (MONDAYS, "Asia/Tokyo", "2026-03-01T23:00", "2026-03-02T00:00", "2026-03-02T12:00"),
    ],
)  # fmt: skip
def test_the_opening_under_way_or_else_the_next(window, zone, after, opens, closes):
    assert next_opening(window, zone, utc(after)) == Opening(utc(opens), utc(closes))


@pytest.mark.parametrize(
    ("opens", "closes", "after", "at", "until"),
    [
        # Berlin's clocks jump from 02:00 to 03:00 on 2026-03-29, at 01:00 UTC.
        (time(2, 30), time(12), "2026-03-28T23:00", "2026-03-29T01:00", "2026-03-29T10:00"),
        (time(1), time(2, 30), "2026-03-28T23:00", "2026-03-29T00:00", "2026-03-29T01:00"),
        (time(9), time(21), "2026-03-28T22:00", "2026-03-29T07:00", "2026-03-29T19:00"),
        # What would lie within the hour that is skipped does not open that day.
        (time(2, 10), time(2, 50), "2026-03-28T12:00", "2026-03-30T00:10", "2026-03-30T00:50"),
        # They go back from 03:00 to 02:00 on 2026-10-25, at 01:00 UTC: that hour is there twice.
        (time(2, 30), time(12), "2026-10-24T23:00", "2026-10-25T00:30", "2026-10-25T11:00"),
        (time(1), time(2, 30), "2026-10-24T22:00", "2026-10-24T23:00", "2026-10-25T01:30"),
        (time(9), time(21), "2026-10-24T20:00", "2026-10-25T08:00", "2026-10-25T20:00"),
    ],
)
def test_the_days_on_which_the_clocks_change(opens, closes, after, at, until):
    window = SendWindow(opens, closes, "UTC")
    assert next_opening(window, "Europe/Berlin", utc(after)) == Opening(utc(at), utc(until))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"])
def test_a_moment_is_inside_exactly_where_the_clock_on_the_wall_says_so(zone):
    at = utc("2026-03-20T00:00")
    for _ in range(24 * 2 * 30):
        local = at.astimezone(ZoneInfo(zone))
        inside = time(9) <= local.time() < time(21) and local.isoweekday() in WEEKDAYS
        assert (next_opening(ON_WEEKDAYS, zone, at).opens_at == at) == inside, local
        at += timedelta(minutes=30)


def test_openings_follow_one_another():
    at, seen = utc("2026-03-27T00:00"), []
    for _ in range(4):
        opening = next_opening(DAY, "Europe/Berlin", at)
        assert at <= opening.opens_at < opening.closes_at
        seen.append(opening.opens_at)
        at = opening.closes_at
    assert seen == [utc(f"2026-03-{day}") for day in ("27T08:00", "28T08:00", "29T07:00", "30T07:00")]


@pytest.mark.parametrize("after", ["2026-03-22T02:00", "2026-03-23T12:00", "2026-03-28T23:00", "2026-03-29T01:00"])
def test_a_weekly_window_in_the_hour_that_the_clocks_skip_opens_a_week_later(after):
    sundays = SendWindow(time(2, 15), time(2, 45), "Europe/Berlin", frozenset({7}))
    assert next_opening(sundays, "Europe/Berlin", utc(after)) == Opening(
        utc("2026-04-05T00:15"), utc("2026-04-05T00:45")
    )


def test_names_of_zones():
    assert known_zone("Europe/Moscow") == "Europe/Moscow"
    for name in ("Mars/Olympus", "", "/etc/passwd", "../UTC", "a" * 300, "Europe"):
        assert known_zone(name) is None
    assert frozenset(range(1, 8)) == EVERY_DAY
