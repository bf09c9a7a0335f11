"""SMSAero v2, https://smsaero.ru/integration/documentation/api/: SMS through Russian operators.

Its JSON counts, whatever the HTTP status. It reports to nobody reliably, so it is asked: sms/status, or sms/list where
a crash swallowed the id.
"""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from gonets.adapters.providers.configuration import Configuration, Like, Secret, Text
from gonets.adapters.providers.http_kind import HttpKind, body_words, json_object, with_words, words
from gonets.adapters.providers.transport import Answer, HttpTransport
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
from gonets.core.shared.json import JSON

SHORTEST_TEXT, LONGEST_TEXT = 2, 640
_TIMEOUT = 20.0
_SKEW = timedelta(seconds=30)  # between their clock and ours

_LOGIN = "check email and apiKey: https://smsaero.ru/cabinet/settings/apikey/ shows the key"
_SIGN = "check sign: https://smsaero.ru/cabinet/signs/ lists the names that are approved"
_MONEY = "top up the account at https://smsaero.ru"
_OPERATOR = "an operator is to check SMSAERO_API_URL"

_Error = tuple[Refusal, str, str | None]
# By a field that the answer names.
_FIELDS: Mapping[str, _Error] = {
    "number": (Refusal.PERMANENT, "SMSAero does not send to this number", "write it as +79161234567"),
    "numbers": (Refusal.PERMANENT, "SMSAero does not send to this number", "write it as +79161234567"),
    "text": (Refusal.PERMANENT, "SMSAero refused the text", "change it"),
    "sign": (Refusal.CONFIGURATION, "SMSAero does not know the sender's name", _SIGN),
}
# By a part of its words, in small letters; the first that fits.
_WORDS: tuple[tuple[str, _Error], ...] = (
    ("credentials", (Refusal.CONFIGURATION, "SMSAero refused the credentials", _LOGIN)),
    ("authorization", (Refusal.CONFIGURATION, "SMSAero refused the credentials", _LOGIN)),
    ("no credits", (Refusal.CONFIGURATION, "there is not enough money", _MONEY)),
    ("not enough", (Refusal.CONFIGURATION, "there is not enough money", _MONEY)),
    ("insufficient", (Refusal.CONFIGURATION, "there is not enough money", _MONEY)),
    ("balance", (Refusal.CONFIGURATION, "there is not enough money", _MONEY)),
    ("sign", (Refusal.CONFIGURATION, "SMSAero does not know the sender's name", _SIGN)),
    ("too many", (Refusal.TEMPORARY, "too many messages to SMSAero", None)),
)
# Where its words say nothing that is known.
_STATUS: Mapping[int, _Error] = {
    401: (Refusal.CONFIGURATION, "SMSAero refused the credentials", _LOGIN),
    402: (Refusal.CONFIGURATION, "there is not enough money", _MONEY),
    403: (Refusal.CONFIGURATION, "SMSAero refused the account", _LOGIN),
    404: (Refusal.CONFIGURATION, "the address is not SMSAero's", _OPERATOR),
    429: (Refusal.TEMPORARY, "too many messages to SMSAero", None),
}
_OTHER: _Error = (Refusal.PERMANENT, "SMSAero refused the message", None)
_ELSEWHERE: _Error = (Refusal.CONFIGURATION, "the address is not SMSAero's", _OPERATOR)

# What becomes of a message: its number; whether nothing follows; what it says.
_STATUSES: Mapping[int, tuple[Delivery, bool, str]] = {
    0: (Delivery.SENT, False, "it waits at SMSAero"),
    1: (Delivery.DELIVERED, True, "delivered"),
    2: (Delivery.UNDELIVERED, True, "the operator could not deliver it"),
    3: (Delivery.SENT, False, "the operator has it"),
    4: (Delivery.SENT, False, "the operator has not yet said what became of it"),
    6: (Delivery.REJECTED, True, "SMSAero rejected it"),
    8: (Delivery.SENT, False, "SMSAero's moderators look at it"),
}
_MODERATION = 8


class SmsAeroConfiguration(Configuration):
    """SMS by SMSAero."""

    model_config = ConfigDict(title="SMSAero SMS")

    email: Annotated[
        Text,
        Like(r"[^@\s:]+@[^@\s:]+", "must be an e-mail address"),
        Field(description="Of your SMSAero account", examples=["you@example.com"]),
    ]
    api_key: Annotated[
        Secret, Like(r"[!-~]+", "must be one word of ASCII characters"), Field(description="From SMSAero's settings")
    ]
    sign: Annotated[
        Text,
        Like(r"[^\s].{0,62}[^\s]", "must be an approved sender's name, of 2 to 64 characters"),
        Field(description="The sender's name, as SMSAero has approved it"),
    ] = "SMS Aero"


class SmsAero(HttpKind[SmsAeroConfiguration]):
    """Implements ChannelKind and Inquiry. `url`: a gate's, with the version."""

    type = ChannelType.SMS_SMSAERO
    address: Address | None = Address.PHONE
    receipts = True
    longest_send = _TIMEOUT

    def __init__(self, transport: HttpTransport, url: str = "https://gate.smsaero.ru/v2") -> None:
        super().__init__(SmsAeroConfiguration, transport)
        self._url = url.rstrip("/")

    def problem(self, message_text: str) -> str | None:
        length = len(message_text)
        if length < SHORTEST_TEXT or not message_text.strip():
            return f"SMSAero sends no text of less than {SHORTEST_TEXT} characters"
        if length > LONGEST_TEXT:
            return f"the text is too long for SMSAero: {length} characters, and {LONGEST_TEXT} are allowed"
        return None

    async def _send(self, configuration: SmsAeroConfiguration, send: Send) -> SendOutcome:
        if send.to is None:
            return Refused(Refusal.PERMANENT, "the recipient has no phone number", step=Step.DESTINATION)
        if problem := self.problem(send.message.text):
            return Refused(Refusal.PERMANENT, problem, hint="change the text", step=Step.MESSAGE)
        text = send.message.text
        request: dict[str, JSON] = {"number": send.to.removeprefix("+"), "text": text, "sign": configuration.sign}
        answer = await self._ask("sms/send", configuration, request)
        return _outcome(answer, text, configuration) if isinstance(answer, Answer) else answer

    async def _ask(
        self, path: str, configuration: SmsAeroConfiguration, request: Mapping[str, JSON]
    ) -> Answer | Refused | Unknown:
        login = base64.b64encode(f"{configuration.email}:{configuration.api_key}".encode()).decode()
        headers = {
            "Authorization": f"Basic {login}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        body = json.dumps(request, ensure_ascii=False).encode(errors="replace")
        return await self._call("POST", f"{self._url}/{path}", headers, body, timeout=_TIMEOUT, address=_OPERATOR)

    async def inquire(self, channel: Channel, send: Send, provider_id: str | None) -> Receipt | None:
        """Without an id: among the messages to this number, the first with this text and sender that was made while the
        try lasted."""
        with self._logged(channel):
            return await self._inquire(self.read(channel.configuration), send, provider_id)

    async def _inquire(
        self, configuration: SmsAeroConfiguration, send: Send, provider_id: str | None
    ) -> Receipt | None:
        if provider_id is not None:
            number: JSON = int(provider_id) if provider_id.isdecimal() else provider_id
            return _looked_at(_data(await self._ask("sms/status", configuration, {"id": number})))
        if send.started_at is None or send.to is None:
            return None
        number = send.to.removeprefix("+")
        data = _data(await self._ask("sms/list", configuration, {"number": number, "text": send.message.text}))
        if data is None:
            return None
        since = (send.started_at - _SKEW).timestamp()
        until = since + self.longest_send + 2 * _SKEW.total_seconds()
        ours = [one for one in _listed(data) if _is_it(one, configuration, send) and since <= _created(one) <= until]
        return _looked_at(min(ours, key=_created)) if ours else Receipt(Delivery.ABSENT, final=True)


def _data(answer: Answer | Refused | Unknown) -> Any:
    """What an answer that is a success holds; None where there is none."""
    said = json_object(answer) if isinstance(answer, Answer) else {}
    return said.get("data") if said.get("success") is True else None


def _listed(data: object) -> list[Mapping[str, Any]]:
    """The messages of a list, which are numbered rather than listed: "0", "1"... beside "links" and "totalCount"."""
    if isinstance(data, dict):
        return [one for name, one in data.items() if name.isdecimal() and isinstance(one, dict)]
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []


def _is_it(one: Mapping[str, Any], configuration: SmsAeroConfiguration, send: Send) -> bool:
    return (
        str(one.get("number")) == (send.to or "").removeprefix("+")
        and one.get("text") == send.message.text
        and one.get("from") in (None, configuration.sign)
        and str(one.get("id")) not in send.others
    )


def _created(one: Mapping[str, Any]) -> float:
    moment = one.get("dateCreate")
    return float(moment) if isinstance(moment, int | float) else 0.0


def _looked_at(data: object) -> Receipt | None:
    if not isinstance(data, dict) or isinstance(status := data.get("status"), bool) or not isinstance(status, int):
        return None
    delivery, final, says = _STATUSES.get(status, (Delivery.SENT, False, f"SMSAero says {status}"))
    failed = delivery in {Delivery.UNDELIVERED, Delivery.REJECTED}
    return Receipt(
        delivery,
        final,
        str(data["id"]) if "id" in data else None,
        str(status),
        says if failed or status == _MODERATION else None,
        Refusal.PERMANENT if failed else None,
        held=status == _MODERATION,
    )


def _outcome(answer: Answer, text: str, configuration: SmsAeroConfiguration) -> SendOutcome:
    said = json_object(answer)
    data = said.get("data")
    if said.get("success") is True:
        first = data[0] if isinstance(data, list) and data else data
        if isinstance(first, dict) and "id" in first:
            return Accepted(str(first["id"]), len(segmented(text).parts))
    elif _says_no(said) or (said and 400 <= answer.status < 500):
        return _refused(answer, said, configuration.api_key)
    elif answer.status in _STATUS or 300 <= answer.status < 400:
        return _refused(answer, {}, configuration.api_key)
    return Unknown(f"SMSAero did not say whether it took the message (HTTP {answer.status})")


def _says_no(said: Mapping[str, Any]) -> bool:
    return said.get("success") is False or said.get("result") in {"reject", "no credits"}


def _refused(answer: Answer, said: Mapping[str, Any], secret: str) -> Refused:
    """`said`: its JSON, empty where there is none."""
    data = said.get("data")
    fields = data if isinstance(data, dict) else {}
    text = _said(said, fields, secret) or body_words(answer, secret)
    known = [_FIELDS[name] for name in fields if name in _FIELDS]
    if said:
        known += [error for part, error in _WORDS if part in text.lower()]
    by_status = _ELSEWHERE if answer.status < 400 and not said else _STATUS.get(answer.status, _OTHER)
    refusal, reason, hint = known[0] if known else by_status
    code = str(said.get("result") or answer.status)
    step = Step.LOGIN if hint == _LOGIN else Step.SEND
    return Refused(refusal, with_words(reason, text), code, hint, answer.retry_after, step)


def _said(said: Mapping[str, Any], fields: Mapping[str, Any], secret: str) -> str:
    parts = [said.get("message"), said.get("result"), said.get("reason")]
    parts += [f"{name} {', '.join(map(str, why)) if isinstance(why, list) else why}" for name, why in fields.items()]
    return words("; ".join(str(part) for part in parts if part), secret)
