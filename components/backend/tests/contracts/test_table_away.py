"""Whatever is asked of a database that is away, the answer is Unavailable."""

from datetime import timedelta

import pytest

from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.model import Claimed, Failure, Finished, Task, TaskType
from gonets.core.tasks.set_aside import Choice

TASK = Task(7, TaskType.PHONE, "8 916 823 34 54")
CLAIM = Claimed(TASK, 1, 1, 1)
FAILURE = Failure(Category.REFUSED, "no")

QUESTIONS = {
    "submit": lambda table: table.intake.submit(TASK, None),
    "claim": lambda table: table.worker.claim(TASK, None, 1),
    "answer": lambda table: table.worker.answer(CLAIM, {}),
    "park": lambda table: table.worker.park(CLAIM, FAILURE, timedelta(1)),
    "fail": lambda table: table.worker.fail(CLAIM, FAILURE),
    "told": lambda table: table.worker.told(Finished(7, 1)),
    "tell_later": lambda table: table.worker.tell_later(7),
    "heartbeats": lambda table: table.wakes.heartbeats(),
    "bury": lambda table: table.wakes.bury({1: 1}),
    "due": lambda table: table.wakes.due(1),
    "woken": lambda table: table.wakes.woken([]),
    "failed get": lambda table: table.failed.get(7),
    "failed page": lambda table: table.failed.page(Choice(), cursor=None, limit=1),
    "failed replay": lambda table: table.failed.replay(Choice()),
    "failed drop": lambda table: table.failed.drop(Choice()),
    "get": lambda table: table.queries.get(7),
    "page": lambda table: table.queries.page(status=None, task_type=None, cursor=None, limit=1),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_unavailable(table_away, question):
    with pytest.raises(Unavailable):
        await QUESTIONS[question](table_away)
