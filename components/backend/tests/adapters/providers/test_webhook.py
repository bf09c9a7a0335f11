"""Webhooks: the documented payload field by field, the signature, headers, every status; and the Python bot."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.providers.channels import EVENT, TEXT, Case, case, configured, send, transports
from adapters.providers.conftest import Remote
from adapters.providers.peer import Peer, answer, answering
from gonets.adapters.providers.event import payload
from gonets.adapters.providers.python_bot import PythonBot
from gonets.adapters.providers.slack import Slack
from gonets.adapters.providers.webhook import Webhook
from gonets.core.channels.model import Accepted, ChannelType, Message, Refusal, Refused, SendOutcome, Step, Unknown
from gonets.core.shared.errors import InvalidFields
from sandbox.app import Sandbox
from sandbox.settings import Settings

OK = answer(b"{}")
DOCUMENTED = ["username", "serviceName", "serviceUrl", "status", "severity", "message", "timestamp", "metadata"]


@pytest.fixture
async def hook(sandbox: Remote) -> AsyncIterator[Case]:
    async with transports() as (chosen, typed):
        yield case(ChannelType.WEBHOOK, sandbox, chosen, typed)


@pytest.fixture
async def bot(sandbox: Remote) -> AsyncIterator[Case]:
    async with transports() as (chosen, typed):
        yield case(ChannelType.PYTHON_BOT, sandbox, chosen, typed)


async def called(configuration: dict[str, Any], reply: bytes = OK, **message: Any) -> tuple[SendOutcome, bytes, bytes]:
    """The outcome of a send, and the head and the body that were sent."""
    async with transports() as (_, typed), Peer(answering(reply)) as peer:
        kind = Webhook(typed)
        url = f"http://localhost:{peer.port}/hooks/%D1%8F?a=1"
        outcome = await kind.send(configured(kind, {"url": url, **configuration}), send(**message))
        head, body = peer.requests[0]
    return outcome, head, body


# The payload


def test_the_documented_payload() -> None:
    message = Message(TEXT, username="ivan", event=EVENT)
    assert payload(message) == {
        "username": "ivan",
        "serviceName": "Магазин",
        "serviceUrl": "https://shop.example",
        "status": "DOWN",
        "severity": "ERROR",
        "message": TEXT,
        "timestamp": "2024-01-15T10:30:00Z",
        "metadata": {"responseCode": 500, "responseTime": 5000},
    }
    assert list(payload(message)) == DOCUMENTED


def test_its_defaults() -> None:
    now = datetime(2026, 11, 21, 9, 30, 59, 999, tzinfo=UTC)
    assert payload(Message("привет"), now) == {
        "username": "gonets",
        "serviceName": "Gonets",
        "serviceUrl": "",
        "status": "UP",
        "severity": "INFO",
        "message": "привет",
        "timestamp": "2026-11-21T09:30:59Z",
        "metadata": {},
    }


def test_an_event_passes_through_unchanged() -> None:
    event: dict[str, Any] = {
        "status": None,
        "metadata": [1, {"б": None}],
        "extra": {"deep": [True, 1.5]},
        "serviceUrl": "x",
        "timestamp": 7,
        "message": "another",
        "username": "of the event",
    }
    found = payload(Message("текст", event=event))
    assert found | {"message": "another"} == payload(Message("")) | event
    assert found["message"] == "текст"
    assert list(found) == [*DOCUMENTED, "extra"]
    assert payload(Message("", username="ivan", event=event))["username"] == "ivan"


async def test_it_arrives_field_by_field(hook: Case, sandbox: Remote) -> None:
    assert isinstance(await hook.kind.send(hook.channel, hook.send(username="ivan", event=EVENT)), Accepted)
    (message,) = (await sandbox.http.get("/control/inbox")).json()["messages"]
    assert message["details"]["method"] == "POST"
    assert message["details"]["payload"] == {"username": "ivan", **EVENT, "message": TEXT}


# The request


async def test_the_request() -> None:
    outcome, head, body = await called({}, username="ivan", event=EVENT)
    assert outcome == Accepted()
    assert head.startswith(b"POST /hooks/%D1%8F?a=1 HTTP/1.1\r\n")
    assert b"\r\ncontent-type: application/json\r\n" in head.lower()
    assert b"\r\nX-Gonets-Attempt: n-1-1\r\n" in head
    assert b"x-signature" not in head.lower()
    assert "Магазин".encode() in body, "Cyrillic goes as it is"


async def test_put() -> None:
    _, head, _ = await called({"method": "PUT"})
    assert head.startswith(b"PUT ")


async def test_the_users_own_headers_win() -> None:
    headers = {"Authorization": "Bearer secret", "CONTENT-TYPE": "application/vnd.alert+json", "User-Agent": "Mine"}
    _, head, _ = await called({"headers": headers})
    lines = head.lower().split(b"\r\n")
    assert b"authorization: bearer secret" in lines
    assert [line for line in lines if line.startswith(b"content-type")] == [b"content-type: application/vnd.alert+json"]
    assert [line for line in lines if line.startswith(b"user-agent")] == [b"user-agent: mine"]


@pytest.mark.parametrize("header", ["Bearer 0123456789abcdef", 'Bearer 01234567"89abcdef', "0123456789abcdef"])
async def test_who_repeats_a_header_tells_nobody(header: str) -> None:
    for said in (
        header,
        header.removeprefix("Bearer "),
        json.dumps(header),
        base64.b64encode(header.encode()).decode(),
    ):
        reply = answer(f"wrong token: {said}".encode(), status="401 Unauthorized")
        outcome, *_ = await called({"headers": {"Authorization": header}}, reply)
        assert isinstance(outcome, Refused)
        assert "wrong token: " in outcome.reason
        assert not {"89abcdef", said} & set(re.split(r"[ \"]", outcome.reason))


async def test_the_signature() -> None:
    _, head, body = await called({"secret": "тайна"}, event=EVENT)
    expected = base64.b64encode(hmac.digest("тайна".encode(), body, hashlib.sha256))
    assert b"\r\nX-Signature-256: sha256=" + expected + b"\r\n" in head


async def test_the_sandbox_believes_the_signature(hook: Case, sandbox: Remote) -> None:
    await sandbox.http.put("/control/settings/webhook", json={"secret": "right"})
    assert isinstance(await hook.kind.send(hook.changed(secret="right"), hook.send()), Accepted)
    outcome = await hook.kind.send(hook.changed(secret="another"), hook.send())
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.code, outcome.hint) == (Refusal.CONFIGURATION, "401", "check headers and secret")
    assert "wrong signature" in outcome.reason


# The answer


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "204 No Content", "299 "])
async def test_every_success_is_one(status: str) -> None:
    outcome, _, _ = await called({}, answer(b"" if status.startswith("204") else b"<html>", status=status))
    assert outcome == Accepted()


@pytest.mark.parametrize(
    ("refusal", "statuses"),
    [
        (Refusal.PERMANENT, (400, 406, 409, 411, 413, 415, 418, 422, 431, 451)),
        (Refusal.CONFIGURATION, (300, 301, 302, 303, 307, 308, 401, 402, 403, 404, 405, 407, 410, 421)),
        (Refusal.TEMPORARY, (408, 425, 429)),
        (None, (500, 501, 502, 503, 504, 520, 599)),
    ],
)
async def test_every_status(refusal: Refusal | None, statuses: tuple[int, ...]) -> None:
    for status in statuses:
        reply = answer(b"why", "Location: /", "Retry-After: 7", status=f"{status} No")
        outcome, _, _ = await called({}, reply)
        if refusal is None:
            assert isinstance(outcome, Unknown), status
        else:
            assert isinstance(outcome, Refused)
            assert (outcome.refusal, outcome.code, outcome.retry_after) == (refusal, str(status), 7.0)
            assert "why" in outcome.reason


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("url", {"url": "ftp://example.org"}),
        ("url", {"url": "example.org/hook"}),
        ("url", {"url": "https://"}),
        ("url", {"url": "https:///path"}),
        ("url", {"url": "https://exa mple.org/"}),
        ("url", {"url": "https://example.org:99999/"}),
        ("url", {"url": "https://user:password@example.org/"}),
        ("url", {"url": "javascript:alert(1)"}),
        ("method", {"method": "GET"}),
        ("method", {"method": "post"}),
        ("method", {"method": 1}),
        ("timeout", {"timeout": 0}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": 61}),
        ("timeout", {"timeout": True}),
        ("timeout", {"timeout": "soon"}),
        ("timeout", {"timeout": "nan"}),
        ("headers", {"headers": "X: 1"}),
        ("headers", {"headers": []}),
        ("headers.X-A", {"headers": {"X-A": 1}}),
        ("headers.X-A", {"headers": {"X-A": "1\r\nHost: evil"}}),
        ("headers.X-A", {"headers": {"X-A": "привет"}}),
        ("headers.X A", {"headers": {"X A": "1"}}),
        ("headers.", {"headers": {"": "1"}}),
        ("headers.hOST", {"headers": {"hOST": "evil"}}),
        ("headers.Content-Length", {"headers": {"Content-Length": "1"}}),
        ("headers.Transfer-Encoding", {"headers": {"Transfer-Encoding": "chunked"}}),
        ("headers.X-Signature-256", {"headers": {"X-Signature-256": "1"}}),
        ("secret", {"secret": ""}),
    ],
)
def test_impossible_values(hook: Case, field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidFields) as caught:
        hook.changed(**changes)
    assert [name for name, _ in caught.value.wrong] == [f"configuration.{field}"]


def test_defaults(hook: Case) -> None:
    assert hook.kind.check({"url": "https://example.org"}) == {
        "url": "https://example.org",
        "method": "POST",
        "headers": {},
        "timeout": 30.0,
    }
    assert hook.kind.check({"url": "https://e.org", "timeout": "5", "secret": None})["timeout"] == 5


INSIDE = [
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/",
    "http://[::1]:9000/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://167772161/",
    "http://0xa.1/",
]


@pytest.mark.parametrize("url", INSIDE)
async def test_no_way_inside(url: str) -> None:
    async with transports() as (_, typed):
        hook, bot, slack = Webhook(typed), PythonBot(typed), Slack(typed)
        for name, outcome in (
            ("url", await hook.send(configured(hook, {"url": url}), send())),
            ("botUrl", await bot.send(configured(bot, {"botUrl": url}), send())),
            ("webhookUrl", await slack.send(configured(slack, {"webhookUrl": url}), send())),
        ):
            assert isinstance(outcome, Refused)
            assert (outcome.refusal, outcome.step) == (Refusal.CONFIGURATION, Step.CONNECT)
            assert name in (outcome.hint or "")


# The Python bot


@pytest.mark.parametrize("path", ["", "/", "/send_notification", "/send_notification/"])
async def test_the_bots_address_with_its_method_or_without(path: str) -> None:
    async with transports() as (_, typed), Peer(answering(answer(b'{"success":true}'))) as peer:
        channel = configured(kind := PythonBot(typed), {"botUrl": f"http://localhost:{peer.port}{path}"})
        assert await kind.send(channel, send()) == Accepted()
    assert peer.requests[0][0].startswith(b"POST /send_notification HTTP/1.1\r\n")


@pytest.mark.parametrize(("status", "written"), [("DOWN", "down"), ("UP", "up"), (None, "")])
async def test_the_bots_request(status: Any, written: str) -> None:
    async with transports() as (_, typed), Peer(answering(answer(b'{"success":true,"message":"sent"}'))) as peer:
        kind = PythonBot(typed)
        channel = configured(kind, {"botUrl": f"http://localhost:{peer.port}/"})
        event = {**EVENT, "status": status, "email": "ivan@example.org"}
        assert await kind.send(channel, send(username="ivan", event=event)) == Accepted()
        head, body = peer.requests[0]
    assert head.startswith(b"POST /send_notification HTTP/1.1\r\n")
    assert json.loads(body) == {
        "username": "ivan",
        "service_name": "Магазин",
        "service_url": "https://shop.example",
        "status": written,
        "message": TEXT,
        "email": "ivan@example.org",
    }


async def test_what_the_bot_gets_without_an_event(bot: Case, sandbox: Remote) -> None:
    assert isinstance(await bot.kind.send(bot.channel, bot.send()), Accepted)
    (message,) = (await sandbox.http.get("/control/inbox")).json()["messages"]
    assert message["details"] == {
        "username": "gonets",
        "service_name": "Gonets",
        "service_url": "",
        "status": "up",
        "message": TEXT,
    }


async def test_the_bot_on_a_port_of_its_own() -> None:
    running = Sandbox(Settings(http_port=0, grpc_port=0, bot_port=0))
    await running.start()
    async with transports() as (_, typed):
        kind = PythonBot(typed)
        channel = configured(kind, {"botUrl": f"http://localhost:{running.bot_port}"})
        assert await kind.send(channel, send(username="ivan")) == Accepted()
    await running.stop()


@pytest.mark.parametrize(
    ("status", "body", "refusal"),
    [
        (200, b'{"success":false,"error":"no"}', Refusal.PERMANENT),
        (400, '{"error":"Username и service_name обязательны"}'.encode(), Refusal.PERMANENT),
        (401, b"", Refusal.CONFIGURATION),
        (403, b"", Refusal.CONFIGURATION),
        (404, b'{"error":"User not found or not registered"}', Refusal.PERMANENT),
        (404, b"<html>Not Found</html>", Refusal.CONFIGURATION),
        (405, b"", Refusal.CONFIGURATION),
        (422, b"{}", Refusal.PERMANENT),
        (429, b"", Refusal.TEMPORARY),
        (500, b'{"error":"Internal server error"}', None),
        (503, b"", None),
        (201, b'{"success":true}', None),
        (200, b"", None),
        (200, b'{"success":"true"}', None),
        (200, b"<html>", None),
    ],
)
async def test_what_the_bot_says(status: int, body: bytes, refusal: Refusal | None) -> None:
    async with transports() as (_, typed), Peer(answering(answer(body, status=f"{status} No"))) as peer:
        kind = PythonBot(typed)
        outcome = await kind.send(configured(kind, {"botUrl": f"http://localhost:{peer.port}"}), send())
    if refusal is None:
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.code) == (refusal, str(status))


@pytest.mark.parametrize(("username", "code"), [("unknown-ivan", "404"), ("", "400")])
async def test_whom_the_bot_does_not_know(bot: Case, username: str, code: str) -> None:
    outcome = await bot.kind.send(bot.channel, bot.send(username=username))
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.code) == (Refusal.PERMANENT, code)
