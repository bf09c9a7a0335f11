"""Each outcome of a try is one line in the log, its facts as fields; waiting for one's turn is none."""

import logging
from datetime import timedelta

import pytest

from fakes import FakeAnnouncements, FakeLifeline, FakeProvider, FakeTaskTable
from gonets.core.shared.errors import Category
from gonets.core.tasks.gate import Entered, Postponed
from gonets.core.tasks.model import Failure, ProviderError, Task, TaskType
from gonets.core.tasks.retry import RetryPolicy
from gonets.core.tasks.use_cases import RunTask, TellTask

ENTERED = Entered()
TASK = Task(7, TaskType.PHONE, "8 916")


class Gate:
    def __init__(self, way):
        self.way = way

    async def enter(self):
        return self.way

    async def leave(self, entered, error):
        pass


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "gonets")

    async def run(answer, way=ENTERED, **policy):
        table = FakeTaskTable()
        claim = await table.claim(TASK, None, 1)
        kinds = {"providers": FakeProvider(answer), "gates": Gate(way), "policies": RetryPolicy(**policy)}
        tell = TellTask(FakeAnnouncements(), table)
        by_type = {name: {TaskType.PHONE: part} for name, part in kinds.items()}
        await RunTask(**by_type, lifeline=FakeLifeline(claim.life), outcomes=table, tell=tell, random=lambda: 0.5)(
            claim
        )
        return [record for record in caplog.records if record.levelno >= logging.INFO]

    return run


@pytest.mark.parametrize(
    ("answer", "policy", "words", "category"),
    [
        ({}, {}, "task answered", None),
        (ProviderError(Category.UNAVAILABLE, "away"), {}, "task parked", "unavailable"),
        (ProviderError(Category.MISCONFIGURED, "no key"), {}, "task parked", "misconfigured"),
        (ProviderError(Category.REFUSED, "no"), {}, "task failed", "refused"),
        (ProviderError(Category.UNAVAILABLE, "away"), {"max_attempts": 1}, "task failed", "unavailable"),
    ],
)
async def test_one_line_for_each_outcome(lines, answer, policy, words, category):
    [line] = await lines(answer, **policy)
    assert line.message == words
    assert (line.task_id, line.task_type, line.attempts) == (7, "phone", 1)
    assert getattr(line, "category", None) == category
    assert hasattr(line, "delay_s") == (words == "task parked")


async def test_waiting_for_ones_turn_is_no_outcome(lines):
    postponed = Postponed(timedelta(seconds=1), Failure(Category.QUOTA_EXHAUSTED, "waits for its turn"))
    assert await lines({}, way=postponed) == []
