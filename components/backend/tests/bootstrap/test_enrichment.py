"""Questions about contacts, as bootstrap hands them on and looks for their answers: tasks on a real database."""

from datetime import timedelta

import pytest

from gonets.adapters.postgres.queries import PostgresTaskQueries, create_engine
from gonets.bootstrap.contacts import LookupsByTasks
from gonets.core.contacts.enrichment import NoFacts, PhoneFacts, Question
from gonets.core.shared.errors import Conflict

PHONE = "+79161234567"
_TASK = """
WITH r AS (
    INSERT INTO integration_service (data, task_type)
    SELECT '{"timezone": "UTC+3", "provider": "МТС", "qc": 0}', 'phone' WHERE $3 = 'done' RETURNING id
)
INSERT INTO task (task_id, task_type, data, status, result_id, error_category, error_reason)
SELECT $1, 'phone', $2, $3::task_status, (SELECT id FROM r), 'refused', 'no such number'
"""


class Submit:
    """Takes tasks, and remembers them."""

    def __init__(self):
        self.taken = []

    async def __call__(self, task, wait):
        assert wait == timedelta(0)
        if task.task_id == 5:
            raise Conflict("task 5 is somebody else's")
        self.taken.append(task.task_id)


@pytest.fixture
async def looks(servers):
    engine = create_engine(servers.database.dsn, timeout=20)
    yield LookupsByTasks(Submit(), PostgresTaskQueries(engine))
    await engine.dispose()


async def test_answers_are_told_and_what_nobody_knows_is_handed_on(looks, pool):
    for task_id, status in ((1, "done"), (2, "failed"), (3, "processing"), (5, "done")):
        await pool.fetch(_TASK, task_id, PHONE if task_id < 5 else "another", status)
    found = await looks.look([Question(10 + number, number, PHONE) for number in (5, 4, 3, 2, 1)])
    assert found == {
        1: PhoneFacts("UTC+3", "МТС", 0),
        2: NoFacts("no such number"),
        5: NoFacts("task 5 is somebody else's"),
    }
    assert looks.submit.taken == [4]
