"""The REST door, counted by route."""

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from gonets.adapters.telemetry.http import MeteredApp
from gonets.adapters.telemetry.metrics import HttpMetrics, create_registry


@pytest.fixture
def registry():
    return create_registry("api")


@pytest.fixture
async def client(registry: CollectorRegistry):
    inner = APIRouter(prefix="/tasks")

    @inner.get("/{task_id}")
    async def one(task_id: int) -> int:
        return task_id

    @inner.get("/")
    async def broken() -> None:
        raise RuntimeError("a bug")

    app = FastAPI()
    app.include_router(inner, prefix="/api/v1")

    @app.get("/health/live")
    async def live() -> str:
        return "ok"

    transport = httpx.ASGITransport(MeteredApp(app, registry, HttpMetrics(registry)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", "/api/v1/tasks/5", ("GET", "/api/v1/tasks/{task_id}", "200")),
        ("GET", "/api/v1/tasks/x", ("GET", "/api/v1/tasks/{task_id}", "422")),
        ("GET", "/api/v1/tasks/", ("GET", "/api/v1/tasks/", "500")),
        ("GET", "/health/live", ("GET", "/health/live", "200")),
        ("GET", "/never/heard/of", ("GET", "unmatched", "404")),
        ("BREW", "/never/heard/of", ("other", "unmatched", "404")),
    ],
)
async def test_requests_are_counted_by_pattern(client, registry, method, path, labels):
    await client.request(method, path)
    named = dict(zip(("method", "route", "status"), labels, strict=True))
    assert registry.get_sample_value("gonets_http_requests_total", named) == 1
    del named["status"]
    assert registry.get_sample_value("gonets_http_request_duration_seconds_count", named) == 1


async def test_the_metrics_are_shown_and_not_counted(client, registry):
    await client.get("/health/live")
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"gonets_build_info", "gonets_http_requests", "process_resident_memory_bytes"} <= names
    assert "/metrics" not in answer.text
