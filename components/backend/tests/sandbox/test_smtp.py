"""The sandbox's mail server, spoken to by Python's own smtplib."""

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest


def letter(to: str = "anna@example.com", text: str = "Привет, мир\n.точка") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Гонец <gonets@example.com>"
    message["To"] = to
    message["Subject"] = "Тема"
    message.set_content(text)
    return message


@pytest.fixture
def trust(sandbox) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=sandbox.running.authority.pem.decode())


Work = Callable[[smtplib.SMTP], Any]


async def with_server(port: int, work: Work) -> Any:
    def run() -> Any:
        with smtplib.SMTP("localhost", port, timeout=30) as client:
            return work(client)

    return await asyncio.to_thread(run)


async def inbox(sandbox) -> list[dict[str, Any]]:
    return (await sandbox.http.get("/control/inbox", params={"provider": "smtp"})).json()["messages"]


async def test_a_letter_is_shown_as_its_receiver_sees_it(sandbox):
    await with_server(sandbox.running.smtp_port, lambda client: client.send_message(letter()))
    (message,) = await inbox(sandbox)
    assert (message["to"], message["sender"]) == ("anna@example.com", "Гонец <gonets@example.com>")
    assert (message["subject"], message["text"]) == ("Тема", "Привет, мир\n.точка")
    assert message["details"]["tls"] is False
    page = (await sandbox.http.get("/inbox")).text
    assert "Привет, мир" in page
    assert (await sandbox.count(provider="smtp"))["by_operation"] == {"connect": 1, "recipient": 1, "message": 1}


async def test_starttls_with_a_login(sandbox, trust):
    def work(client: smtplib.SMTP) -> None:
        client.starttls(context=trust)
        client.login("anybody", "anything")
        client.send_message(letter())

    await with_server(sandbox.running.smtp_port, work)
    assert (await inbox(sandbox))[0]["details"]["tls"] is True


async def test_tls_from_the_first_byte(sandbox, trust):
    def run() -> None:
        with smtplib.SMTP_SSL("localhost", sandbox.running.smtps_port, context=trust, timeout=30) as client:
            client.send_message(letter())

    await asyncio.to_thread(run)
    assert (await inbox(sandbox))[0]["details"]["tls"] is True


async def test_its_authority_can_be_fetched(sandbox):
    pem = (await sandbox.http.get("/ca.pem")).text
    assert pem.startswith("-----BEGIN CERTIFICATE-----")
    assert pem == sandbox.running.authority.pem.decode()


@pytest.mark.parametrize(("start", "code"), [("unknown", 550), ("full", 452), ("busy", 450), ("later", 451)])
async def test_addresses_that_are_refused(sandbox, start, code):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        await with_server(sandbox.running.smtp_port, lambda client: client.send_message(letter(f"{start}@example.com")))
    assert caught.value.recipients[f"{start}@example.com"][0] == code
    assert await inbox(sandbox) == []


async def test_logins_that_are_refused(sandbox):
    await sandbox.settings("smtp", login="gonets", password="right")
    for login, password in (("unknown", "right"), ("gonets", "wrong")):
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            await with_server(sandbox.running.smtp_port, lambda client, pair=(login, password): client.login(*pair))
        assert caught.value.smtp_code == 535
    await with_server(sandbox.running.smtp_port, lambda client: client.login("gonets", "right"))


FAULTS = [
    ("recipient", {"kind": "status", "status": 451}, smtplib.SMTPRecipientsRefused, False),
    ("message", {"kind": "status", "status": 554}, smtplib.SMTPDataError, False),
    ("message", {"kind": "429"}, smtplib.SMTPDataError, False),
    ("message", {"kind": "reset"}, (smtplib.SMTPServerDisconnected, ConnectionResetError), True),
    ("message", {"kind": "reset_before"}, (smtplib.SMTPServerDisconnected, ConnectionResetError), False),
    ("message", {"kind": "truncated"}, smtplib.SMTPException, True),
    ("message", {"kind": "garbage"}, smtplib.SMTPException, True),
    ("message", {"kind": "wrong_json"}, smtplib.SMTPDataError, True),
    ("connect", {"kind": "reset"}, (OSError, smtplib.SMTPException), False),
    ("login", {"kind": "status", "status": 454}, smtplib.SMTPAuthenticationError, False),
]


@pytest.mark.parametrize(("operation", "fault", "error", "taken"), FAULTS)
async def test_faults(sandbox, operation, fault, error, taken):
    await sandbox.fault("smtp", operation=operation, **fault)

    def work(client: smtplib.SMTP) -> None:
        if operation == "login":
            client.login("a", "b")
        client.send_message(letter())

    with pytest.raises(error):
        await with_server(sandbox.running.smtp_port, work)
    assert len(await inbox(sandbox)) == int(taken)
    assert (await sandbox.count(provider="smtp", outcome="faulted"))["total"] >= 1


async def test_a_call_that_hangs_is_let_go(sandbox, until):
    await sandbox.fault("smtp", operation="message", kind="hang")
    sending = asyncio.ensure_future(
        with_server(sandbox.running.smtp_port, lambda client: client.send_message(letter()))
    )

    async def arrived() -> bool:
        return len(await inbox(sandbox)) == 1

    await until(arrived)
    await sandbox.http.delete("/control/faults")
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
        await sending
