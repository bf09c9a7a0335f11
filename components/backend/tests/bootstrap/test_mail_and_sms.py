"""E-mail, SMS by mail and SMS by SMPP, from the REST door to the sandbox's inbox."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from sandbox.app import Sandbox
from sandbox.settings import Settings as SandboxSettings

URL = "/api/v1/notifications/channels"
FROM = {"username": "gonets", "password": "secret-password", "fromEmail": "Гонец <gonets@example.com>"}


@dataclass
class Playground:
    """The REST door, and the sandbox behind it."""

    http: httpx.AsyncClient
    sandbox: Sandbox
    control: httpx.AsyncClient

    async def tested(self, channel_type: str, configuration: dict[str, Any], **body: Any) -> dict[str, Any]:
        created = await self.http.post(URL, json={"name": "x", "type": channel_type, "configuration": configuration})
        assert created.status_code == 201, created.text
        tested = await self.http.post(f"{URL}/{created.json()['id']}/test", json=body or None)
        assert tested.status_code == 200, tested.text
        return tested.json()

    async def inbox(self) -> list[dict[str, Any]]:
        return (await self.control.get("/control/inbox")).json()["messages"]


@pytest.fixture
async def playground(container, monkeypatch, tmp_path, request) -> AsyncIterator[Playground]:
    sandbox = Sandbox(SandboxSettings(http_port=0, grpc_port=0, ca_file=str(tmp_path / "ca.pem")))
    await sandbox.start()
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("SANDBOX_HOST", "localhost")
    monkeypatch.setenv("TLS_CA_FILE", str(tmp_path / "ca.pem"))
    for name in ("http", "smtp", "smtps", "smpp"):
        monkeypatch.setenv(f"SANDBOX_{name.upper()}_PORT", str(getattr(sandbox, f"{name}_port")))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{sandbox.http_port}", timeout=30) as control:
        # The door reads the environment when it is first asked for something.
        yield Playground(request.getfixturevalue("door"), sandbox, control)
    await container.senders().close()
    await sandbox.stop()


@pytest.fixture
def door(container) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(container.app()), base_url="http://gonets")


@pytest.fixture
async def signed_in(playground: Playground) -> AsyncIterator[Playground]:
    answer = await playground.http.post(
        "/api/v1/auth/signup", json={"email": "anna@example.com", "password": "correct horse battery"}
    )
    playground.http.headers["Authorization"] = f"Bearer {answer.json()['accessToken']}"
    yield playground
    await playground.http.aclose()


@pytest.mark.parametrize(("port", "tls"), [("smtp_port", False), ("smtp_port", True), ("smtps_port", True)])
async def test_mail_goes_to_the_owner(signed_in: Playground, port: str, tls: bool) -> None:
    """Plain, with STARTTLS, and encrypted from the first byte, under the sandbox's own authority."""
    configuration = FROM | {"smtpHost": "localhost", "smtpPort": getattr(signed_in.sandbox, port), "useTls": tls}
    report = await signed_in.tested("EMAIL", configuration, message="Проверка: всё слышно 😀")
    assert report["success"], report
    [message] = await signed_in.inbox()
    assert (message["to"], message["sender"]) == ("anna@example.com", "Гонец <gonets@example.com>")
    assert message["text"] == "Проверка: всё слышно 😀"
    assert message["details"]["tls"] is tls


async def test_a_port_may_be_text(signed_in: Playground) -> None:
    configuration = FROM | {"smtpHost": "localhost", "smtpPort": str(signed_in.sandbox.smtp_port)}
    assert (await signed_in.tested("EMAIL", configuration))["success"]


async def test_a_wrong_password_is_explained(signed_in: Playground) -> None:
    configuration = FROM | {"smtpHost": "localhost", "smtpPort": signed_in.sandbox.smtp_port, "username": "unknown"}
    report = await signed_in.tested("EMAIL", configuration)
    assert (report["success"], report["step"], report["code"]) == (False, "login", "535 5.7.8")
    assert "app password" in report["hint"]
    assert "secret-password" not in str(report)


async def test_sms_by_mail(signed_in: Playground) -> None:
    configuration = FROM | {
        "smtpHost": "localhost",
        "smtpPort": signed_in.sandbox.smtp_port,
        "gatewayDomain": "sms.example.com",
    }
    report = await signed_in.tested("SMS_EMAIL_GATEWAY", configuration, to="8 916 123-45-67", message="я" * 80)
    assert report["success"], report
    [message] = await signed_in.inbox()
    assert (message["to"], message["text"]) == ("79161234567@sms.example.com", "я" * 80)
    assert message["details"]["parts"] == 2


async def test_sms_by_smpp(signed_in: Playground) -> None:
    configuration = {
        "host": "localhost",
        "port": signed_in.sandbox.smpp_port,
        "systemId": "gonets",
        "password": "secret",
        "sourceAddress": "Gonets",
    }
    text = "Сервис «Магазин» недоступен. " * 5
    report = await signed_in.tested("SMS_SMPP", configuration, to="+79161234567", message=text)
    assert report["success"], report
    assert report["providerId"] == "00000003"
    [message] = await signed_in.inbox()
    assert (message["to"], message["sender"], message["text"]) == ("+79161234567", "Gonets", text)
    assert message["details"]["parts"] == 3


async def test_a_login_that_the_centre_refuses(signed_in: Playground) -> None:
    configuration = {
        "host": "localhost",
        "port": signed_in.sandbox.smpp_port,
        "systemId": "unknown",
        "password": "secret",
        "sourceAddress": "Gonets",
    }
    report = await signed_in.tested("SMS_SMPP", configuration)
    assert (report["success"], report["step"], report["code"]) == (False, "login", "0x0F")
    assert "systemId" in report["hint"]
