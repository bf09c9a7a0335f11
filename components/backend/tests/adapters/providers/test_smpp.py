"""SMS by SMPP, against npm's `smpp`; and a session cut at every step, against a peer by hand."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from gonets.adapters.providers.egress import Egress
from gonets.adapters.providers.smpp import Smpp
from gonets.adapters.providers.smpp_statuses import receipt
from gonets.core.channels.egress import Allowance
from gonets.core.channels.model import (
    Accepted,
    Channel,
    ChannelType,
    Delivery,
    Incoming,
    Message,
    Receipt,
    Refusal,
    Refused,
    Send,
    Step,
    Unknown,
)
from gonets.core.shared.errors import InvalidFields, Unavailable

from .conftest import Authority
from .peer import Connection, Peer
from .sms_centre import SmsCentre, sms_centre, sms_centres

NOW = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)


class Receipts:
    """Where they are stored; `away` is how often that does not work."""

    def __init__(self) -> None:
        self.stored: list[tuple[int, Receipt]] = []
        self.away = 0
        self._news = asyncio.Condition()

    async def __call__(self, channel_id: int, receipt: Receipt) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("the database is away")
        async with self._news:
            self.stored.append((channel_id, receipt))
            self._news.notify_all()

    async def wait(self, count: int = 1) -> list[Receipt]:
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(lambda: len(self.stored) >= count)
        return [receipt for _, receipt in self.stored]


class People:
    """What people wrote; `away` is how often that cannot be heeded."""

    def __init__(self) -> None:
        self.wrote: list[tuple[int, str, str]] = []
        self.away = 0
        self._news = asyncio.Condition()

    async def __call__(self, channel_id: int, channel_type: ChannelType, incoming: Incoming) -> None:
        assert channel_type is ChannelType.SMS_SMPP
        if self.away:
            self.away -= 1
            raise Unavailable("the database is away")
        async with self._news:
            self.wrote.append((channel_id, incoming.sender, incoming.text))
            self._news.notify_all()

    async def wait(self, count: int = 1) -> None:
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(lambda: len(self.wrote) >= count)


@pytest.fixture
def receipts() -> Receipts:
    return Receipts()


@pytest.fixture
def people() -> People:
    return People()


Make = Callable[..., Smpp]


@pytest.fixture
async def senders(authority: Authority, receipts: Receipts, people: People) -> AsyncIterator[Make]:
    """Makes senders that trust the test's authority, and may connect to this machine."""
    made: list[Smpp] = []

    def make(*, allowed: str = "localhost", trusting: bool = True, **options: Any) -> Smpp:
        context = ssl.create_default_context(cafile=str(authority.ca) if trusting else None)
        made.append(Smpp(Egress([Allowance.parse(allowed)]), lambda: context, receipts, people, **options))
        return made[-1]

    yield make
    for sender in made:
        await sender.close()


@pytest.fixture(scope="module")
def control_port() -> Iterator[int]:
    with sms_centres() as port:
        yield port


@pytest.fixture
async def centre(control_port: int) -> AsyncIterator[SmsCentre]:
    async with sms_centre(control_port) as found:
        yield found


def channel(port: int, **changes: Any) -> Channel:
    configuration = {
        "host": "localhost",
        "port": port,
        "systemId": "gonets",
        "password": "secret",
        "sourceAddress": "Gonets",
    } | changes
    return Channel(
        id=9,
        owner_id=1,
        name="sms",
        type=ChannelType.SMS_SMPP,
        configuration=configuration,
        created_at=NOW,
        updated_at=NOW,
    )


def send(text: str = "Привет", to: str | None = "+79161234567") -> Send:
    return Send(message=Message(text), to=to, reference="n-42-1")


async def test_a_text_arrives_and_its_receipt_comes_back(senders: Make, centre: SmsCentre, receipts: Receipts) -> None:
    outcome = await senders().send(channel(centre.port), send("Привет, мир 😀"))
    assert outcome == Accepted("m1")
    (submitted,) = await centre.wait("submit")
    assert submitted == {
        "event": "submit",
        "to": "79161234567",
        "to_kind": [1, 1],
        "from": "Gonets",
        "from_kind": [5, 0],
        "text": "Привет, мир 😀",
        "data_coding": 8,
        "esm_class": 0,
        "header": None,
        "registered": 1,
        "service_type": "",
    }
    assert centre.of("bind") == [{"event": "bind", "system_id": "gonets", "system_type": "", "interface_version": 0x34}]
    assert await receipts.wait() == [Receipt(Delivery.DELIVERED, final=True, provider_id="m1")]
    assert receipts.stored[0][0] == 9
    assert [one["status"] for one in await centre.wait("deliver_sm_resp")] == [0]


async def test_gsm7_with_its_extension(senders: Make, centre: SmsCentre) -> None:
    text = "Price: 5 € {net} @home ~£3"
    where = channel(centre.port, sourceAddress="+79990000000", systemType="sms", serviceType="WAP")
    assert await senders().send(where, send(text)) == Accepted("m1")
    (submitted,) = await centre.wait("submit")
    assert (submitted["text"], submitted["data_coding"]) == (text, 0)
    assert (submitted["from"], submitted["from_kind"]) == ("79990000000", [1, 1])
    assert submitted["service_type"] == "WAP"
    assert centre.of("bind")[0]["system_type"] == "sms"


@pytest.mark.parametrize(
    ("text", "alphabet", "parts"),
    [("Слово и дело. " * 12, "auto", 3), ("One word more. " * 20, "auto", 2), ("Latin only " * 10, "ucs2", 2)],
)
async def test_long_texts(
    senders: Make, centre: SmsCentre, receipts: Receipts, text: str, alphabet: str, parts: int
) -> None:
    outcome = await senders().send(channel(centre.port, alphabet=alphabet), send(text))
    assert outcome == Accepted(f"m{parts}", parts=parts)
    submitted = await centre.wait("submit", parts)
    assert "".join(one["text"] for one in submitted) == text
    assert {one["esm_class"] for one in submitted} == {0x40}
    headers = [one["header"] for one in submitted]
    # npm's smpp gives the element alone, without the length of the whole header.
    assert [header[-3:] for header in headers] == [[headers[0][-3], parts, n + 1] for n in range(parts)]
    # Delivered when all parts are; its name is that of the last.
    assert await receipts.wait() == [Receipt(Delivery.DELIVERED, final=True, provider_id=f"m{parts}")]
    await centre.wait("deliver_sm_resp", parts)
    assert len(receipts.stored) == 1


async def test_each_long_text_has_a_reference_of_its_own(senders: Make, centre: SmsCentre) -> None:
    kind = senders()
    for _ in range(3):
        await kind.send(channel(centre.port), send("я" * 71))
    assert len({one["header"][-3] for one in await centre.wait("submit", 6)}) == 3


async def test_a_part_that_is_not_delivered(senders: Make, centre: SmsCentre, receipts: Receipts) -> None:
    assert await senders().send(channel(centre.port), send("я" * 130, "+79161234592")) == Accepted("m2", parts=2)
    (found,) = await receipts.wait()
    assert (found.delivery, found.provider_id, found.final) == (Delivery.UNDELIVERED, "m2", True)
    await centre.wait("deliver_sm_resp", 2)
    assert len(receipts.stored) == 1


async def test_the_session_is_kept(senders: Make, centre: SmsCentre) -> None:
    kind, where = senders(), channel(centre.port)
    await asyncio.gather(*(kind.send(where, send()) for _ in range(30)))
    await kind.send(where, send())
    assert len(await centre.wait("submit", 31)) == 31
    assert (len(centre.of("connection")), len(centre.of("bind"))) == (1, 1)


async def test_a_lost_session_is_bound_anew(senders: Make, centre: SmsCentre) -> None:
    kind, where = senders(), channel(centre.port)
    await kind.send(where, send())
    centre.tell("drop")
    await centre.wait("close")
    # Also when nothing is to be sent, for receipts may come.
    await centre.wait("bind", 2)
    assert isinstance(await kind.send(where, send()), Accepted)
    assert len(await centre.wait("connection", 2)) == 2


async def test_another_password_is_another_session(senders: Make, centre: SmsCentre) -> None:
    kind = senders()
    refused = await kind.send(channel(centre.port, password="wrong"), send())
    assert isinstance(refused, Refused)
    assert isinstance(await kind.send(channel(centre.port), send()), Accepted)
    assert isinstance(await kind.send(channel(centre.port, window=3), send()), Accepted)
    await centre.wait("unbind")
    assert len(await centre.wait("bind", 3)) == 3


async def test_the_centre_asks_and_is_answered(senders: Make, centre: SmsCentre) -> None:
    await senders().send(channel(centre.port), send())
    centre.tell("enquire_link")
    await centre.wait("enquire_link_resp")
    centre.tell("message")
    assert (await centre.wait("deliver_sm_resp", 2))[-1] == {"event": "deliver_sm_resp", "id": None, "status": 0}
    centre.tell("unbind")
    await centre.wait("unbind_resp")


async def test_the_centre_is_asked_when_it_is_silent(senders: Make, centre: SmsCentre) -> None:
    kind = senders(enquire_every=0.02)
    await kind.send(channel(centre.port), send())
    await centre.wait("enquire_link", 3)
    assert len(centre.of("connection")) == 1


async def test_a_worker_that_starts_listens(senders: Make, centre: SmsCentre) -> None:
    await senders().listen(channel(centre.port))
    await centre.wait("bind")
    await senders(connect_timeout=0.2).listen(channel(centre.port, systemId="silent"))


REFUSALS = [
    ("58", "0x58", Refusal.TEMPORARY),
    ("14", "0x14", Refusal.TEMPORARY),
    ("64", "0x64", Refusal.TEMPORARY),
    ("11", "0x0B", Refusal.PERMANENT),
    ("10", "0x0A", Refusal.PERMANENT),
    ("45", "0x45", Refusal.PERMANENT),
]


@pytest.mark.parametrize(("end", "code", "refusal"), REFUSALS)
async def test_refusals(senders: Make, centre: SmsCentre, end: str, code: str, refusal: Refusal) -> None:
    outcome = await senders().send(channel(centre.port), send(to=f"+791612345{end}"))
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.code, outcome.step) == (refusal, code, Step.SEND)
    assert outcome.retry_after == (1.0 if end == "58" else None)


async def test_a_centre_that_means_later(senders: Make, centre: SmsCentre) -> None:
    outcome = await senders().send(channel(centre.port, temporaryStatuses=[0x45]), send(to="+79161234545"))
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.TEMPORARY


async def test_a_later_part_that_is_throttled_is_offered_again(senders: Make, centre: SmsCentre) -> None:
    assert await senders().send(channel(centre.port), send("я" * 130, "+79161234557")) == Accepted("m2", parts=2)
    assert [one["header"][-1] for one in await centre.wait("submit", 3)] == [1, 2, 2]


async def test_a_later_part_that_is_refused(senders: Make, centre: SmsCentre) -> None:
    outcome = await senders().send(channel(centre.port), send("я" * 130, "+79161234556"))
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.code) == (Refusal.PERMANENT, "0x0B")
    assert "part 2 of 2" in outcome.reason


@pytest.mark.parametrize(("login", "code"), [({"password": "wrong"}, "0x0E"), ({"systemId": "nobody"}, "0x0F")])
async def test_a_login_that_is_refused(senders: Make, centre: SmsCentre, login: dict[str, str], code: str) -> None:
    outcome = await senders().send(channel(centre.port, **login), send())
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.step, outcome.code) == (Refusal.CONFIGURATION, Step.LOGIN, code)
    assert "systemId" in (outcome.hint or "")


@pytest.mark.parametrize("system_id", ["hangup", "silent"])
async def test_a_login_without_an_answer(senders: Make, centre: SmsCentre, system_id: str) -> None:
    outcome = await senders(connect_timeout=2).send(channel(centre.port, systemId=system_id), send())
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.step) == (Refusal.TEMPORARY, Step.CONNECT)
    assert "IP addresses" in (outcome.hint or "") or system_id == "silent"


@pytest.mark.parametrize("end", ["99", "98"])
async def test_a_submit_without_an_answer(senders: Make, centre: SmsCentre, end: str) -> None:
    outcome = await senders(timeout=2).send(channel(centre.port), send(to=f"+791612345{end}"))
    assert isinstance(outcome, Unknown)
    assert len(await centre.wait("submit")) == 1


async def test_the_link_is_lost_after_a_part(senders: Make, centre: SmsCentre) -> None:
    outcome = await senders().send(channel(centre.port), send("я" * 130, "+79161234599"))
    assert isinstance(outcome, Unknown)
    assert len(await centre.wait("submit")) == 1


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("97", Receipt(Delivery.DELIVERED, final=True, provider_id="m1")),
        (
            "96",
            Receipt(
                Delivery.UNDELIVERED,
                final=True,
                provider_id="m1",
                code="027",
                reason="the message cannot be delivered",
                refusal=Refusal.PERMANENT,
            ),
        ),
        ("94", Receipt(Delivery.DELIVERED, final=True, provider_id="m1")),
    ],
)
async def test_receipts(senders: Make, centre: SmsCentre, receipts: Receipts, end: str, expected: Receipt) -> None:
    assert await senders().send(channel(centre.port), send(to=f"+791612345{end}")) == Accepted("m1")
    assert await receipts.wait() == [expected]


async def test_receipts_of_a_long_text_that_overtake_the_answers(
    senders: Make, centre: SmsCentre, receipts: Receipts
) -> None:
    assert await senders().send(channel(centre.port), send("я" * 130, "+79161234597")) == Accepted("m2", parts=2)
    assert await receipts.wait() == [Receipt(Delivery.DELIVERED, final=True, provider_id="m2")]
    await centre.wait("deliver_sm_resp", 2)
    assert len(receipts.stored) == 1


async def test_ids_that_change_their_spelling(senders: Make, centre: SmsCentre, receipts: Receipts) -> None:
    outcome = await senders().send(channel(centre.port, receiptIds="decimal"), send(to="+79161234593"))
    assert outcome == Accepted(str(0xABC1))
    assert [one.provider_id for one in await receipts.wait()] == [str(0xABC1)]


async def test_a_receipt_that_cannot_be_stored_is_asked_for_again(
    senders: Make, centre: SmsCentre, receipts: Receipts
) -> None:
    receipts.away = 1
    kind = senders()
    await kind.send(channel(centre.port), send())
    assert [one["status"] for one in await centre.wait("deliver_sm_resp")] == [0x64]
    await kind.send(channel(centre.port), send())
    assert [one["status"] for one in await centre.wait("deliver_sm_resp", 2)] == [0x64, 0]


@pytest.mark.parametrize("text", ["STOP", "СТОП", "stop, please", "a" * 140])
async def test_what_people_write_is_handed_in(
    senders: Make, centre: SmsCentre, people: People, receipts: Receipts, text: str
) -> None:
    people.away = 1
    await senders().listen(channel(centre.port))
    centre.tell(f"person {text}")
    assert [one["status"] for one in await centre.wait("deliver_sm_resp")] == [0x64], "to be brought again"
    centre.tell(f"person {text}")
    await people.wait()
    assert people.wrote == [(9, "+79161234567", text)]
    assert receipts.stored == []
    assert [one["status"] for one in await centre.wait("deliver_sm_resp", 2)] == [0x64, 0]


async def test_what_became_of_a_message_can_be_asked(senders: Make, centre: SmsCentre) -> None:
    kind, where = senders(), channel(centre.port)
    assert await kind.inquire(where, send(), "m1") == Receipt(Delivery.DELIVERED, final=True, provider_id="m1")
    assert await kind.inquire(where, send(), None) is None
    assert await kind.inquire(channel(centre.port, password="wrong"), send(), "m1") is None


async def test_over_tls(senders: Make, control_port: int, authority: Authority) -> None:
    async with sms_centre(control_port, authority) as centre:
        where = channel(centre.port, useTls=True)
        assert await senders().send(where, send()) == Accepted("m1")
        outcome = await senders(trusting=False).send(where, send())
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.step) == (Refusal.CONFIGURATION, Step.TLS)
        assert "not trusted" in outcome.reason


async def test_tls_where_there_is_none(senders: Make, centre: SmsCentre) -> None:
    outcome = await senders(connect_timeout=0.5).send(channel(centre.port, useTls=True), send())
    assert isinstance(outcome, Refused)
    assert outcome.step in (Step.TLS, Step.CONNECT)
    assert "useTls" in (outcome.hint or "")


async def test_the_inside_is_out_of_reach(senders: Make, centre: SmsCentre) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        outcome = await senders(allowed="192.0.2.1").send(channel(centre.port, host=host), send())
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.step) == (Refusal.CONFIGURATION, Step.CONNECT)
    assert centre.of("connection") == []


async def test_nobody_listens(senders: Make, centre: SmsCentre) -> None:
    async with Peer(lambda connection: connection.gone()) as peer:
        port = peer.port
    outcome = await senders().send(channel(port), send())
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.step) == (Refusal.TEMPORARY, Step.CONNECT)


@pytest.mark.parametrize("to", [None, "", "anna", "+7916\0", "+79161234567890123"])
async def test_numbers_that_are_none(senders: Make, centre: SmsCentre, to: str | None) -> None:
    outcome = await senders().send(channel(centre.port), send(to=to))
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.step) == (Refusal.PERMANENT, Step.DESTINATION)


def answer(request: bytes, status: int = 0, body: bytes = b"x\0") -> bytes:
    command, _, sequence = struct.unpack(">III", request[4:16])
    return struct.pack(">IIII", 16 + len(body), command | 0x80000000, status, sequence) + body


async def pdu(connection: Connection) -> bytes:
    head = await connection.exactly(16)
    return head + await connection.exactly(struct.unpack(">I", head[:4])[0] - 16)


NOISE = [
    b"\0\0\0\x05" * 4,
    b"\xff" * 16,
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    struct.pack(">IIII", 16, 0x80000004, 0, 77),
]


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("step", ["bind", "submit"])
async def test_noise(senders: Make, noise: bytes, step: str) -> None:
    async def behave(connection: Connection) -> None:
        request = await pdu(connection)
        if step == "submit":
            await connection.send(answer(request))
            await pdu(connection)
        await connection.send(noise)
        if noise.startswith((b"\0\0\0\x05", b"\xff", b"HTTP")):
            await connection.gone()

    async with Peer(behave) as peer:
        outcome = await senders(timeout=5).send(channel(peer.port), send())
        assert isinstance(outcome, Unknown if step == "submit" else Refused)


async def test_receipts_of_any_content(senders: Make, receipts: Receipts) -> None:
    """A receipt that cannot be read is answered, and the session goes on."""
    answered: list[int] = []

    async def behave(connection: Connection) -> None:
        await connection.send(answer(await pdu(connection)))
        first = await pdu(connection)
        for sequence, body in enumerate([b"", b"\xff" * 40, b"\0" * 17, b"\0" * 16 + b"\xfe" + b"x"], start=1):
            await connection.send(struct.pack(">IIII", 16 + len(body), 0x05, 0, sequence) + body)
            answered.append(struct.unpack(">I", (await pdu(connection))[12:16])[0])
        await connection.send(answer(first))
        await connection.gone()

    async with Peer(behave) as peer:
        assert await senders().send(channel(peer.port), send()) == Accepted("x")
        assert answered == [1, 2, 3, 4]
        assert receipts.stored == []


async def test_a_dead_centre_is_noticed(senders: Make) -> None:
    """It no longer answers enquire_link: the session is given up, and what waits for an answer is unknown."""

    async def behave(connection: Connection) -> None:
        await connection.send(answer(await pdu(connection)))
        await connection.gone()

    async with Peer(behave) as peer:
        kind = senders(enquire_every=0.05, connect_timeout=1)
        assert isinstance(await kind.send(channel(peer.port), send()), Unknown)


async def test_the_window(senders: Make) -> None:
    """No more requests are unanswered than agreed; who finds no room in time was certainly not taken."""
    submitted, ended = asyncio.Event(), asyncio.Event()

    async def behave(connection: Connection) -> None:
        await connection.send(answer(await pdu(connection)))
        request = await pdu(connection)
        submitted.set()
        await ended.wait()
        await connection.send(answer(request))
        await connection.gone()

    async with Peer(behave) as peer:
        kind, where = senders(timeout=20), channel(peer.port, window=1)
        first = asyncio.ensure_future(kind.send(where, send()))
        await asyncio.wait_for(submitted.wait(), 30)
        kind._timeout = 0.05
        assert isinstance(await kind.send(where, send()), Refused)
        ended.set()
        assert await first == Accepted("x")


@pytest.mark.parametrize(
    ("message_id", "state", "text", "expected"),
    [
        ("a", 2, "", (Delivery.DELIVERED, True, "a", None)),
        ("a", 1, "", (Delivery.SENT, False, "a", None)),
        ("a", 7, "", (Delivery.SENT, False, "a", None)),
        ("a", 8, "", (Delivery.REJECTED, True, "a", None)),
        (None, None, "id:7 sub:001 dlvrd:000 stat:UNDELIV err:0C1 text:x", (Delivery.UNDELIVERED, True, "7", "0C1")),
        (None, None, "ID:7 STAT:DELIVRD ERR:000", (Delivery.DELIVERED, True, "7", None)),
        ("a", None, "id:7 stat:EXPIRED err:001", (Delivery.UNDELIVERED, True, "a", "001")),
        ("a", 2, "id:7 stat:EXPIRED err:000", (Delivery.DELIVERED, True, "a", None)),
    ],
)
def test_what_receipts_say(message_id: str | None, state: int | None, text: str, expected: tuple[Any, ...]) -> None:
    found = receipt(message_id, state, text)
    assert found is not None
    assert (found.delivery, found.final, found.provider_id, found.code) == expected


@pytest.mark.parametrize(
    ("message_id", "state", "text"), [(None, 2, ""), ("a", None, "hello"), ("a", 99, ""), (None, None, "stat:DELIVRD")]
)
def test_what_is_no_receipt(message_id: str | None, state: int | None, text: str) -> None:
    assert receipt(message_id, state, text) is None


COMPLETE = {"host": "smpp.example.com", "systemId": "u", "password": "p", "sourceAddress": "Gonets"}


def test_a_configuration_with_its_defaults(senders: Make) -> None:
    kind = senders()
    assert kind.check(COMPLETE | {"port": "2776"}) == COMPLETE | {
        "port": 2776,
        "useTls": False,
        "systemType": "",
        "serviceType": "",
        "addressRange": "",
        "destinationTon": 1,
        "destinationNpi": 1,
        "alphabet": "auto",
        "window": 10,
        "receiptIds": "same",
    }
    assert kind.secrets == {"password"}
    assert kind.check(kind.check(COMPLETE | {"temporaryStatuses": [69]}))["temporaryStatuses"] == [69]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"host": None}, "host"),
        ({"host": "smpp://smpp.example.com"}, "host"),
        ({"port": 70000}, "port"),
        ({"systemId": "x" * 65}, "systemId"),
        ({"systemId": "a\0b"}, "systemId"),
        ({"sourceAddress": "more than 11 letters"}, "sourceAddress"),
        ({"sourceAddress": "Гонец"}, "sourceAddress"),
        ({"sourceTon": 256}, "sourceTon"),
        ({"alphabet": "latin1"}, "alphabet"),
        ({"window": 0}, "window"),
        ({"systemType": "тип"}, "systemType"),
        ({"temporaryStatuses": ["0x45"]}, "temporaryStatuses.0"),
        ({"temporaryStatuses": [0]}, "temporaryStatuses"),
        ({"tls": True}, "tls"),
    ],
)
def test_configurations_that_are_wrong(senders: Make, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        senders().check(COMPLETE | changes)
    assert [name for name, _ in caught.value.wrong] == [f"configuration.{field}"]
