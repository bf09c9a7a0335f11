"""Figures: each port's decorator counts what went through it, and changes nothing."""

import asyncio
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from eventually import eventually
from fakes import FakeCircuits, FakeProvider, FakeTaskTable
from gonets.adapters.telemetry.metered import (
    MeteredCircuits,
    MeteredClaims,
    MeteredIntake,
    MeteredOutcomes,
    MeteredProvider,
    MeteredRun,
    MeteredWakes,
)
from gonets.adapters.telemetry.metrics import (
    BatchMetrics,
    DoorMetrics,
    ProviderMetrics,
    TaskMetrics,
    WakeMetrics,
    create_registry,
    serve,
)
from gonets.adapters.telemetry.watch import Watcher
from gonets.core.shared.batching import Batcher
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.circuit import Circuit, Open
from gonets.core.tasks.model import Claimed, Failure, ProviderError, Task, TaskStatus, TaskType, Waiter
from gonets.core.tasks.survey import Backlog, Queue

TASK = Task(1, TaskType.PHONE, "8 916 823 34 54")
PASSING = Failure(Category.UNAVAILABLE, "away")


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def figure(registry):
    def read(name, **labels):
        return registry.get_sample_value(name, labels)

    return read


@pytest.fixture
def table():
    return FakeTaskTable()


@pytest.fixture
def outcomes(table, registry):
    return MeteredOutcomes(table, TaskMetrics(registry))


def taken(figure, door, verdict):
    return figure("gonets_tasks_taken_total", door=door, task_type="phone", verdict=verdict)


async def test_what_comes_in_is_counted_by_what_was_known_of_it(table, registry, figure):
    metrics = DoorMetrics(registry)
    rest, queue = MeteredIntake(table, metrics), MeteredClaims(table, metrics)

    await rest.submit(TASK, None)
    await rest.submit(TASK, None)
    claim = await queue.claim(TASK, None, 1)
    await rest.submit(Task(1, TaskType.PHONE, "other"), Waiter("somebody"))
    await table.answer(claim, {})
    await queue.claim(TASK, None, 2)

    assert [taken(figure, "rest", verdict) for verdict in ("new", "under_way", "conflict")] == [1, 1, 1]
    assert [taken(figure, "queue", verdict) for verdict in ("claimed", "finished")] == [1, 1]


async def test_ends_of_tries_are_counted_by_outcome_and_category(table, outcomes, figure):
    claim = await table.claim(TASK, None, 1)
    assert await outcomes.park(claim, PASSING, timedelta(0))
    claim = await table.claim(TASK, None, 2)
    assert await outcomes.park(claim, PASSING, timedelta(0), counted=False)
    claim = await table.claim(TASK, None, 3)
    await outcomes.answer(claim, {})

    def count(outcome, category):
        return figure("gonets_task_outcomes_total", task_type="phone", outcome=outcome, category=category)

    assert (count("parked", "unavailable"), count("postponed", "unavailable"), count("answered", "")) == (1, 1, 1)
    assert figure("gonets_task_retries_total", task_type="phone") == 1, "of the two tries that ended one was the second"
    assert figure("gonets_task_duration_seconds_count", task_type="phone", outcome="answered") == 1


async def test_a_decision_that_was_dropped_is_not_counted(table, outcomes, figure):
    claim = await table.claim(TASK, None, 1)
    await table.answer(claim, {})

    assert not await outcomes.park(claim, PASSING, timedelta(0))
    assert await outcomes.fail(claim, PASSING) is None

    labels = {"task_type": "phone", "category": "unavailable"}
    assert figure("gonets_task_outcomes_total", outcome="parked", **labels) is None
    assert figure("gonets_task_outcomes_total", outcome="failed", **labels) is None


async def test_the_duration_begins_with_the_row(table, registry, figure):
    metrics = TaskMetrics(registry)
    outcomes = MeteredOutcomes(table, metrics)
    known = await table.claim(TASK, None, 1)
    claim = Claimed(TASK, known.token, known.life, known.attempts, age=timedelta(seconds=100))
    in_hand = []

    async def work(claim, *_):
        in_hand.append(figure("gonets_tasks_in_hand"))
        await asyncio.sleep(0.02)
        await outcomes.answer(claim, {})

    await MeteredRun(work, metrics)(claim)

    duration = figure("gonets_task_duration_seconds_sum", task_type="phone", outcome="answered")
    assert 100.02 <= duration < 190
    assert (in_hand, figure("gonets_tasks_in_hand"), metrics.since) == ([1], 0, {})


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ({"phone": "…"}, "answered"),
        (ProviderError(Category.QUOTA_EXHAUSTED, "too much"), "quota_exhausted"),
        (RuntimeError("a bug"), "error"),
    ],
)
async def test_calls_are_counted_by_what_came_of_them(registry, figure, line, outcome):
    provider = MeteredProvider(FakeProvider(line), "dadata", TaskType.PHONE, ProviderMetrics(registry))

    if isinstance(line, Exception):
        with pytest.raises(type(line)) as raised:
            await provider.ask("x")
        assert raised.value is line
    else:
        assert await provider.ask("x") is line

    assert figure("gonets_provider_calls_total", provider="dadata", task_type="phone", outcome=outcome) == 1
    assert figure("gonets_provider_call_duration_seconds_count", provider="dadata", outcome=outcome) == 1
    assert figure("gonets_provider_calls_in_flight", provider="dadata") == 0


async def test_a_call_that_is_cut_off_is_one_of_unknown_outcome(registry, figure):
    hanging = FakeProvider()
    hanging.free.clear()
    call = asyncio.create_task(MeteredProvider(hanging, "dadata", TaskType.PHONE, ProviderMetrics(registry)).ask("x"))
    await eventually(lambda: hanging.asked, "the provider is asked")
    assert figure("gonets_provider_calls_in_flight", provider="dadata") == 1
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    labels = {"provider": "dadata", "task_type": "phone", "outcome": "outcome_unknown"}
    assert figure("gonets_provider_calls_total", **labels) == 1


async def test_openings_of_circuits_are_counted(registry, figure):
    circuits = MeteredCircuits(FakeCircuits(), ProviderMetrics(registry))
    await circuits.open("dadata", Open(timedelta(seconds=60), Failure(Category.MISCONFIGURED, "no key")), 1)
    assert figure("gonets_circuit_openings_total", provider="dadata", category="misconfigured") == 1
    assert (await circuits.read())["dadata"].opened == 1


async def test_batches_are_counted_with_their_sizes(registry, figure):
    async def flush(items):
        return items

    batcher = Batcher(flush, name="claim", observe=BatchMetrics(registry))
    await asyncio.gather(*(batcher.add(number) for number in range(7)))
    assert figure("gonets_batch_items_sum", batch="claim") == 7
    assert figure("gonets_batch_items_count", batch="claim") < 7


async def test_the_schedulers_work_is_counted(table, registry, figure):
    wakes = MeteredWakes(table, WakeMetrics(registry))
    await table.submit(TASK, None)
    table.clock.advance(timedelta(hours=1))
    await wakes.woken(await wakes.due(10))
    await table.claim(TASK, None, 1)
    await wakes.bury(await wakes.heartbeats())
    assert figure("gonets_wakeups_total") == 1
    assert figure("gonets_tasks_taken_back_total") == 1


class Whole:
    """The state of the whole, as a test sets it."""

    def __init__(self):
        self.away = False

    async def backlog(self):
        if self.away:
            raise Unavailable("the database is away")
        counts = {(TaskType.GPT, TaskStatus.PARKED): 3}
        return Backlog(counts, {TaskType.GPT: timedelta(seconds=40)}, timedelta(seconds=2))

    async def heartbeats(self):
        return {"host:1": timedelta(seconds=1.5)}

    async def look(self):
        return {"TaskProcessingQueue": Queue(5, 0)}


@pytest.fixture
def whole():
    return Whole()


@pytest.fixture
def watcher(whole, registry):
    circuits = FakeCircuits()
    circuits.circuits["dadata"] = Circuit(1, timedelta(seconds=60), Failure(Category.MISCONFIGURED, "no money"))
    circuits.circuits["yandexgpt"] = Circuit()
    return Watcher(whole, circuits, whole, registry)


async def test_the_leader_shows_the_state_of_the_whole(watcher, figure):
    watcher.lead(True)
    await watcher.read()
    assert figure("gonets_scheduler_leads") == 1
    assert figure("gonets_tasks", task_type="gpt", status="parked") == 3
    assert figure("gonets_tasks", task_type="phone", status="failed") == 0
    assert figure("gonets_oldest_task_seconds", task_type="gpt") == 40
    assert figure("gonets_wake_delay_seconds") == 2
    assert figure("gonets_worker_silence_seconds", worker="host:1") == 1.5
    assert figure("gonets_provider_needs_operator", provider="dadata") == 1
    assert figure("gonets_circuit_open", provider="yandexgpt") == 0
    assert figure("gonets_queue_messages", queue="TaskProcessingQueue") == 5
    assert figure("gonets_queue_consumers", queue="TaskProcessingQueue") == 0


async def test_who_does_not_lead_shows_nothing_of_it(watcher, figure):
    watcher.lead(True)
    await watcher.read()
    watcher.lead(False)
    assert figure("gonets_scheduler_leads") == 0
    assert figure("gonets_tasks", task_type="gpt", status="parked") is None
    assert figure("gonets_queue_consumers", queue="TaskProcessingQueue") is None


async def test_what_cannot_be_read_is_not_shown(watcher, whole, figure):
    watcher.lead(True)
    await watcher.read()
    whole.away = True
    await watcher.read()
    assert figure("gonets_tasks", task_type="gpt", status="parked") is None
    assert figure("gonets_wake_delay_seconds") is None
    assert figure("gonets_queue_messages", queue="TaskProcessingQueue") == 5


def test_a_port_that_is_taken_is_said_and_costs_only_the_metrics(caplog, unused_tcp_port):
    end = serve(create_registry("worker"), "127.0.0.1", unused_tcp_port)
    serve(create_registry("worker"), "127.0.0.1", unused_tcp_port)()
    end()
    [line] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "METRICS_PORT" in line.message
    assert line.port == unused_tcp_port
