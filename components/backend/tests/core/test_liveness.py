"""Who is dead."""

import inspect

from gonets.core.tasks import liveness
from gonets.core.tasks.liveness import Watch


def _watch():
    return Watch(silence=10, gap=3)


def _look(watch, beats, times):
    """Looks at each of these times; `beats` gives the heartbeats then. Returns who was found dead, and when."""
    found = {}
    for now in times:
        for life in watch.look(beats(now), now):
            found.setdefault(life, now)
    return found


def test_a_heartbeat_that_stands_still_is_dead_after_the_silence_and_not_before():
    assert _look(_watch(), lambda _: {1: 5}, range(100, 130)) == {1: 110}


def test_the_dead_are_named_with_the_beat_that_was_seen():
    watch = _watch()
    for now in range(10):
        assert watch.look({1: 5}, now) == {}
    assert watch.look({1: 5}, 10) == {1: 5}


def test_a_worker_that_beats_lives():
    assert _look(_watch(), lambda now: {1: now // 9}, range(1000)) == {}


def test_each_life_is_judged_by_its_own_beats():
    assert _look(_watch(), lambda now: {1: 5, 2: now, 3: min(now, 4)}, range(30)) == {1: 10, 3: 14}


def test_a_life_that_comes_later_has_the_full_time():
    assert _look(_watch(), lambda now: {1: 0} if now >= 50 else {}, range(100)) == {1: 60}


def test_a_life_that_went_and_came_back_starts_anew():
    assert _look(_watch(), lambda now: {} if now == 9 else {1: 0}, range(15)) == {}


def test_after_a_gap_in_the_watching_the_living_get_the_full_time():
    """The database was away, or the watcher was frozen: nobody could be seen to beat."""
    seen_before, seen_after = list(range(9)), list(range(100, 115))
    assert _look(_watch(), lambda _: {1: 5}, seen_before + seen_after) == {1: 110}


def test_looks_that_are_slow_but_not_gaps_are_enough():
    assert _look(_watch(), lambda _: {1: 5}, [0, 3, 6, 9, 12]) == {1: 12}


def test_looks_that_are_all_too_far_apart_find_nobody_dead():
    assert _look(_watch(), lambda _: {1: 5}, range(0, 1000, 4)) == {}


def test_the_first_look_finds_nobody_dead_whatever_the_clock_says():
    assert _watch().look({1: 0}, 1e9) == {}


def test_no_wall_clock_is_asked():
    """Only the monotonic clock of the caller counts, so a stepped wall clock kills nobody."""
    assert not {"time", "datetime"} & set(vars(liveness))
    assert list(inspect.signature(Watch.look).parameters) == ["self", "beats", "now"]
