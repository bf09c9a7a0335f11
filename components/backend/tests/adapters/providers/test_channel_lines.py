"""What is said to the providers of channels and what they say, in the log at DEBUG and without secrets."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from adapters.providers.channels import BOT_TOKEN, TEXT, configured, send, transports
from adapters.providers.peer import Peer, answer, answering
from gonets.adapters.providers.http_kind import HttpKind
from gonets.adapters.providers.slack import Slack
from gonets.adapters.providers.smsaero import SmsAero
from gonets.adapters.providers.telegram import Telegram
from gonets.core.shared.json import JSON

TOKEN = "XXXXXXXXXXXXXXXXXXXXXXXX"
LOGGER = "gonets.adapters.providers"
ACCOUNT: Mapping[str, JSON] = {"email": "a@example.com", "apiKey": "key-of-smsaero-0123", "sign": "Gonets"}


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.name.startswith(LOGGER)]


async def test_a_send_is_two_lines_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    reply = answer(f'{{"ok":true,"result":{{"message_id":42}},"quoted":"{BOT_TOKEN}"}}'.encode())
    async with transports() as (chosen, _), Peer(answering(reply)) as peer:
        kind = Telegram(chosen, f"http://localhost:{peer.port}")
        await kind.send(configured(kind, {"botToken": BOT_TOKEN}), send(to="5"))
    asked, answered = lines(caplog)
    assert (asked["message"], asked["method"]) == ("provider asked", "POST")
    assert asked["url"].endswith("/bot***/sendMessage")
    assert json.loads(asked["request"]) == {"chat_id": 5, "text": TEXT}
    assert (answered["message"], answered["status"]) == ("provider answered", 200)
    assert json.loads(answered["response"])["quoted"] == "***"
    assert BOT_TOKEN not in str(lines(caplog))


async def test_slacks_address_is_a_secret_wherever_it_leads(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    async with transports() as (_, typed), Peer(answering(answer(b"ok"))) as peer:
        kind = Slack(typed, f"http://localhost:{peer.port}/slack")
        webhook = f"https://hooks.slack.com/services/T000/B000/{TOKEN}"
        await kind.send(configured(kind, {"webhookUrl": webhook}), send())
        assert TOKEN.encode() in peer.requests[0][0]
    assert TOKEN not in str(lines(caplog))


async def test_a_question_what_became_of_it_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    reply = answer(b'{"success":true,"data":{"id":1,"status":1,"quoted":"key-of-smsaero-0123"}}')
    async with transports() as (chosen, _), Peer(answering(reply)) as peer:
        kind: HttpKind[Any] = SmsAero(chosen, f"http://localhost:{peer.port}")
        await kind.inquire(configured(kind, ACCOUNT), send(to="+79161234567"), "1")  # type: ignore[attr-defined]
    assert [line["message"] for line in lines(caplog)] == ["provider asked", "provider answered"]
    assert ACCOUNT["apiKey"] not in str(lines(caplog))


async def test_a_call_that_fails_is_a_line(caplog: pytest.LogCaptureFixture, unused_tcp_port: int) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    async with transports() as (chosen, _):
        kind = Telegram(chosen, f"http://localhost:{unused_tcp_port}")
        await kind.send(configured(kind, {"botToken": BOT_TOKEN}), send(to="5"))
    assert [line["message"] for line in lines(caplog)] == ["provider asked", "provider failed"]
    assert lines(caplog)[1]["category"] == "unavailable"


async def test_nothing_is_logged_above_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    reply = answer(b'{"ok":true,"result":{"message_id":42}}')
    async with transports() as (chosen, _), Peer(answering(reply)) as peer:
        kind = Telegram(chosen, f"http://localhost:{peer.port}")
        await kind.send(configured(kind, {"botToken": BOT_TOKEN}), send(to="5"))
    assert lines(caplog) == []
