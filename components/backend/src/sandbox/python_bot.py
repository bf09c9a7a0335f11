"""A bot in Python that a team runs for itself, as in GitHub Team-taxisty/PingTower: JSON over HTTP, no authentication.

It listens on a port of its own, 5000 by default, and on the common one under /bot.
"""

import secrets
from collections.abc import Sequence
from typing import ClassVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from sandbox.fields import json_object, text
from sandbox.http import endpoint
from sandbox.provider import Answer, Desk, HttpProvider, to_json

BOT = "sandbox_bot"


class PythonBotSettings(BaseModel):
    """The body of `PUT /control/settings/python_bot`: who has registered, null for everybody."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    registered: list[str] | None = None


class PythonBot(HttpProvider[PythonBotSettings]):
    name: ClassVar[str] = "python_bot"
    title: ClassVar[str] = "A Python bot"
    address: ClassVar[str] = "/bot/, and port 5000"
    operations: ClassVar[Sequence[str]] = ("send_notification", "health", "generate_link", "unknown")
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        ("a username that begins with unknown", "404: not registered"),
        ("a username that begins with broken", "500"),
        ("no username, or no service_name", "400"),
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, PythonBotSettings())

    def routes(self) -> Sequence[web.RouteDef]:
        return self._routes("/bot")

    def own_routes(self) -> Sequence[web.RouteDef]:
        """For the port of its own."""
        return self._routes("")

    def _routes(self, at: str) -> Sequence[web.RouteDef]:
        return (
            web.post(f"{at}/send_notification", endpoint(self, "send_notification", self._send, _message)),
            web.get(f"{at}/health", endpoint(self, "health", self._health, _nothing)),
            web.post(f"{at}/generate_link", endpoint(self, "generate_link", self._link, _nothing)),
            web.route("*", at + "/{rest:.*}", endpoint(self, "unknown", self._nowhere, _nothing)),
        )

    def error(self, status: int, message: str = "") -> Answer:
        return Answer(status, to_json({"error": message or ("Internal server error" if status >= 500 else "Error")}))

    def _send(self, _request: web.Request, body: bytes) -> Answer:
        fields = json_object(body) or {}
        username, service = text(fields.get("username")), text(fields.get("service_name"))
        if not username or not service:
            return self.error(400, "Username и service_name обязательны")
        if username.startswith("broken"):
            return self.error(500)
        registered = self.settings.registered
        if username not in registered if registered is not None else username.startswith("unknown"):
            return self.error(404, "User not found or not registered")
        self.desk.inbox.add(self.name, to=username, sender=service, text=text(fields.get("message")), details=fields)
        return Answer(200, to_json({"success": True, "message": "Notification sent successfully"}))

    def _health(self, _request: web.Request, _body: bytes) -> Answer:
        return Answer(200, to_json({"status": "healthy", "bot": BOT}))

    def _link(self, _request: web.Request, body: bytes) -> Answer:
        fields = json_object(body) or {}
        if not text(fields.get("username")):
            return self.error(400, "Username обязателен")
        token = text(fields.get("token")) or secrets.token_urlsafe(16)
        link = {
            "link": f"https://t.me/{BOT}?start={token}",
            "token": token,
            "bot_username": BOT,
            "already_linked": False,
        }
        return Answer(200, to_json(link))

    def _nowhere(self, _request: web.Request, _body: bytes) -> Answer:
        return Answer(404, b"<!doctype html><title>404 Not Found</title>", "text/html; charset=utf-8")


def _message(body: bytes) -> str | None:
    found = (json_object(body) or {}).get("message")
    return found if isinstance(found, str) else None


def _nothing(_body: bytes) -> str | None:
    return None
