"""The application over fakes: what the outside sees of it, in milliseconds."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from fakes import FakeAnnouncements, FakeReplyInbox, FakeTaskTable
from gonets.adapters.http import health
from gonets.adapters.http.app import create_app
from gonets.adapters.http.tasks import router
from gonets.core.tasks.model import Task, TaskType
from gonets.core.tasks.use_cases import ReadTasks, SubmitTask


@dataclass
class Door:
    """The application and everything behind it."""

    app: FastAPI
    table: FakeTaskTable
    announcements: FakeAnnouncements
    inbox: FakeReplyInbox
    checks: dict[str, Exception]
    """What readiness finds wrong, by name."""

    def client(self, **options: bool) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app, **options), base_url="http://gonets")


@pytest.fixture
def make_door() -> Callable[..., Door]:
    def make(*, wait: float = 0, documentation: bool = True) -> Door:
        table, announcements, inbox = FakeTaskTable(), FakeAnnouncements(), FakeReplyInbox()
        checks: dict[str, Exception] = {}

        def check(name: str) -> health.Check:
            async def look() -> None:
                if name in checks:
                    raise checks[name]

            return look

        submit = SubmitTask(table, announcements, inbox)
        app = create_app(
            [router(submit, ReadTasks(table), timedelta(seconds=wait))],
            health.router({"database": check("database")}, {"broker": check("broker")}),
            documentation=documentation,
        )
        return Door(app, table, announcements, inbox, checks)

    return make


@pytest.fixture
def door(make_door: Callable[..., Door]) -> Door:
    return make_door()


@pytest.fixture
async def http(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    async with door.client() as client:
        yield client


@pytest.fixture
def make_http(app: FastAPI) -> Callable[[str], httpx.AsyncClient]:
    """Makes clients for who holds a token; `app` is the module's own."""

    def make(token: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gonets", headers=headers)

    return make


@pytest.fixture
def task() -> Task:
    return Task(1, TaskType.PHONE, "8 916 823 34 54")
