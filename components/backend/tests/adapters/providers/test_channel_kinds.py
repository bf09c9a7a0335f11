"""The port ChannelKind: one suite for every type by HTTP, each sending over its real wire format."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from adapters.providers.channels import BOT_TOKEN, BY_HTTP, TEXT, TOKEN, Case, _case, case, transports
from adapters.providers.conftest import Remote
from adapters.providers.peer import Connection, Peer, answer, answering, once
from eventually import own_clock
from gonets.core.channels.model import Accepted, ChannelType, Refusal, Refused, Unknown
from gonets.core.channels.ports import ChannelKind
from gonets.core.shared.errors import InvalidFields


@pytest.fixture(params=BY_HTTP)
def kind_of(request: pytest.FixtureRequest) -> ChannelType:
    return ChannelType(request.param)


@pytest.fixture
async def one(kind_of: ChannelType, sandbox: Remote) -> AsyncIterator[Case]:
    async with transports() as (chosen, typed):
        yield case(kind_of, sandbox, chosen, typed)


async def inbox(sandbox: Remote) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = (await sandbox.http.get("/control/inbox")).json()["messages"]
    return messages


async def test_what_it_takes_arrives_once_and_unchanged(one: Case, sandbox: Remote) -> None:
    assert isinstance(await one.kind.send(one.channel, one.send()), Accepted)
    (message,) = await inbox(sandbox)
    assert (message["provider"], message["text"]) == (one.name, TEXT)
    assert one.to in (None, message["to"])
    assert len(await sandbox.journal()) == 1


async def test_a_hundred_at_one_time(one: Case, sandbox: Remote) -> None:
    texts = [f"сообщение {number}" for number in range(100)]
    outcomes = await asyncio.gather(*(one.kind.send(one.channel, one.send(text)) for text in texts))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert sorted(message["text"] for message in await inbox(sandbox)) == sorted(texts)


@pytest.mark.parametrize("text", ["да", "ёЁ№«»—…", "line 1\nline 2\r\n", "a" * 600, '"\\{}[]|~^€', "👨‍👩‍👧 🇷🇺"])
async def test_any_text(one: Case, sandbox: Remote, text: str) -> None:
    assert one.kind.problem(text) is None
    assert isinstance(await one.kind.send(one.channel, one.send(text)), Accepted)
    assert [message["text"] for message in await inbox(sandbox)] == [text]


async def test_what_utf_8_cannot_carry_is_replaced(one: Case, sandbox: Remote) -> None:
    assert isinstance(await one.kind.send(one.channel, one.send("a\ud800b")), Accepted)
    assert [message["text"] for message in await inbox(sandbox)] == ["a?b"]


LOST = ("hang", "reset_before", "reset", "truncated", "not_json", "garbage", "wrong_json", "empty")


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_answer_is_unknown_and_nothing_is_sent_again(
    kind_of: ChannelType, sandbox: Remote, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind_of is ChannelType.WEBHOOK and fault in {"not_json", "garbage", "wrong_json", "empty"}:
        expected: type = Accepted  # whatever it says with 200
    else:
        expected = Unknown
    timeout = 1 if fault == "hang" else 10
    async with transports() as (chosen, typed):
        one = case(kind_of, sandbox, chosen, typed)
        await sandbox.fault(one.name, kind=fault)
        for module in ("telegram", "slack", "python_bot", "twilio", "smsaero"):
            monkeypatch.setattr(f"gonets.adapters.providers.{module}._TIMEOUT", timeout)
        channel = one.changed(timeout=timeout) if kind_of is ChannelType.WEBHOOK else one.channel
        async with own_clock() as clock:
            outcome = await one.kind.send(channel, one.send())
        assert isinstance(outcome, expected), outcome
        assert clock() < 4
        assert len(await sandbox.journal()) == 1
        await sandbox.heal()
        assert isinstance(await one.kind.send(one.channel, one.send()), Accepted)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_error_of_theirs_says_nothing(one: Case, sandbox: Remote, status: int) -> None:
    await sandbox.fault(one.name, kind="status", status=status)
    outcome = await one.kind.send(one.channel, one.send())
    if one.name == "smsaero":
        assert isinstance(outcome, Refused), "its JSON counts, whatever the status"
    else:
        assert isinstance(outcome, Unknown)
        assert str(status) in outcome.reason


@pytest.mark.parametrize(("status", "refusal"), [(401, Refusal.CONFIGURATION), (403, None), (429, Refusal.TEMPORARY)])
async def test_a_refusal_is_one(one: Case, sandbox: Remote, status: int, refusal: Refusal | None) -> None:
    await sandbox.fault(one.name, kind="status", status=status)
    outcome = await one.kind.send(one.channel, one.send())
    assert isinstance(outcome, Refused)
    assert one.name == "slack" or outcome.refusal is (refusal or outcome.refusal)
    assert outcome.code
    assert await inbox(sandbox) == []


async def test_how_long_to_wait_is_passed_on(one: Case, sandbox: Remote) -> None:
    await sandbox.fault(one.name, kind="429", retry_after=7)
    outcome = await one.kind.send(one.channel, one.send())
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.retry_after) in ((Refusal.TEMPORARY, 7.0), (Refusal.TEMPORARY, 1.0))
    assert outcome.retry_after == (1.0 if one.name == "telegram" else 7.0), "Telegram says it in its JSON"


async def test_nobody_there(kind_of: ChannelType) -> None:
    async with transports() as (chosen, typed):
        one = _case(kind_of, "http://127.0.0.1:1", "http://127.0.0.1:1", chosen, typed)
        outcome = await one.kind.send(one.channel, one.send())
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.step) == (Refusal.TEMPORARY, "connect")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 20", id="half a status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", id="half a body"),
    ],
)
async def test_an_answer_that_is_cut(kind_of: ChannelType, reply: bytes) -> None:
    async with transports() as (chosen, typed), Peer(once(reply)) as peer:
        one = _case(kind_of, f"http://127.0.0.1:{peer.port}", f"http://127.0.0.1:{peer.port}", chosen, typed)
        assert isinstance(await one.kind.send(one.channel, one.send()), Unknown)
        assert len(peer.requests) == 1


async def test_a_kept_connection_that_died(kind_of: ChannelType) -> None:
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer(b"{}"))
        await connection.request()

    async with transports() as (chosen, typed), Peer(behave) as peer:
        one = _case(kind_of, f"http://127.0.0.1:{peer.port}", f"http://127.0.0.1:{peer.port}", chosen, typed)
        await one.kind.send(one.channel, one.send())
        assert isinstance(await one.kind.send(one.channel, one.send()), Unknown)
        assert len(peer.requests) == 2


async def test_a_redirect_leads_nowhere(kind_of: ChannelType) -> None:
    reply = answer(b"", "Location: http://127.0.0.1:1/", status="302 Found")
    async with transports() as (chosen, typed), Peer(answering(reply)) as peer:
        one = _case(kind_of, f"http://127.0.0.1:{peer.port}", f"http://127.0.0.1:{peer.port}", chosen, typed)
        outcome = await one.kind.send(one.channel, one.send())
        assert isinstance(outcome, Refused)
        assert outcome.refusal is Refusal.CONFIGURATION
        assert len(peer.requests) == 1


@pytest.mark.parametrize("status", ["400 No", "401 No", "403 No", "404 No", "422 No", "429 No"])
async def test_no_secret_is_in_what_is_said(kind_of: ChannelType, status: str) -> None:
    """Providers like to quote what they were asked."""
    quoted = f'{{"message":"bad {TOKEN} {BOT_TOKEN}","description":"bad {BOT_TOKEN}","error":"{TOKEN}"}}'.encode()
    async with transports() as (chosen, typed), Peer(answering(answer(quoted, status=status))) as peer:
        one = _case(kind_of, f"http://127.0.0.1:{peer.port}", f"http://127.0.0.1:{peer.port}", chosen, typed)
        channel = one.channel
        if kind_of is ChannelType.WEBHOOK:
            channel = one.changed(secret=TOKEN, headers={"X-Key": BOT_TOKEN})
        outcome = await one.kind.send(channel, one.send())
    assert isinstance(outcome, Refused)
    for name in one.kind.secrets:
        value = channel.configuration.get(name)
        for secret in value.values() if isinstance(value, dict) else [value]:
            assert secret is None or str(secret) not in repr(outcome)


def test_the_port(one: Case) -> None:
    kind: ChannelKind = one.kind  # type: ignore[assignment]  # mypy knows the classes; this is their common face
    assert kind.longest_send > 0
    assert (kind.address is None) == (one.to is None)
    assert kind.receipts is (one.name in {"twilio", "smsaero"})
    assert hasattr(kind, "inquire") is kind.receipts


def test_its_schema_describes_what_it_takes(one: Case) -> None:
    jsonschema.Draft202012Validator.check_schema(one.kind.schema)
    validator = jsonschema.Draft202012Validator(one.kind.schema)
    validator.validate(dict(one.channel.configuration))
    properties: Any = one.kind.schema["properties"]
    assert {name for name, about in properties.items() if about.get("writeOnly")} == one.kind.secrets
    assert all(about["title"] for about in properties.values())
    for name in one.kind.schema["required"]:  # type: ignore[union-attr]
        lacking = {key: value for key, value in one.channel.configuration.items() if key != name}
        assert not validator.is_valid(lacking)
        with pytest.raises(InvalidFields) as caught:
            one.kind.check(lacking)
        assert caught.value.wrong == [(f"configuration.{name}", "must be given")]


def test_a_configuration_is_complete_after_its_check_and_stays_so(one: Case) -> None:
    assert one.kind.check(one.channel.configuration) == one.channel.configuration


@pytest.mark.parametrize("value", [7, True, [], {}, "", " ", "a\x00b", "\ud800", "я" * 2000])
def test_wrong_values_are_named(one: Case, value: Any) -> None:
    for name in one.kind.schema["required"]:  # type: ignore[union-attr]
        with pytest.raises(InvalidFields) as caught:
            one.kind.check({**one.channel.configuration, str(name): value})
        assert [field for field, _ in caught.value.wrong] == [f"configuration.{name}"]


def test_unknown_keys_are_named(one: Case) -> None:
    with pytest.raises(InvalidFields) as caught:
        one.kind.check({**one.channel.configuration, "colour": "red", "bot_token": "x"})
    assert {field for field, _ in caught.value.wrong} == {"configuration.colour", "configuration.bot_token"}


async def test_a_configuration_of_older_rules_is_refused_not_raised(one: Case) -> None:
    old = replace(one.channel, configuration={**one.channel.configuration, "gone": 1})
    outcome = await one.kind.send(old, one.send())
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.CONFIGURATION
