"""The figures each process keeps of its own work; docs/metrics.md explains every one.

Labels are bound once and kept: looking them up costs more than counting.
"""

import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.metrics import MetricWrapperBase

log = logging.getLogger(__name__)

Metric = TypeVar("Metric", bound=MetricWrapperBase)

CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TASK_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21_600, 86_400)
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Bound(dict[tuple[str, ...], Any]):
    """The children of one metric, by the values of its labels, each made when it is first needed."""

    def __init__(self, metric: MetricWrapperBase) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, labels: tuple[str, ...]) -> Any:
        child = self[labels] = self._metric.labels(*labels)
        return child


def create_registry(process: str) -> CollectorRegistry:
    """A registry with what every process says of itself. `process`: api, worker or scheduler."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each counter, and nobody asks
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    build = Gauge("gonets_build_info", "Always 1; the labels say what runs", ["version", "process"], registry=registry)
    build.labels(version("gonets"), process).set(1)
    return registry


def serve(registry: CollectorRegistry, host: str, port: int) -> Callable[[], None]:
    """Serves the metrics from a thread, so that they can be read while the process is busy. Returns what ends it.

    Port 0: not at all. A port that is taken is an error in the log: work that nobody watches is better than none.
    """
    if not port:
        return lambda: None
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        reason = error.strerror or str(error)
        log.error(  # noqa: TRY400 - one line that names the variable, no stack
            "METRICS_PORT: cannot listen, running without metrics", extra={"host": host, "port": port, "reason": reason}
        )
        return lambda: None
    log.info("serving metrics", extra={"port": port})

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=2)

    return end


class BatchMetrics:
    """How much travels together. Called by every Batcher with each flush."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sizes = Bound(
            Histogram("gonets_batch_items", "Items in one flush", ["batch"], buckets=BATCH_BUCKETS, registry=registry)
        )

    def __call__(self, name: str, size: int) -> None:
        self._sizes[(name,)].observe(size)


class DoorMetrics:
    """What comes in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.taken = Bound(
            Counter(
                "gonets_tasks_taken_total",
                "Tasks handed in, by what was known of them",
                ["door", "task_type", "verdict"],
                registry=registry,
            )
        )


class TaskMetrics:
    """What comes of tasks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outcomes = Bound(
            Counter(
                "gonets_task_outcomes_total",
                "Ends of tries, by outcome and category",
                ["task_type", "outcome", "category"],
                registry=registry,
            )
        )
        self.retries = Bound(
            Counter("gonets_task_retries_total", "Tries after the first that ended", ["task_type"], registry=registry)
        )
        self.duration = Bound(
            Histogram(
                "gonets_task_duration_seconds",
                "From the task's row to its end",
                ["task_type", "outcome"],
                buckets=TASK_BUCKETS,
                registry=registry,
            )
        )
        in_hand = Gauge("gonets_tasks_in_hand", "Tasks this worker runs", registry=registry)
        in_hand.set_function(lambda: len(self.since))
        self.since: dict[int, float] = {}
        """When each claim in hand began to be run: on the monotonic clock, by token."""


class ProviderMetrics:
    """What providers are asked and what they say."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = Bound(
            Counter(
                "gonets_provider_calls_total",
                "Calls that ended, by outcome",
                ["provider", "task_type", "outcome"],
                registry=registry,
            )
        )
        self.duration = Bound(
            Histogram(
                "gonets_provider_call_duration_seconds",
                "Time of a call",
                ["provider", "outcome"],
                buckets=CALL_BUCKETS,
                registry=registry,
            )
        )
        self._in_flight = Gauge("gonets_provider_calls_in_flight", "Calls now", ["provider"], registry=registry)
        self.in_flight: dict[str, int] = {}
        self.openings = Bound(
            Counter(
                "gonets_circuit_openings_total",
                "Times this worker opened a provider's circuit",
                ["provider", "category"],
                registry=registry,
            )
        )

    def know(self, provider: str) -> None:
        """From now on its calls in flight are shown; plain numbers are cheaper than gauges."""
        self.in_flight.setdefault(provider, 0)
        self._in_flight.labels(provider).set_function(lambda: self.in_flight[provider])


class HttpMetrics:
    """Requests to the REST door."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Bound(
            Counter("gonets_http_requests_total", "Requests", ["method", "route", "status"], registry=registry)
        )
        self.duration = Bound(
            Histogram(
                "gonets_http_request_duration_seconds",
                "From the request's head to the end of the answer",
                ["method", "route"],
                buckets=CALL_BUCKETS,
                registry=registry,
            )
        )


class WakeMetrics:
    """The scheduler's work."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.woken = Counter("gonets_wakeups_total", "Wake-ups sent to the queue", registry=registry)
        self.taken_back = Counter("gonets_tasks_taken_back_total", "Tasks taken from dead workers", registry=registry)


class RetentionMetrics:
    """What was kept long enough. Called with each batch that went."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._removed = Bound(
            Counter("gonets_retention_removed_total", "Things removed after their time", ["kind"], registry=registry)
        )

    def __call__(self, kind: str, removed: int) -> None:
        self._removed[(kind,)].inc(removed)
