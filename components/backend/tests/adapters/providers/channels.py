"""Channels of every type by HTTP, pointed at a sandbox."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.providers.conftest import Remote
from gonets.adapters.providers.egress import Egress
from gonets.adapters.providers.http_kind import HttpKind
from gonets.adapters.providers.python_bot import PythonBot
from gonets.adapters.providers.slack import Slack
from gonets.adapters.providers.smsaero import SmsAero
from gonets.adapters.providers.telegram import Telegram
from gonets.adapters.providers.transport import HttpTransport
from gonets.adapters.providers.twilio import Twilio
from gonets.adapters.providers.webhook import Webhook
from gonets.core.channels.egress import Allowance
from gonets.core.channels.model import Channel, ChannelType, Message, Send
from gonets.core.shared.json import JSON

TEXT = "Пожарная тревога, корпус 2 <&> 😀"
PHONE = "+79161234567"
ACCOUNT = "AC" + "a" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
BOT_TOKEN = "123456789:AAExampleExampleExampleExampleExample"
EVENT: Mapping[str, JSON] = {
    "serviceName": "Магазин",
    "serviceUrl": "https://shop.example",
    "status": "DOWN",
    "severity": "ERROR",
    "timestamp": "2024-01-15T10:30:00Z",
    "metadata": {"responseCode": 500, "responseTime": 5000},
}


def configured(kind: HttpKind[Any], configuration: Mapping[str, JSON]) -> Channel:
    now = datetime.now(UTC)
    return Channel(
        id=1,
        owner_id=1,
        name="a channel",
        type=kind.type,
        configuration=kind.check(configuration),
        created_at=now,
        updated_at=now,
    )


def send(text: str = TEXT, to: str | None = None, **changes: Any) -> Send:
    message = Message(text, username=changes.pop("username", None), event=changes.pop("event", {}))
    return Send(message=message, to=to, reference=changes.pop("reference", "n-1-1"), **changes)


@dataclass(frozen=True)
class Case:
    """A type of channel, with a channel that works."""

    name: str
    """Of the provider in the sandbox."""
    kind: HttpKind[Any]
    channel: Channel
    to: str | None

    def send(self, text: str = TEXT, **changes: Any) -> Send:
        return send(text, **{"to": self.to, **changes})

    def changed(self, **changes: JSON) -> Channel:
        """With another configuration; None takes a key away."""
        return configured(self.kind, {**self.channel.configuration, **changes})


@asynccontextmanager
async def transports(**options: float) -> AsyncIterator[tuple[HttpTransport, HttpTransport]]:
    """For addresses that operators chose, and that users typed."""
    allowed = [Allowance.parse("127.0.0.1"), Allowance.parse("localhost")]
    limits: dict[str, float] = {"timeout": 10, **options}
    chosen, typed = HttpTransport(**limits), HttpTransport(**limits, egress=Egress(allowed))
    yield chosen, typed
    await chosen.close()
    await typed.close()


def case(of: ChannelType, remote: Remote, chosen: HttpTransport, typed: HttpTransport) -> Case:
    """Against this sandbox."""
    return _case(of, remote.base, f"{remote.base}/bot", chosen, typed)


def _case(of: ChannelType, base: str, bot: str, chosen: HttpTransport, typed: HttpTransport) -> Case:
    kind: HttpKind[Any]
    match of:
        case ChannelType.TELEGRAM:
            kind = Telegram(chosen, f"{base}/telegram")
            return Case("telegram", kind, configured(kind, {"botToken": BOT_TOKEN}), "987654321")
        case ChannelType.SLACK:
            kind = Slack(typed, f"{base}/slack")
            url = "https://hooks.slack.com/services/T0000000/B0000000/XXXXXXXXXXXXXXXX"
            return Case("slack", kind, configured(kind, {"webhookUrl": url}), None)
        case ChannelType.WEBHOOK:
            kind = Webhook(typed)
            return Case("webhook", kind, configured(kind, {"url": f"{base}/webhook/alerts"}), None)
        case ChannelType.PYTHON_BOT:
            kind = PythonBot(typed)
            return Case("python_bot", kind, configured(kind, {"botUrl": bot}), None)
        case ChannelType.SMS_TWILIO:
            kind = Twilio(chosen, f"{base}/twilio")
            account: dict[str, JSON] = {"accountSid": ACCOUNT, "authToken": TOKEN, "from": "+15005550006"}
            return Case("twilio", kind, configured(kind, account), PHONE)
        case ChannelType.SMS_SMSAERO:
            kind = SmsAero(chosen, f"{base}/smsaero/v2")
            return Case("smsaero", kind, configured(kind, {"email": "you@example.com", "apiKey": TOKEN}), PHONE)
    raise AssertionError(of)


BY_HTTP = (
    ChannelType.TELEGRAM,
    ChannelType.SLACK,
    ChannelType.WEBHOOK,
    ChannelType.PYTHON_BOT,
    ChannelType.SMS_TWILIO,
    ChannelType.SMS_SMSAERO,
)
