"""Readiness: what keeps tasks from being taken is 503; what only makes them wait is named."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from fakes import FakeCircuits
from gonets.adapters.http import health
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.circuit import Circuit
from gonets.core.tasks.model import Failure
from gonets.core.tasks.survey import Queue


class Service:
    """Everything readiness looks at, well until a test says otherwise."""

    def __init__(self):
        self.circuits = FakeCircuits()
        self.queues = {"TaskProcessingQueue": Queue(0, 2)}
        self.away = set()
        self.hangs = False

    async def look(self):
        if "broker" in self.away:
            raise Unavailable("the broker is away")
        return self.queues

    async def database(self):
        if self.hangs:
            await asyncio.Event().wait()
        if "database" in self.away:
            raise Unavailable("the database is away")

    async def broker(self):
        await self.look()

    async def ask(self):
        wanted = {
            "broker": self.broker,
            "queues": health.consumed(self, "TaskProcessingQueue"),
            "providers": health.closed(self.circuits),
        }
        app = FastAPI()
        app.include_router(health.router({"database": self.database}, wanted, timeout=0.2))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            answer = await client.get("/health/ready")
        found = answer.json()
        wrong = {name: words for name, words in found["checks"].items() if words != "ok"}
        assert found["checks"].keys() == {"database", "broker", "queues", "providers"}
        return answer.status_code, found["status"], wrong


@pytest.fixture
def service():
    return Service()


async def test_ready_where_all_is_well(service):
    service.circuits.circuits["dadata"] = Circuit()
    assert await service.ask() == (200, "ready", {})


async def test_without_the_database_no_task_can_be_taken(service):
    service.away = {"database"}
    assert await service.ask() == (503, "not ready", {"database": "the database is away"})


async def test_a_database_that_is_silent_counts_as_away(service):
    service.hangs = True
    assert await service.ask() == (503, "not ready", {"database": "no answer within 0.2 s"})


async def test_without_the_broker_tasks_are_taken_and_wait(service):
    service.away = {"broker"}
    status, words, wrong = await service.ask()
    assert (status, words, wrong.keys()) == (200, "degraded", {"broker", "queues"})


@pytest.mark.parametrize("queues", [{}, {"TaskProcessingQueue": Queue(9, 0)}])
async def test_a_queue_without_consumer_is_named(service, queues):
    service.queues = queues
    status, words, wrong = await service.ask()
    assert (status, words) == (200, "degraded")
    assert "TaskProcessingQueue" in wrong["queues"]


async def test_open_circuits_and_those_that_need_an_operator_are_named(service):
    service.circuits.circuits |= {
        "dadata": Circuit(1, timedelta(seconds=60), Failure(Category.MISCONFIGURED, "Dadata wants money")),
        "yandexgpt": Circuit(2, timedelta(seconds=2), Failure(Category.UNAVAILABLE, "cannot be reached")),
    }
    assert await service.ask() == (
        200,
        "degraded",
        {
            "providers": "dadata needs an operator: Dadata wants money; "
            "yandexgpt is left in peace for a while: cannot be reached"
        },
    )
