"""A bot of the user's own, with one method: POST {botUrl}/send_notification. The `username` says whom it writes to.

Only status 200 says that it took the message. It knows two states of a service, `down` and `up`.
"""

import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field

from gonets.adapters.providers.configuration import Configuration, Destination
from gonets.adapters.providers.event import payload
from gonets.adapters.providers.http_kind import HttpKind, Url, body_words, json_object, text_of, with_words, words
from gonets.adapters.providers.transport import Answer, HttpTransport
from gonets.core.channels.model import (
    Accepted,
    Address,
    ChannelType,
    Message,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Unknown,
)
from gonets.core.shared.json import JSON

_TIMEOUT = 30.0
_METHOD = "/send_notification"
_URL = "check botUrl, and that the bot runs: GET {botUrl}/health"

_Error = tuple[Refusal, str, str | None]
_STATUS: Mapping[int, _Error] = {
    400: (Refusal.PERMANENT, "the bot refused the message", "name a username and a serviceName"),
    401: (Refusal.CONFIGURATION, "the bot wants credentials", _URL),
    403: (Refusal.CONFIGURATION, "the bot refuses us", _URL),
    404: (Refusal.PERMANENT, "the bot does not know the person", "the person has to register with the bot first"),
    405: (Refusal.CONFIGURATION, "the address is not that of a bot", _URL),
    408: (Refusal.TEMPORARY, "the bot did not get the request in time", None),
    429: (Refusal.TEMPORARY, "too many messages to the bot", None),
}
_OTHER: _Error = (Refusal.PERMANENT, "the bot refused the message", None)
_NO_BOT: _Error = (Refusal.CONFIGURATION, "the address is not that of a bot", _URL)
_ELSEWHERE: _Error = (Refusal.CONFIGURATION, "the bot's address leads elsewhere", _URL)


class PythonBotConfiguration(Configuration):
    """A bot of your own that takes messages by HTTP."""

    model_config = ConfigDict(title="Python bot")

    bot_url: Annotated[
        Url,
        Destination,
        Field(description="Its address, with or without /send_notification", examples=["http://localhost:5000"]),
    ]


class PythonBot(HttpKind[PythonBotConfiguration]):
    """Implements ChannelKind."""

    type = ChannelType.PYTHON_BOT
    address: Address | None = None
    receipts = False
    longest_send = _TIMEOUT

    def __init__(self, transport: HttpTransport) -> None:
        super().__init__(PythonBotConfiguration, transport)

    def destination(self, configuration: Mapping[str, JSON]) -> str | None:
        return self.read(configuration).bot_url

    def problem(self, message_text: str) -> str | None:  # noqa: ARG002
        return None

    async def _send(self, configuration: PythonBotConfiguration, send: Send) -> SendOutcome:
        answer = await self._call(
            "POST",
            f"{configuration.bot_url.rstrip('/').removesuffix(_METHOD)}{_METHOD}",
            {"Content-Type": "application/json", "Accept": "application/json"},
            json.dumps(_body(send.message), ensure_ascii=False).encode(errors="replace"),
            timeout=_TIMEOUT,
            address=_URL,
        )
        return _outcome(answer) if isinstance(answer, Answer) else answer


def _body(message: Message) -> dict[str, JSON]:
    event = payload(message)
    body: dict[str, JSON] = {
        "username": event["username"],
        "service_name": event["serviceName"],
        "service_url": event["serviceUrl"],
        "status": text_of(event["status"]).lower(),
        "message": event["message"],
    }
    return body | ({"email": event["email"]} if "email" in event else {})


def _outcome(answer: Answer) -> SendOutcome:
    said = json_object(answer)
    if answer.status == 200 and said.get("success") is True:
        return Accepted()
    if answer.status == 200 and said.get("success") is False:
        reason = with_words("the bot refused the message", words(said.get("error") or said.get("message") or ""))
        return Refused(Refusal.PERMANENT, reason, "200")
    if answer.status < 300 or answer.status >= 500:
        return Unknown(f"the bot did not say whether it took the message (HTTP {answer.status})")
    if answer.status < 400:
        refusal, reason, hint = _ELSEWHERE
    elif answer.status == 404 and "error" not in said:
        refusal, reason, hint = _NO_BOT
    else:
        refusal, reason, hint = _STATUS.get(answer.status, _OTHER)
    reason = with_words(
        f"{reason} (HTTP {answer.status})", words(said["error"]) if "error" in said else body_words(answer)
    )
    return Refused(refusal, reason, str(answer.status), hint, answer.retry_after)
