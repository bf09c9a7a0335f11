"""Somebody's own server that takes webhooks: everything under /webhook/ is taken and shown as it came."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, ClassVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from sandbox.fields import json_object, text
from sandbox.http import endpoint
from sandbox.journal import masked
from sandbox.provider import Answer, Desk, HttpProvider, to_json


class WebhookSettings(BaseModel):
    """The body of `PUT /control/settings/webhook`: with a secret, only what is signed with it is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: str | None = None


class Webhook(HttpProvider[WebhookSettings]):
    name: ClassVar[str] = "webhook"
    title: ClassVar[str] = "A server that takes webhooks"
    address: ClassVar[str] = "/webhook/<anything>"
    operations: ClassVar[Sequence[str]] = ("call",)
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        ("POST or PUT, any path", "200, and the payload is in the inbox"),
        ("/webhook/status/<code>", "that status, and nothing is taken"),
        ("/webhook/redirect/<code>?to=<address>", "a redirect to it"),
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, WebhookSettings())

    def routes(self) -> Sequence[web.RouteDef]:
        return (web.route("*", "/webhook/{rest:.*}", endpoint(self, "call", self._call, _message)),)

    def error(self, status: int, message: str = "") -> Answer:
        return Answer(status, to_json({"error": message or f"HTTP {status}"}))

    def _call(self, request: web.Request, body: bytes) -> Answer:
        what, _, code = request.match_info["rest"].partition("/")
        if what == "status" and code.isdecimal() and 200 <= int(code) <= 599:
            return self.error(int(code))
        if what == "redirect" and code.isdecimal() and 300 <= int(code) <= 399:
            return Answer(int(code), b"", headers={"Location": request.query.get("to", "/")})
        if request.method not in {"POST", "PUT"}:
            return self.error(405)
        if not self._signed(request, body):
            return self.error(401, "wrong signature")
        payload = json_object(body)
        if payload is None:
            return self.error(400, "not a JSON object")
        details = {"method": request.method, "headers": masked(request.raw_headers), "payload": payload}
        sender = text(payload.get("serviceName")) or "somebody"
        message = text(payload.get("message"))
        self.desk.inbox.add(self.name, to=request.path_qs, sender=sender, text=message, details=details)
        return Answer(200, to_json({"received": True}))

    def _signed(self, request: web.Request, body: bytes) -> bool:
        if self.settings.secret is None:
            return True
        expected = base64.b64encode(hmac.new(self.settings.secret.encode(), body, hashlib.sha256).digest()).decode()
        return hmac.compare_digest(f"sha256={expected}", request.headers.get("X-Signature-256", ""))


def _message(body: bytes) -> str | None:
    found: Any = (json_object(body) or {}).get("message")
    return found if isinstance(found, str) else None
