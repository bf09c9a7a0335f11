"""Twilio: what is asked, every code, what is reported, what is found when it is asked what became of a message."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from adapters.providers.channels import ACCOUNT, PHONE, TEXT, TOKEN, Case, case, configured, send, transports
from adapters.providers.conftest import Remote
from adapters.providers.peer import Peer, answer, answering
from eventually import eventually
from gonets.adapters.providers.twilio import Twilio
from gonets.adapters.providers.twilio_calls import callback, incoming, signed
from gonets.adapters.providers.twilio_codes import receipt
from gonets.core.channels.model import (
    Accepted,
    ChannelType,
    Delivery,
    Incoming,
    Receipt,
    Refusal,
    Refused,
    SendOutcome,
    Step,
    Unknown,
    UnknownStatus,
)
from gonets.core.shared.errors import Invalid, InvalidFields

SID = "SM" + "a" * 32
CALLBACK = "https://gonets.example/api/v1/callbacks/twilio/n-1-1?x=1"
BASE: dict[str, Any] = {"accountSid": ACCOUNT, "authToken": TOKEN, "from": "+15005550006"}


@pytest.fixture
async def sms(sandbox: Remote) -> AsyncIterator[Case]:
    await sandbox.http.put("/control/settings/twilio", json={"step_ms": 0})
    async with transports() as (chosen, typed):
        yield case(ChannelType.SMS_TWILIO, sandbox, chosen, typed)


async def told(reply: dict[str, Any] | bytes, status: str = "201 Created", text: str = TEXT) -> SendOutcome:
    body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    async with transports() as (chosen, _), Peer(answering(answer(body, status=status))) as peer:
        kind = Twilio(chosen, f"http://localhost:{peer.port}")
        return await kind.send(configured(kind, BASE), send(text, to=PHONE))


# What is asked


@pytest.mark.parametrize(
    ("sender", "fields"),
    [
        ({"from": "+15005550006"}, {"From": ["+15005550006"]}),
        ({"from": "Gonets"}, {"From": ["Gonets"]}),
        ({"from": "12345"}, {"From": ["12345"]}),
        ({"from": None, "messagingServiceSid": "MG" + "b" * 32}, {"MessagingServiceSid": ["MG" + "b" * 32]}),
    ],
)
async def test_the_request(sender: dict[str, Any], fields: dict[str, list[str]]) -> None:
    reply = answer(json.dumps({"sid": SID, "num_segments": "1"}).encode(), status="201 Created")
    async with transports() as (chosen, _), Peer(answering(reply)) as peer:
        kind = Twilio(chosen, f"http://localhost:{peer.port}")
        outcome = await kind.send(configured(kind, BASE | sender), send(to=PHONE, callback_url=CALLBACK))
        head, body = peer.requests[0]
    assert outcome == Accepted(SID, 1)
    assert head.startswith(f"POST /2010-04-01/Accounts/{ACCOUNT}/Messages.json HTTP/1.1\r\n".encode())
    assert b"Content-Type: application/x-www-form-urlencoded\r\n" in head
    assert b"Authorization: Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()) in head
    assert parse_qs(body.decode()) == {"To": [PHONE], "Body": [TEXT], "StatusCallback": [CALLBACK], **fields}


@pytest.mark.parametrize("text", ["a+b & c=d; 100 %41 #?", "строка\r\n\tещё «😀»\u2028", "a/b:c@d~e*f(g)'h\"i\\j|k<l>"])
async def test_every_character_arrives(text: str) -> None:
    reply = answer(json.dumps({"sid": SID}).encode(), status="201 Created")
    async with transports() as (chosen, _), Peer(answering(reply)) as peer:
        kind = Twilio(chosen, f"http://localhost:{peer.port}")
        await kind.send(configured(kind, BASE), send(text, to=PHONE))
        _, body = peer.requests[0]
    assert parse_qs(body.decode("ascii"), strict_parsing=True)["Body"] == [text]


async def test_without_a_callback(sms: Case, sandbox: Remote) -> None:
    assert isinstance(await sms.kind.send(sms.channel, sms.send()), Accepted)
    (message,) = (await sandbox.http.get("/control/inbox")).json()["messages"]
    assert (message["to"], message["sender"], message["text"]) == (PHONE, "+15005550006", TEXT)


@pytest.mark.parametrize(
    ("reply", "text", "parts"),
    [
        ({"sid": SID, "num_segments": "3"}, "да", 3),
        ({"sid": SID, "num_segments": "0"}, "я" * 71, 2),
        ({"sid": SID, "num_segments": None}, "a" * 161, 2),
        ({"sid": SID}, "да", 1),
    ],
)
async def test_what_it_is_charged_as(reply: dict[str, Any], text: str, parts: int) -> None:
    assert await told(reply, text=text) == Accepted(SID, parts)


@pytest.mark.parametrize(("text", "fits"), [("я" * 1600, True), ("я" * 1601, False), ("", False), (" ", False)])
async def test_the_longest_text(sms: Case, sandbox: Remote, text: str, fits: bool) -> None:
    assert (sms.kind.problem(text) is None) is fits
    outcome = await sms.kind.send(sms.channel, sms.send(text))
    assert isinstance(outcome, Accepted if fits else Refused)
    assert len(await sandbox.journal()) == int(fits)


async def test_nobody_to_send_to(sms: Case) -> None:
    outcome = await sms.kind.send(sms.channel, sms.send(to=None))
    assert isinstance(outcome, Refused)
    assert outcome.step is Step.DESTINATION


# Its codes

CODES: list[tuple[int, int, Refusal]] = [
    (20003, 401, Refusal.CONFIGURATION),
    (20403, 403, Refusal.CONFIGURATION),
    (20404, 404, Refusal.CONFIGURATION),
    (20429, 429, Refusal.TEMPORARY),
    (21211, 400, Refusal.PERMANENT),
    (21212, 400, Refusal.CONFIGURATION),
    (21408, 400, Refusal.PERMANENT),
    (21602, 400, Refusal.PERMANENT),
    (21603, 400, Refusal.CONFIGURATION),
    (21604, 400, Refusal.PERMANENT),
    (21606, 400, Refusal.CONFIGURATION),
    (21608, 400, Refusal.CONFIGURATION),
    (21610, 400, Refusal.PERMANENT),
    (21611, 400, Refusal.TEMPORARY),
    (21612, 400, Refusal.PERMANENT),
    (21614, 400, Refusal.PERMANENT),
    (21617, 400, Refusal.PERMANENT),
    (21658, 400, Refusal.PERMANENT),
    (30001, 400, Refusal.TEMPORARY),
    (30002, 400, Refusal.CONFIGURATION),
    # Not known: by the status.
    (99999, 400, Refusal.PERMANENT),
    (99999, 401, Refusal.CONFIGURATION),
    (99999, 404, Refusal.CONFIGURATION),
    (99999, 422, Refusal.PERMANENT),
    (99999, 429, Refusal.TEMPORARY),
]


@pytest.mark.parametrize(("code", "status", "refusal"), CODES)
async def test_every_code(code: int, status: int, refusal: Refusal) -> None:
    outcome = await told({"code": code, "message": f"their words {TOKEN}", "status": status}, f"{status} No")
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.code) == (refusal, str(code))
    assert "their words" in outcome.reason
    assert TOKEN not in outcome.reason


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 408, 429])
async def test_a_refusal_without_a_code(status: int) -> None:
    outcome = await told(b"<html>No</html>", f"{status} No")
    assert isinstance(outcome, Refused)
    assert outcome.code == str(status)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ({"code": 20500, "message": "Internal", "status": 500}, "500 No"),
        ({"code": 20429, "message": "in a 503", "status": 503}, "503 No"),
        (b"", "502 No"),
        (b"", "201 Created"),
        (b"<html>", "200 OK"),
        ({"sid": None}, "201 Created"),
        ({"sid": ""}, "201 Created"),
        ([], "201 Created"),
    ],
)
async def test_answers_that_say_nothing(reply: Any, status: str) -> None:
    assert isinstance(await told(reply, status), Unknown)


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("+15005550001", "21211"),
        ("+15005550002", "21612"),
        ("+15005550003", "21408"),
        ("+15005550004", "21610"),
        ("+15005550009", "21614"),
    ],
)
async def test_the_magic_numbers(sms: Case, to: str, code: str) -> None:
    outcome = await sms.kind.send(sms.channel, sms.send(to=to))
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.opted_out) == (code, code == "21610")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("accountSid", {"accountSid": "SK" + "a" * 32}),
        ("accountSid", {"accountSid": "AC/../x"}),
        ("from", {"from": None}),
        ("from", {"messagingServiceSid": "MG" + "a" * 32}),
        ("from", {"from": "8 916 123-45-67"}),
        ("from", {"from": "Оповещатель"}),
        ("from", {"from": "a name too long"}),
        ("messagingServiceSid", {"from": None, "messagingServiceSid": "XX1"}),
    ],
)
def test_impossible_values(sms: Case, field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidFields) as caught:
        sms.kind.check(BASE | changes)
    assert [name for name, _ in caught.value.wrong] == [f"configuration.{field}"]


# What is reported


@pytest.mark.parametrize(
    ("status", "code", "delivery", "final", "refusal"),
    [
        ("accepted", None, Delivery.SENT, False, None),
        ("scheduled", None, Delivery.SENT, False, None),
        ("queued", None, Delivery.SENT, False, None),
        ("sending", None, Delivery.SENT, False, None),
        ("sent", None, Delivery.SENT, False, None),
        ("delivered", None, Delivery.DELIVERED, True, None),
        ("read", None, Delivery.DELIVERED, True, None),
        ("canceled", None, Delivery.REJECTED, True, Refusal.PERMANENT),
        ("failed", 30001, Delivery.REJECTED, True, Refusal.TEMPORARY),
        ("failed", 30002, Delivery.REJECTED, True, Refusal.CONFIGURATION),
        ("undelivered", 30003, Delivery.UNDELIVERED, True, Refusal.TEMPORARY),
        ("undelivered", "30004", Delivery.UNDELIVERED, True, Refusal.PERMANENT),
        ("undelivered", "30005", Delivery.UNDELIVERED, True, Refusal.PERMANENT),
        ("undelivered", "30006", Delivery.UNDELIVERED, True, Refusal.PERMANENT),
        ("undelivered", "30007", Delivery.UNDELIVERED, True, Refusal.PERMANENT),
        ("undelivered", "30008", Delivery.UNDELIVERED, True, Refusal.TEMPORARY),
        ("undelivered", "30009", Delivery.UNDELIVERED, True, Refusal.TEMPORARY),
        ("undelivered", "30010", Delivery.UNDELIVERED, True, Refusal.CONFIGURATION),
        ("undelivered", "39999", Delivery.UNDELIVERED, True, Refusal.PERMANENT),
        ("undelivered", "", Delivery.UNDELIVERED, True, Refusal.PERMANENT),
    ],
)
def test_every_report(status: str, code: Any, delivery: Delivery, final: bool, refusal: Refusal | None) -> None:
    found = receipt(status, code, SID)
    assert found is not None
    assert (found.delivery, found.final, found.refusal, found.provider_id) == (delivery, final, refusal, SID)
    assert found.code == (str(code) if code else status)
    assert bool(found.reason) is (refusal is not None)


@pytest.mark.parametrize("status", [None, "", "receiving", "received", "Delivered", 7])
def test_a_status_that_is_not_known(status: Any) -> None:
    assert receipt(status) is None


FORM = {"MessageSid": SID, "SmsSid": SID, "MessageStatus": "delivered", "SmsStatus": "delivered", "To": PHONE, "Й": "ё"}


def test_the_vectors_of_their_own_validator() -> None:
    call = {
        "CallSid": ["CA1234567890ABCDE"],
        "Caller": ["+12349013030"],
        "Digits": ["1234"],
        "From": ["+12349013030"],
        "To": ["+18005551212"],
    }
    assert signed("https://mycompany.com/myapp.php?foo=1&bar=2", call, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", "12345")
    message = {
        "AccountSid": "AC" + "b" * 32,
        "ApiVersion": "2010-04-01",
        "From": "+15005550006",
        "MessageSid": SID,
        "SmsSid": SID,
        "MessageStatus": "delivered",
        "SmsStatus": "delivered",
        "To": PHONE,
    }
    url = "https://notify.example.com/webhooks/twilio"
    read = callback(url, urlencode(message).encode(), "84QpikbUR8grG+uU8+V9veCVM90=", "12345")
    assert read == Receipt(Delivery.DELIVERED, True, SID, "delivered")


@pytest.mark.parametrize(
    "url",
    [CALLBACK, "https://a.example:8443/cb", "http://a.example/cb?b=1&a=%D1%8F", "https://a.example", "http://[::1]/x"],
)
@pytest.mark.parametrize(
    "lists", [{name: [value] for name, value in FORM.items()}, {}, {"a": [""]}, {"a": ["2", "1", "2"], "B": ["3"]}]
)
def test_we_agree_with_their_own_validator(url: str, lists: dict[str, list[str]]) -> None:
    fields = MultiDict([(name, value) for name, values in lists.items() for value in values])
    signature = RequestValidator(TOKEN).compute_signature(url, fields)
    assert signed(url, lists, signature, TOKEN)
    assert not signed(url + "x", lists, signature, TOKEN)
    assert not signed(url, {**lists, "More": ["1"]}, signature, TOKEN)
    assert not signed(url, lists, signature, TOKEN + "x")
    assert not signed(url, lists, "", TOKEN)
    assert not signed(url, lists, "ё", TOKEN)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("https://a.example/cb", "https://a.example:443/cb"),
        ("https://a.example:443/cb", "https://a.example/cb"),
        ("http://a.example/cb", "http://a.example:80/cb"),
    ],
)
def test_the_schemes_own_port_may_be_there_or_not(ours: str, theirs: str) -> None:
    signature = RequestValidator(TOKEN).compute_signature(theirs, FORM)
    assert signed(ours, {name: [value] for name, value in FORM.items()}, signature, TOKEN)
    assert not signed(ours.replace("a.", "b."), {name: [value] for name, value in FORM.items()}, signature, TOKEN)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (FORM | {"MessageStatus": "received"}, "received"),
        ({"MessageStatus": "a\n" + "b" * 999}, "a " + "b" * 198 + "…"),
    ],
)
def test_a_status_that_is_not_known_is_not_a_forgery(fields: dict[str, str], status: str) -> None:
    signature = RequestValidator(TOKEN).compute_signature(CALLBACK, fields)
    body = urlencode(fields).encode()
    assert callback(CALLBACK, body, signature, TOKEN) == UnknownStatus(status)
    assert callback(CALLBACK, body, signature, TOKEN + "x") is None
    assert callback(CALLBACK, b"", RequestValidator(TOKEN).compute_signature(CALLBACK, {}), TOKEN) == UnknownStatus("")


@pytest.mark.parametrize("body", [b"%%%", b"\xff", b"a=1&" * 300])
def test_a_callback_that_is_no_form(body: bytes) -> None:
    fields = {name: values[-1] for name, values in parse_qs(body.decode("latin-1"), keep_blank_values=True).items()}
    assert callback(CALLBACK, body, RequestValidator(TOKEN).compute_signature(CALLBACK, fields), TOKEN) is None


# What became of it


async def ask(sms: Case, provider_id: str | None, **changes: Any) -> Receipt | None:
    kind: Any = sms.kind
    found: Receipt | None = await kind.inquire(sms.channel, sms.send(**changes), provider_id)
    return found


@pytest.mark.parametrize(
    ("end", "delivery", "code"),
    [
        ("1234", Delivery.DELIVERED, "delivered"),
        ("3003", Delivery.UNDELIVERED, "30003"),
        ("3005", Delivery.REJECTED, "30005"),
        ("3000", Delivery.SENT, "sent"),
    ],
)
async def test_a_message_is_asked_for_by_its_id(sms: Case, end: str, delivery: Delivery, code: str) -> None:
    outcome = await sms.kind.send(sms.channel, sms.send(to=f"+7916123{end}"))
    assert isinstance(outcome, Accepted)

    async def known() -> bool:
        found = await ask(sms, outcome.provider_id)
        return found is not None and (found.delivery, found.code, found.provider_id) == (
            delivery,
            code,
            outcome.provider_id,
        )

    await eventually(known, "the message has come so far")


async def test_a_message_that_is_not_there(sms: Case) -> None:
    found = await ask(sms, "SM" + "0" * 32)
    assert found == Receipt(Delivery.ABSENT, True, "SM" + "0" * 32, "20404")


async def test_a_message_whose_id_was_lost_is_looked_for(sms: Case, sandbox: Remote) -> None:
    """The same words went to the same number before; another text and another number do not count."""
    before = await sms.kind.send(sms.channel, sms.send())
    began = datetime.now(UTC) + timedelta(hours=1)
    assert await ask(sms, None, started_at=began) == Receipt(Delivery.ABSENT, True)
    began = datetime.now(UTC)
    await sandbox.fault("twilio", kind="reset", operation="create")
    assert isinstance(await sms.kind.send(sms.channel, sms.send("другое")), Unknown)
    await sms.kind.send(sms.channel, sms.send("другое", to="+79160000000"))
    await sandbox.heal()
    assert isinstance(before, Accepted)
    found = await ask(sms, None, text="другое", started_at=began)
    assert found is not None
    assert found.delivery in {Delivery.SENT, Delivery.DELIVERED}
    assert found.provider_id not in (None, before.provider_id)
    found = await ask(sms, None, started_at=began)
    assert found is not None
    assert found.provider_id == before.provider_id, "the clocks may differ by so much"
    others = frozenset([before.provider_id or ""])
    assert await ask(sms, None, started_at=began, others=others) == Receipt(Delivery.ABSENT, True), "an earlier try"


async def test_a_later_message_that_says_the_same_is_another(sms: Case) -> None:
    await sms.kind.send(sms.channel, sms.send())
    began = datetime.now(UTC) - timedelta(hours=1)
    assert await ask(sms, None, started_at=began) == Receipt(Delivery.ABSENT, True)


async def test_a_message_that_was_never_taken_is_absent(sms: Case, sandbox: Remote) -> None:
    began = datetime.now(UTC)
    await sandbox.fault("twilio", kind="reset_before", operation="create")
    assert isinstance(await sms.kind.send(sms.channel, sms.send()), Unknown)
    await sandbox.heal()
    assert await ask(sms, None, started_at=began) == Receipt(Delivery.ABSENT, True)
    assert await ask(sms, None) is None, "without a beginning nobody can tell old from new"


async def test_many_messages_to_one_number_are_looked_through(sms: Case) -> None:
    began = datetime.now(UTC)
    for number in range(230):
        await sms.kind.send(sms.channel, sms.send(f"сообщение {number}"))
    found = await ask(sms, None, text="сообщение 3", started_at=began)
    assert found is not None
    assert found.provider_id is not None


@pytest.mark.parametrize(
    ("body", "status"), [(b"", "500 No"), (b"{}", "200 OK"), (b"[]", "200 OK"), (b"", "401 No"), (b"<html>", "404 No")]
)
async def test_an_answer_that_does_not_say(body: bytes, status: str) -> None:
    async with transports() as (chosen, _), Peer(answering(answer(body, status=status))) as peer:
        kind = Twilio(chosen, f"http://localhost:{peer.port}")
        one = Case("twilio", kind, configured(kind, BASE), PHONE)
        assert await ask(one, SID) is None
        assert await ask(one, None, started_at=datetime.now(UTC)) is None


async def test_the_list_itself_must_be_whole() -> None:
    """A page that is missing could hold it."""
    page = {
        "messages": [{"sid": SID, "to": PHONE, "body": "x", "date_created": format_datetime(datetime.now(UTC))}],
        "next_page_uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?To=1&Page=1",
    }
    async with transports() as (chosen, _), Peer(answering(answer(json.dumps(page).encode()))) as peer:
        kind = Twilio(chosen, f"http://localhost:{peer.port}")
        one = Case("twilio", kind, configured(kind, BASE), PHONE)
        assert await ask(one, None, started_at=datetime.now(UTC)) is None
        assert len(peer.requests) == 10


REPLY = {"MessageSid": SID, "From": PHONE, "To": "+15005550006", "Body": "Хватит", "NumMedia": "0"}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (REPLY, "Хватит"),
        (REPLY | {"OptOutType": "STOP"}, "STOP"),
        (REPLY | {"OptOutType": "START"}, "START"),
        (REPLY | {"OptOutType": "HELP"}, "Хватит"),
        (REPLY | {"Body": ""}, ""),
    ],
)
def test_what_a_person_wrote(fields: dict[str, str], text: str) -> None:
    signature = RequestValidator(TOKEN).compute_signature(CALLBACK, fields)
    body = urlencode(fields).encode()
    assert incoming(CALLBACK, body, signature, TOKEN) == Incoming(PHONE, text, fields.get("MessageSid"))
    assert incoming(CALLBACK, body, signature, TOKEN + "x") is None
    assert incoming(CALLBACK, body + b"&a=1", signature, TOKEN) is None


@pytest.mark.parametrize("fields", [{"Body": "STOP"}, {"Body": "STOP", "From": ""}])
def test_a_call_that_names_nobody(fields: dict[str, str]) -> None:
    signature = RequestValidator(TOKEN).compute_signature(CALLBACK, fields)
    body = urlencode(fields).encode()
    with pytest.raises(Invalid, match="must be given") as error:
        incoming(CALLBACK, body, signature, TOKEN)
    assert error.value.field == "From"
    assert incoming(CALLBACK, body, signature + "x", TOKEN) is None


def test_who_unsubscribed_is_told_apart() -> None:
    found = receipt("failed", 21610, SID)
    assert found is not None
    assert found.opted_out
    for other in (receipt("failed", 30004, SID), receipt("delivered", None, SID), receipt("sent", "21610", SID)):
        assert other is not None
        assert not other.opted_out
