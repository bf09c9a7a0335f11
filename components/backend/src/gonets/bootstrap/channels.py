"""Channels, put together: for the API, the worker and the command line. A type of channel is known by a line here."""

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from gonets.adapters.crypto.vault import AesVault
from gonets.adapters.postgres.audit import PostgresAudit
from gonets.adapters.postgres.channels import PostgresChannels
from gonets.adapters.postgres.chat_links import PostgresChatLinks
from gonets.adapters.postgres.identity import PostgresUsers
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.providers.egress import Egress, Lookup, system_lookup
from gonets.adapters.providers.email import IMPLICIT_TLS, Email
from gonets.adapters.providers.python_bot import PythonBot
from gonets.adapters.providers.simulated import Report, Simulated, SmsFiles
from gonets.adapters.providers.slack import Slack
from gonets.adapters.providers.smpp import Smpp
from gonets.adapters.providers.sms_email_gateway import SmsEmailGateway
from gonets.adapters.providers.smsaero import SmsAero
from gonets.adapters.providers.smtp import Mailer
from gonets.adapters.providers.telegram import Telegram
from gonets.adapters.providers.telegram_updates import TelegramBots
from gonets.adapters.providers.transport import HttpTransport
from gonets.adapters.providers.trust import Trust
from gonets.adapters.providers.twilio import Twilio
from gonets.adapters.providers.webhook import Webhook
from gonets.bootstrap.identity import AuditOf
from gonets.core.channels.linking import Bots, FollowStarts, LinkChat
from gonets.core.channels.model import Address, Channel, ChannelType, Incoming, Receipt
from gonets.core.channels.ports import (
    ChannelKind,
    ChannelKinds,
    ChannelsOf,
    ChannelStore,
    IncomingSink,
    OperatorChannels,
    Phone,
    ReceiptSink,
)
from gonets.core.channels.self_tests import Count, SelfTests
from gonets.core.channels.use_cases import ManageChannels, TryChannel, UseChannels
from gonets.core.shared.errors import InvalidFields, Unavailable
from gonets.core.shared.json import JSON
from gonets.settings import Settings

_CONNECTING = 5.0  # seconds
_HERE = {"localhost", "127.0.0.1", "::1"}


async def nobody_listens(channel_id: int, receipt: Receipt) -> None:  # noqa: ARG001
    """Where receipts are not stored, they are to come again, to somebody who does."""
    raise Unavailable("receipts are not stored here")


async def nobody_reads(channel_id: int, channel_type: ChannelType, incoming: Incoming) -> None:  # noqa: ARG001
    """Where answers are not heeded, they are to come again, to somebody who does."""
    raise Unavailable("answers are not heeded here")


def lookup(settings: Settings) -> Lookup:
    """In development, where the sandbox has a host of its own (a container), `localhost` on its ports means it, as it
    does for whoever reads the guide on the machine around."""
    sandbox = settings.sandbox
    if not settings.is_development or sandbox.host in _HERE:
        return system_lookup

    async def look_up(host: str, port: int) -> Sequence[str]:
        meant = host.lower() == "localhost" and port in sandbox.typed_ports
        return await system_lookup(sandbox.host if meant else host, port)

    return look_up


async def nobody_is_told(reference: str, receipt: Receipt) -> None:
    """Where nothing is sent nothing is reported."""


def _in_its_place(kind: ChannelKind, report: Report, settings: Settings) -> ChannelKind:
    """What stands for a kind where somebody tries things out; the kind itself everywhere else."""
    if settings.is_test and settings.channels.simulated:
        return Simulated(kind, report, random.Random())  # noqa: S311 - which one fails is no secret
    if settings.is_development and settings.channels.sms_directory and kind.address is Address.PHONE:
        return cast(ChannelKind, SmsFiles(kind, Path(settings.channels.sms_directory)))
    return kind


class Senders:
    """Every type of channel that this installation has, and the connections behind them. `on_receipt`, `on_incoming`:
    where receipts and answers go that come by a connection of ours; `report`: those of what is only simulated."""

    def __init__(
        self,
        settings: Settings,
        on_receipt: ReceiptSink = nobody_listens,
        on_incoming: IncomingSink = nobody_reads,
        report: Report = nobody_is_told,
    ) -> None:
        self.egress = Egress(settings.egress.allowances, lookup(settings))
        # Where users typed the address; and where only an operator can choose it.
        self._typed = HttpTransport(timeout=30, connect_timeout=_CONNECTING, egress=self.egress)
        self._chosen = HttpTransport(timeout=30, connect_timeout=_CONNECTING)
        trust = Trust(settings.tls.ca_file)
        implicit = {IMPLICIT_TLS, settings.sandbox.smtps_port} if settings.is_development else {IMPLICIT_TLS}
        self._mailer = Mailer(self.egress, trust)
        self.smpp = Smpp(self.egress, trust, on_receipt, on_incoming)
        known: list[ChannelKind] = [
            Telegram(self._chosen, settings.telegram.api_url),
            Email(self._mailer, implicit),
            Slack(self._typed, settings.slack.api_url),
            Webhook(self._typed),
            PythonBot(self._typed),
            Twilio(self._chosen, settings.twilio.api_url),
            SmsAero(self._chosen, settings.smsaero.api_url),
            SmsEmailGateway(self._mailer, implicit),
            self.smpp,
        ]
        self.bots = TelegramBots(self._chosen, settings.telegram.api_url)
        self.kinds: ChannelKinds = {kind.type: _in_its_place(kind, report, settings) for kind in known}

    async def close(self) -> None:
        await self._typed.close()
        await self._chosen.close()
        await self._mailer.close()
        await self.smpp.close()


def store(pool: Pool, kinds: ChannelKinds, settings: Settings) -> PostgresChannels:
    secrets = {kind.type: kind.secrets for kind in kinds.values()}
    return PostgresChannels(pool, AesVault(settings.secret_keys.by_name), secrets)


def try_channel(channels: ManageChannels, pool: Pool, phone: Phone, settings: Settings) -> TryChannel:
    return TryChannel(channels, _Mailbox(PostgresUsers(pool)), phone, settings.channels.test_phone or None)


def self_tests(
    pool: Pool, kept: ChannelStore, senders: Senders, phone: Phone, settings: Settings, count: Count
) -> SelfTests:
    """For the scheduler, where nobody asks for a test."""
    manage = ManageChannels(kept, senders.kinds, AuditOf(PostgresAudit(pool), "channel"))
    return SelfTests(kept, try_channel(manage, pool, phone, settings), count)


def use(kept: ChannelStore, kinds: ChannelKinds, settings: Settings) -> UseChannels:
    """What those who send ask."""
    return UseChannels(kept, kinds, operator_channels(kinds, settings))


def link_chat(pool: Pool, channels: ChannelsOf, bots: Bots) -> LinkChat:
    return LinkChat(channels, bots, PostgresChatLinks(pool), _now)


def follow_starts(pool: Pool, senders: Senders, settings: Settings) -> FollowStarts:
    channels = use(store(pool, senders.kinds, settings), senders.kinds, settings)
    return FollowStarts(channels, senders.bots, PostgresChatLinks(pool), _now)


def _now() -> datetime:
    return datetime.now(UTC)


# Of each key: which variable sets it. Without the first one there is no such channel.
_VARIABLES: Mapping[ChannelType, Mapping[str, str]] = {
    ChannelType.TELEGRAM: {"botToken": "TELEGRAM_BOT_TOKEN"},
    ChannelType.EMAIL: {
        "smtpHost": "EMAIL_HOST",
        "smtpPort": "EMAIL_PORT",
        "username": "EMAIL_USERNAME",
        "password": "EMAIL_PASSWORD",
        "fromEmail": "EMAIL_FROM",
        "useTls": "EMAIL_USE_TLS",
    },
    ChannelType.SMS_TWILIO: {
        "accountSid": "TWILIO_ACCOUNT_SID",
        "authToken": "TWILIO_AUTH_TOKEN",
        "from": "TWILIO_FROM",
        "messagingServiceSid": "TWILIO_MESSAGING_SERVICE_SID",
    },
    ChannelType.SMS_SMSAERO: {
        "email": "SMSAERO_EMAIL",
        "apiKey": "SMSAERO_API_KEY",
        "sign": "SMSAERO_SIGN",
    },
    ChannelType.SMS_EMAIL_GATEWAY: {
        "smtpHost": "SMTP_HOST",
        "smtpPort": "SMTP_PORT",
        "username": "SMTP_USERNAME",
        "password": "SMTP_PASSWORD",
        "fromEmail": "SMTP_FROM",
        "useTls": "SMTP_USE_TLS",
        "gatewayDomain": "SMTP_GATEWAY_DOMAIN",
    },
    ChannelType.SMS_SMPP: {
        "host": "SMPP_HOST",
        "port": "SMPP_PORT",
        "systemId": "SMPP_SYSTEM_ID",
        "password": "SMPP_PASSWORD",
        "sourceAddress": "SMPP_SOURCE_ADDRESS",
        "useTls": "SMPP_USE_TLS",
    },
}


def operator_channels(kinds: ChannelKinds, settings: Settings) -> OperatorChannels:
    """What the environment configures. Ends the process where that cannot work, naming the variables."""
    values = settings.variables
    now = _now()
    found: dict[ChannelType, Channel] = {}
    wrong: list[str] = []
    for channel_type, variables in _VARIABLES.items():
        given: dict[str, JSON] = {key: values[name] for key, name in variables.items() if values[name] != ""}
        if channel_type not in kinds or next(iter(variables)) not in given:
            continue
        try:
            configuration = kinds[channel_type].check({**dict.fromkeys(_MAY_BE_EMPTY & variables.keys(), ""), **given})
        except InvalidFields as error:
            wrong += [_line(variables, field, reason) for field, reason in error.wrong]
            continue
        found[channel_type] = Channel(
            id=0,
            owner_id=None,
            name=f"the operator's {channel_type}",
            type=channel_type,
            configuration=configuration,
            created_at=now,
            updated_at=now,
        )
    if wrong:
        sys.exit("\n".join(wrong))
    return found


_MAY_BE_EMPTY = {"username", "password"}  # a mail server that asks nobody who they are


def _line(variables: Mapping[str, str], field: str, reason: str) -> str:
    key = field.removeprefix("configuration.")
    return f"{variables.get(key, key)}: {reason}"


@dataclass(frozen=True, slots=True)
class _Mailbox:
    """The address of an account."""

    users: PostgresUsers

    async def of(self, user_id: int) -> str | None:
        user = await self.users.get(user_id)
        return user.email if user else None
