"""The database's clock, known from answers that took their time."""

import pytest

from gonets.adapters.postgres.clock import DatabaseClock

AHEAD = 1000.0


def learn(clock, asked_at, under_way, *, there=0.0, ahead=AHEAD):
    """An answer that was `under_way`, of which `there` before the database looked at its clock."""
    clock.learn(asked_at, asked_at + there + ahead, asked_at + under_way)


def error(clock, at, *, ahead=AHEAD):
    return abs(clock.at(at) - at - ahead)


@pytest.mark.parametrize("there", [0.0, 0.3, 1.0])
def test_one_answer_is_wrong_by_half_its_time_at_most(there):
    clock = DatabaseClock()
    learn(clock, 5, 1.0, there=there)
    assert error(clock, 6) <= 0.5


@pytest.mark.parametrize("there", [0.0, 1.0])
def test_a_slow_answer_after_a_quick_one_changes_nothing(there):
    clock = DatabaseClock()
    learn(clock, 5, 0.002)
    learn(clock, 6, 1.0, there=there)
    assert error(clock, 7) <= 0.005


def test_a_quick_answer_mends_what_a_slow_one_said():
    clock = DatabaseClock()
    learn(clock, 5, 1.0)
    learn(clock, 6, 0.002)
    assert error(clock, 7) <= 0.002


@pytest.mark.parametrize("step", [3600.0, -3600.0, 0.5, -0.5])
def test_a_clock_that_was_set_is_believed_at_once(step):
    clock = DatabaseClock()
    learn(clock, 5, 0.002)
    learn(clock, 6, 0.002, ahead=AHEAD + step)
    assert error(clock, 7, ahead=AHEAD + step) <= 0.002


def test_clocks_that_drift_apart_are_followed():
    clock = DatabaseClock()
    for second in range(1000):
        learn(clock, second, 0.002, ahead=AHEAD + second * 0.0005)
    assert error(clock, 999, ahead=AHEAD + 999 * 0.0005) <= 0.005
