"""When to stop asking a provider for a while."""

from datetime import timedelta

import pytest

from gonets.core.shared.errors import Category
from gonets.core.tasks.circuit import CircuitPolicy, Open, judge
from gonets.core.tasks.model import Failure, ProviderError

POLICY = CircuitPolicy(
    failures=3,
    first_pause=timedelta(seconds=1),
    longest_pause=timedelta(seconds=8),
    operator_pause=timedelta(minutes=5),
)
SICK = [Category.UNAVAILABLE, Category.QUOTA_EXHAUSTED, Category.OUTCOME_UNKNOWN]


def _judge(category, in_a_row=1, opened=0, retry_after=None):
    error = ProviderError(category, "because", retry_after=retry_after)
    return judge(error, in_a_row=in_a_row, opened=opened, policy=POLICY)


@pytest.mark.parametrize("category", SICK)
def test_so_many_failures_in_a_row_open_it(category):
    assert _judge(category, 2) is None
    assert _judge(category, 3) == Open(timedelta(seconds=1), Failure(category, "because"))


@pytest.mark.parametrize(("opened", "seconds"), [(1, 2), (2, 4), (3, 8), (4, 8), (99, 8)])
def test_a_failed_probe_opens_it_again_for_longer(opened, seconds):
    assert _judge(Category.UNAVAILABLE, 1, opened).pause == timedelta(seconds=seconds)


def test_what_an_operator_must_mend_opens_it_at_once_and_for_long():
    assert _judge(Category.MISCONFIGURED).pause == timedelta(minutes=5)


def test_a_refusal_of_one_task_says_nothing_about_the_provider():
    assert _judge(Category.REFUSED, 99) is None


def test_a_provider_that_asks_for_time_gets_it():
    assert _judge(Category.QUOTA_EXHAUSTED, retry_after=30).pause == timedelta(seconds=30)
    assert _judge(Category.QUOTA_EXHAUSTED, in_a_row=3, retry_after=0.5).pause == timedelta(seconds=1)
