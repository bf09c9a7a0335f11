"""The status callback goes a short way, and what the short way does not understand is explained by the long one."""

import httpx
import pytest
from fastapi import APIRouter
from prometheus_client import CollectorRegistry

from gonets.adapters.http.app import PREFIX, create_app
from gonets.adapters.http.callbacks import router, short
from gonets.adapters.telemetry.http import MeteredApp
from gonets.adapters.telemetry.metrics import HttpMetrics
from gonets.core.channels.model import ChannelType
from gonets.core.shared.errors import Forbidden, NotFound, Unavailable


class Take:
    """Remembers what came, and raises what it is told to."""

    def __init__(self):
        self.came = []
        self.error = None

    async def __call__(self, *said):
        self.came.append(said)
        if self.error:
            raise self.error


@pytest.fixture
def take():
    return Take()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
async def client(take, registry):
    app = create_app([router(take, take)], APIRouter(), documentation=False, first=[short(take, PREFIX)])
    transport = httpx.ASGITransport(MeteredApp(app, registry, HttpMetrics(registry)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_everything_that_is_signed_is_handed_on(client, take):
    url = "/api/v1/callbacks/twilio/12-1-abc?x=%20y"
    answer = await client.post(url, content=b"a=1", headers={"X-Twilio-Signature": "s"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert take.came == [(ChannelType.SMS_TWILIO, "12-1-abc", "x=%20y", b"a=1", "s")]
    await client.post("/api/v1/callbacks/twilio/12-1-abc")
    assert take.came[1] == (ChannelType.SMS_TWILIO, "12-1-abc", "", b"", "")


@pytest.mark.parametrize("path", ["12-1-abc", "a_b"])
async def test_both_ways_are_counted_as_one(client, registry, path):
    status = str((await client.post(f"/api/v1/callbacks/twilio/{path}")).status_code)
    labels = {"method": "POST", "route": "/api/v1/callbacks/twilio/{reference}", "status": status}
    assert registry.get_sample_value("gonets_http_requests_total", labels) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [(Forbidden("x"), 403), (NotFound("x"), 404), (Unavailable("x"), 503), (ValueError("a bug"), 500)],
)
async def test_refusals_are_problems(client, take, error, status):
    take.error = error
    answer = await client.post("/api/v1/callbacks/twilio/12-1-abc")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_what_it_does_not_understand_is_explained(client, take):
    assert (await client.post("/api/v1/callbacks/twilio/a_b")).status_code == 422
    assert (await client.post(f"/api/v1/callbacks/twilio/{'a' * 101}")).status_code == 422
    assert (await client.get("/api/v1/callbacks/twilio/12-1-abc")).status_code == 405
    assert (await client.post("/api/v1/callbacks/twilio/12-1-abc", content=b"x" * 2**21)).status_code == 413
    assert not take.came
