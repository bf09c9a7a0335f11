"""E-mail and SMS by mail, against aiosmtpd over TLS; and every step of the conversation cut, against a peer by hand."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from gonets.adapters.providers.egress import Egress
from gonets.adapters.providers.email import Email
from gonets.adapters.providers.sms_email_gateway import SmsEmailGateway
from gonets.adapters.providers.smtp import Mailer
from gonets.core.channels.egress import Allowance
from gonets.core.channels.model import (
    Accepted,
    Channel,
    ChannelType,
    Message,
    Refusal,
    Refused,
    Send,
    Step,
    Unknown,
)
from gonets.core.shared.errors import InvalidFields

from .conftest import Authority
from .mail_server import LOGIN, PASSWORD, mail_server
from .peer import Connection, Peer

NOW = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
Make = Callable[..., Mailer]


@pytest.fixture
async def mailers(authority: Authority) -> AsyncIterator[Make]:
    """Makes mailers that trust the test's authority, and may connect to this machine."""
    made: list[Mailer] = []

    def make(*, allowed: str = "localhost", trusting: bool = True, **options: Any) -> Mailer:
        context = ssl.create_default_context(cafile=str(authority.ca) if trusting else None)
        made.append(Mailer(Egress([Allowance.parse(allowed)]), lambda: context, **options))
        return made[-1]

    yield make
    for mailer in made:
        await mailer.close()


def channel(port: int, kind: ChannelType = ChannelType.EMAIL, **changes: Any) -> Channel:
    configuration = {
        "smtpHost": "localhost",
        "smtpPort": port,
        "username": "",
        "password": "",
        "fromEmail": "Гонец <gonets@example.com>",
        "useTls": True,
    } | changes
    return Channel(
        id=7, owner_id=1, name="mail", type=kind, configuration=configuration, created_at=NOW, updated_at=NOW
    )


def send(text: str = "Сервис недоступен", *, to: str | None = "anna@example.com", **about: Any) -> Send:
    return Send(message=Message(text, **about), to=to, reference="n-42-1")


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_letter_arrives_as_it_was_meant(mailers: Make, authority: Authority, implicit: bool) -> None:
    async with mail_server(authority.server(), implicit=implicit, auth_required=True) as server:
        kind = Email(mailers(), implicit_tls=(server.port,) if implicit else ())
        text = "Сервис «Магазин» недоступен 😀\n.точка в начале строки\n\nконец"
        outcome = await kind.send(
            channel(server.port, username=LOGIN, password=PASSWORD), send(text, subject="Внимание: " + "сбой " * 30)
        )
        assert outcome == Accepted("4F1A2")
        (mail,) = server.mails
        assert (mail.sender, mail.recipients) == ("gonets@example.com", ["anna@example.com"])
        assert mail.message.get_content().replace("\r\n", "\n").rstrip("\n") == text
        assert mail.message["Subject"] == "Внимание: " + "сбой " * 30
        assert mail.message["From"] == "Гонец <gonets@example.com>"
        assert mail.message["To"] == "anna@example.com"
        assert mail.message["Message-ID"] == "<n-42-1@example.com>"
        assert abs(parsedate_to_datetime(mail.message["Date"]) - datetime.now(UTC)) < timedelta(minutes=1)
        assert server.logins == ["PLAIN"]
        if not implicit:
            assert mail.session.ssl is not None


async def test_long_lines_and_plain_ascii(mailers: Make) -> None:
    async with mail_server() as server:
        kind = Email(mailers())
        for text in ("x" * 5000, ".\n..\n", "a\rb\r\nc", ""):
            assert isinstance(await kind.send(channel(server.port, useTls=False), send(text)), Accepted)
        found = [mail.message.get_content().replace("\r\n", "\n") for mail in server.mails]
        assert [text.rstrip("\n") for text in found] == ["x" * 5000, ".\n..", "a\nb\nc", ""]


async def test_addresses_in_other_letters(mailers: Make) -> None:
    async with mail_server() as server:
        kind = Email(mailers())
        for to in ("anna@пример.рф", "почта@пример.рф"):
            assert isinstance(await kind.send(channel(server.port, useTls=False), send(to=to)), Accepted)
        assert [mail.recipients for mail in server.mails] == [["anna@xn--e1afmkfd.xn--p1ai"], ["почта@пример.рф"]]
        assert server.mails[1].message.get_content().strip() == "Сервис недоступен"


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        (Message("x"), "Notification"),
        (Message("x", subject=""), ""),
        (Message("x", event={"serviceName": "Магазин", "status": "DOWN"}), "Магазин: DOWN"),
        (Message("x", event={"serviceName": "a\r\nBcc: b@c.d", "status": "DOWN"}), "a Bcc: b@c.d: DOWN"),
        (Message("x", event={"serviceName": 7, "status": "DOWN"}), "Notification"),
    ],
)
async def test_the_subject(mailers: Make, message: Message, subject: str) -> None:
    async with mail_server() as server:
        to = Send(message=message, to="anna@example.com", reference="r")
        assert isinstance(await Email(mailers()).send(channel(server.port, useTls=False), to), Accepted)
        assert server.mails[0].message["Subject"] == subject
        assert server.mails[0].message["Bcc"] is None


@pytest.mark.parametrize(
    ("about", "step"),
    [
        ({"subject": "a\r\nBcc: evil@example.com"}, Step.MESSAGE),
        ({"subject": "a\nb"}, Step.MESSAGE),
        ({"subject": "a\u2028b"}, Step.MESSAGE),
        ({"to": "anna@example.com\r\nRCPT TO:<evil@example.com>"}, Step.DESTINATION),
        ({"to": "anna@example.com>,<evil@example.com"}, Step.DESTINATION),
        ({"to": "a@example.com, b@example.com"}, Step.DESTINATION),
        ({"to": "anna"}, Step.DESTINATION),
        ({"to": None}, Step.DESTINATION),
    ],
)
async def test_nothing_becomes_a_header_or_a_command(mailers: Make, about: dict[str, Any], step: Step) -> None:
    async with mail_server() as server:
        outcome = await Email(mailers()).send(channel(server.port, useTls=False), send(**about))
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.step) == (Refusal.PERMANENT, step)
        assert server.connections == 0


async def test_connections_are_kept(mailers: Make, authority: Authority) -> None:
    async with mail_server(authority.server()) as server:
        kind = Email(mailers())
        where = channel(server.port, username=LOGIN, password=PASSWORD)
        for _ in range(5):
            assert isinstance(await kind.send(where, send()), Accepted)
        assert (server.connections, len(server.logins), len(server.mails)) == (1, 1, 5)
        await asyncio.gather(*(kind.send(where, send()) for _ in range(20)))
        assert len(server.mails) == 25
        assert server.connections <= 4


async def test_a_refusal_leaves_the_connection_fit(mailers: Make) -> None:
    async with mail_server() as server:
        kind, where = Email(mailers()), channel(server.port, useTls=False)
        server.refusals["gone@example.com"] = "550 5.1.1 No such user"
        for to in ("anna@example.com", "gone@example.com", "boris@example.com"):
            await kind.send(where, send(to=to))
        assert [mail.recipients for mail in server.mails] == [["anna@example.com"], ["boris@example.com"]]
        assert server.connections == 1


async def test_dead_connections_are_replaced(mailers: Make) -> None:
    async with mail_server() as server:
        # One is asked before it is used, the other is taken to be alive and turns out not to be.
        for seconds, connections in ((0.0, 2), (60.0, 4)):
            kind, where = Email(mailers(trusted=seconds or 1e-9)), channel(server.port, useTls=False)
            assert isinstance(await kind.send(where, send()), Accepted)
            server.hang_up()
            assert isinstance(await kind.send(where, send()), Accepted)
            assert server.connections == connections
        assert len(server.mails) == 4


async def test_idle_connections_are_closed(mailers: Make) -> None:
    async with mail_server() as server:
        mailer = mailers(idle=0.01)
        assert isinstance(await Email(mailer).send(channel(server.port, useTls=False), send()), Accepted)
        await asyncio.wait_for(server.left.wait(), 30)
        assert not mailer._lanes


REFUSALS = [
    ("450 4.2.1 Busy", Refusal.TEMPORARY, "450 4.2.1"),
    ("451 4.7.1 Greylisted, come back later", Refusal.TEMPORARY, "451 4.7.1"),
    ("452 4.2.2 Mailbox full", Refusal.TEMPORARY, "452 4.2.2"),
    ("421 4.3.2 Closing", Refusal.TEMPORARY, "421 4.3.2"),
    ("499 who knows", Refusal.TEMPORARY, "499"),
    ("550 5.1.1 No such user here", Refusal.PERMANENT, "550 5.1.1"),
    ("550 No such user here", Refusal.PERMANENT, "550"),
    ("550 5.4.5 Daily user sending limit exceeded", Refusal.TEMPORARY, "550 5.4.5"),
    ("553 5.1.3 Bad syntax", Refusal.PERMANENT, "553 5.1.3"),
    ("552 5.2.2 Full", Refusal.PERMANENT, "552 5.2.2"),
    ("554 5.7.1 Relay access denied", Refusal.PERMANENT, "554 5.7.1"),
    ("530 5.7.0 Must issue a STARTTLS command first", Refusal.CONFIGURATION, "530 5.7.0"),
    ("599 who knows", Refusal.PERMANENT, "599"),
]


@pytest.mark.parametrize(("answer", "refusal", "code"), REFUSALS)
@pytest.mark.parametrize("where", ["anna@example.com", "DATA"])
async def test_refusals(mailers: Make, answer: str, refusal: Refusal, code: str, where: str) -> None:
    async with mail_server() as server:
        server.refusals[where] = answer
        outcome = await Email(mailers()).send(channel(server.port, useTls=False), send())
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.code) == (refusal, code)
        assert answer.split(maxsplit=1)[1].removeprefix(code.partition(" ")[2]).strip() in outcome.reason
        assert server.mails == []


async def test_a_wrong_password_is_tried_once(mailers: Make, authority: Authority) -> None:
    async with mail_server(authority.server(), auth_required=True) as server:
        outcome = await Email(mailers()).send(channel(server.port, username=LOGIN, password="wrong-secret"), send())
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.step, outcome.code) == (Refusal.CONFIGURATION, Step.LOGIN, "535 5.7.8")
        assert outcome.hint is not None
        assert "app password" in outcome.hint
        assert "wrong-secret" not in outcome.reason
        assert server.logins == ["PLAIN"]


REPEATED = [b"s3cr3t-word", b64encode(b"s3cr3t-word"), b64encode(b"\0u\0s3cr3t-word"), b"x" * 250 + b" s3cr3t-word"]


@pytest.mark.parametrize("words", REPEATED)
async def test_a_server_that_repeats_the_password(mailers: Make, words: bytes) -> None:
    async def behave(connection: Connection) -> None:
        await connection.send(b"220 hi\r\n")
        await connection.received(b"\r\n")
        await connection.send(b"250-hi\r\n250 AUTH PLAIN\r\n")
        await connection.received(b"\r\n")
        await connection.send(b"535 5.7.8 bad password: AUTH PLAIN " + words + b"\r\n")
        await connection.gone()

    async with Peer(behave) as peer:
        where = channel(peer.port, useTls=False, username="u", password="s3cr3t-word")
        outcome = await Email(mailers()).send(where, send())
        assert isinstance(outcome, Refused)
        assert words[-11:].decode() not in repr(outcome)
        assert "s3cr" not in repr(outcome), "nor its beginning"


async def test_a_login_that_is_wanted_and_not_given(mailers: Make, authority: Authority) -> None:
    async with mail_server(authority.server(), auth_required=True) as server:
        outcome = await Email(mailers()).send(channel(server.port), send())
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.code) == (Refusal.CONFIGURATION, "530 5.7.0")


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_certificate_that_nobody_vouches_for(mailers: Make, authority: Authority, implicit: bool) -> None:
    async with mail_server(authority.server(), implicit=implicit) as server:
        kind = Email(mailers(trusting=False), implicit_tls=(server.port,) if implicit else ())
        outcome = await kind.send(channel(server.port), send())
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.step) == (Refusal.CONFIGURATION, Step.TLS)
        assert "not trusted: unable to get local issuer certificate" in outcome.reason
        assert outcome.hint is not None
        assert server.mails == []


async def test_a_certificate_for_another_name(mailers: Make, authority: Authority) -> None:
    async with mail_server(authority.server()) as server:
        kind = Email(mailers(allowed="127.0.0.0/8"))
        outcome = await kind.send(channel(server.port, smtpHost="127.0.0.1"), send())
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.step) == (Refusal.CONFIGURATION, Step.TLS)
        assert "127.0.0.1" in (outcome.hint or "")


async def test_tls_where_there_is_none(mailers: Make) -> None:
    async with mail_server() as server:
        for kind in (Email(mailers(), ()), Email(mailers(), (server.port,))):
            outcome = await kind.send(channel(server.port), send())
            assert isinstance(outcome, Refused)
            assert (outcome.refusal, outcome.step) == (Refusal.CONFIGURATION, Step.TLS)
            assert "465" in (outcome.hint or "")
        assert server.mails == []


async def test_plain_where_there_is_tls(mailers: Make, authority: Authority) -> None:
    async with mail_server(authority.server(), implicit=True) as server:
        kind = Email(mailers(connect_timeout=0.2), ())
        outcome = await kind.send(channel(server.port), send())
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.step) == (Refusal.TEMPORARY, Step.CONNECT)
        assert "465" in (outcome.hint or "")


async def test_the_inside_is_out_of_reach(mailers: Make) -> None:
    async with mail_server() as server:
        for host in ("localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433.", "localhost."):
            outcome = await Email(mailers(allowed="192.0.2.1")).send(
                channel(server.port, useTls=False, smtpHost=host), send()
            )
            assert isinstance(outcome, Refused), host
            assert (outcome.refusal, outcome.step) == (Refusal.CONFIGURATION, Step.CONNECT), host
        assert server.connections == 0


async def test_nobody_listens(mailers: Make) -> None:
    async with mail_server() as server:
        port = server.port
    outcome = await Email(mailers()).send(channel(port), send())
    assert isinstance(outcome, Refused)
    assert (outcome.refusal, outcome.step) == (Refusal.TEMPORARY, Step.CONNECT)


STEPS = [b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 ok\r\n"]
"""What a server says: greeting, EHLO, MAIL, RCPT, DATA, the final dot."""


def stopping_at(step: int, how: str) -> Callable[[Connection], Any]:
    """Follows the conversation, and in place of the answer number `step` does this."""

    async def behave(connection: Connection) -> None:
        for number, answer in enumerate(STEPS):
            if number > 0:
                await connection.received(b"\r\n.\r\n" if number == 5 else b"\r\n")
            if number == step:
                match how:
                    case "close":
                        connection.close()
                    case "reset":
                        connection.reset()
                    case "silence":
                        await connection.gone()
                    case "noise":
                        await connection.send(b"\xff\x00 no SMTP\r\n")
                        await connection.gone()
                    case "half":
                        await connection.send(answer[:3])
                        connection.close()
                return
            await connection.send(answer)
        await connection.gone()

    return behave


@pytest.mark.parametrize("how", ["close", "reset", "silence", "noise", "half"])
@pytest.mark.parametrize("step", range(len(STEPS)))
async def test_cut_at_every_step(mailers: Make, step: int, how: str) -> None:
    """Until the final dot it was certainly not taken; after it nobody knows."""
    async with Peer(stopping_at(step, how)) as peer:
        mailer = mailers(timeout=1.5 if how == "silence" else 10, connect_timeout=1 if how == "silence" else 5)
        outcome = await Email(mailer).send(channel(peer.port, useTls=False), send())
        if step == 5:
            assert isinstance(outcome, Unknown)
        else:
            assert isinstance(outcome, Refused)
            assert outcome.refusal is Refusal.TEMPORARY
        assert len(peer.connections) == 1


async def test_a_kept_connection_that_dies_after_the_final_dot(mailers: Make) -> None:
    """It is not sent again, though it was a kept one."""

    async def behave(connection: Connection) -> None:
        for number, answer in enumerate([*STEPS, *STEPS[2:5]]):
            if number > 0:
                await connection.received(b"\r\n.\r\n" if number == 5 else b"\r\n")
            await connection.send(answer)
        await connection.received(b"\r\n.\r\n")

    async with Peer(behave) as peer:
        kind, where = Email(mailers()), channel(peer.port, useTls=False)
        assert isinstance(await kind.send(where, send()), Accepted)
        assert isinstance(await kind.send(where, send()), Unknown)
        assert len(peer.connections) == 1


async def test_a_server_that_closes_a_kept_connection_with_a_word(mailers: Make) -> None:
    """421 in the place of an answer to MAIL: nothing was taken, so a new connection carries it."""

    async def behave(connection: Connection) -> None:
        for number, answer in enumerate(STEPS):
            if number > 0:
                await connection.received(b"\r\n.\r\n" if number == 5 else b"\r\n")
            await connection.send(answer)
        await connection.received(b"\r\n")
        await connection.send(b"421 4.4.2 idle for too long\r\n")

    async with Peer(behave) as peer:
        kind, where = Email(mailers()), channel(peer.port, useTls=False)
        assert isinstance(await kind.send(where, send()), Accepted)
        assert isinstance(await kind.send(where, send()), Accepted)
        assert len(peer.connections) == 2


async def test_no_connection_becomes_free_in_time(mailers: Make) -> None:
    handed_over = asyncio.Event()

    async def behave(connection: Connection) -> None:
        for answer in STEPS[:5]:
            if answer is not STEPS[0]:
                await connection.received(b"\r\n")
            await connection.send(answer)
        await connection.received(b"\r\n.\r\n")
        handed_over.set()
        await connection.gone()

    async with Peer(behave) as peer:
        mailer = mailers(timeout=20, connections=1)
        kind, where = Email(mailer), channel(peer.port, useTls=False)
        first = asyncio.ensure_future(kind.send(where, send()))
        await asyncio.wait_for(handed_over.wait(), 30)
        mailer.timeout = 0.05
        assert isinstance(await kind.send(where, send()), Refused)
        peer.connections[0].close()
        assert isinstance(await first, Unknown)


async def test_a_sender_who_is_not_wanted(mailers: Make) -> None:
    async def behave(connection: Connection) -> None:
        for answer in (*STEPS[:2], b"550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n"):
            if answer is not STEPS[0]:
                await connection.received(b"\r\n")
            await connection.send(answer)
        await connection.gone()

    async with Peer(behave) as peer:
        outcome = await Email(mailers()).send(channel(peer.port, useTls=False), send())
        assert isinstance(outcome, Refused)
        assert (outcome.refusal, outcome.step, outcome.code) == (Refusal.CONFIGURATION, Step.LOGIN, "550 5.7.60")
        assert "fromEmail" in (outcome.hint or "")


GATEWAY = ChannelType.SMS_EMAIL_GATEWAY


@pytest.mark.parametrize(
    ("configuration", "address"),
    [
        ({"gatewayDomain": "sms.example.com"}, "79161234567@sms.example.com"),
        ({"addressPattern": "+{phone}.acme@gate.example.com"}, "+79161234567.acme@gate.example.com"),
    ],
)
async def test_sms_by_mail(mailers: Make, configuration: dict[str, str], address: str) -> None:
    async with mail_server() as server:
        where = channel(server.port, GATEWAY, useTls=False, subject="ключ", **configuration)
        outcome = await SmsEmailGateway(mailers()).send(where, send("Привет, " * 20, to="+79161234567"))
        assert outcome == Accepted("4F1A2", parts=3)
        (mail,) = server.mails
        assert mail.recipients == [address]
        assert mail.message["Subject"] == "ключ"
        assert mail.message.get_content().strip() == ("Привет, " * 20).strip()


async def test_a_number_that_is_none(mailers: Make) -> None:
    async with mail_server() as server:
        where = channel(server.port, GATEWAY, useTls=False, gatewayDomain="sms.example.com")
        for to in (None, "+7916\r\nx", "7@evil.example.com,7"):
            outcome = await SmsEmailGateway(mailers()).send(where, send(to=to))
            assert isinstance(outcome, Refused)
            assert (outcome.refusal, outcome.step) == (Refusal.PERMANENT, Step.DESTINATION)
        assert server.connections == 0


def test_a_text_that_no_phone_joins(mailers: Make) -> None:
    kind = SmsEmailGateway(mailers())
    assert kind.problem("я" * 67 * 255) is None
    assert kind.problem("я" * (67 * 255 + 1)) is not None


COMPLETE = {
    "smtpHost": "smtp.example.com",
    "smtpPort": 587,
    "username": "u",
    "password": "p",
    "fromEmail": "a@example.com",
}


def test_a_configuration_with_its_defaults(mailers: Make) -> None:
    kind = Email(mailers())
    assert kind.check(COMPLETE | {"smtpPort": "465"}) == COMPLETE | {"smtpPort": 465, "useTls": True}
    assert kind.secrets == {"password"}
    assert kind.schema["required"] == ["smtpHost", "username", "password", "fromEmail"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"smtpHost": ""}, "smtpHost"),
        ({"smtpHost": "https://smtp.example.com"}, "smtpHost"),
        ({"smtpHost": None}, "smtpHost"),
        ({"smtpPort": 0}, "smtpPort"),
        ({"smtpPort": 65536}, "smtpPort"),
        ({"smtpPort": "smtp"}, "smtpPort"),
        ({"smtpPort": 587.5}, "smtpPort"),
        ({"smtpPort": True}, "smtpPort"),
        ({"fromEmail": "nobody"}, "fromEmail"),
        ({"fromEmail": "a@example.com\r\nBcc: b@example.com"}, "fromEmail"),
        ({"useTls": "yes"}, "useTls"),
        ({"password": ""}, "password"),
        ({"username": ""}, "username"),
        ({"username": "a\r\nb"}, "username"),
        ({"user": "x"}, "user"),
    ],
)
def test_configurations_that_are_wrong(mailers: Make, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        Email(mailers()).check(COMPLETE | changes)
    assert [name for name, _ in caught.value.wrong] == [f"configuration.{field}"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "gatewayDomain"),
        ({"gatewayDomain": "a b"}, "gatewayDomain"),
        ({"addressPattern": "phone@example.com"}, "addressPattern"),
        ({"addressPattern": "{phone}"}, "addressPattern"),
        ({"gatewayDomain": "a.example.com", "addressPattern": "{phone}@a.example.com"}, "addressPattern"),
    ],
)
def test_gateways_that_are_wrong(mailers: Make, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        SmsEmailGateway(mailers()).check(COMPLETE | changes)
    assert [name for name, _ in caught.value.wrong] == [f"configuration.{field}"]
