"""Webhooks: an event as JSON to an address of the user's own, signed if they want.

With a secret, `X-Signature-256` is `sha256=` and the base64 of the HMAC-SHA256 of the body. `X-Gonets-Attempt` names
the try: no other has the same.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from gonets.adapters.providers.configuration import Configuration, Destination, Number, Secret, SecretMap, wrong
from gonets.adapters.providers.event import payload
from gonets.adapters.providers.http_kind import HttpKind, Url, body_words, with_words
from gonets.adapters.providers.transport import Answer, HttpTransport
from gonets.core.channels.model import Accepted, Address, ChannelType, Refusal, Refused, Send, SendOutcome, Unknown
from gonets.core.shared.json import JSON

SIGNATURE = "X-Signature-256"
ATTEMPT = "X-Gonets-Attempt"
LONGEST_TIMEOUT = 60.0

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")  # RFC 9110, 5.6.2
_OURS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {SIGNATURE.lower(), ATTEMPT.lower()}
)
_URL = "check url"

_Error = tuple[Refusal, str, str | None]
_STATUS: Mapping[int, _Error] = {
    401: (Refusal.CONFIGURATION, "the webhook wants other credentials", "check headers and secret"),
    402: (Refusal.CONFIGURATION, "the webhook wants money", None),
    403: (Refusal.CONFIGURATION, "the webhook refuses the credentials", "check headers and secret"),
    404: (Refusal.CONFIGURATION, "nothing is at the webhook's address", _URL),
    405: (Refusal.CONFIGURATION, "the webhook does not take this method", "check method: POST or PUT"),
    407: (Refusal.CONFIGURATION, "a proxy is in the way", _URL),
    408: (Refusal.TEMPORARY, "the webhook did not get the request in time", None),
    410: (Refusal.CONFIGURATION, "the webhook is gone", _URL),
    421: (Refusal.CONFIGURATION, "the webhook's address leads to another server", _URL),
    425: (Refusal.TEMPORARY, "the webhook wants the message later", None),
    429: (Refusal.TEMPORARY, "too many messages to the webhook", None),
}
_OTHER: _Error = (Refusal.PERMANENT, "the webhook refused the message", None)
_ELSEWHERE: _Error = (
    Refusal.CONFIGURATION,
    "the webhook's address leads elsewhere",
    "redirects are not followed: set url to the address that it leads to",
)


def _headers(value: dict[str, str]) -> dict[str, str]:
    if len(value) > 50:
        raise ValueError("must be 50 headers at most")
    for name, content in value.items():
        if not _TOKEN.fullmatch(name):
            raise wrong(f"headers.{name}", "is no name of a header")
        if name.lower() in _OURS:
            raise wrong(f"headers.{name}", "is set by the service itself")
        if not (content.isascii() and content.isprintable()) or len(content) > 4000:
            raise wrong(f"headers.{name}", "must be printable ASCII, of 4000 characters at most")
    return value


class WebhookConfiguration(Configuration):
    """Your own address, which is called for each message."""

    model_config = ConfigDict(title="Webhook")

    url: Annotated[Url, Destination, Field(description="What is called", examples=["https://example.org/hooks/alerts"])]
    method: Literal["POST", "PUT"] = "POST"
    headers: Annotated[
        SecretMap,
        AfterValidator(_headers),
        Field(description="Sent with each call", examples=[{"Authorization": "Bearer 0123456789abcdef"}]),
    ] = Field(default_factory=dict)
    timeout: Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT, description="Seconds to wait for the answer"), Number] = (
        30
    )
    secret: Annotated[
        Secret | None, Field(description=f"If set, calls are signed: {SIGNATURE}: sha256=<base64 of the HMAC-SHA256>")
    ] = None


class Webhook(HttpKind[WebhookConfiguration]):
    """Implements ChannelKind."""

    type = ChannelType.WEBHOOK
    address: Address | None = None
    receipts = False
    longest_send = LONGEST_TIMEOUT

    def __init__(self, transport: HttpTransport) -> None:
        super().__init__(WebhookConfiguration, transport)

    def destination(self, configuration: Mapping[str, JSON]) -> str | None:
        return self.read(configuration).url

    def problem(self, message_text: str) -> str | None:  # noqa: ARG002
        return None

    def told(self, configuration: WebhookConfiguration) -> Collection[str]:
        # Of "Bearer 0123" it is the second word that a server does not like.
        return {value.partition(" ")[2].strip() for value in configuration.headers.values()}

    async def _send(self, configuration: WebhookConfiguration, send: Send) -> SendOutcome:
        body = json.dumps(payload(send.message), ensure_ascii=False).encode(errors="replace")
        # The user's own headers win, in whatever case they are written.
        headers = {"content-type": "application/json", "user-agent": "Gonets"}
        headers |= {name.lower(): value for name, value in configuration.headers.items()}
        headers[ATTEMPT] = send.reference
        if configuration.secret is not None:
            headers[SIGNATURE] = signature(configuration.secret, body)
        answer = await self._call(
            configuration.method, configuration.url, headers, body, timeout=configuration.timeout, address=_URL
        )
        if not isinstance(answer, Answer):
            return answer
        return _outcome(answer, configuration.secret, *configuration.headers.values(), *self.told(configuration))


def signature(secret: str, body: bytes) -> str:
    return f"sha256={base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()}"


def _outcome(answer: Answer, *secrets: str | None) -> SendOutcome:
    status = answer.status
    if 200 <= status < 300:
        return Accepted()
    if status >= 500:
        return Unknown(f"the webhook did not say whether it took the message (HTTP {status})")
    refusal, reason, hint = _ELSEWHERE if status < 400 else _STATUS.get(status, _OTHER)
    reason = with_words(f"{reason} (HTTP {status})", body_words(answer, *secrets))
    return Refused(refusal, reason, str(status), hint, answer.retry_after)
