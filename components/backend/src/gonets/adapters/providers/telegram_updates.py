"""What people say to a bot: getMe and getUpdates, https://core.telegram.org/bots/api#getupdates."""

import json
import re
from collections.abc import Mapping
from typing import Any

from gonets.adapters.providers.http_kind import json_object, words
from gonets.adapters.providers.transport import CallError, HttpTransport
from gonets.core.channels.linking import Heard, Start
from gonets.core.shared.errors import Category, GonetsError

_TIMEOUT = 10.0
_START = re.compile(r"/start(?:@\w+)? ([0-9A-Za-z_-]{1,64})")


class BotError(GonetsError):
    """The bot cannot be asked: its token is wrong, or Telegram is away."""

    def __init__(self, category: Category, reason: str) -> None:
        super().__init__(reason)
        self.category = category


class TelegramBots:
    """Implements Bots. `url`: of the Bot API."""

    def __init__(self, transport: HttpTransport, url: str) -> None:
        self._transport = transport
        self._url = url.rstrip("/")

    async def name(self, token: str) -> str:
        name = (await self._ask(token, "getMe", {})).get("username")
        if not isinstance(name, str):
            raise BotError(Category.UNAVAILABLE, "Telegram did not say the bot's name")
        return name

    async def hear(self, token: str, place: int) -> Heard:
        asked = {"offset": place, "limit": 100, "timeout": 0, "allowed_updates": ["message"]}
        updates = await self._ask(token, "getUpdates", asked)
        found = updates if isinstance(updates, list) else []
        starts = [start for update in found if (start := _start(update))]
        return Heard(starts, max([place, *(_number(update) + 1 for update in found)]))

    async def _ask(self, token: str, method: str, body: Mapping[str, Any]) -> Any:
        try:
            answer = await self._transport.request(
                "POST",
                f"{self._url}/bot{token}/{method}",
                {"Content-Type": "application/json", "Accept": "application/json"},
                json.dumps(body).encode(),
                timeout=_TIMEOUT,
            )
        except CallError as error:
            raise BotError(Category.UNAVAILABLE, f"Telegram cannot be asked: {error.reason}") from error
        said = json_object(answer)
        if said.get("ok") is True:
            return said.get("result") or {}
        description = words(said.get("description") or f"HTTP {answer.status}", token)
        category = Category.MISCONFIGURED if answer.status in {401, 404, 409} else Category.UNAVAILABLE
        raise BotError(category, f"Telegram refused: {description}")


def _start(update: Any) -> Start | None:
    message = update.get("message") if isinstance(update, dict) else None
    chat = message.get("chat") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(chat, dict) or not isinstance(chat.get("id"), int):
        return None
    found = _START.fullmatch(str(message.get("text", "")).strip())
    return Start(found[1], str(chat["id"])) if found else None


def _number(update: Any) -> int:
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if isinstance(number, int) else 0
