"""What a task may be, and how ends are said."""

import pytest

from gonets.core.shared.errors import Category, Invalid
from gonets.core.tasks.model import (
    MAX_DATA_LENGTH,
    MAX_TASK_ID,
    Conflicting,
    Failure,
    ProviderError,
    Task,
    TaskFailed,
    TaskType,
)


@pytest.mark.parametrize("task_id", [1, 2**31, MAX_TASK_ID])
def test_a_task_id_is_a_positive_bigint(task_id):
    assert Task(task_id, TaskType.GPT, "x").task_id == task_id


@pytest.mark.parametrize("task_id", [0, -1, MAX_TASK_ID + 1])
def test_any_other_id_is_invalid(task_id):
    with pytest.raises(Invalid) as caught:
        Task(task_id, TaskType.GPT, "x")
    assert caught.value.field == "task_id"
    assert caught.value.reason == "must be an integer from 1 to 9223372036854775807"


@pytest.mark.parametrize("data", ["x", " ", "я" * MAX_DATA_LENGTH, "😀" * MAX_DATA_LENGTH, "a\nb\x01"])
def test_data_is_1_to_10000_characters_of_any_kind(data):
    assert Task(1, TaskType.GPT, data).data == data


@pytest.mark.parametrize(("data", "reason"), [("", "has 0"), ("x" * (MAX_DATA_LENGTH + 1), "has 10001"), ("\0", "NUL")])
def test_any_other_data_is_invalid_and_the_reason_says_why_without_repeating_it(data, reason):
    with pytest.raises(Invalid) as caught:
        Task(1, TaskType.GPT, data)
    assert caught.value.field == "data"
    assert reason in caught.value.reason
    assert len(caught.value.reason) < 100


def test_tasks_are_equal_when_their_content_is():
    assert Task(1, TaskType.PHONE, "x") == Task(1, TaskType.PHONE, "x")
    assert Task(1, TaskType.PHONE, "x") != Task(1, TaskType.EMAIL, "x")


def test_a_conflict_is_said_as_a_failure_that_names_the_task():
    assert Conflicting(5).failure == Failure(
        Category.CONFLICT, "task_id 5 was taken before with another task_type or other data"
    )


def test_a_failed_task_carries_its_category_and_reason():
    error = TaskFailed(Failure(Category.QUOTA_EXHAUSTED, "slow down"))
    assert (error.category, error.reason, str(error)) == (Category.QUOTA_EXHAUSTED, "slow down", "slow down")


def test_a_provider_s_error_carries_what_is_known():
    error = ProviderError(Category.UNAVAILABLE, "HTTP 503", retry_after=7)
    assert (error.category, error.reason, error.retry_after) == (Category.UNAVAILABLE, "HTTP 503", 7)
