"""Slack's incoming webhooks on the wire: plain text out, single words for errors (changelog of 2016-05-17)."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.fields import form, json_object, text
from sandbox.http import endpoint
from sandbox.limits import TokenBucket
from sandbox.provider import Answer, Desk, HttpProvider

SECRETS = {
    "unknown": (404, "no_service"),
    "revoked": (403, "invalid_token"),
    "removed": (404, "no_active_hooks"),
    "disabled": (403, "team_disabled"),
}
CHANNELS = {
    "#missing": (404, "channel_not_found"),
    "#archived": (410, "channel_is_archived"),
    "#locked": (403, "action_prohibited"),
    "#general": (403, "posting_to_general_channel_denied"),
    "@nobody": (400, "user_not_found"),
}
WORDS = {400: "invalid_payload", 403: "invalid_token", 404: "no_service", 429: "rate_limited", 500: "rollup_error"}


class SlackSettings(BaseModel):
    """The body of `PUT /control/settings/slack`: messages a second for one webhook."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_second: int | None = Field(default=None, ge=1)


class Slack(HttpProvider[SlackSettings]):
    name: ClassVar[str] = "slack"
    title: ClassVar[str] = "Slack incoming webhooks"
    address: ClassVar[str] = "/slack/services/T000/B000/<secret>"
    operations: ClassVar[Sequence[str]] = ("webhook", "unknown")
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        *((f"a secret that begins with {secret}", f"{status} {word}") for secret, (status, word) in SECRETS.items()),
        *((f"channel {channel}", f"{status} {word}") for channel, (status, word) in CHANNELS.items()),
        ("no text", "400 no_text"),
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, SlackSettings())
        self._hooks: dict[str, TokenBucket] = {}

    def routes(self) -> Sequence[web.RouteDef]:
        return (
            web.post("/slack/services/{path:.+}", endpoint(self, "webhook", self._post, _text)),
            web.route("*", "/slack/{rest:.*}", endpoint(self, "unknown", self._nowhere, _nothing)),
        )

    def error(self, status: int, message: str = "") -> Answer:
        headers = {"Retry-After": "1"} if status == 429 else {}
        return _plain(status, message or WORDS.get(status, "invalid_payload"), headers)

    def configure(self, body: Any) -> None:
        super().configure(body)
        self._hooks.clear()

    def reset(self) -> None:
        super().reset()
        self._hooks.clear()

    def _post(self, request: web.Request, body: bytes) -> Answer:
        secret, per_second = request.match_info["path"].rpartition("/")[2], self.settings.per_second
        for beginning, (status, word) in SECRETS.items():
            if secret.startswith(beginning):
                return self.error(status, word)
        if per_second and not self._hooks.setdefault(secret, TokenBucket(per_second, 1)).take():
            return self.error(429)
        payload = _payload(body)
        if payload is None:
            return self.error(400, "invalid_payload")
        if not text(payload.get("text")).strip() and not payload.get("blocks") and not payload.get("attachments"):
            return self.error(400, "no_text")
        channel = text(payload.get("channel")) or "#incoming"
        if channel in CHANNELS:
            return self.error(*CHANNELS[channel])
        sender = text(payload.get("username")) or "incoming-webhook"
        self.desk.inbox.add(
            self.name, to=channel, sender=sender, text=_shown(text(payload.get("text"))), details=payload
        )
        return _plain(200, "ok")

    def _nowhere(self, _request: web.Request, _body: bytes) -> Answer:
        return self.error(404, "no_team")


def _plain(status: int, word: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, word.encode(), "text/plain; charset=utf-8", headers or {})


def _payload(body: bytes) -> dict[str, Any] | None:
    """JSON, or the older form with JSON in its field `payload`."""
    payload = json_object(body)
    return json_object(form(body).get("payload", "").encode()) if payload is None else payload


def _shown(message: str) -> str:
    """As people see it: three characters are written as entities."""
    return message.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _text(body: bytes) -> str | None:
    found = (_payload(body) or {}).get("text")
    return found if isinstance(found, str) else json.dumps(found) if found is not None else None


def _nothing(_body: bytes) -> str | None:
    return None
