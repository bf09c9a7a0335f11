"""Telegram's Bot API on the wire: sendMessage, getUpdates, getMe.

Sources: https://core.telegram.org/bots/api, and answers recorded in public clients.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.fields import any_form, json_object, text
from sandbox.http import endpoint
from sandbox.limits import TokenBucket
from sandbox.provider import Answer, Desk, HttpProvider, to_json

LONGEST_TEXT = 4096
MOVED_TO = -1001234567890
LONGEST_POLL = 50  # seconds

# chat_id: what is the matter with it.
CHATS: dict[str, tuple[int, str, dict[str, int]]] = {
    "404404": (400, "Bad Request: chat not found", {}),
    "403403": (403, "Forbidden: bot was blocked by the user", {}),
    "403404": (403, "Forbidden: bot can't initiate conversation with a user", {}),
    "-403": (403, "Forbidden: bot was kicked from the group chat", {}),
    "-400": (
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        {"migrate_to_chat_id": MOVED_TO},
    ),
    "429429": (429, "Too Many Requests: retry after 3", {"retry_after": 3}),
}


class TelegramSettings(BaseModel):
    """The body of `PUT /control/settings/telegram`: known bots, and messages a second, in all and to one chat."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    known_tokens: list[str] | None = None
    per_second: int | None = Field(default=None, ge=1)
    per_chat_per_second: int | None = Field(default=None, ge=1)


class Telegram(HttpProvider[TelegramSettings]):
    name: ClassVar[str] = "telegram"
    title: ClassVar[str] = "Telegram bots"
    address: ClassVar[str] = "/telegram/bot<token>/"
    operations: ClassVar[Sequence[str]] = ("sendMessage", "getUpdates", "getMe", "unknown")
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        ("a token that holds the word unknown", "401 Unauthorized"),
        *((f"chat_id {chat}", f"{status} {description}") for chat, (status, description, _) in CHATS.items()),
        ("more than 4096 UTF-16 units", "400 Bad Request: message is too long"),
        ("POST /control/telegram/messages", 'a person writes to a bot: {"token", "chatId", "text", "firstName"}'),
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, TelegramSettings())
        self._messages = 0
        self._updates: dict[str, list[dict[str, Any]]] = {}
        self._update = 0
        self._news = asyncio.Event()
        self._arm()

    def routes(self) -> Sequence[web.RouteDef]:
        at = "/telegram/bot{token}"
        return (
            web.route("*", f"{at}/sendMessage", endpoint(self, "sendMessage", self._send, _text)),
            web.route("*", f"{at}/getUpdates", endpoint(self, "getUpdates", self._get_updates, _nothing)),
            web.route("*", f"{at}/getMe", endpoint(self, "getMe", self._get_me, _nothing)),
            web.route("*", "/telegram/{rest:.*}", endpoint(self, "unknown", self._nowhere, _nothing)),
            web.post("/control/telegram/messages", self._write),
        )

    def error(self, status: int, message: str = "", **parameters: int) -> Answer:
        known = {401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests: retry after 1"}
        body: dict[str, Any] = {
            "ok": False,
            "error_code": status,
            "description": message or known.get(status, f"HTTP {status}"),
        }
        if status == 429 and not parameters:
            parameters = {"retry_after": 1}
        return Answer(status, to_json(body | ({"parameters": parameters} if parameters else {})))

    def configure(self, body: Any) -> None:
        super().configure(body)
        self._arm()

    def reset(self) -> None:
        super().reset()
        self._updates.clear()
        self._arm()

    def _arm(self) -> None:
        per_second = self.settings.per_second
        self._all = TokenBucket(per_second, 1) if per_second else None
        self._chats: dict[str, TokenBucket] = {}

    def _unfit(self, request: web.Request) -> Answer | None:
        token, known = request.match_info["token"], self.settings.known_tokens
        unknown = "unknown" in token if known is None else token not in known
        return self.error(401) if unknown else None

    def _send(self, request: web.Request, body: bytes) -> Answer:
        if (refusal := self._unfit(request)) is not None:
            return refusal
        fields = any_form(request, body)
        chat, message = text(fields.get("chat_id")), text(fields.get("text"))
        if not chat:
            return self.error(400, "Bad Request: chat_id is empty")
        if not message.strip():
            return self.error(400, "Bad Request: message text is empty")
        if len(message.encode("utf-16-le", "replace")) // 2 > LONGEST_TEXT:
            return self.error(400, "Bad Request: message is too long")
        if chat in CHATS:
            status, description, parameters = CHATS[chat]
            return self.error(status, description, **parameters)
        if not self._may(chat):
            return self.error(429)
        bot = self._bot(request)
        self._messages += 1
        self.desk.inbox.add(self.name, to=chat, sender=bot["username"], text=message, details={"chat_id": chat})
        result = {
            "message_id": self._messages,
            "from": bot,
            "chat": _chat(chat),
            "date": int(time.time()),
            "text": message,
        }
        return Answer(200, to_json({"ok": True, "result": result}))

    def _may(self, chat: str) -> bool:
        if self._all is not None and not self._all.take():
            return False
        per_chat = self.settings.per_chat_per_second
        if per_chat is None:
            return True
        return self._chats.setdefault(chat, TokenBucket(per_chat, 1)).take()

    async def _get_updates(self, request: web.Request, body: bytes) -> Answer:
        if (refusal := self._unfit(request)) is not None:
            return refusal
        fields = any_form(request, body)
        waiting = self._updates.setdefault(request.match_info["token"], [])
        offset, limit = _number(fields, "offset", 0), min(_number(fields, "limit", 100), 100)
        waiting[:] = [update for update in waiting if update["update_id"] >= offset]
        until = time.monotonic() + min(_number(fields, "timeout", 0), LONGEST_POLL)
        while not waiting and (left := until - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                break
        return Answer(200, to_json({"ok": True, "result": waiting[:limit]}))

    def _get_me(self, request: web.Request, _body: bytes) -> Answer:
        return self._unfit(request) or Answer(200, to_json({"ok": True, "result": self._bot(request)}))

    def _bot(self, request: web.Request) -> dict[str, Any]:
        number = request.match_info["token"].partition(":")[0]
        return {
            "id": int(number) if number.isdecimal() else 1,
            "is_bot": True,
            "first_name": "Sandbox",
            "username": "sandbox_bot",
        }

    async def _write(self, request: web.Request) -> web.Response:
        """A person writes to a bot."""
        body = json_object(await request.read())
        token, chat = text((body or {}).get("token")), text((body or {}).get("chatId"))
        if body is None or not token or not chat.removeprefix("-").isdecimal():
            errors = [{"field": "body", "message": "must be an object with a token and a numeric chatId"}]
            return web.json_response({"errors": errors}, status=422)
        self._update += 1
        person = {"id": int(chat), "is_bot": False, "first_name": text(body.get("firstName")) or "Ivan"}
        message = {
            "message_id": self._update,
            "from": person,
            "chat": _chat(chat),
            "date": int(time.time()),
            "text": text(body.get("text", "/start")),
        }
        update = {"update_id": self._update, "message": message}
        self._updates.setdefault(token, []).append(update)
        self._news.set()
        self._news = asyncio.Event()
        return web.Response(body=to_json(update), content_type="application/json")

    def _nowhere(self, _request: web.Request, _body: bytes) -> Answer:
        return self.error(404)


def _chat(chat: str) -> dict[str, Any]:
    if not chat.removeprefix("-").isdecimal():
        return {"id": -1000000000001, "title": chat, "username": chat.removeprefix("@"), "type": "channel"}
    kind = "private" if not chat.startswith("-") else "supergroup" if chat.startswith("-100") else "group"
    return {"id": int(chat), "type": kind}


def _number(fields: dict[str, Any], name: str, default: int) -> int:
    value = text(fields.get(name))
    return int(value) if value.removeprefix("-").isdecimal() else default


def _text(body: bytes) -> str | None:
    found = (json_object(body) or {}).get("text")
    return found if isinstance(found, str) else None


def _nothing(_body: bytes) -> str | None:
    return None
