"""The state of the whole as gauges: read now and then by the scheduler that leads, shown when asked."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.circuit import Circuit
from gonets.core.tasks.model import TaskStatus, TaskType
from gonets.core.tasks.ports import Circuits
from gonets.core.tasks.survey import Backlog, Queue, Queues, TaskCounts

log = logging.getLogger(__name__)

_COUNTED = [status for status in TaskStatus if status is not TaskStatus.DONE]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read last. None: it could not be read."""

    backlog: Backlog | None = None
    heartbeats: Mapping[str, timedelta] | None = None
    circuits: Mapping[str, Circuit] | None = None
    queues: Mapping[str, Queue] | None = None
    seconds: float = field(default=0.0)


class Watcher(Collector):
    """Reads everything at most every `interval` seconds, and never uses more than a twentieth of the time for it: a
    backlog of millions is counted less often. What cannot be read, and everything while another scheduler leads, is
    not shown at all: no figure is better than an old one."""

    SHARE = 20

    def __init__(
        self,
        counts: TaskCounts,
        circuits: Circuits,
        queues: Queues,
        registry: CollectorRegistry,
        *,
        interval: float = 5.0,
    ) -> None:
        self._counts = counts
        self._circuits = circuits
        self._queues = queues
        self._interval = interval
        self._leads = False
        self._seen = Seen()
        registry.register(self)

    def lead(self, leads: bool) -> None:
        """Whether this process leads now."""
        self._leads = leads
        if not leads:
            self._seen = Seen()

    async def run(self) -> None:
        """Reads as long as it is not cancelled."""
        while True:
            if self._leads:
                try:
                    await self.read()
                except Exception:
                    log.exception("an error of ours while the whole was looked at")
            await asyncio.sleep(max(self._interval, self._seen.seconds * self.SHARE))

    async def read(self) -> None:
        since = time.monotonic()
        backlog = heartbeats = circuits = queues = None
        try:
            heartbeats = await self._counts.heartbeats()
            circuits = await self._circuits.read()
            backlog = await self._counts.backlog()
        except Unavailable as error:
            log.warning("the backlog was not counted", extra={"reason": error.reason})
        counted = time.monotonic() - since
        try:
            queues = await self._queues.look()
        except Unavailable as error:
            log.warning("the queues were not looked at", extra={"reason": error.reason})
        self._seen = Seen(backlog, heartbeats, circuits, queues, counted) if self._leads else Seen()

    def collect(self) -> Iterator[Metric]:
        seen = self._seen
        yield GaugeMetricFamily("gonets_scheduler_leads", "1: this scheduler leads; 0: it stands by", int(self._leads))
        yield from _backlog(seen.backlog)
        yield _family("gonets_worker_silence_seconds", "Since a worker's last heartbeat", "worker", _ages(seen))
        yield from _circuits(seen.circuits or {})
        queues = seen.queues or {}
        messages = {name: queue.messages for name, queue in queues.items()}
        consumers = {name: queue.consumers for name, queue in queues.items()}
        yield _family("gonets_queue_messages", "Messages that are ready, by queue", "queue", messages)
        yield _family("gonets_queue_consumers", "Consumers, by queue", "queue", consumers)


def _ages(seen: Seen) -> dict[str, float]:
    return {worker: silent.total_seconds() for worker, silent in (seen.heartbeats or {}).items()}


def _backlog(backlog: Backlog | None) -> Iterator[Metric]:
    tasks = GaugeMetricFamily("gonets_tasks", "Tasks that are not done, by status", labels=["task_type", "status"])
    oldest = GaugeMetricFamily("gonets_oldest_task_seconds", "Age of the oldest unanswered task", labels=["task_type"])
    if backlog is not None:
        for task_type in TaskType:
            for status in _COUNTED:
                tasks.add_metric([task_type.value, status.value], backlog.tasks.get((task_type, status), 0))
            oldest.add_metric([task_type.value], backlog.oldest.get(task_type, timedelta(0)).total_seconds())
    yield tasks
    yield oldest
    overdue = GaugeMetricFamily("gonets_wake_delay_seconds", "How long the most overdue row has been due", labels=[])
    if backlog is not None:
        overdue.add_metric([], backlog.overdue.total_seconds())
    yield overdue


def _circuits(circuits: Mapping[str, Circuit]) -> Iterator[Metric]:
    opened = {name: int(circuit.opened > 0) for name, circuit in circuits.items()}
    operator = {name: int(needs_operator(circuit)) for name, circuit in circuits.items()}
    yield _family("gonets_circuit_open", "1: the provider is left in peace", "provider", opened)
    yield _family("gonets_provider_needs_operator", "1: keys, money or addresses are wrong", "provider", operator)


def needs_operator(circuit: Circuit) -> bool:
    """Whether nothing but a person can close it."""
    return bool(circuit.opened and circuit.failure and circuit.failure.category is Category.MISCONFIGURED)


def _family(name: str, help_text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value, figure in values.items():
        family.add_metric([value], figure)
    return family
