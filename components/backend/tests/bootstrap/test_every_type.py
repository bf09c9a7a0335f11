"""Every type of channel from the REST door to the sandbox's inbox, by the protocol that it really speaks."""

from collections.abc import AsyncIterator

import httpx
import jsonschema
import pytest

from sandbox.app import Sandbox
from sandbox.settings import Settings as SandboxSettings

URL = "/api/v1/notifications/channels"


@pytest.fixture
async def inbox(container, monkeypatch) -> AsyncIterator[httpx.AsyncClient]:
    """A sandbox, and the door made for it: nothing else is configured."""
    sandbox = Sandbox(SandboxSettings(http_port=0, grpc_port=0))
    await sandbox.start()
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("SANDBOX_HOST", "127.0.0.1")
    monkeypatch.setenv("SANDBOX_HTTP_PORT", str(sandbox.http_port))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{sandbox.http_port}", timeout=30) as client:
        yield client
    await container.senders().close()
    await sandbox.stop()


async def _tested(http, inbox, channel_type, configuration, **body):
    """The message as its receiver sees it."""
    created = await http.post(URL, json={"name": "x", "type": channel_type, "configuration": configuration})
    assert created.status_code == 201, created.text
    tested = await http.post(f"{URL}/{created.json()['id']}/test", json=body or None)
    assert tested.json()["success"], tested.text
    [message] = (await inbox.get("/control/inbox")).json()["messages"]
    return message


CHANNELS = {
    "TELEGRAM": ({"botToken": "123456789:AAExample", "chatId": "987654321"}, "987654321"),
    "SLACK": ({"webhookUrl": "https://hooks.slack.com/services/T0/B0/XXX", "channel": "#alerts"}, "#alerts"),
    "SMS_TWILIO": ({"accountSid": "AC" + "a" * 32, "authToken": "t", "from": "+15005550006"}, "+15005550006"),
    "SMS_SMSAERO": ({"email": "you@example.com", "apiKey": "k"}, "+15005550006"),
}


@pytest.mark.parametrize("channel_type", CHANNELS)
async def test_a_test_without_a_body_arrives(inbox, http, channel_type):
    configuration, to = CHANNELS[channel_type]
    message = await _tested(http, inbox, channel_type, configuration)
    assert message["to"] == to
    assert "Gonets" in message["text"]


@pytest.mark.parametrize("channel_type", CHANNELS)
async def test_a_test_arrives_as_it_was_written(inbox, http, channel_type):
    message = await _tested(http, inbox, channel_type, CHANNELS[channel_type][0], message="Тревога! <b>&amp; 1")
    assert message["text"] == "Тревога! <b>&amp; 1"


async def test_a_number_as_a_person_types_it(inbox, http):
    message = await _tested(http, inbox, "SMS_TWILIO", CHANNELS["SMS_TWILIO"][0], to="8 (912) 345-67-89", message="1")
    assert message["to"] == "+79123456789"


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_webhook_gets_the_documented_payload(inbox, http, method):
    url = f"{inbox.base_url}/webhook/alerts"
    configuration = {"url": url, "method": method, "headers": {"X-Team": "night shift"}, "timeout": 5}
    message = await _tested(http, inbox, "WEBHOOK", configuration, message="Тест", username="ivan")
    payload = message["details"]["payload"]
    assert payload.pop("timestamp").endswith("Z")
    assert payload == {
        "username": "ivan",
        "serviceName": "Gonets",
        "serviceUrl": "",
        "status": "UP",
        "severity": "INFO",
        "message": "Тест",
        "metadata": {},
    }
    assert message["details"]["method"] == method


async def test_a_python_bot_gets_the_documented_payload(inbox, http):
    configuration = {"botUrl": f"{inbox.base_url}/bot"}
    message = await _tested(http, inbox, "PYTHON_BOT", configuration, message="Тест", username="ivan")
    assert {"username": "ivan", "message": "Тест"}.items() <= message["details"].items()


@pytest.mark.parametrize("channel_type", ["WEBHOOK", "PYTHON_BOT"])
async def test_who_is_called_by_address_is_tested_without_a_body_too(inbox, http, channel_type):
    at = {"WEBHOOK": {"url": f"{inbox.base_url}/webhook/x"}, "PYTHON_BOT": {"botUrl": f"{inbox.base_url}/bot"}}
    message = await _tested(http, inbox, channel_type, at[channel_type])
    assert "Gonets" in message["text"]


MAIL = {"smtpHost": "mail.example.com", "username": "anna", "password": "p", "fromEmail": "anna@example.com"}
ELSEWHERE = [
    *(("EMAIL", MAIL, moved) for moved in ({"smtpHost": "x.example.com"}, {"smtpPort": 25}, {"useTls": False})),
    ("SMS_EMAIL_GATEWAY", MAIL | {"gatewayDomain": "sms.example.com"}, {"smtpHost": "x.example.com"}),
    *(
        ("SMS_SMPP", {"host": "smpp.example.com", "systemId": "x", "password": "p", "sourceAddress": "Gonets"}, moved)
        for moved in ({"host": "x.example.com"}, {"port": 2776}, {"useTls": True})
    ),
    ("WEBHOOK", {"url": "https://example.com/a", "secret": "p"}, {"url": "https://example.com/b"}),
]


@pytest.mark.parametrize(("channel_type", "configuration", "moved"), ELSEWHERE)
async def test_none_tells_its_secret_to_another_place(http, channel_type, configuration, moved):
    created = await http.post(URL, json={"name": "x", "type": channel_type, "configuration": configuration})
    assert created.status_code == 201, created.text
    answer = await http.patch(f"{URL}/{created.json()['id']}", json={"configuration": moved})
    secret = "secret" if channel_type == "WEBHOOK" else "password"
    assert answer.json()["errors"] == [
        {"field": f"configuration.{secret}", "reason": f"must be given again, because {next(iter(moved))} changes"}
    ]
    given = await http.patch(f"{URL}/{created.json()['id']}", json={"configuration": {secret: "p", **moved}})
    assert given.status_code == 200, given.text


async def test_every_type_is_described_by_a_schema_that_takes_what_works(inbox, http):
    types = {one["type"]: one["schema"] for one in (await http.get(f"{URL}/types")).json()["types"]}
    assert CHANNELS.keys() | {"WEBHOOK", "PYTHON_BOT", "EMAIL", "SMS_EMAIL_GATEWAY"} <= types.keys()
    for channel_type, (configuration, _) in CHANNELS.items():
        jsonschema.Draft202012Validator(types[channel_type]).validate(configuration)


@pytest.mark.parametrize(
    ("channel_type", "configuration", "step", "words"),
    [
        ("TELEGRAM", {"botToken": "1:unknown", "chatId": "1"}, "login", "botToken"),
        ("TELEGRAM", {"botToken": "1:secret-token", "chatId": "404404"}, "send", "Start"),
        ("SMS_SMSAERO", {"email": "you@example.com", "apiKey": "unknown"}, "login", "apiKey"),
        ("WEBHOOK", {"url": "http://127.0.0.1:1/"}, "connect", "EGRESS_ALLOWED"),
        ("PYTHON_BOT", {"botUrl": "http://169.254.169.254/"}, "connect", "EGRESS_ALLOWED"),
    ],
)
async def test_a_test_that_fails_says_the_step_and_what_to_try(inbox, http, channel_type, configuration, step, words):
    created = await http.post(URL, json={"name": "x", "type": channel_type, "configuration": configuration})
    answer = (await http.post(f"{URL}/{created.json()['id']}/test")).json()
    assert (answer["success"], answer["step"]) == (False, step), answer
    assert answer["reason"]
    assert words in answer["hint"]
    assert "secret-token" not in str(answer)
    assert (await inbox.get("/control/inbox")).json()["messages"] == []
