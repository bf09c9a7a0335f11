"""What is put around the work so that it can be seen. Traces are off by default and then cost nothing: nothing is
wrapped, and OpenTelemetry is not even imported."""

import sys
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from gonets.adapters.rabbitmq.announcements import RabbitAnnouncements
from gonets.adapters.rabbitmq.consumer import Continued
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.telemetry.http import LoggedApp, MeteredApp
from gonets.adapters.telemetry.logged import LoggedProvider, LoggedRun
from gonets.adapters.telemetry.metered import MeteredProvider, MeteredRun
from gonets.adapters.telemetry.metrics import HttpMetrics, ProviderMetrics, TaskMetrics
from gonets.core.shared.masking import Masking
from gonets.core.tasks.model import TaskType
from gonets.core.tasks.ports import Provider, Run
from gonets.settings import Settings

if TYPE_CHECKING:
    from gonets.adapters.telemetry.traces import Tracing


def tracing(settings: Settings, process: str) -> "Tracing | None":
    """None where traces are off. Ends the process where they are wanted and cannot be had."""
    wanted = settings.tracing
    if not wanted.enabled:
        return None
    try:
        from gonets.adapters.telemetry.traces import Tracing
    except ImportError as error:
        sys.exit(f"OTEL_ENABLED: {error.name} is not installed: pip install 'gonets[tracing]'")
    return Tracing.to_collector(process, wanted.exporter_otlp_endpoint, wanted.traces_sampler_arg)


def announcements(publisher: Publisher, traces: "Tracing | None") -> RabbitAnnouncements:
    return RabbitAnnouncements(publisher, traces.headers if traces else None)


def continued(traces: "Tracing | None") -> Continued | None:
    return traces.continued if traces else None


def masking(secrets: list[str]) -> Masking:
    """For what providers say. Short secrets are left in it, where they would be found inside of harmless words."""
    return Masking(secrets, shortest=8)


def provider(
    asked: Provider,
    name: str,
    task_type: TaskType,
    metrics: ProviderMetrics,
    secrets: Masking,
    traces: "Tracing | None",
) -> Provider:
    watched = MeteredProvider(LoggedProvider(asked, name, secrets), name, task_type, metrics)
    return traces.wrap_provider(watched, name) if traces else watched


def run(work: Run, metrics: TaskMetrics, traces: "Tracing | None") -> Run:
    watched = MeteredRun(LoggedRun(work), metrics)
    return traces.wrap_run(watched) if traces else watched


def app(served: ASGIApp, registry: CollectorRegistry, metrics: HttpMetrics, traces: "Tracing | None") -> ASGIApp:
    watched = MeteredApp(LoggedApp(served), registry, metrics)
    return traces.wrap_app(watched) if traces else watched
