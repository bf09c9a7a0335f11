"""Slack: an incoming webhook, https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.

Its errors are single words in plain text (changelog of 2016-05-17); the word counts, the status where it is unknown.
"""

import json
from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import ConfigDict, Field
from yarl import URL

from gonets.adapters.providers.configuration import Configuration, Text, WriteOnly
from gonets.adapters.providers.http_kind import HttpKind, Url, body_words, with_words
from gonets.adapters.providers.transport import Answer, HttpTransport
from gonets.core.channels.model import (
    Accepted,
    Address,
    ChannelType,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Step,
    Unknown,
)
from gonets.core.shared.json import JSON

HOME = "https://hooks.slack.com"
LONGEST_TEXT = 40_000  # characters; Slack cuts what is longer
_TIMEOUT = 30.0

_URL = "check webhookUrl: Slack shows it under Incoming Webhooks of your app"
_CHANNEL = "check channel, or leave it out: the webhook has a channel of its own"

_Error = tuple[Refusal, str, str | None]
_WORDS: Mapping[str, _Error] = {
    "invalid_payload": (Refusal.PERMANENT, "Slack could not read the message", None),
    "no_text": (Refusal.PERMANENT, "Slack sends no empty message", None),
    "msg_too_long": (Refusal.PERMANENT, "the text is too long for Slack", "shorten it"),
    "too_many_attachments": (Refusal.PERMANENT, "Slack refused the message", None),
    "user_not_found": (Refusal.PERMANENT, "Slack does not know the person", _CHANNEL),
    "action_prohibited": (Refusal.CONFIGURATION, "an administrator of the workspace forbids it", "ask them"),
    "posting_to_general_channel_denied": (
        Refusal.CONFIGURATION,
        "not everybody may write to #general",
        "use another channel, or ask an administrator of the workspace",
    ),
    "invalid_token": (Refusal.CONFIGURATION, "Slack does not know the webhook", _URL),
    "team_disabled": (Refusal.CONFIGURATION, "the workspace is disabled", None),
    "channel_not_found": (Refusal.CONFIGURATION, "Slack does not know the channel", _CHANNEL),
    "channel_is_archived": (Refusal.CONFIGURATION, "the channel is archived", "use another channel"),
    "no_service": (Refusal.CONFIGURATION, "the webhook was removed or is disabled", _URL),
    "no_service_id": (Refusal.CONFIGURATION, "Slack does not know the webhook", _URL),
    "no_active_hooks": (Refusal.CONFIGURATION, "the webhook was removed or is disabled", _URL),
    "no_team": (Refusal.CONFIGURATION, "Slack does not know the workspace", _URL),
    "rate_limited": (Refusal.TEMPORARY, "too many messages to this webhook", None),
    "ratelimited": (Refusal.TEMPORARY, "too many messages to this webhook", None),
}
_STATUS: Mapping[int, _Error] = {
    403: (Refusal.CONFIGURATION, "Slack refused the webhook", _URL),
    404: (Refusal.CONFIGURATION, "nothing is at the webhook's address", _URL),
    410: (Refusal.CONFIGURATION, "the webhook is gone", _URL),
    429: (Refusal.TEMPORARY, "too many messages to this webhook", None),
}
_OTHER: _Error = (Refusal.PERMANENT, "Slack refused the message", None)
_ELSEWHERE: _Error = (Refusal.CONFIGURATION, "the webhook's address leads elsewhere", _URL)


class SlackConfiguration(Configuration):
    """An incoming webhook of a Slack app."""

    model_config = ConfigDict(title="Slack")

    webhook_url: Annotated[
        Url,
        WriteOnly,
        Field(
            description="The webhook's address; whoever knows it can write to the channel",
            examples=["https://hooks.slack.com/services/T0000000/B0000000/XXXXXXXXXXXXXXXXXXXXXXXX"],
        ),
    ]
    channel: Annotated[
        Text | None, Field(description="Only for webhooks of the old kind, which may choose it", examples=["#alerts"])
    ] = None
    username: Annotated[
        Text | None, Field(description="Only for webhooks of the old kind, which may choose it", examples=["Gonets"])
    ] = None


class Slack(HttpKind[SlackConfiguration]):
    """Implements ChannelKind. `url`: where what is at hooks.slack.com is to be found."""

    type = ChannelType.SLACK
    address: Address | None = None
    receipts = False
    longest_send = _TIMEOUT

    def __init__(self, transport: HttpTransport, url: str = HOME) -> None:
        super().__init__(SlackConfiguration, transport)
        self._url = url.rstrip("/")

    def destination(self, configuration: Mapping[str, JSON]) -> str | None:  # noqa: ARG002
        return "the webhook's channel"

    def problem(self, message_text: str) -> str | None:
        if not message_text.strip():
            return "Slack sends no empty message"
        if len(message_text) > LONGEST_TEXT:
            return f"the text is too long for Slack: {len(message_text)} characters, and {LONGEST_TEXT} are allowed"
        return None

    def told(self, configuration: SlackConfiguration) -> Collection[str]:
        url = URL(configuration.webhook_url)
        return {url.raw_path_qs, url.raw_path, url.raw_name}

    async def _send(self, configuration: SlackConfiguration, send: Send) -> SendOutcome:
        if problem := self.problem(send.message.text):
            return Refused(Refusal.PERMANENT, problem, hint="shorten it", step=Step.MESSAGE)
        payload = {
            "text": _escaped(send.message.text),
            "channel": configuration.channel,
            "username": configuration.username,
        }
        body = json.dumps({name: value for name, value in payload.items() if value}, ensure_ascii=False)
        url = configuration.webhook_url
        answer = await self._call(
            "POST",
            self._url + url.removeprefix(HOME) if url.startswith(HOME + "/") else url,
            {"Content-Type": "application/json"},
            body.encode(errors="replace"),
            timeout=_TIMEOUT,
            address=_URL,
        )
        return _outcome(answer, url, *self.told(configuration)) if isinstance(answer, Answer) else answer


def _escaped(text: str) -> str:
    """Slack reads these three as the beginning of links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _outcome(answer: Answer, *secrets: str) -> SendOutcome:
    if answer.status == 200 and answer.body.strip() == b"ok":
        return Accepted()
    if answer.status < 300 or answer.status >= 500:
        return Unknown(f"Slack did not say whether it took the message (HTTP {answer.status})")
    said = body_words(answer)
    refusal, reason, hint = _WORDS.get(said) or (
        _ELSEWHERE if answer.status < 400 else _STATUS.get(answer.status, _OTHER)
    )
    if said in _WORDS:
        return Refused(refusal, with_words(reason, said), said, hint, answer.retry_after)
    reason = with_words(reason, body_words(answer, *secrets))
    return Refused(refusal, reason, str(answer.status), hint, answer.retry_after)
