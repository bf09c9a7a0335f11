"""Twilio Programmable Messaging: https://www.twilio.com/docs/messaging/api/message-resource.

What is refused has a code (twilio_codes.py); a 5xx may have been taken. What becomes of a message is reported to
StatusCallback (twilio_calls.py), and can be asked for.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Annotated, Any, Self
from urllib.parse import urlencode

from pydantic import ConfigDict, Field, model_validator
from yarl import URL

from gonets.adapters.providers.configuration import Configuration, Like, Secret, Text, wrong
from gonets.adapters.providers.http_kind import HttpKind, body_words, json_object, with_words, words
from gonets.adapters.providers.transport import Answer, HttpTransport
from gonets.adapters.providers.twilio_codes import ELSEWHERE, ERRORS, OPTED_OUT, OTHER, STATUS, receipt
from gonets.core.channels.model import (
    Accepted,
    Address,
    Channel,
    ChannelType,
    Delivery,
    Receipt,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Step,
    Unknown,
)
from gonets.core.channels.sms_text import segmented

LONGEST_TEXT = 1600
_TIMEOUT = 20.0
_PAGE = 100
_MOST_PAGES = 10  # of messages to one number since one try began
_SKEW = timedelta(seconds=30)  # between their clock and ours


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
    refusal, reason, hint = ELSEWHERE if answer.status < 400 else STATUS.get(answer.status, OTHER)
    if isinstance(code, int) and code in ERRORS:
        refusal, reason, hint = ERRORS[code]
    its_words = words(said["message"], secret) if "message" in said else body_words(answer, secret)
    return Refused(
        refusal,
        with_words(reason, its_words),
        str(code if isinstance(code, int) else answer.status),
        hint,
        answer.retry_after,
        Step.LOGIN if answer.status in {401, 403} else Step.SEND,
        opted_out=code in OPTED_OUT,
    )
