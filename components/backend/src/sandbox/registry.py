"""The providers played here, one row each."""

from typing import Any

from sandbox.dadata.provider import Dadata
from sandbox.provider import Desk, Provider
from sandbox.python_bot import PythonBot
from sandbox.slack import Slack
from sandbox.smpp import Smpp
from sandbox.sms_gateway.provider import SmsGateway
from sandbox.smsaero import SmsAero
from sandbox.smtp import Smtp
from sandbox.telegram import Telegram
from sandbox.twilio import Twilio
from sandbox.webhook import Webhook
from sandbox.yandexgpt.provider import YandexGpt

NAMES = (
    Dadata.name,
    YandexGpt.name,
    SmsGateway.name,
    Telegram.name,
    Slack.name,
    Webhook.name,
    PythonBot.name,
    Twilio.name,
    SmsAero.name,
    Smtp.name,
    Smpp.name,
)


def providers(desk: Desk, grpc_address: str) -> tuple[Provider[Any], ...]:
    return (
        Dadata(desk),
        YandexGpt(desk, grpc_address),
        SmsGateway(desk),
        Telegram(desk),
        Slack(desk),
        Webhook(desk),
        PythonBot(desk),
        Twilio(desk),
        SmsAero(desk),
        Smtp(desk),
        Smpp(desk),
    )
