"""The short form: the faults that hurt most, one after the other, on one stack. `make faults` is the long one."""

import itertools
import random
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from faults.machines import Machines
from faults.report import line
from faults.runs import Scenario, run
from faults.scenarios import SHORT
from faults.stack import Stack

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.asyncio(loop_scope="module")]

TASKS, SECONDS = 100, 3.0
PATIENT = {"DADATA_TIMEOUT": 9, "YANDEXGPT_TIMEOUT": 9}
"""No provider hangs here: whoever is slow is only kept waiting by a busy machine."""


@pytest.fixture(scope="module")
def first_ids() -> Iterator[int]:
    return itertools.count(1, TASKS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    directory = tmp_path_factory.mktemp("faults")
    machines = Machines(directory / "servers")
    stack = Stack(machines, directory / "logs", schedulers=1, variables=dict(PATIENT))
    try:
        await machines.start()
        await stack.start()
        yield stack
    finally:
        await stack.stop()
        machines.remove()


@pytest.mark.parametrize("scenario", SHORT, ids=lambda scenario: scenario.name)
async def test_nothing_is_lost_and_nothing_paid_twice(
    scenario: Scenario, stack: Stack, first_ids: Iterator[int]
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    account = await run(
        scenario, stack, number=TASKS, seconds=SECONDS, seed=seed, first_id=next(first_ids), timely=False
    )
    assert account.kept, "\n\n".join([f"seed {seed}", line(account), *account.violations[:5]])
