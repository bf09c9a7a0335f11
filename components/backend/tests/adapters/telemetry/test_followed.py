"""A campaign, a contact and a notification can be followed by their ids in the log."""

import json
import logging

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response

from gonets.adapters.telemetry.http import LoggedApp
from gonets.adapters.telemetry.logged import LoggedAudit
from gonets.adapters.telemetry.logs import JsonFormatter, ReadableFormatter
from gonets.core.identity.model import Principal, Role
from gonets.core.shared.concerning import concerning

log = logging.getLogger("gonets.test")


@pytest.fixture
def lines():
    """What is written, by the formatter that production has."""
    found = []

    class Handler(logging.Handler):
        def emit(self, record):
            found.append(json.loads(self.format(record)))

    handler = Handler()
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger("gonets")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield found
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
async def client():
    routes = APIRouter()

    @routes.get("/contacts/{contact_id}/history")
    async def look(contact_id: int) -> int:
        log.warning("looked")
        return contact_id

    @routes.post("/notifications", status_code=202)
    async def make(response: Response) -> None:
        response.headers["Location"] = "/api/v1/notifications/7"

    @routes.get("/tasks/{task_id}")
    async def task(task_id: int) -> int:
        return task_id

    @routes.post("/campaigns/{campaign_id}/pause")
    async def broken(campaign_id: int) -> None:
        raise RuntimeError("a bug")

    app = FastAPI()
    app.include_router(routes, prefix="/api/v1")
    transport = httpx.ASGITransport(LoggedApp(app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


async def test_a_request_is_a_line_and_what_is_said_meanwhile_carries_the_id(client, lines):
    await client.get("/api/v1/contacts/12/history")
    said, request = lines
    assert (said["message"], said["contact_id"]) == ("looked", 12)
    assert (request["message"], request["contact_id"], request["method"], request["status"]) == (
        ("request", 12, "GET", 200)
    )
    assert request["route"] == "/api/v1/contacts/{contact_id}/history"


async def test_what_a_request_makes_is_named_too(client, lines):
    await client.post("/api/v1/notifications")
    assert [(line["notification_id"], line["status"]) for line in lines] == [(7, 202)]


async def test_a_request_that_breaks_is_a_line(client, lines):
    await client.post("/api/v1/campaigns/5/pause")
    assert [(line["campaign_id"], line["message"]) for line in lines] == [(5, "request")]


@pytest.mark.parametrize("path", ["/api/v1/tasks/5", "/api/v1/contacts/x", "/api/v1/contacts/12345678901234567890"])
async def test_the_others_are_counted_only(client, lines, path):
    await client.get(path)
    assert lines == []


async def test_who_did_what_is_a_line(lines):
    noted = []

    class Audit:
        async def note_each(self, *entry):
            noted.append(entry)

    audit, anna = LoggedAudit(Audit()), Principal(user_id=3, role=Role.MEMBER, api_key_id=4)
    await audit.note(anna, "paused", "campaign", 5, {})
    await audit.note(None, "erased", "contact", 6, {"messages": 1})
    await audit.note(anna, "created", "api key", 7)
    assert [one[1:4] for one in noted] == [
        ("paused", "campaign", [5]),
        ("erased", "contact", [6]),
        ("created", "api key", [7]),
    ]
    paused, erased = lines
    assert (paused["message"], paused["campaign_id"], paused["user_id"], paused["api_key_id"]) == (
        ("campaign paused", 5, 3, 4)
    )
    assert (erased["message"], erased["contact_id"], erased["detail"]) == ("contact erased", 6, {"messages": 1})


def test_a_line_says_for_itself_what_it_knows_better():
    record = logging.makeLogRecord({"msg": "sent", "notification_id": 2})
    with concerning(notification_id=1, campaign_id=9):
        line = json.loads(JsonFormatter().format(record))
        assert "  campaign_id=9" in ReadableFormatter().format(record)
    assert (line["notification_id"], line["campaign_id"]) == (2, 9)
