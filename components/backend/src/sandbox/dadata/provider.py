"""Dadata on the wire.

Sources: https://dadata.ru/api/clean/phone/, /email/ and /record/, the vendor's OpenAPI file `cleaner.yml`, and recorded
answers in public clients. Limits (20 requests a second, 60 new connections a minute, per address): the same pages.
"""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.dadata.emails import clean_email
from sandbox.dadata.phones import clean_phone
from sandbox.http import endpoint
from sandbox.limits import TokenBucket
from sandbox.provider import Answer, Desk, HttpProvider, to_json

Cleaner = Callable[[str], dict[str, Any]]


class DadataSettings(BaseModel):
    """The body of `PUT /control/settings/dadata`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    known_keys: list[str] | None = None
    requests_per_second: int | None = Field(default=None, ge=1)
    connects_per_minute: int | None = Field(default=None, ge=1)
    balance: float = 150.0


class Dadata(HttpProvider[DadataSettings]):
    name: ClassVar[str] = "dadata"
    title: ClassVar[str] = "Dadata: clean phone, clean e-mail"
    address: ClassVar[str] = "/dadata/api/v1/"
    operations: ClassVar[Sequence[str]] = ("phone", "email", "balance", "unknown")
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        ("phone: раб 846)231.60.14 *139", "qc 0, landline with an extension"),
        ("phone: +79851234567, 9168-233-454", "qc 0, mobile"),
        ("phone: 8 800 555-35-35", "qc 0, type Колл-центр"),
        ("phone: +7 495 000-00-01", "qc 0, type Прямой мобильный"),
        ("phone: +375123456789", "qc 7, foreign: two spaces, no city code"),
        ("phone: +123", "qc 1, not recognised, all parts null"),
        ("phone: 231-60-14", "qc 1, recognised with an assumption"),
        ("phone: empty, or no digits", "qc 2"),
        ("phone: +79851234567, +79161234567", "qc 3, the first of several"),
        ("phone: +7 846 000-00-02 and -03", "qc_conflict 2 and 3"),
        ("phone: +7 999 000-00-00", "an answer with NUL and a lone surrogate"),
        ("email: anderson@matrix.ru", "qc 0, CORPORATE"),
        ("email: serega@yandex.ru / info@matrix.ru", "qc 0, PERSONAL / ROLE"),
        ("email: serega@", "qc 1, wrong syntax"),
        ("email: empty, or neither @ nor a dot", "qc 2"),
        ("email: anyone@mailinator.com", "qc 3, DISPOSABLE"),
        ("email: serega@yandex/ru", "qc 4, corrected"),
        ("any API key that starts with unknown", "403"),
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, DadataSettings())
        self._arm()

    def routes(self) -> Sequence[web.RouteDef]:
        clean = "/dadata/api/v1/clean"
        return (
            web.route("*", f"{clean}/phone", endpoint(self, "phone", self._cleaning(clean_phone), _source)),
            web.route("*", f"{clean}/email", endpoint(self, "email", self._cleaning(clean_email), _source)),
            web.route("*", "/dadata/api/v2/profile/balance", endpoint(self, "balance", self._balance, _nothing)),
            web.route("*", "/dadata/{rest:.*}", endpoint(self, "unknown", self._nowhere, _nothing)),
        )

    def error(self, status: int, message: str = "") -> Answer:
        reason = _phrase(status)
        family = "CLIENT_ERROR" if status < 500 else "SERVER_ERROR"
        text = message or f"HTTP {status} {reason}"
        return Answer(status, to_json({"family": family, "reason": reason, "message": text}))

    def admit(self, request: web.Request) -> Answer | None:
        connects, requests = self._connects, self._requests
        if connects is not None and (connection := _peer(request)) not in self._connections:
            if not connects.take():
                return self.error(429, "Too many new connections per minute")
            self._connections.add(connection)
        if requests is not None and not requests.take():
            return self.error(429, "Too many requests per second")
        return None

    def configure(self, body: Any) -> None:
        super().configure(body)
        self._arm()

    def reset(self) -> None:
        super().reset()
        self._arm()

    def _arm(self) -> None:
        per_second, per_minute = self.settings.requests_per_second, self.settings.connects_per_minute
        self._requests = TokenBucket(per_second, 1) if per_second else None
        self._connects = TokenBucket(per_minute, 60) if per_minute else None
        self._connections: set[Any] = set()

    def _cleaning(self, clean: Cleaner) -> Callable[[web.Request, bytes], Answer]:
        def answer(request: web.Request, body: bytes) -> Answer:
            if (refusal := self._unfit(request, "POST")) is not None:
                return refusal
            if request.content_type != "application/json":
                return self.error(415)
            source = _single(body)
            if source is None:
                return self.error(400, "Request body should be a JSON array of exactly one string")
            return Answer(200, to_json([clean(source)]))

        return answer

    def _balance(self, request: web.Request, _body: bytes) -> Answer:
        return self._unfit(request, "GET") or Answer(200, to_json({"balance": self.settings.balance}))

    def _nowhere(self, _request: web.Request, _body: bytes) -> Answer:
        return self.error(404)

    def _unfit(self, request: web.Request, method: str) -> Answer | None:
        if request.method != method:
            return self.error(405)
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Token" or not key:
            return self.error(401, "You should provide Authorization header with your api token")
        if not request.headers.get("X-Secret"):
            return self.error(401, "You should provide X-Secret header with your secret key")
        known = self.settings.known_keys
        if key not in known if known is not None else key.startswith("unknown"):
            return self.error(403, f"Feature 'CLEAN' disabled for token '{key}'")  # the real one shows the key, too
        return None


def _peer(request: web.Request) -> Any:
    """Tells one connection from another: the client's address and port."""
    return request.transport and request.transport.get_extra_info("peername")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _single(body: bytes) -> str | None:
    try:
        records = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(records, list) and len(records) == 1 and isinstance(records[0], str):
        return records[0]
    return None


def _source(body: bytes) -> str | None:
    source = _single(body)
    return body.decode("utf-8", "replace") if source is None else source


def _nothing(_body: bytes) -> str | None:
    return None
