"""Telegram: what is asked, every row of the table, chats that move."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.providers.channels import BOT_TOKEN, TEXT, Case, case, configured, send, transports
from adapters.providers.conftest import Remote
from adapters.providers.peer import Peer, answer, answering
from gonets.adapters.providers.telegram import Telegram
from gonets.core.channels.model import Accepted, ChannelType, Refusal, Refused, SendOutcome, Step, Unknown
from gonets.core.shared.errors import InvalidFields


@pytest.fixture
async def bot(sandbox: Remote) -> AsyncIterator[Case]:
    async with transports() as (chosen, typed):
        yield case(ChannelType.TELEGRAM, sandbox, chosen, typed)


async def told(reply: dict[str, Any] | bytes, status: str = "200 OK", *headers: str) -> SendOutcome:
    """What comes of a send that is answered like this."""
    body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    async with transports() as (chosen, _), Peer(answering(answer(body, *headers, status=status))) as peer:
        kind = Telegram(chosen, f"http://localhost:{peer.port}/")
        return await kind.send(configured(kind, {"botToken": BOT_TOKEN}), send(to="1"))


@pytest.mark.parametrize(
    ("chat", "written"), [("987654321", 987654321), ("-1001234567890", -1001234567890), ("@news_1", "@news_1")]
)
async def test_the_request(chat: str, written: int | str) -> None:
    reply = answer(b'{"ok":true,"result":{"message_id":42}}')
    async with transports() as (chosen, _), Peer(answering(reply)) as peer:
        kind = Telegram(chosen, f"http://localhost:{peer.port}")
        outcome = await kind.send(configured(kind, {"botToken": BOT_TOKEN}), send(to=chat))
        head, body = peer.requests[0]
    assert outcome == Accepted("42")
    assert head.startswith(f"POST /bot{BOT_TOKEN}/sendMessage HTTP/1.1\r\n".encode())
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {"chat_id": written, "text": TEXT}
    assert TEXT.encode() in body, "Cyrillic goes as it is"


async def test_the_channels_own_chat(bot: Case, sandbox: Remote) -> None:
    assert bot.kind.destination(bot.channel.configuration) is None
    outcome = await bot.kind.send(bot.channel, send())
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.step) == (Refusal.CONFIGURATION, Step.DESTINATION)
    own = bot.changed(chatId=-100777)
    assert bot.kind.destination(own.configuration) == "-100777"
    assert isinstance(await bot.kind.send(own, send()), Accepted)
    assert isinstance(await bot.kind.send(own, send(to="5")), Accepted)
    messages = (await sandbox.http.get("/control/inbox")).json()["messages"]
    assert [message["to"] for message in messages] == ["-100777", "5"]


ERRORS = [
    (400, "Bad Request: chat not found", Refusal.PERMANENT, "Start"),
    (400, "Bad Request: PEER_ID_INVALID", Refusal.PERMANENT, "Start"),
    (400, "Bad Request: group chat is deactivated", Refusal.PERMANENT, "chatId"),
    (400, "Bad Request: message is too long", Refusal.PERMANENT, "shorten"),
    (400, "Bad Request: can't parse entities", Refusal.PERMANENT, None),
    (401, "Unauthorized", Refusal.CONFIGURATION, "botToken"),
    (403, "Forbidden: bot was blocked by the user", Refusal.PERMANENT, "unblock"),
    (403, "Forbidden: user is deactivated", Refusal.PERMANENT, None),
    (403, "Forbidden: bot was kicked from the supergroup chat", Refusal.PERMANENT, "add it"),
    (403, "Forbidden: bot is not a member of the channel chat", Refusal.PERMANENT, "add it"),
    (403, "Forbidden: bot can't initiate conversation with a user", Refusal.PERMANENT, "Start"),
    (403, "Forbidden: bot can't send messages to bots", Refusal.PERMANENT, "person"),
    (403, "Forbidden: something new", Refusal.PERMANENT, "let the bot"),
    (404, "Not Found", Refusal.CONFIGURATION, "botToken"),
    (409, "Conflict: terminated by other getUpdates request", Refusal.CONFIGURATION, None),
    (413, "Request Entity Too Large", Refusal.PERMANENT, None),
    (418, "I'm a teapot", Refusal.PERMANENT, None),
]


@pytest.mark.parametrize(("code", "description", "refusal", "hint"), ERRORS)
async def test_every_error(code: int, description: str, refusal: Refusal, hint: str | None) -> None:
    outcome = await told({"ok": False, "error_code": code, "description": description}, f"{code} No")
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.code) == (refusal, str(code))
    assert description in outcome.reason
    assert (hint or "") in (outcome.hint or "")
    assert (outcome.hint is None) == (hint is None)


async def test_too_many() -> None:
    reply = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 35}}
    outcome = await told(reply, "429 No")
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.retry_after) == (Refusal.TEMPORARY, 35.0)
    outcome = await told(b"slow down", "429 No", "Retry-After: 9")
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.retry_after) == (Refusal.TEMPORARY, 9.0)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ({"ok": False, "error_code": 500, "description": "Internal"}, "500 No"),
        ({"ok": False, "error_code": 502, "description": "Bad Gateway"}, "502 No"),
        ({"ok": False}, "200 OK"),
        ({"result": {}}, "200 OK"),
        (b"", "200 OK"),
        (b"<html>", "200 OK"),
        (b"[]", "200 OK"),
        ({"ok": "true", "result": {"message_id": 1}}, "200 OK"),
    ],
)
async def test_answers_that_say_nothing(reply: dict[str, Any] | bytes, status: str) -> None:
    assert isinstance(await told(reply, status), Unknown)


async def test_a_chat_that_moved_is_followed_and_remembered(bot: Case, sandbox: Remote) -> None:
    assert isinstance(await bot.kind.send(bot.channel, send(to="-400")), Accepted)
    assert isinstance(await bot.kind.send(bot.channel, send(to="-400")), Accepted)
    messages = (await sandbox.http.get("/control/inbox")).json()["messages"]
    assert [message["to"] for message in messages] == ["-1001234567890", "-1001234567890"]
    assert len(await sandbox.journal()) == 3, "the old id is tried once"


async def test_a_chat_that_moves_without_end() -> None:
    reply = {"ok": False, "error_code": 400, "description": "moved", "parameters": {"migrate_to_chat_id": -7}}
    outcome = await told(reply, "400 No")
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.TEMPORARY
    assert outcome.hint == "set chatId to -7"


@pytest.mark.parametrize(
    ("text", "fits"),
    [("я" * 4096, True), ("я" * 4097, False), ("😀" * 2048, True), ("😀" * 2049, False), ("", False), (" \n", False)],
)
async def test_the_longest_text(bot: Case, sandbox: Remote, text: str, fits: bool) -> None:
    assert (bot.kind.problem(text) is None) is fits
    outcome = await bot.kind.send(bot.channel, bot.send(text))
    assert isinstance(outcome, Accepted if fits else Refused)
    assert len(await sandbox.journal()) == int(fits)


@pytest.mark.parametrize("chat", [1.5, True, "abc", "@a", "0", "12 34", "-", [], "1" * 30])
async def test_a_chat_that_is_none(bot: Case, chat: Any) -> None:
    with pytest.raises(InvalidFields) as caught:
        bot.changed(chatId=chat)
    assert [field for field, _ in caught.value.wrong] == ["configuration.chatId"]
