"""Slack: what is asked, and every word of its errors."""

import json
from collections.abc import AsyncIterator

import pytest

from adapters.providers.channels import TEXT, Case, case, configured, send, transports
from adapters.providers.conftest import Remote
from adapters.providers.peer import Peer, answer, answering
from gonets.adapters.providers.slack import Slack
from gonets.core.channels.model import Accepted, ChannelType, Refusal, Refused, SendOutcome, Unknown

SECRET = "XXXXXXXXXXXXXXXXXXXXXXXX"


@pytest.fixture
async def slack(sandbox: Remote) -> AsyncIterator[Case]:
    async with transports() as (chosen, typed):
        yield case(ChannelType.SLACK, sandbox, chosen, typed)


async def told(body: bytes, status: str = "200 OK", *headers: str) -> SendOutcome:
    async with transports() as (_, typed), Peer(answering(answer(body, *headers, status=status))) as peer:
        kind = Slack(typed)
        url = f"http://localhost:{peer.port}/services/T000/B000/{SECRET}"
        return await kind.send(configured(kind, {"webhookUrl": url}), send())


@pytest.mark.parametrize(
    ("configuration", "also"),
    [({}, {}), ({"channel": "#alerts", "username": "Оповещатель"}, {"channel": "#alerts", "username": "Оповещатель"})],
)
async def test_the_request(configuration: dict[str, str], also: dict[str, str]) -> None:
    async with transports() as (_, typed), Peer(answering(answer(b"ok"))) as peer:
        kind = Slack(typed)
        url = f"http://localhost:{peer.port}/services/T000/B000/{SECRET}"
        outcome = await kind.send(configured(kind, {"webhookUrl": url, **configuration}), send())
        head, body = peer.requests[0]
    assert outcome == Accepted()
    assert head.startswith(f"POST /services/T000/B000/{SECRET} HTTP/1.1\r\n".encode())
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {"text": TEXT.replace("<&>", "&lt;&amp;&gt;"), **also}


async def test_slacks_own_address_is_where_the_operator_says(slack: Case, sandbox: Remote) -> None:
    assert isinstance(await slack.kind.send(slack.channel, slack.send()), Accepted)
    elsewhere = slack.changed(webhookUrl=f"{sandbox.base}/slack/services/T1/B1/{SECRET}")
    assert isinstance(await slack.kind.send(elsewhere, slack.send()), Accepted)
    assert [entry["operation"] for entry in await sandbox.journal()] == ["webhook", "webhook"]


WORDS = [
    ("400", b"invalid_payload", Refusal.PERMANENT),
    ("400", b"no_text", Refusal.PERMANENT),
    ("400", b"too_many_attachments", Refusal.PERMANENT),
    ("400", b"user_not_found", Refusal.PERMANENT),
    ("403", b"action_prohibited", Refusal.CONFIGURATION),
    ("403", b"invalid_token", Refusal.CONFIGURATION),
    ("403", b"team_disabled", Refusal.CONFIGURATION),
    ("403", b"posting_to_general_channel_denied", Refusal.CONFIGURATION),
    ("400", b"posting_to_general_channel_denied", Refusal.CONFIGURATION),
    ("404", b"channel_not_found", Refusal.CONFIGURATION),
    ("404", b"no_service", Refusal.CONFIGURATION),
    ("404", b"no_service_id", Refusal.CONFIGURATION),
    ("404", b"no_active_hooks", Refusal.CONFIGURATION),
    ("404", b"no_team", Refusal.CONFIGURATION),
    ("410", b"channel_is_archived", Refusal.CONFIGURATION),
    ("403", b"channel_is_archived", Refusal.CONFIGURATION),
    ("429", b"rate_limited", Refusal.TEMPORARY),
    # What is not known goes by the status.
    ("400", b"new_word", Refusal.PERMANENT),
    ("403", b"", Refusal.CONFIGURATION),
    ("404", b"<html>Not Found</html>", Refusal.CONFIGURATION),
    ("410", b"", Refusal.CONFIGURATION),
    ("422", b"{}", Refusal.PERMANENT),
    ("429", b'{"ok":false,"error":"rate_limited"}', Refusal.TEMPORARY),
]


@pytest.mark.parametrize(("status", "word", "refusal"), WORDS)
async def test_every_word(status: str, word: bytes, refusal: Refusal) -> None:
    outcome = await told(word, f"{status} No")
    assert isinstance(outcome, Refused)
    assert outcome.refusal is refusal
    assert word.decode() in outcome.reason
    assert SECRET not in repr(outcome)


@pytest.mark.parametrize("said", [f"no such hook: /services/T000/B000/{SECRET}", f"unknown token {SECRET}"])
async def test_who_repeats_the_address_tells_nobody(said: str) -> None:
    outcome = await told(said.encode(), "404 Not Found")
    assert isinstance(outcome, Refused)
    assert said.split(":")[0].split(" X")[0] in outcome.reason
    assert SECRET not in repr(outcome)


async def test_how_long_to_wait() -> None:
    outcome = await told(b"rate_limited", "429 No", "Retry-After: 30")
    assert isinstance(outcome, Refused)
    assert outcome.retry_after == 30


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", "200 OK"), (b"<html>", "200 OK"), (b"okay", "200 OK"), (b"ok", "201 Created"), (b"rollup_error", "500 No")],
)
async def test_answers_that_say_nothing(body: bytes, status: str) -> None:
    assert isinstance(await told(body, status), Unknown)


@pytest.mark.parametrize(("text", "fits"), [("я" * 40_000, True), ("я" * 40_001, False), ("  ", False)])
def test_the_longest_text(slack: Case, text: str, fits: bool) -> None:
    assert (slack.kind.problem(text) is None) is fits


async def test_errors_of_the_sandbox(slack: Case, sandbox: Remote) -> None:
    codes = []
    for channel in ("#missing", "#archived", "#locked", "#general", "@nobody"):
        outcome = await slack.kind.send(slack.changed(channel=channel), slack.send())
        assert isinstance(outcome, Refused)
        codes.append(outcome.code)
    assert codes == [
        "channel_not_found",
        "channel_is_archived",
        "action_prohibited",
        "posting_to_general_channel_denied",
        "user_not_found",
    ]
