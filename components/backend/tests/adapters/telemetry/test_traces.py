"""One trace from the REST door through the queue to the provider, on a real broker; and nothing where it is off."""

import itertools
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from eventually import eventually
from fakes import FakeProvider, FakeTaskTable
from foreign import RESULTS, TASKS, broker  # noqa: F401 - a fixture
from gonets.adapters.http import health, tasks
from gonets.adapters.http.app import create_app
from gonets.adapters.rabbitmq.consumer import TaskConsumer
from gonets.adapters.rabbitmq.outcomes import DeadLetters
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.replies import RabbitReplyInbox
from gonets.adapters.telemetry.traces import Tracing
from gonets.bootstrap import watching
from gonets.core.shared.errors import Category
from gonets.core.tasks.model import ProviderError, Task, TaskType
from gonets.core.tasks.use_cases import ReadTasks, SubmitTask, TakeTask, TellTask

BACKEND = Path(__file__).parents[3]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield Tracing(provider)
    provider.shutdown()


@pytest.fixture
async def client(broker, tracing):  # noqa: F811
    """An API and a worker, both traced, as bootstrap puts them together; the table is in memory."""
    table, publisher = FakeTaskTable(), Publisher(broker.url, timeout=5)
    announcements = watching.announcements(publisher, tracing)
    tell = TellTask(announcements, table)
    provider = tracing.wrap_provider(FakeProvider({"phone": "+7 916"}), "dadata")

    async def work(claim, *_):
        await tell(await table.answer(claim, await provider.ask(claim.task.data)))

    run = tracing.wrap_run(work)
    consumer = TaskConsumer(
        broker.url,
        TakeTask(table, announcements, tell),
        run,
        run,
        DeadLetters(publisher),
        concurrency=5,
        new_token=itertools.count(1).__next__,
        continued=watching.continued(tracing),
    )
    await consumer.start()
    inbox = RabbitReplyInbox(broker.url)
    await inbox.start(patience=10)

    async def listening():
        return await broker.consumers(TASKS) > 0

    await eventually(listening, "the worker listens")
    routes = tasks.router(SubmitTask(table, announcements, inbox), ReadTasks(table), timedelta(seconds=20))
    app = tracing.wrap_app(create_app([routes], health.router({}, {}), documentation=False))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        yield client
    await inbox.stop()
    await consumer.stop(5)
    await publisher.close()


async def test_one_trace_spans_the_request_the_worker_and_the_provider(client, spans, broker):  # noqa: F811
    task = {"task_id": 7, "task_type": "phone", "data": "8 916"}
    answer = await client.post("/api/v1/tasks", json=task, headers={"traceparent": PARENT})
    assert answer.status_code == 200
    await eventually(lambda: len(spans.get_finished_spans()) == 3, "all spans are ended")

    by_name = {span.name: span for span in spans.get_finished_spans()}
    request, run, call = by_name["POST /api/v1/tasks"], by_name["run task"], by_name["ask dadata"]
    assert {f"{span.context.trace_id:032x}" for span in by_name.values()} == {PARENT.split("-")[1]}
    assert f"{request.parent.span_id:016x}" == PARENT.split("-")[2]
    assert (run.parent.span_id, call.parent.span_id) == (request.context.span_id, run.context.span_id)
    assert [span.kind for span in (request, run, call)] == [SpanKind.SERVER, SpanKind.CONSUMER, SpanKind.CLIENT]
    assert run.attributes["gonets.task_id"] == 7
    assert request.attributes["http.response.status_code"] == 200

    told = await broker.wait_for(RESULTS)
    assert told.headers["traceparent"].split("-")[1] == PARENT.split("-")[1]


async def test_a_trace_that_came_by_queue_goes_on(client, spans, broker):  # noqa: F811
    await broker.publish(TASKS, {"task_id": 8, "task_type": "phone", "data": "8 916"}, headers={"traceparent": PARENT})
    await broker.publish(TASKS, {"task_id": 9, "task_type": "phone", "data": "8 916"}, headers={"traceparent": 5})
    await eventually(lambda: len(spans.get_finished_spans()) == 4, "all spans are ended")

    traces = {
        span.attributes["gonets.task_id"]: f"{span.context.trace_id:032x}"
        for span in spans.get_finished_spans()
        if span.name == "run task"
    }
    assert traces[8] == PARENT.split("-")[1]
    assert traces[9] != traces[8]


async def test_probes_and_documents_leave_no_spans(client, spans):
    await client.get("/health/live")
    await client.get("/docs")
    assert spans.get_finished_spans() == ()


async def test_a_provider_that_fails_is_an_error_in_the_trace(tracing, spans):
    error = ProviderError(Category.QUOTA_EXHAUSTED, "too much")
    with pytest.raises(ProviderError):
        await tracing.wrap_provider(FakeProvider(error), "dadata").ask("x")
    [span] = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.status.description, span.attributes["error.type"]) == ("too much", "quota_exhausted")


async def test_off_messages_carry_nothing_more(broker):  # noqa: F811
    await broker.declare(TASKS)
    publisher = Publisher(broker.url, timeout=5)
    await watching.announcements(publisher, None).wake(Task(5, TaskType.GPT, "текст"))
    message = await broker.wait_for(TASKS)
    assert message.headers == {}
    assert watching.continued(None) is None
    await publisher.close()


def test_off_opentelemetry_is_not_even_imported():
    script = (
        "import sys; from gonets.bootstrap.worker import WorkerContainer as W; from gonets.bootstrap.api import *;"
        "assert W().tracing() is None; assert not [m for m in sys.modules if m.startswith('opentelemetry.sdk')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, env={"PYTHONPATH": "src"}, cwd=BACKEND)
