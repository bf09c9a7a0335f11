"""Try again, and when."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import LONGEST_WAIT, Claimed, Failure, ProviderError, Task, TaskType
from gonets.core.tasks.retry import GiveUp, Park, RetryPolicy, decide

POLICY = RetryPolicy(max_attempts=5, first_delay=timedelta(seconds=1), longest_delay=timedelta(seconds=10))
PASSING = {Category.UNAVAILABLE, Category.QUOTA_EXHAUSTED, Category.OUTCOME_UNKNOWN}


def _decide(category, attempts=1, *, policy=POLICY, random=0.0, retry_after=None, age=timedelta(0), probe=False):
    claim = Claimed(Task(1, TaskType.PHONE, "1"), token=1, life=1, attempts=attempts, age=age)
    return decide(
        ProviderError(category, "because", retry_after=retry_after), claim, policy, lambda: random, probe=probe
    )


@pytest.mark.parametrize("category", list(Category))
def test_only_what_may_pass_is_tried_again(category):
    expected = Park if category in PASSING | {Category.MISCONFIGURED} else GiveUp
    assert isinstance(_decide(category), expected)


@pytest.mark.parametrize("category", sorted(PASSING))
def test_a_parked_task_keeps_the_reason(category):
    assert _decide(category).failure == Failure(category, "because")


def test_what_does_not_pass_keeps_the_reason_as_it_is():
    assert _decide(Category.REFUSED) == GiveUp(Failure(Category.REFUSED, "because"))


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8)], ids=["first", "second", "third", "fourth"]
)
def test_each_delay_is_twice_the_one_before(attempts, seconds):
    assert _decide(Category.UNAVAILABLE, attempts).delay == timedelta(seconds=seconds)


def test_no_delay_is_longer_than_the_longest():
    patient = RetryPolicy(max_attempts=100, first_delay=timedelta(seconds=1), longest_delay=timedelta(seconds=10))
    assert _decide(Category.UNAVAILABLE, 99, policy=patient).delay == timedelta(seconds=10)


def test_jitter_takes_away_up_to_half():
    assert _decide(Category.UNAVAILABLE, 3, random=0.5).delay == timedelta(seconds=3)
    assert _decide(Category.UNAVAILABLE, 3, random=1.0).delay == timedelta(seconds=2)


@pytest.mark.parametrize(("attempts", "goes_on"), [(4, True), (5, False), (6, False)])
def test_the_last_attempt_gives_up_and_says_so(attempts, goes_on):
    decision = _decide(Category.UNAVAILABLE, attempts)
    assert isinstance(decision, Park) is goes_on
    if not goes_on:
        assert decision.failure.category is Category.UNAVAILABLE
        assert decision.failure.reason == f"because (gave up after {attempts} attempts)"


def test_an_unknown_outcome_is_not_repeated_where_the_policy_forbids_it():
    careful = RetryPolicy(repeat_unknown=False)
    assert isinstance(_decide(Category.OUTCOME_UNKNOWN, policy=careful), GiveUp)
    assert isinstance(_decide(Category.UNAVAILABLE, policy=careful), Park)
    assert isinstance(_decide(Category.QUOTA_EXHAUSTED, policy=careful), Park)


@pytest.mark.parametrize(("retry_after", "seconds"), [(0.5, 1), (30, 30), (None, 1), (-5, 1), (0, 1)])
def test_the_provider_may_ask_for_more_time_never_for_less(retry_after, seconds):
    assert _decide(Category.QUOTA_EXHAUSTED, retry_after=retry_after).delay == timedelta(seconds=seconds)


@pytest.mark.parametrize("retry_after", [1e9, 1e300, float("inf")])
def test_a_provider_cannot_put_a_task_off_for_ever(retry_after):
    assert _decide(Category.QUOTA_EXHAUSTED, retry_after=retry_after).delay == LONGEST_WAIT


def test_nonsense_of_a_provider_is_as_good_as_nothing():
    assert _decide(Category.QUOTA_EXHAUSTED, retry_after=float("nan")).delay == timedelta(seconds=1)


def test_the_operators_mistake_is_never_the_tasks():
    decision = _decide(Category.MISCONFIGURED, 99, age=timedelta(days=99))
    assert isinstance(decision, Park)
    assert not decision.counted


def test_a_try_that_only_probed_the_provider_does_not_count():
    decision = _decide(Category.UNAVAILABLE, 99, probe=True)
    assert isinstance(decision, Park)
    assert not decision.counted
    assert _decide(Category.UNAVAILABLE).counted


def test_a_task_that_is_too_old_is_given_up_and_says_so():
    policy = RetryPolicy(max_age=timedelta(hours=2))
    decision = _decide(Category.UNAVAILABLE, policy=policy, age=timedelta(hours=2))
    assert decision == GiveUp(Failure(Category.UNAVAILABLE, "because (gave up after 2:00:00)"))
    assert isinstance(_decide(Category.UNAVAILABLE, policy=policy, age=timedelta(hours=1)), Park)


@settings(deadline=None)
@given(
    category=st.sampled_from(Category),
    attempts=st.integers(min_value=1, max_value=10**9),
    first=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=365)),
    longest=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=365)),
    random=st.floats(min_value=0, max_value=1),
    retry_after=st.none() | st.floats(),
)
def test_every_decision_is_bounded(category, attempts, first, longest, random, retry_after):
    policy = RetryPolicy(max_attempts=10**9 + 1, first_delay=first, longest_delay=longest)
    decision = _decide(category, attempts, policy=policy, random=random, retry_after=retry_after)
    assert decision.failure == Failure(category, "because")
    if category not in PASSING:
        assert isinstance(decision, Park if category is Category.MISCONFIGURED else GiveUp)
        return
    assert isinstance(decision, Park)
    assert timedelta(0) <= decision.delay <= max(longest, LONGEST_WAIT)
    if retry_after is not None and 0 <= retry_after <= LONGEST_WAIT.total_seconds():
        assert decision.delay >= timedelta(seconds=retry_after)
    if retry_after is None:
        assert min(first, longest) / 2 - timedelta(microseconds=1) <= decision.delay <= longest


@settings(deadline=None)
@given(attempts=st.integers(min_value=1, max_value=40), random=st.floats(min_value=0, max_value=1))
def test_the_delays_never_shrink_with_the_attempts(attempts, random):
    policy = RetryPolicy(max_attempts=100)
    now, then = (_decide(Category.UNAVAILABLE, n, policy=policy, random=random).delay for n in (attempts, attempts + 1))
    assert now <= then
