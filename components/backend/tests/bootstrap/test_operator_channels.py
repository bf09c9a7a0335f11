"""The operator's channels, from variables to what may be sent by."""

import os

import pytest

from gonets import settings
from gonets.adapters.providers.egress import system_lookup
from gonets.bootstrap.channels import Senders, lookup, operator_channels
from gonets.core.channels.model import ChannelType
from gonets.settings.group import Group

SMTP = {"EMAIL_HOST": "smtp.example.com", "EMAIL_USERNAME": "u", "EMAIL_PASSWORD": "p w", "EMAIL_FROM": "a@example.com"}


@pytest.fixture
def env(monkeypatch):
    """Nothing but what a test sets."""
    for group in Group.__subclasses__():
        monkeypatch.setitem(group.model_config, "env_file", None)
    for name in os.environ:
        if name.startswith(("TELEGRAM_", "EMAIL_", "SMTP_", "SMSAERO_", "TWILIO_", "SMPP_", "SANDBOX_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ENVIRONMENT", "test")

    def set_variables(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


def _operator():
    found = settings.load()
    return operator_channels(Senders(found).kinds, found)


def test_without_variables_there_are_none_outside_of_development(env):
    assert _operator() == {}


def test_what_is_set_makes_a_channel(env):
    env(TELEGRAM_BOT_TOKEN="1:abc", TWILIO_ACCOUNT_SID="AC1", TWILIO_AUTH_TOKEN="t", TWILIO_FROM="+15005550006", **SMTP)
    found = _operator()
    assert found.keys() == {ChannelType.TELEGRAM, ChannelType.EMAIL, ChannelType.SMS_TWILIO}
    assert found[ChannelType.TELEGRAM].configuration == {"botToken": "1:abc"}
    assert found[ChannelType.SMS_TWILIO].configuration["from"] == "+15005550006"
    email = found[ChannelType.EMAIL]
    assert (email.id, email.owner_id, email.enabled, email.is_default) == (0, None, True, False)
    assert email.configuration == {
        "smtpHost": "smtp.example.com",
        "smtpPort": 587,
        "username": "u",
        "password": "p w",
        "fromEmail": "a@example.com",
        "useTls": True,
    }
    assert "p w" not in repr(email)


def test_a_mail_server_may_ask_nobody_who_they_are(env):
    env(EMAIL_HOST="relay.example.com", EMAIL_FROM="a@example.com", EMAIL_USE_TLS="false", EMAIL_PORT="25")
    assert _operator()[ChannelType.EMAIL].configuration["useTls"] is False


def test_a_gateway_makes_sms_of_mails(env):
    names = {name.replace("EMAIL", "SMTP"): value for name, value in SMTP.items()}
    env(SMTP_GATEWAY_DOMAIN="sms.example.com", **names)
    assert _operator()[ChannelType.SMS_EMAIL_GATEWAY].configuration["gatewayDomain"] == "sms.example.com"


def test_what_cannot_work_ends_the_process_and_names_the_variables(env):
    env(EMAIL_HOST="smtp.example.com", EMAIL_FROM="nobody", TWILIO_ACCOUNT_SID="AC1", TWILIO_AUTH_TOKEN="a-secret")
    with pytest.raises(SystemExit) as end:
        _operator()
    assert [line.split(":")[0] for line in str(end.value).splitlines()] == ["EMAIL_FROM", "TWILIO_FROM"]
    assert "a-secret" not in str(end.value)


def test_in_development_the_sandbox_plays_all_that_is_not_set(env):
    env(ENVIRONMENT="development", SANDBOX_HTTP_PORT="7070", TWILIO_ACCOUNT_SID="AC1", TWILIO_AUTH_TOKEN="t")
    env(TWILIO_FROM="Shop")
    found = settings.load()
    assert found.telegram.api_url == "http://localhost:7070/telegram"
    assert found.twilio.api_url == "https://api.twilio.com", "whose account is real"
    operator = operator_channels(Senders(found).kinds, found)
    assert {ChannelType.TELEGRAM, ChannelType.SMS_TWILIO, ChannelType.SMS_SMSAERO} <= operator.keys()
    assert operator[ChannelType.SMS_TWILIO].configuration["accountSid"] == "AC1"


async def test_where_the_sandbox_has_a_host_of_its_own_localhost_on_its_ports_means_it(env):
    env(ENVIRONMENT="development", SANDBOX_HOST="127.0.0.7", SANDBOX_SMTP_PORT="7025")
    look_up = lookup(settings.load())
    assert [await look_up(host, 7025) for host in ("localhost", "LOCALHOST")] == [["127.0.0.7"]] * 2
    assert "127.0.0.7" not in await look_up("localhost", 5432)
    assert await look_up("127.0.0.9", 7025) == ["127.0.0.9"]


@pytest.mark.parametrize(
    "variables", [{"ENVIRONMENT": "test", "SANDBOX_HOST": "127.0.0.7"}, {"ENVIRONMENT": "development"}]
)
async def test_anywhere_else_names_mean_what_the_system_says(env, variables):
    env(**variables)
    assert lookup(settings.load()) is system_lookup


def test_smpp_by_tls(env):
    env(SMPP_HOST="smpp.example.com", SMPP_SYSTEM_ID="a", SMPP_PASSWORD="b", SMPP_SOURCE_ADDRESS="Shop")
    assert _operator()[ChannelType.SMS_SMPP].configuration["useTls"] is False
    env(SMPP_USE_TLS="true")
    assert _operator()[ChannelType.SMS_SMPP].configuration["useTls"] is True
