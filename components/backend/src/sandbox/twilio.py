"""Twilio Programmable Messaging on the wire: create, fetch, list, cancel; status callbacks.

Sources: GitHub twilio/twilio-oai `spec/json/twilio_api_v2010.json`, https://www.twilio.com/docs/api/errors and
.../iam/test-credentials, and answers recorded in public clients.
"""

import asyncio
import base64
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, ClassVar
from urllib.parse import urlencode

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.fields import form
from sandbox.http import endpoint
from sandbox.provider import Answer, Desk, HttpProvider, to_json
from sandbox.sms import parts
from sandbox.twilio_callbacks import Callbacks, Manner

API = "2010-04-01"
LONGEST_BODY = 1600
KEPT = 100_000
E164_DIGITS = range(7, 16)

# The magic numbers of Twilio's test credentials.
FROM = {
    "+15005550001": (21212, "The 'From' number {} is not a valid phone number, shortcode, or alphanumeric sender ID."),
    "+15005550007": (21606, "The 'From' phone number {} is not a valid message-capable Twilio phone number."),
    "+15005550008": (21611, "This 'From' number has exceeded the maximum number of queued messages"),
}
TO = {
    "+15005550001": (21211, "The 'To' number {} is not a valid phone number."),
    "+15005550002": (21612, "The 'To' phone number: {}, is not currently reachable using the 'From' phone number."),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region indicated by: {}."),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number {} is not a valid mobile number"),
}
# What becomes of a message, by how its number ends: the states after queued, and an error.
ENDS: Mapping[str, tuple[tuple[str, ...], int | None]] = {
    "3000": (("sending", "sent"), None),
    "3003": (("sending", "sent", "undelivered"), 30003),
    "3004": (("sending", "sent", "undelivered"), 30004),
    "3005": (("sending", "failed"), 30005),
    "3006": (("sending", "sent", "undelivered"), 30006),
    "3008": (("sending", "sent", "undelivered"), 30008),
}
DELIVERED = (("sending", "sent", "delivered"), None)
CODES = {401: 20003, 403: 20403, 404: 20404, 405: 20004, 429: 20429, 500: 20500, 503: 20503}
WORDS = {401: "Authenticate", 404: "The requested resource was not found", 429: "Too Many Requests"}


class TwilioSettings(BaseModel):
    """The body of `PUT /control/settings/twilio`. `step_ms`: between two states of a message; `callbacks`: how it calls
    back; `early_ms`: how long a create waits for its first callbacks before it is answered; `incoming_url`: where the
    account has what people write to its numbers brought, as it is entered in the console."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    auth_token: str | None = None
    step_ms: float = Field(default=100, ge=0, le=3_600_000, allow_inf_nan=False)
    early_ms: float = Field(default=0, ge=0, le=60_000, allow_inf_nan=False)
    callbacks: Manner = "normal"
    incoming_url: str | None = None
    max_concurrent: int | None = Field(default=None, ge=1)


@dataclass
class Message:
    """One that was taken. `states` are still to come."""

    sid: str
    account: str
    to: str
    sender: str | None
    service: str | None
    body: str
    callback: str | None
    token: str
    states: tuple[str, ...]
    error: int | None
    status: str = "queued"
    created: float = field(default_factory=time.time)
    sent: float | None = None

    def as_json(self) -> dict[str, Any]:
        failed = self.status in {"undelivered", "failed"}
        uri = f"/{API}/Accounts/{self.account}/Messages/{self.sid}"
        return {
            "account_sid": self.account,
            "api_version": API,
            "body": self.body,
            "date_created": formatdate(self.created).replace("-0000", "+0000"),
            "date_sent": self.sent and formatdate(self.sent).replace("-0000", "+0000"),
            "date_updated": formatdate().replace("-0000", "+0000"),
            "direction": "outbound-api",
            "error_code": self.error if failed else None,
            "error_message": None,
            "from": self.sender,
            "messaging_service_sid": self.service,
            "num_media": "0",
            "num_segments": "0" if self.status == "accepted" else str(parts(self.body)),
            "price": None,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.to,
            "uri": f"{uri}.json",
        }


class Twilio(HttpProvider[TwilioSettings]):
    name: ClassVar[str] = "twilio"
    title: ClassVar[str] = "Twilio SMS"
    address: ClassVar[str] = f"/twilio/{API}/Accounts/<sid>/"
    operations: ClassVar[Sequence[str]] = ("create", "fetch", "list", "update", "unknown")
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        ("an auth token that begins with unknown", "401, code 20003"),
        *((f"From {number}", f"400, code {code}") for number, (code, _) in FROM.items()),
        *((f"To {number}", f"400, code {code}") for number, (code, _) in TO.items()),
        *(
            (f"a number that ends in {end}", f"{' '.join(states)} {error or ''}")
            for end, (states, error) in ENDS.items()
        ),
        ("any other number", "queued sending sent delivered"),
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, TwilioSettings())
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._callbacks = Callbacks()
        self._running = 0

    def routes(self) -> Sequence[web.RouteDef]:
        at = f"/twilio/{API}/Accounts/{{account}}/Messages"
        return (
            web.post(f"{at}.json", endpoint(self, "create", self._known(self._create), _body)),
            web.get(f"{at}.json", endpoint(self, "list", self._known(self._list), _nothing)),
            web.get(f"{at}/{{sid}}.json", endpoint(self, "fetch", self._known(self._fetch), _nothing)),
            web.post(f"{at}/{{sid}}.json", endpoint(self, "update", self._known(self._update), _nothing)),
            web.route("*", "/twilio/{rest:.*}", endpoint(self, "unknown", self._nowhere, _nothing)),
        )

    def error(self, status: int, message: str = "", code: int | None = None) -> Answer:
        code = code or CODES.get(status, status * 100)
        body = {
            "code": code,
            "message": message or WORDS.get(status, f"HTTP {status}"),
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": status,
        }
        if status == 401:
            body["detail"] = "Your AccountSid or AuthToken was incorrect."
        return Answer(status, to_json(body))

    def admit(self, request: web.Request) -> Answer | None:  # noqa: ARG002
        most = self.settings.max_concurrent
        if most is not None and self._running >= most:
            return self.error(429)
        self._running += 1
        return None

    def leave(self) -> None:
        self._running -= 1

    def reset(self) -> None:
        super().reset()
        self._messages.clear()

    async def stop(self) -> None:
        await self._callbacks.stop()

    def reply(self, sender: str, text: str) -> bool:
        last = next((one for one in reversed(self._messages.values()) if one.to == sender), None)
        if self.settings.incoming_url is None or last is None:
            return False
        fields = {
            "AccountSid": last.account,
            "ApiVersion": API,
            "Body": text,
            "From": sender,
            "MessageSid": f"SM{secrets.token_hex(16)}",
            "NumMedia": "0",
            "NumSegments": str(parts(text)),
            "To": last.sender or "+15005550006",
        }
        self._callbacks.start(self._callbacks.bring(self.settings.incoming_url, fields, last.token))
        return True

    def _known(self, answering: Callable[..., Any]) -> Callable[[web.Request, bytes], Any]:
        def answer(request: web.Request, body: bytes) -> Any:
            login, _, token = _basic(request).partition(":")
            account, wanted = request.match_info["account"], self.settings.auth_token
            wrong = token != wanted if wanted is not None else token.startswith("unknown")
            if not token or wrong or (login != account and not login.startswith("SK")):
                return self.error(401)
            return answering(request, body, token)

        return answer

    def _refused(self, code: int, words: str) -> Answer:
        return self.error(400, words, code)

    async def _create(self, request: web.Request, body: bytes, token: str) -> Answer:
        fields = form(body)
        if (refusal := self._unfit(fields)) is not None:
            return refusal
        to = fields["To"]
        states, error = ENDS.get(to[-4:], DELIVERED)
        service = fields.get("MessagingServiceSid")
        message = Message(
            sid=f"SM{secrets.token_hex(16)}",
            account=request.match_info["account"],
            to=to,
            sender=None if service else fields["From"],
            service=service,
            body=fields["Body"],
            callback=fields.get("StatusCallback"),
            token=token,
            states=("queued", *states) if service else states,
            error=error,
            status="accepted" if service else "queued",
        )
        self._messages[message.sid] = message
        if len(self._messages) > KEPT:
            self._messages.popitem(last=False)
        if states[-1] == "delivered":
            details = {"parts": parts(message.body), "sid": message.sid}
            sender = message.sender or service or ""
            self.desk.inbox.add(self.name, to=to, sender=sender, text=message.body, details=details)
        answer = Answer(201, to_json(message.as_json()), headers={"Twilio-Request-Id": f"RQ{secrets.token_hex(16)}"})
        self._callbacks.start(self._live(message))
        if self.settings.early_ms:
            await asyncio.sleep(self.settings.early_ms / 1000)
        return answer

    def _unfit(self, fields: Mapping[str, str]) -> Answer | None:
        to, sender = fields.get("To", ""), fields.get("From", "")
        if not to:
            return self._refused(21604, "A 'To' phone number is required.")
        if not sender and not fields.get("MessagingServiceSid"):
            return self._refused(21603, "A 'From' phone number is required.")
        if not fields.get("Body"):
            return self._refused(21602, "Message body is required.")
        if len(fields["Body"]) > LONGEST_BODY:
            return self._refused(21617, "The concatenated message body exceeds the 1600 character limit.")
        if sender in FROM:
            code, words = FROM[sender]
            return self._refused(code, words.format(sender))
        digits = to.removeprefix("+")
        if to in TO or not (to.startswith("+") and digits.isdecimal() and len(digits) in E164_DIGITS):
            code, words = TO.get(to, TO["+15005550001"])
            return self._refused(code, words.format(to))
        if fields.get("StatusCallback") and not fields["StatusCallback"].startswith(("http://", "https://")):
            return self._refused(21609, f"The 'StatusCallback' URL {fields['StatusCallback']} is not a valid URL.")
        return None

    async def _live(self, message: Message) -> None:
        manner, held = self.settings.callbacks, []
        for status in message.states:
            await asyncio.sleep(self.settings.step_ms / 1000)
            if message.status == "canceled":
                return
            message.status = status
            message.sent = message.sent or (time.time() if status == "sent" else None)
            if message.callback is None or manner == "none":
                continue
            fields = _callback(message)
            if manner == "reversed":
                held.append(fields)
            else:
                await self._callbacks.deliver(message.callback, fields, message.token, manner)
        for fields in reversed(held):
            await self._callbacks.deliver(message.callback or "", fields, message.token, manner)

    def _fetch(self, request: web.Request, _body: bytes, _token: str) -> Answer:
        message = self._messages.get(request.match_info["sid"])
        if message is None or message.account != request.match_info["account"]:
            return self.error(404)
        return Answer(200, to_json(message.as_json()))

    def _update(self, request: web.Request, body: bytes, _token: str) -> Answer:
        message, fields = self._messages.get(request.match_info["sid"]), form(body)
        if message is None:
            return self.error(404)
        if fields.get("Status") == "canceled":
            message.status = "canceled"
        elif fields.get("Body") == "":
            message.body = ""
        else:
            return self._refused(20001, "Only Status=canceled and an empty Body can be set.")
        return Answer(200, to_json(message.as_json()))

    def _list(self, request: web.Request, _body: bytes, _token: str) -> Answer:
        account, query = request.match_info["account"], request.query
        found = [
            message
            for message in reversed(self._messages.values())
            if message.account == account
            and query.get("To") in (None, message.to)
            and query.get("From") in (None, message.sender)
        ]
        size, page = _number(query, "PageSize", 50), _number(query, "Page", 0)
        size = min(max(size, 1), 1000)
        shown = found[page * size : (page + 1) * size]
        at = f"/{API}/Accounts/{account}/Messages.json"
        more = {**query, "Page": str(page + 1), "PageSize": str(size)}
        body = {
            "messages": [message.as_json() for message in shown],
            "page": page,
            "page_size": size,
            "start": page * size,
            "end": page * size + max(len(shown) - 1, 0),
            "uri": f"{at}?{request.query_string}",
            "first_page_uri": f"{at}?{urlencode({**more, 'Page': '0'})}",
            "next_page_uri": f"{at}?{urlencode(more)}" if len(found) > (page + 1) * size else None,
            "previous_page_uri": f"{at}?{urlencode({**more, 'Page': str(page - 1)})}" if page else None,
        }
        return Answer(200, to_json(body))

    def _nowhere(self, _request: web.Request, _body: bytes) -> Answer:
        return self.error(404)


def _callback(message: Message) -> dict[str, str]:
    fields = {
        "AccountSid": message.account,
        "ApiVersion": API,
        "From": message.sender or "+15005550006",
        "MessageSid": message.sid,
        "MessageStatus": message.status,
        "SmsSid": message.sid,
        "SmsStatus": message.status,
        "To": message.to,
    }
    if message.service:
        fields["MessagingServiceSid"] = message.service
    if message.error and message.status in {"undelivered", "failed"}:
        fields["ErrorCode"] = str(message.error)
    if message.status == "delivered":
        fields["RawDlrDoneDate"] = time.strftime("%y%m%d%H%M", time.gmtime())
    return fields


def _basic(request: web.Request) -> str:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        return base64.b64decode(encoded, validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        return ""


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    value = query.get(name, "")
    return int(value) if value.isdecimal() else default


def _body(body: bytes) -> str | None:
    return form(body).get("Body")


def _nothing(_body: bytes) -> str | None:
    return None
