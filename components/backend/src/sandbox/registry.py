"""The providers played here, one row each."""

from typing import Any

from sandbox.dadata.provider import Dadata
from sandbox.provider import Desk, Provider
from sandbox.sms_gateway.provider import SmsGateway
from sandbox.yandexgpt.provider import YandexGpt

NAMES = (Dadata.name, YandexGpt.name, SmsGateway.name)


def providers(desk: Desk, grpc_address: str) -> tuple[Provider[Any], ...]:
    return (
        Dadata(desk),
        YandexGpt(desk, grpc_address),
        SmsGateway(desk),
    )
