"""SMSAero v2 on the wire: send, status, list, balance, auth.

Sources: PyPI smsaero-api and smsaero-api-async, GitHub cloudloyalty/smsaero-client, smsaero/smsaero_golang.
"""

import base64
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.fields import any_form, form, json_object, text
from sandbox.http import endpoint
from sandbox.provider import Answer, Desk, HttpProvider, to_json
from sandbox.sms import parts

SHORTEST_TEXT, LONGEST_TEXT = 2, 640
PRICE = 2.2
KEPT = 100_000
DIGITS = range(11, 16)
# What becomes of a message, by how its number ends: one step each time that it is asked for.
ENDS: Mapping[str, tuple[int, ...]] = {
    "9002": (0, 3, 2),
    "9004": (0, 3, 4),
    "9006": (0, 6),
    "9008": (8, 8, 8, 0, 3, 1),
    "9009": (8,),
}
DELIVERED = (0, 3, 1)
WORDS = {0: "queue", 1: "delivery", 2: "not delivery", 3: "send", 4: "wait status", 6: "reject", 8: "moderation"}


class SmsAeroSettings(BaseModel):
    """The body of `PUT /control/settings/smsaero`. `signs`: the sender's names that are approved, null for all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: str | None = None
    balance: float = Field(default=1389.26, allow_inf_nan=False)
    signs: list[str] | None = None


@dataclass
class Message:
    """One that was taken. `states` are still to come."""

    id: int
    number: str
    text: str
    sign: str
    states: tuple[int, ...]
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def status(self) -> int:
        return self.states[0]

    def step(self) -> None:
        self.states = self.states[1:] or self.states

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "from": self.sign,
            "number": self.number,
            "text": self.text,
            "status": self.status,
            "extendStatus": WORDS[self.status],
            "channel": "FREE SIGN",
            "cost": PRICE * parts(self.text),
            "dateCreate": self.created,
            "dateSend": self.created,
        }


class SmsAero(HttpProvider[SmsAeroSettings]):
    name: ClassVar[str] = "smsaero"
    title: ClassVar[str] = "SMSAero v2"
    address: ClassVar[str] = "/smsaero/v2/"
    operations: ClassVar[Sequence[str]] = ("send", "testsend", "status", "list", "balance", "auth", "unknown")
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        ("an API key that begins with unknown", "401, invalid credentials"),
        ("a sign that begins with unknown", "400, Validation error"),
        ("a number that ends in 9001", "400, Validation error"),
        ("a number that ends in 9000", "reject"),
        *((f"a number that ends in {end}", f"status {', '.join(map(str, states))}") for end, states in ENDS.items()),
        ("any other number", "status 0, 3, 1: one step each time it is asked for"),
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, SmsAeroSettings())
        self._messages: OrderedDict[int, Message] = OrderedDict()
        self._count = 0

    def routes(self) -> Sequence[web.RouteDef]:
        at = "/smsaero/v2"
        answering = {
            "sms/send": ("send", self._send),
            "sms/testsend": ("testsend", self._test_send),
            "sms/status": ("status", self._status),
            "sms/list": ("list", self._list),
            "balance": ("balance", self._balance),
            "auth": ("auth", self._auth),
        }
        return (
            *(
                web.route("*", f"{at}/{path}", endpoint(self, operation, self._known(answer), _text))
                for path, (operation, answer) in answering.items()
            ),
            web.route("*", "/smsaero/{rest:.*}", endpoint(self, "unknown", self._nowhere, _nothing)),
        )

    def error(self, status: int, message: str = "") -> Answer:
        known = {401: "Your request was made with invalid credentials.", 429: "Too many requests."}
        return _answer(None, success=False, message=message or known.get(status, f"HTTP {status}"), status=status)

    def reset(self) -> None:
        super().reset()
        self._messages.clear()

    def _known(self, answering: Callable[[dict[str, Any]], Answer]) -> Callable[[web.Request, bytes], Answer]:
        def answer(request: web.Request, body: bytes) -> Answer:
            login, _, key = _basic(request).partition(":")
            wanted = self.settings.api_key
            if not login or not key or (key != wanted if wanted is not None else key.startswith("unknown")):
                return self.error(401)
            return answering(any_form(request, body))

        return answer

    def _send(self, fields: dict[str, Any]) -> Answer:
        message = self._taken(fields)
        if isinstance(message, Answer):
            return message
        self._messages[message.id] = message
        if len(self._messages) > KEPT:
            self._messages.popitem(last=False)
        if message.states[-1] == 1:
            details = {"parts": parts(message.text), "id": message.id}
            to = f"+{message.number}"
            self.desk.inbox.add(self.name, to=to, sender=message.sign, text=message.text, details=details)
        return _answer(message.as_json())

    def _test_send(self, fields: dict[str, Any]) -> Answer:
        message = self._taken(fields)
        return message if isinstance(message, Answer) else _answer(message.as_json())

    def _taken(self, fields: dict[str, Any]) -> Message | Answer:
        number, words = text(fields.get("number")), text(fields.get("text"))
        sign = text(fields.get("sign")) or "SMS Aero"
        if not (number.isdecimal() and len(number) in DIGITS) or number.endswith("9001"):
            return _invalid("number")
        if not SHORTEST_TEXT <= len(words) <= LONGEST_TEXT:
            return _invalid("text")
        signs = self.settings.signs
        if sign not in signs if signs is not None else sign.startswith("unknown"):
            return _invalid("sign")
        if self.settings.balance < PRICE:
            return Answer(402, to_json({"result": "no credits"}))
        if number.endswith("9000"):
            return Answer(400, to_json({"result": "reject", "reason": "the number is in the black list"}))
        self._count += 1
        return Message(self._count, number, words, sign, ENDS.get(number[-4:], DELIVERED))

    def _status(self, fields: dict[str, Any]) -> Answer:
        number = text(fields.get("id"))
        message = self._messages.get(int(number)) if number.isdecimal() else None
        if message is None:
            return _invalid("id")
        message.step()
        answered = int(time.time()) if message.status in {1, 2, 6} else None
        return _answer(message.as_json() | {"dateAnswer": answered, "cost": str(PRICE)})

    def _list(self, fields: dict[str, Any]) -> Answer:
        found = [
            message
            for message in reversed(self._messages.values())
            if text(fields.get("number")) in ("", message.number) and text(fields.get("text")) in message.text
        ]
        numbered: dict[str, Any] = {str(place): message.as_json() for place, message in enumerate(found[:50])}
        links = {"self": "gate.smsaero.ru/v2/sms/list?page=1", "first": "gate.smsaero.ru/v2/sms/list?page=1"}
        return _answer(numbered | {"links": links, "totalCount": str(len(found))})

    def _balance(self, _fields: dict[str, Any]) -> Answer:
        return _answer({"balance": self.settings.balance})

    def _auth(self, _fields: dict[str, Any]) -> Answer:
        return _answer(None, message="Successful authorization.")

    def _nowhere(self, _request: web.Request, _body: bytes) -> Answer:
        return self.error(404, "Page not found.")


def _answer(data: Any, *, success: bool = True, message: str | None = None, status: int = 200) -> Answer:
    return Answer(status, to_json({"success": success, "data": data, "message": message}))


def _invalid(field_name: str) -> Answer:
    return _answer({field_name: ["incorrect"]}, success=False, message="Validation error.", status=400)


def _basic(request: web.Request) -> str:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        return base64.b64decode(encoded, validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        return ""


def _text(body: bytes) -> str | None:
    fields = json_object(body) or form(body)
    return text(fields.get("text") or fields.get("id")) or None


def _nothing(_body: bytes) -> str | None:
    return None
