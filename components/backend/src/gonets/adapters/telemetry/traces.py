"""One trace from the REST door through the queue to the provider (OpenTelemetry). Imported only where it is wanted.

The context travels as `traceparent` (W3C) in the headers of HTTP and AMQP. It is not kept in the task's row: a task
that waited for the scheduler starts a new trace, and `gonets.task_id` finds both.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract, inject
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gonets.adapters.telemetry.http import route_of
from gonets.core.tasks.model import JSON, Claimed, ProviderError
from gonets.core.tasks.ports import Provider, Run


class Tracing:
    """Traces of one process. `wrap` methods return what they are given, traced."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("gonets")

    @classmethod
    def to_collector(cls, process: str, endpoint: str, share: float) -> "Tracing":
        """Sends by OTLP over HTTP, from a thread. `share`: of the traces that begin here, 0 to 1."""
        resource = Resource.create({"service.name": f"gonets-{process}", "service.namespace": "gonets"})
        provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()

    def headers(self) -> dict[str, str]:
        """What a message carries, so that its reader goes on with this trace."""
        carrier: dict[str, str] = {}
        inject(carrier)
        return carrier

    @contextmanager
    def continued(self, headers: Mapping[str, object]) -> Iterator[None]:
        """What is begun inside goes on with the trace in the headers of a message."""
        token = context.attach(extract(headers, getter=_AMQP))
        try:
            yield
        finally:
            context.detach(token)

    def wrap_run(self, run: Run) -> Run:
        async def traced(claim: Claimed, asked: Callable[[], None] = lambda: None) -> None:
            attributes = {
                "gonets.task_id": claim.task.task_id,
                "gonets.task_type": claim.task.task_type.value,
                "gonets.attempts": claim.attempts,
            }
            with self._tracer.start_as_current_span("run task", kind=SpanKind.CONSUMER, attributes=attributes):
                await run(claim, asked)

        return traced

    def wrap_provider(self, provider: Provider, name: str) -> Provider:
        return _TracedProvider(provider, name, self)

    def wrap_app(self, app: ASGIApp) -> ASGIApp:
        return _TracedApp(app, self)


class _TracedProvider:
    """Implements Provider."""

    def __init__(self, provider: Provider, name: str, tracing: Tracing) -> None:
        self._provider = provider
        self._name = name
        self._tracing = tracing

    async def ask(self, data: str) -> JSON:
        with self._tracing._tracer.start_as_current_span(
            f"ask {self._name}",
            kind=SpanKind.CLIENT,
            attributes={"gonets.provider": self._name},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return await self._provider.ask(data)
            except ProviderError as error:
                span.set_status(StatusCode.ERROR, error.reason)
                span.set_attribute("error.type", error.category.value)
                raise


class _TracedApp:
    """An ASGI application with a span for each request of its API; probes and scrapes are left out."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        with self._tracing._tracer.start_as_current_span(
            scope["method"], context=extract(headers), kind=SpanKind.SERVER, attributes=attributes
        ) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            await self._app(scope, receive, noted)
            span.update_name(f"{scope['method']} {route_of(scope)}")
            span.set_attribute("http.route", route_of(scope))


class _AmqpGetter(Getter[Mapping[str, object]]):
    """Header values are text or bytes, and whatever else a sender likes."""

    def get(self, carrier: Mapping[str, object], key: str) -> list[str] | None:
        value = carrier.get(key)
        if isinstance(value, bytes | bytearray):
            value = value.decode("latin-1")
        return [value] if isinstance(value, str) else None

    def keys(self, carrier: Mapping[str, object]) -> list[str]:
        return [str(name) for name in carrier]


_AMQP = _AmqpGetter()
