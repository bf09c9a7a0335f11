"""One run: tasks are handed in while something breaks, then everything is counted."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from faults import accounting
from faults.accounting import Account
from faults.producers import AWAY, TASKS, Producers, Sent, tasks
from faults.signs import Signs, consumers
from faults.stack import Stack

PATIENCE = 120.0
"""Seconds after the fault until whatever is not done counts as lost."""
RETURN = 10.0
"""Seconds after the end of a fault within which everybody has to work again."""
TAKEOVER = 15.0
"""Seconds within which a dead worker's tasks have to go on."""


@dataclass
class Run:
    """What a fault may use: the stack, a random number generator, and whether tasks are still handed in."""

    stack: Stack
    random: random.Random
    seconds: float
    """For how long tasks are handed in, and the fault lasts."""
    signs: Signs
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return max(0.0, self.started + self.seconds - time.monotonic())

    async def wait_for_load(self) -> None:
        """The fault comes when the work is under way."""
        await asyncio.sleep(self.seconds * 0.15)

    def part(self, seconds: float) -> "Run":
        """As many seconds of it, from now on."""
        return Run(self.stack, self.random, seconds, self.signs)


Inject = Callable[[Run], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """A row of the table. `may_fail`: tasks may end as failed, for a provider fails more often than they try.

    `longer`: how many times the usual seconds the tasks are handed in over, for a fault that needs them. `unwatched`:
    schedulers are disturbed too, and each gap in their watching has a dead worker's tasks wait anew (ADR 6).
    `notifications`: it is not tasks that are handed in; `campaign`: nor anything else, a campaign is sent.
    """

    name: str
    words: str
    inject: Inject
    variables: Mapping[str, object] = field(default_factory=dict)
    copies: int = 1
    longer: float = 1
    may_fail: bool = False
    unwatched: bool = False
    fake_clock: bool = False
    notifications: bool = False
    campaign: bool = False


async def run(
    scenario: Scenario, stack: Stack, *, number: int, seconds: float, seed: int, first_id: int = 1, timely: bool = True
) -> Account:
    """Runs it on a stack that is up, and returns the account. `timely`: to be late is a violation too."""
    began = time.monotonic()
    chance = random.Random(f"{seed} {scenario.name}")
    sent = tasks(number, first_id, chance)
    seconds *= scenario.longer
    producers = Producers(stack, sent, seconds=seconds, copies=scenario.copies, random=chance)
    signs = Signs(stack, sent)
    state = Run(stack, chance, seconds, signs)
    producing = asyncio.create_task(producers())
    stack.disturbances.clear()
    try:
        await scenario.inject(state)
        fault_over = time.time()
        async with asyncio.timeout(PATIENCE):
            await producing
    except TimeoutError:
        producing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await producing
    account = Account(scenario.name, scenario.words, seconds=seconds)
    until = await _all_done(stack, sent)
    account.recovery = max(0.0, until - max(fault_over, producers.offered_all_at or 0.0))
    account.slowest_answer = producers.slowest_answer
    account.peak_megabytes = max((member.peak_megabytes for member in stack.living("worker")), default=0.0)
    await _check_consumers(account, stack)
    url = stack.broker_url.format(port=stack.machines.rabbit.amqp_port)
    ours = {task.task_id for task in sent}
    results, failures = [
        [message for message in await accounting.drain(url, queue) if message["task_id"] in ours]
        for queue in (accounting.RESULTS, accounting.FAILURES)
    ]
    found = await accounting.gather(stack, sent)
    accounting.settle(account, stack, sent, found, results, failures, await accounting.orphans(stack))
    if account.failed and not scenario.may_fail:
        ended = [task for task in sent if (row := found.rows.get(task.task_id)) and row["state"] == "failed"]
        account.violations += [
            f"task {task.task_id}: failed though no provider did\n{accounting.timeline(task, found)}" for task in ended
        ]
    _settle_times(account, signs, found)
    if timely:
        account.violations += _late(signs, found, None if scenario.unwatched else TAKEOVER)
    account.took = time.monotonic() - began
    return account


def _settle_times(account: Account, signs: Signs, found: accounting.Evidence) -> None:
    """How soon everybody worked again, and how soon a dead worker's tasks went on."""
    account.returned = max((back.seconds for back in signs.returns), default=None)
    account.orphans = len(signs.orphans)
    account.takeover = max(found.went_on(signs.orphans).values(), default=None)


def _late(signs: Signs, found: accounting.Evidence, takeover: float | None) -> list[str]:
    late = [
        f"{back.what}: {back.seconds:.1f} s until everybody worked again, last {' and '.join(back.last)}"
        for back in signs.returns
        if back.seconds > RETURN
    ]
    return late + [
        f"task {task_id}: went on {seconds:.1f} s after its worker's death"
        for task_id, seconds in found.went_on(signs.orphans).items()
        if takeover is not None and seconds > takeover
    ]


async def _all_done(stack: Stack, sent: list[Sent]) -> float:
    """When every task had an end that was told; or the time when patience ended."""
    accepted = sum(task.accepted_at is not None for task in sent)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(*AWAY, OSError):
            rows, left = await accounting.unfinished(stack, sent[0].task_id, sent[-1].task_id)
            if rows >= accepted and not left:
                break
        await asyncio.sleep(0.2)
    return time.time()


async def _check_consumers(account: Account, stack: Stack) -> None:
    """As many consumers as workers: none is missing, none is there twice."""
    wanted, found = len(stack.living("worker")), -1
    deadline = time.monotonic() + 20
    while found != wanted and time.monotonic() < deadline:
        with contextlib.suppress(asyncio.CancelledError, *AWAY):
            found = await consumers(stack)
        await asyncio.sleep(0.2)
    if found != wanted:
        account.violations.append(f"{wanted} workers, but {found} consumers of {TASKS}")
