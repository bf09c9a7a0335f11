"""SMSAero: what is asked, what it says, and what is found when it is asked what became of a message."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.providers.channels import PHONE, TEXT, TOKEN, Case, case, configured, send, transports
from adapters.providers.conftest import Remote
from adapters.providers.peer import Peer, answer, answering
from gonets.adapters.providers.smsaero import SmsAero
from gonets.core.channels.model import (
    Accepted,
    ChannelType,
    Delivery,
    Receipt,
    Refusal,
    Refused,
    SendOutcome,
    Step,
    Unknown,
)
from gonets.core.shared.errors import InvalidFields

BASE: dict[str, Any] = {"email": "you@example.com", "apiKey": TOKEN}


@pytest.fixture
async def sms(sandbox: Remote) -> AsyncIterator[Case]:
    async with transports() as (chosen, typed):
        yield case(ChannelType.SMS_SMSAERO, sandbox, chosen, typed)


async def told(reply: Any, status: str = "200 OK", *headers: str, text: str = TEXT) -> SendOutcome:
    body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    async with transports() as (chosen, _), Peer(answering(answer(body, *headers, status=status))) as peer:
        kind = SmsAero(chosen, f"http://localhost:{peer.port}/v2/")
        return await kind.send(configured(kind, BASE), send(text, to=PHONE))


@pytest.mark.parametrize(("sign", "written"), [({}, "SMS Aero"), ({"sign": "Гонец"}, "Гонец")])
async def test_the_request(sign: dict[str, str], written: str) -> None:
    reply = answer(json.dumps({"success": True, "data": {"id": 5, "status": 0}, "message": None}).encode())
    async with transports() as (chosen, _), Peer(answering(reply)) as peer:
        kind = SmsAero(chosen, f"http://localhost:{peer.port}/v2")
        outcome = await kind.send(configured(kind, BASE | sign), send(to=PHONE))
        head, body = peer.requests[0]
    assert outcome == Accepted("5", 1)
    assert head.startswith(b"POST /v2/sms/send HTTP/1.1\r\n")
    assert b"Authorization: Basic " + base64.b64encode(f"you@example.com:{TOKEN}".encode()) in head
    assert json.loads(body) == {"number": "79161234567", "text": TEXT, "sign": written}


SAID = [
    ({"success": True, "data": {"id": 5}}, "200 OK", Accepted("5", 1)),
    ({"success": True, "data": [{"id": 7}, {"id": 8}]}, "200 OK", Accepted("7", 1)),
    ({"success": True, "data": {"id": 5}}, "400 Odd", Accepted("5", 1)),
]


@pytest.mark.parametrize(("reply", "status", "outcome"), SAID)
async def test_what_is_taken(reply: Any, status: str, outcome: Accepted) -> None:
    assert await told(reply, status) == outcome


async def test_parts_are_counted() -> None:
    assert await told({"success": True, "data": {"id": 5}}, text="я" * 71) == Accepted("5", 2)


def invalid(field: str) -> dict[str, Any]:
    return {"success": False, "data": {field: ["incorrect"]}, "message": "Validation error."}


REFUSED = [
    (invalid("number"), "400 No", Refusal.PERMANENT, "+7916"),
    (invalid("text"), "200 OK", Refusal.PERMANENT, "change"),
    (invalid("sign"), "400 No", Refusal.CONFIGURATION, "sign"),
    (invalid("other"), "400 No", Refusal.PERMANENT, None),
    (
        {"success": False, "data": None, "message": "Your request was made with invalid credentials."},
        "401 No",
        Refusal.CONFIGURATION,
        "apiKey",
    ),
    ({"success": False, "data": None, "message": "Not enough money"}, "200 OK", Refusal.CONFIGURATION, "top up"),
    ({"result": "no credits"}, "402 No", Refusal.CONFIGURATION, "top up"),
    ({"result": "no credits"}, "200 OK", Refusal.CONFIGURATION, "top up"),
    ({"result": "reject", "reason": "черный список"}, "200 OK", Refusal.PERMANENT, None),
    ({"success": False, "data": None, "message": "Новое слово"}, "500 No", Refusal.PERMANENT, None),
    (b"<html>Sign in</html>", "401 No", Refusal.CONFIGURATION, "apiKey"),
    (b"", "403 No", Refusal.CONFIGURATION, "apiKey"),
    (b"", "404 No", Refusal.CONFIGURATION, "SMSAERO_API_URL"),
    (b"", "302 Found", Refusal.CONFIGURATION, "SMSAERO_API_URL"),
    (b"", "429 No", Refusal.TEMPORARY, None),
    ({"success": False, "message": "Too many requests."}, "429 No", Refusal.TEMPORARY, None),
]


@pytest.mark.parametrize(("reply", "status", "refusal", "hint"), REFUSED)
async def test_what_is_refused(reply: Any, status: str, refusal: Refusal, hint: str | None) -> None:
    outcome = await told(reply, status, "Retry-After: 4")
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.retry_after) == (refusal, 4.0)
    assert (hint or "") in (outcome.hint or "")
    if isinstance(reply, dict):
        said = reply.get("reason") or reply.get("message") or reply["result"]
        assert str(said) in outcome.reason, "its own words help"


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (b"", "200 OK"),
        (b"<html>", "200 OK"),
        (b"<html>", "400 No"),
        (b"", "500 No"),
        (b"<html>", "502 No"),
        ([], "200 OK"),
        ({}, "200 OK"),
        ({"success": True}, "200 OK"),
        ({"success": True, "data": []}, "200 OK"),
        ({"success": "yes", "data": {"id": 5}}, "200 OK"),
        ({"result": "accepted"}, "200 OK"),
    ],
)
async def test_answers_that_say_nothing(reply: Any, status: str) -> None:
    assert isinstance(await told(reply, status), Unknown)


@pytest.mark.parametrize(
    ("text", "fits"), [("я" * 640, True), ("я" * 641, False), ("да", True), ("д", False), ("", False), ("   ", False)]
)
async def test_the_longest_text(sms: Case, sandbox: Remote, text: str, fits: bool) -> None:
    assert (sms.kind.problem(text) is None) is fits
    outcome = await sms.kind.send(sms.channel, sms.send(text))
    assert isinstance(outcome, Accepted if fits else Refused)
    assert len(await sandbox.journal()) == int(fits)


async def test_nobody_to_send_to(sms: Case) -> None:
    outcome = await sms.kind.send(sms.channel, sms.send(to=None))
    assert isinstance(outcome, Refused)
    assert outcome.step is Step.DESTINATION


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("email", {"email": "you"}),
        ("email", {"email": "you:x@example.com"}),
        ("apiKey", {"apiKey": "two words"}),
        ("apiKey", {"apiKey": "ключ"}),
        ("sign", {"sign": "x"}),
        ("sign", {"sign": "x" * 65}),
    ],
)
def test_impossible_values(sms: Case, field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidFields) as caught:
        sms.kind.check(BASE | changes)
    assert [name for name, _ in caught.value.wrong] == [f"configuration.{field}"]


@pytest.mark.parametrize(("changes", "code"), [({"sign": "unknown"}, "400"), ({"apiKey": "unknown-key"}, "401")])
async def test_channels_that_are_wrong(sms: Case, changes: dict[str, Any], code: str) -> None:
    outcome = await sms.kind.send(sms.changed(**changes), sms.send())
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.code) == (Refusal.CONFIGURATION, code)


async def test_no_money(sms: Case, sandbox: Remote) -> None:
    await sandbox.http.put("/control/settings/smsaero", json={"balance": 1})
    outcome = await sms.kind.send(sms.channel, sms.send())
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.code) == (Refusal.CONFIGURATION, "no credits")


# What became of it


async def ask(sms: Case, provider_id: str | None, **changes: Any) -> Receipt | None:
    kind: Any = sms.kind
    found: Receipt | None = await kind.inquire(sms.channel, sms.send(**changes), provider_id)
    return found


@pytest.mark.parametrize(
    ("end", "seen"),
    [
        ("1234", [(Delivery.SENT, "3", False), (Delivery.DELIVERED, "1", False)]),
        ("9002", [(Delivery.SENT, "3", False), (Delivery.UNDELIVERED, "2", False)]),
        ("9004", [(Delivery.SENT, "3", False), (Delivery.SENT, "4", False), (Delivery.SENT, "4", False)]),
        ("9006", [(Delivery.REJECTED, "6", False)]),
        (
            "9008",
            [
                (Delivery.SENT, "8", True),
                (Delivery.SENT, "8", True),
                (Delivery.SENT, "0", False),
                (Delivery.SENT, "3", False),
                (Delivery.DELIVERED, "1", False),
            ],
        ),
    ],
)
async def test_it_is_asked_again_and_again(sms: Case, end: str, seen: list[tuple[Delivery, str, bool]]) -> None:
    outcome = await sms.kind.send(sms.channel, sms.send(to=f"+7916123{end}"))
    assert isinstance(outcome, Accepted)
    for delivery, code, held in seen:
        found = await ask(sms, outcome.provider_id)
        assert found is not None
        assert (found.delivery, found.code, found.held) == (delivery, code, held)
        assert found.final is (delivery is not Delivery.SENT)
        assert found.provider_id == outcome.provider_id
        failed = delivery in {Delivery.UNDELIVERED, Delivery.REJECTED}
        assert found.refusal is (Refusal.PERMANENT if failed else None)


async def test_a_number_that_is_not_known_is_no_end() -> None:
    for status in (5, 7, 99):
        body = json.dumps({"success": True, "data": {"id": 5, "status": status}}).encode()
        async with transports() as (chosen, _), Peer(answering(answer(body))) as peer:
            kind = SmsAero(chosen, f"http://localhost:{peer.port}/v2")
            found = await ask(Case("smsaero", kind, configured(kind, BASE), PHONE), "5")
            assert found == Receipt(Delivery.SENT, False, "5", str(status))


async def test_a_message_whose_id_was_lost_is_looked_for(sms: Case, sandbox: Remote) -> None:
    before = await sms.kind.send(sms.channel, sms.send())
    began = datetime.now(UTC)
    await sandbox.fault("smsaero", kind="garbage", operation="send")
    assert isinstance(await sms.kind.send(sms.channel, sms.send("другое")), Unknown)
    await sandbox.heal()
    assert isinstance(before, Accepted)
    found = await ask(sms, None, text="другое", started_at=began)
    assert found is not None
    assert (found.delivery, found.provider_id) == (Delivery.SENT, "2")
    others = frozenset([before.provider_id or ""])
    assert await ask(sms, None, started_at=began, others=others) == Receipt(Delivery.ABSENT, True), "an earlier try"
    later = began + timedelta(hours=1)
    assert await ask(sms, None, started_at=later) == Receipt(Delivery.ABSENT, True), "the same, but of an hour ago"
    other = sms.changed(sign="Другой")
    kind: Any = sms.kind
    assert await kind.inquire(other, sms.send(started_at=began), None) == Receipt(Delivery.ABSENT, True)


async def test_a_later_message_that_says_the_same_is_another(sms: Case) -> None:
    await sms.kind.send(sms.channel, sms.send())
    began = datetime.now(UTC) - timedelta(hours=1)
    assert await ask(sms, None, started_at=began) == Receipt(Delivery.ABSENT, True)


async def test_a_message_that_was_never_taken_is_absent(sms: Case, sandbox: Remote) -> None:
    began = datetime.now(UTC)
    await sandbox.fault("smsaero", kind="reset_before", operation="send")
    assert isinstance(await sms.kind.send(sms.channel, sms.send()), Unknown)
    await sandbox.heal()
    assert await ask(sms, None, started_at=began) == Receipt(Delivery.ABSENT, True)


@pytest.mark.parametrize("fault", ["reset", "garbage", "empty", "wrong_json", "429", "not_json"])
async def test_an_answer_that_does_not_say(sms: Case, sandbox: Remote, fault: str) -> None:
    await sms.kind.send(sms.channel, sms.send())
    await sandbox.fault("smsaero", kind=fault)
    assert await ask(sms, "1") is None
    assert await ask(sms, None, started_at=datetime.now(UTC)) is None
    await sandbox.heal()
    assert await ask(sms, "12345") is None, "an id that is not known is no answer"
