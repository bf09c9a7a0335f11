"""Twilio Programmable Messaging: https://www.twilio.com/docs/messaging/api/message-resource.

Codes: https://www.twilio.com/docs/api/errors. What is refused has a code; a 5xx may have been taken. What becomes of a
message is reported to StatusCallback, signed with the account's auth token, and can be asked for.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Annotated, Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from pydantic import ConfigDict, Field, model_validator
from yarl import URL

from gonets.adapters.providers.configuration import Configuration, Like, Secret, Text, wrong
from gonets.adapters.providers.http_kind import HttpKind, body_words, json_object, with_words, words
from gonets.adapters.providers.transport import Answer, HttpTransport
from gonets.core.channels.model import (
    Accepted,
    Address,
    Channel,
    ChannelType,
    Delivery,
    Incoming,
    Receipt,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Step,
    Unknown,
    UnknownStatus,
)
from gonets.core.channels.sms_text import segmented
from gonets.core.shared.errors import Invalid

LONGEST_TEXT = 1600
_TIMEOUT = 20.0
_PAGE = 100
_MOST_PAGES = 10  # of messages to one number since one try began
_SKEW = timedelta(seconds=30)  # between their clock and ours

_LOGIN = "check accountSid and authToken: https://console.twilio.com shows both"
_SENDER = "use a number of your account that can send SMS"
_LATER = "try again later"

_Error = tuple[Refusal, str, str | None]
_ERRORS: Mapping[int, _Error] = {
    20003: (Refusal.CONFIGURATION, "Twilio refused the credentials", _LOGIN),
    20005: (Refusal.CONFIGURATION, "the Twilio account is not active", "look into the Twilio console"),
    20403: (Refusal.CONFIGURATION, "Twilio does not allow it to this account", "look into the Twilio console"),
    20404: (Refusal.CONFIGURATION, "Twilio does not know the account", _LOGIN),
    20429: (Refusal.TEMPORARY, "too many requests to Twilio at one time", None),
    21211: (Refusal.PERMANENT, "the recipient's number is not a valid phone number", "write it as +79161234567"),
    21212: (Refusal.CONFIGURATION, "the sender's number is not a valid phone number", "check from"),
    21265: (Refusal.PERMANENT, "the recipient's number is a short code", None),
    21266: (Refusal.PERMANENT, "the recipient's number is the sender's own", None),
    21408: (
        Refusal.PERMANENT,
        "the account may not send to the recipient's country",
        "allow it in the Twilio console: Messaging, Settings, Geo permissions",
    ),
    21601: (Refusal.CONFIGURATION, "the sender's number cannot send SMS", _SENDER),
    21602: (Refusal.PERMANENT, "Twilio sends no empty message", None),
    21603: (Refusal.CONFIGURATION, "Twilio wants a sender", "set from or messagingServiceSid"),
    21604: (Refusal.PERMANENT, "Twilio wants a recipient", None),
    21606: (Refusal.CONFIGURATION, "the sender's number is not of this account, or cannot send SMS", _SENDER),
    21608: (
        Refusal.CONFIGURATION,
        "a trial account writes to verified numbers only",
        "verify the recipient's number in the Twilio console, or upgrade the account",
    ),
    21609: (Refusal.CONFIGURATION, "Twilio cannot report to our address", "an operator is to check PUBLIC_URL"),
    21610: (Refusal.PERMANENT, "the recipient has unsubscribed", "they can send START to the sender's number"),
    21611: (Refusal.TEMPORARY, "too many messages wait for this sender", "use another sender as well"),
    21612: (Refusal.PERMANENT, "the recipient cannot be reached from this sender", None),
    21614: (Refusal.PERMANENT, "the recipient's number is no mobile phone", None),
    21617: (Refusal.PERMANENT, "the text is too long for Twilio", "shorten it"),
    21619: (Refusal.PERMANENT, "Twilio sends no empty message", None),
    21635: (Refusal.PERMANENT, "the recipient's number is a landline", None),
    21658: (Refusal.PERMANENT, "something is too long for Twilio", "shorten the text"),
    21659: (Refusal.CONFIGURATION, "the sender's number is not of this account", _SENDER),
    21660: (Refusal.CONFIGURATION, "the sender's number is not of this account", _SENDER),
    21701: (Refusal.CONFIGURATION, "Twilio does not know the messaging service", "check messagingServiceSid"),
    21703: (Refusal.CONFIGURATION, "the messaging service has no number", "add one in the Twilio console"),
    21704: (Refusal.CONFIGURATION, "the messaging service has no number", "add one in the Twilio console"),
    21705: (Refusal.CONFIGURATION, "Twilio does not know the messaging service", "check messagingServiceSid"),
    # These come later, in a callback, or when a message is looked at.
    30001: (Refusal.TEMPORARY, "too many messages waited for this sender", _LATER),
    30002: (Refusal.CONFIGURATION, "the Twilio account is suspended", "look into the Twilio console"),
    30003: (Refusal.TEMPORARY, "the phone is off or out of reach", _LATER),
    30004: (Refusal.PERMANENT, "the recipient or their operator blocks such messages", None),
    30005: (Refusal.PERMANENT, "the recipient's operator does not know the number", None),
    30006: (Refusal.PERMANENT, "the recipient's number is a landline, or its operator cannot be reached", None),
    30007: (Refusal.PERMANENT, "the operator filtered the text", "change the text or the sender"),
    30008: (Refusal.TEMPORARY, "the operator gave no reason", None),
    30009: (Refusal.TEMPORARY, "a part of the message was lost", None),
    30010: (Refusal.CONFIGURATION, "the message costs more than is allowed", None),
    30011: (Refusal.PERMANENT, "the recipient's operator takes no such message", None),
    30017: (Refusal.TEMPORARY, "the operator has too much to do", None),
    30022: (Refusal.TEMPORARY, "too many messages from this sender for the operator", None),
    30023: (Refusal.TEMPORARY, "the day's messages of this sender are used up", None),
    30024: (Refusal.CONFIGURATION, "the sender is not registered with the operator", "look into the Twilio console"),
    30032: (Refusal.CONFIGURATION, "the toll-free number is not verified", "verify it in the Twilio console"),
    30034: (Refusal.CONFIGURATION, "the sender is not registered (A2P 10DLC)", "register it in the Twilio console"),
}
# The person has sent STOP to the sender: nothing is to be sent to them any more.
_OPTED_OUT = frozenset({21610})
# Where there is no code that is known.
_STATUS: Mapping[int, _Error] = {
    401: _ERRORS[20003],
    402: (Refusal.CONFIGURATION, "Twilio wants money", "top up the account"),
    403: _ERRORS[20403],
    404: _ERRORS[20404],
    405: (Refusal.CONFIGURATION, "the address is not Twilio's", "an operator is to check TWILIO_API_URL"),
    408: (Refusal.TEMPORARY, "Twilio did not get the request in time", None),
    429: _ERRORS[20429],
}
_OTHER: _Error = (Refusal.PERMANENT, "Twilio refused the message", None)
_ELSEWHERE: _Error = (Refusal.CONFIGURATION, "the address is not Twilio's", "an operator is to check TWILIO_API_URL")

# The status of a message; whether nothing follows it.
_STATUSES: Mapping[str, tuple[Delivery, bool]] = {
    "accepted": (Delivery.SENT, False),
    "scheduled": (Delivery.SENT, False),
    "queued": (Delivery.SENT, False),
    "sending": (Delivery.SENT, False),
    "sent": (Delivery.SENT, False),
    "delivered": (Delivery.DELIVERED, True),
    "read": (Delivery.DELIVERED, True),
    "partially_delivered": (Delivery.SENT, False),
    "undelivered": (Delivery.UNDELIVERED, True),
    "failed": (Delivery.REJECTED, True),
    "canceled": (Delivery.REJECTED, True),
}


class TwilioConfiguration(Configuration):
    """SMS by Twilio. Give either `from` or `messagingServiceSid`."""

    model_config = ConfigDict(title="Twilio SMS")

    account_sid: Annotated[
        Text,
        Like(r"AC[0-9A-Za-z]{1,64}", "must begin with AC, as the Twilio console shows it"),
        Field(description="From the Twilio console", examples=["ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]),
    ]
    auth_token: Annotated[Secret, Field(description="From the Twilio console")]
    from_: Annotated[
        Annotated[
            Text,
            Like(
                r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[0-9A-Za-z &_+-]{1,11}",
                "must be a number such as +15005550006, a short code, or a name of up to 11 letters and digits",
            ),
        ]
        | None,
        Field(alias="from", description="The sender: a number of your account, or a name", examples=["+15005550006"]),
    ] = None
    messaging_service_sid: Annotated[
        Annotated[Text, Like(r"MG[0-9A-Za-z]{1,64}", "must begin with MG, as the Twilio console shows it")] | None,
        Field(description="A messaging service, instead of a sender", examples=["MGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]),
    ] = None

    @model_validator(mode="after")
    def _one_sender(self) -> Self:
        if (self.from_ is None) == (self.messaging_service_sid is None):
            raise wrong("from", "must be given, or messagingServiceSid: one of the two")
        return self

    @cached_property
    def login(self) -> str:
        """The header that every request carries."""
        return f"Basic {base64.b64encode(f'{self.account_sid}:{self.auth_token}'.encode()).decode()}"


class Twilio(HttpKind[TwilioConfiguration]):
    """Implements ChannelKind and Inquiry. `url`: of Twilio's API."""

    type = ChannelType.SMS_TWILIO
    address: Address | None = Address.PHONE
    receipts = True
    longest_send = _TIMEOUT

    def __init__(self, transport: HttpTransport, url: str = "https://api.twilio.com") -> None:
        super().__init__(TwilioConfiguration, transport)
        self._url = url.rstrip("/")

    def problem(self, message_text: str) -> str | None:
        if not message_text.strip():
            return "Twilio sends no empty message"
        if len(message_text) > LONGEST_TEXT:
            return f"the text is too long for Twilio: {len(message_text)} characters, and {LONGEST_TEXT} are allowed"
        return None

    async def _send(self, configuration: TwilioConfiguration, send: Send) -> SendOutcome:
        if send.to is None:
            return Refused(Refusal.PERMANENT, "the recipient has no phone number", step=Step.DESTINATION)
        if problem := self.problem(send.message.text):
            return Refused(Refusal.PERMANENT, problem, hint="shorten it", step=Step.MESSAGE)
        fields = {
            "To": send.to,
            "From": configuration.from_,
            "MessagingServiceSid": configuration.messaging_service_sid,
            "Body": send.message.text,
            "StatusCallback": send.callback_url,
        }
        answer = await self._ask("POST", "Messages.json", configuration, _form(fields))
        if not isinstance(answer, Answer):
            return answer
        return _outcome(answer, send.message.text, configuration.auth_token)

    async def _ask(
        self, method: str, path: str, configuration: TwilioConfiguration, body: bytes | None = None
    ) -> Answer | Refused | Unknown:
        headers = {"Authorization": configuration.login, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        url = f"{self._url}/2010-04-01/Accounts/{configuration.account_sid}/{path}"
        hint = "an operator is to check TWILIO_API_URL"
        return await self._call(method, url, headers, body, timeout=_TIMEOUT, address=hint)

    async def inquire(self, channel: Channel, send: Send, provider_id: str | None) -> Receipt | None:
        """Without an id: among the messages to this number, the first with this text and sender that was made while the
        try lasted."""
        with self._logged(channel):
            return await self._inquire(self.read(channel.configuration), send, provider_id)

    async def _inquire(self, configuration: TwilioConfiguration, send: Send, provider_id: str | None) -> Receipt | None:
        if provider_id is not None:
            answer = await self._ask("GET", f"Messages/{provider_id}.json", configuration)
            if isinstance(answer, Answer) and answer.status == 404 and json_object(answer).get("code") == 20404:
                return Receipt(Delivery.ABSENT, final=True, provider_id=provider_id, code="20404")
            return _looked_at(json_object(answer)) if isinstance(answer, Answer) and answer.status == 200 else None
        return await self._look_for(configuration, send)

    async def _look_for(self, configuration: TwilioConfiguration, send: Send) -> Receipt | None:
        if send.started_at is None:
            return None
        since = send.started_at.astimezone(UTC) - _SKEW
        found: list[Mapping[str, Any]] = []
        # Not by DateSent: what is still queued has none.
        path = f"Messages.json?{urlencode({'To': send.to or '', 'PageSize': _PAGE})}"
        for _ in range(_MOST_PAGES):
            answer = await self._ask("GET", path, configuration)
            page = json_object(answer) if isinstance(answer, Answer) and answer.status == 200 else {}
            if not isinstance(messages := page.get("messages"), list):
                return None
            recent = [one for one in messages if isinstance(one, dict) and _created(one) >= since]
            found += recent
            further = _next(page.get("next_page_uri"))
            if further is None or not recent:
                break
            path = further
        else:
            return None
        until = since + timedelta(seconds=self.longest_send) + 2 * _SKEW
        ours = [message for message in found if _is_it(message, configuration, send) and _created(message) <= until]
        if not ours:
            return Receipt(Delivery.ABSENT, final=True)
        return _looked_at(min(ours, key=_created))


_NO_URL = URL("//")


def _form(fields: Mapping[str, str | None]) -> bytes:
    """Of those that have a value; what UTF-8 cannot carry becomes a question mark. In a quarter of urlencode's time."""
    given = {name: value.encode(errors="replace").decode() for name, value in fields.items() if value}
    return _NO_URL.with_query(given).raw_query_string.encode()


def _next(uri: object) -> str | None:
    """The rest of the address of a list's next page."""
    if not isinstance(uri, str):
        return None
    _, found, query = uri.partition("/Messages.json?")
    return f"Messages.json?{query}" if found else None


def _is_it(message: Mapping[str, Any], configuration: TwilioConfiguration, send: Send) -> bool:
    sender = (
        message.get("from") == configuration.from_
        if configuration.from_ is not None
        else message.get("messaging_service_sid") == configuration.messaging_service_sid
    )
    another = message.get("sid") in send.others
    return sender and not another and message.get("to") == send.to and message.get("body") == send.message.text


def _created(message: Mapping[str, Any]) -> datetime:
    try:
        return parsedate_to_datetime(str(message.get("date_created")))
    except (TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


def _looked_at(message: Mapping[str, Any]) -> Receipt | None:
    return receipt(message.get("status"), message.get("error_code"), message.get("sid"))


def _outcome(answer: Answer, text: str, secret: str) -> SendOutcome:
    said = json_object(answer)
    if 200 <= answer.status < 300 and isinstance(sid := said.get("sid"), str) and sid:
        parts = str(said.get("num_segments"))
        # A messaging service does not know yet, and says 0.
        counted = int(parts) if parts.isdecimal() else 0
        return Accepted(sid, counted or len(segmented(text).parts))
    if answer.status < 300 or answer.status >= 500:
        return Unknown(f"Twilio did not say whether it took the message (HTTP {answer.status})")
    code = said.get("code")
    refusal, reason, hint = _ELSEWHERE if answer.status < 400 else _STATUS.get(answer.status, _OTHER)
    if isinstance(code, int) and code in _ERRORS:
        refusal, reason, hint = _ERRORS[code]
    its_words = words(said["message"], secret) if "message" in said else body_words(answer, secret)
    return Refused(
        refusal,
        with_words(reason, its_words),
        str(code if isinstance(code, int) else answer.status),
        hint,
        answer.retry_after,
        Step.LOGIN if answer.status in {401, 403} else Step.SEND,
        opted_out=code in _OPTED_OUT,
    )


def receipt(status: object, error_code: object = None, sid: object = None) -> Receipt | None:
    """What Twilio's words mean, of a message that was looked at or from a callback (MessageStatus, ErrorCode and
    MessageSid); None for a status that is not known."""
    if not isinstance(status, str) or status not in _STATUSES:
        return None
    delivery, final = _STATUSES[status]
    code = str(error_code) if error_code not in (None, "", 0, "0") else None
    failed = delivery in {Delivery.UNDELIVERED, Delivery.REJECTED}
    number = int(code) if code and code.isdecimal() else 0
    refusal, reason, _ = _ERRORS.get(number, (None, f"Twilio says {status}", None))
    return Receipt(
        delivery,
        final,
        sid if isinstance(sid, str) else None,
        code or status,
        reason if failed else None,
        (refusal or Refusal.PERMANENT) if failed else None,
        opted_out=failed and number in _OPTED_OUT,
    )


def callback(url: str, body: bytes, signature: str, auth_token: str) -> Receipt | UnknownStatus | None:
    """A status callback, POSTed to `url`: the whole public one that was given as StatusCallback, query included. None:
    it is not signed with this token, or no form.

    https://www.twilio.com/docs/usage/webhooks/webhooks-security
    """
    said = _said(url, body, signature, auth_token)
    if said is None:
        return None
    status = said.get("MessageStatus", "")
    return receipt(status, said.get("ErrorCode"), said.get("MessageSid")) or UnknownStatus(words(status))


def incoming(url: str, body: bytes, signature: str, auth_token: str) -> Incoming | None:
    """A message that a person sent to a number of the account, POSTed to `url`, the whole public one. None: it is not
    signed with this token, or no form. Raises Invalid where it is signed and says not from whom it came.

    https://www.twilio.com/docs/messaging/guides/webhook-request. Where Advanced Opt-Out is on, OptOutType says what
    Twilio itself made of the message, in whatever language.
    """
    said = _said(url, body, signature, auth_token)
    if said is None:
        return None
    if not said.get("From"):
        raise Invalid("From", "must be given: the number that the message came from")
    text = _OPT_OUT_TYPES.get(said.get("OptOutType", ""), said.get("Body", ""))
    return Incoming(said["From"], text, said.get("MessageSid") or None)


_OPT_OUT_TYPES: Mapping[str, str] = {"STOP": "STOP", "START": "START"}


def _said(url: str, body: bytes, signature: str, auth_token: str) -> Mapping[str, str] | None:
    """The fields of a signed form; None: it is not signed, or no form."""
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=200)
    except ValueError:
        return None
    if not signed(url, fields, signature, auth_token):
        return None
    return {name: values[-1] for name, values in fields.items()}


def signed(url: str, fields: Mapping[str, list[str]], signature: str, auth_token: str) -> bool:
    """Of a name that comes several times, each different value counts once. Twilio is not of one mind about whether the
    scheme's own port belongs to the URL."""
    rest = "".join(name + value for name in sorted(fields) for value in sorted(set(fields[name])))
    return any(
        hmac.compare_digest(_signature(spelling + rest, auth_token), signature.encode(errors="replace"))
        for spelling in _spellings(url)
    )


def _signature(text: str, auth_token: str) -> bytes:
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(errors="replace"), hashlib.sha1).digest())


def _spellings(url: str) -> set[str]:
    parts = urlsplit(url)
    host, colon, port = parts.netloc.rpartition(":")
    if not (colon and port.isdecimal()):
        host, port = parts.netloc, ""
    standard = {"https": "443", "http": "80"}.get(parts.scheme, "")
    if port not in ("", standard):
        return {url}
    with_port = urlunsplit(parts._replace(netloc=f"{host}:{standard}"))
    return {url, urlunsplit(parts._replace(netloc=host)), with_port}
