"""A plain SMS gateway, of no particular vendor: log in for a bearer token, post messages, ask what became of them."""

import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.http import endpoint
from sandbox.provider import Answer, Desk, HttpProvider, to_json
from sandbox.sms_gateway.jwt import TokenError, sign, verify

PATHS = {"delivered": ("queued", "sent", "delivered"), "undelivered": ("queued", "sent", "undelivered")}
NUMBER = re.compile(r"\+[1-9]\d{6,14}")
KEPT = 100_000


class SmsGatewaySettings(BaseModel):
    """The body of `PUT /control/settings/sms_gateway`. A `token_ttl_s` of 0 gives tokens that have expired already."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: str = Field(default="sandbox-jwt-secret-of-at-least-32-bytes", min_length=1)
    token_ttl_s: float = Field(default=3600, ge=0, allow_inf_nan=False)
    login: str | None = None
    password: str | None = None


class SmsGateway(HttpProvider[SmsGatewaySettings]):
    name: ClassVar[str] = "sms_gateway"
    title: ClassVar[str] = "A plain SMS gateway behind a bearer JWT"
    address: ClassVar[str] = "/sms-gateway/"
    operations: ClassVar[Sequence[str]] = ("token", "send", "status", "unknown")
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        ("any number", "queued, then sent, then delivered: one step each time it is asked for"),
        ("a number that ends in 0001", "queued, sent, undelivered"),
        ("a number that ends in 0002", "422: the recipient is blocked"),
        ("a login that starts with unknown", "401"),
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, SmsGatewaySettings())
        self._messages: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._asked: dict[str, int] = {}
        self._count = 0

    def routes(self) -> Sequence[web.RouteDef]:
        return (
            web.post("/sms-gateway/token", endpoint(self, "token", self._token, _reader("login"))),
            web.post("/sms-gateway/messages", endpoint(self, "send", self._behind_token(self._send), _reader("to"))),
            web.get("/sms-gateway/messages/{id}", endpoint(self, "status", self._behind_token(self._status), _nothing)),
            web.route("*", "/sms-gateway/{rest:.*}", endpoint(self, "unknown", self._nowhere, _nothing)),
        )

    def error(self, status: int, message: str = "") -> Answer:
        return Answer(status, to_json({"error": message or f"HTTP {status}"}))

    def reset(self) -> None:
        super().reset()
        self._messages.clear()
        self._asked.clear()

    def _token(self, _request: web.Request, body: bytes) -> Answer:
        fields, settings = _fields(body, "login", "password"), self.settings
        if fields is None:
            return self.error(422, "login and password must be non-empty strings")
        login, password = fields
        wrong = settings.login not in (None, login) or settings.password not in (None, password)
        if wrong or login.startswith("unknown"):
            return self.error(401, "wrong login or password")
        now = time.time()
        claims = {"sub": login, "iat": int(now), "exp": now + settings.token_ttl_s}
        token = sign(claims, settings.secret.encode())
        return Answer(
            200, to_json({"access_token": token, "token_type": "Bearer", "expires_in": int(settings.token_ttl_s)})
        )

    def _behind_token(
        self, answering: Callable[[web.Request, bytes], Answer]
    ) -> Callable[[web.Request, bytes], Answer]:
        def answer(request: web.Request, body: bytes) -> Answer:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            try:
                verify(token if scheme.lower() == "bearer" else "", self.settings.secret.encode(), time.time())
            except TokenError as error:
                challenge = {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{error}"'}
                return Answer(401, to_json({"error": str(error)}), headers=challenge)
            return answering(request, body)

        return answer

    def _send(self, _request: web.Request, body: bytes) -> Answer:
        fields = _fields(body, "to", "text")
        if fields is None or not NUMBER.fullmatch(fields[0]):
            return self.error(422, "to must be an E.164 number and text a non-empty string")
        to, text = fields
        if to.endswith("0002"):
            return self.error(422, "the recipient is blocked")
        self._count += 1
        message_id = f"sms-{self._count:06d}"
        self._messages[message_id] = {"id": message_id, "to": to, "text": text}
        if len(self._messages) > KEPT:
            forgotten, _ = self._messages.popitem(last=False)
            self._asked.pop(forgotten, None)
        return Answer(201, to_json({"id": message_id, "status": "queued"}))

    def _status(self, request: web.Request, _body: bytes) -> Answer:
        message = self._messages.get(request.match_info["id"])
        if message is None:
            return self.error(404, "no such message")
        steps = PATHS["undelivered" if message["to"].endswith("0001") else "delivered"]
        asked = self._asked.get(message["id"], 0)
        self._asked[message["id"]] = min(asked + 1, len(steps) - 1)
        return Answer(200, to_json({**message, "status": steps[asked]}))

    def _nowhere(self, _request: web.Request, _body: bytes) -> Answer:
        return self.error(404, "no such resource")


def _fields(body: bytes, *names: str) -> tuple[str, ...] | None:
    """The named fields, all of them non-empty strings, or None."""
    try:
        content = json.loads(body)
        values = tuple(content[name] for name in names)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return values if all(isinstance(value, str) and value for value in values) else None


def _reader(name: str) -> Callable[[bytes], str | None]:
    """The journal shows one field only: the token call's body also holds a password."""
    return lambda body: next(iter(_fields(body, name) or ()), None)


def _nothing(_body: bytes) -> str | None:
    return None
