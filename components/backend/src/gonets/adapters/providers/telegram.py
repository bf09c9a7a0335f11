"""Telegram: a bot's sendMessage, https://core.telegram.org/bots/api#sendmessage. Texts go as they are, unformatted.

A chat that became a supergroup has another id: the message goes there, in the same try, for at the old id it certainly
was not taken.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gonets.adapters.providers.configuration import Configuration, Like, Secret, Text
from gonets.adapters.providers.http_kind import HttpKind, body_words, json_object, with_words, words
from gonets.adapters.providers.transport import Answer, HttpTransport
from gonets.core.channels.model import (
    Accepted,
    Address,
    ChannelType,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Step,
    Unknown,
)
from gonets.core.shared.json import JSON

LONGEST_TEXT = 4096  # UTF-16 units
_TIMEOUT = 20.0
_MOVED = 1000  # chats whose new id is remembered

_TOKEN = "check botToken: @BotFather shows it, and makes a new one with /token"  # noqa: S105 - words about it
_START = "the person has to open the bot in Telegram and press Start; then its chatId is right"

# By code and, where it is not None, by words of the description; the first that fits. Telegram may change both.
_Error = tuple[int, str | None, Refusal, str, str | None]
_ERRORS: tuple[_Error, ...] = (
    (400, "chat not found", Refusal.PERMANENT, "Telegram does not know the chat", _START),
    (400, "peer_id_invalid", Refusal.PERMANENT, "Telegram does not know the chat", _START),
    (400, "chat_id is empty", Refusal.PERMANENT, "Telegram does not know the chat", _START),
    (400, "deactivated", Refusal.PERMANENT, "the group was closed", "use another chatId"),
    (400, "message text is empty", Refusal.PERMANENT, "Telegram sends no empty message", None),
    (400, "too long", Refusal.PERMANENT, "the text is too long for Telegram", "shorten it"),
    (400, None, Refusal.PERMANENT, "Telegram refused the message", None),
    (401, None, Refusal.CONFIGURATION, "Telegram does not know the bot", _TOKEN),
    (
        403,
        "blocked by the user",
        Refusal.PERMANENT,
        "the person has blocked the bot",
        "they can unblock it in the chat",
    ),
    (403, "deactivated", Refusal.PERMANENT, "the person has left Telegram", None),
    (403, "initiate conversation", Refusal.PERMANENT, "a bot cannot write first", _START),
    (403, "kicked", Refusal.PERMANENT, "the bot was removed from the chat", "add it to the chat again"),
    (403, "not a member", Refusal.PERMANENT, "the bot is not in the chat", "add it to the chat"),
    (403, "can't send messages to bots", Refusal.PERMANENT, "the chat is another bot", "use a person's chatId"),
    (403, None, Refusal.PERMANENT, "Telegram does not let the bot write there", "let the bot write in this chat"),
    (404, None, Refusal.CONFIGURATION, "Telegram does not know the bot", _TOKEN),
    (409, None, Refusal.CONFIGURATION, "something else uses the bot", None),
    (413, None, Refusal.PERMANENT, "the message is too long for Telegram", None),
    (429, None, Refusal.TEMPORARY, "too many messages to Telegram", None),
)
_OTHER: _Error = (0, None, Refusal.PERMANENT, "Telegram refused the message", None)
_ELSEWHERE: _Error = (0, None, Refusal.CONFIGURATION, "the address leads elsewhere", "check TELEGRAM_API_URL")


class _OrInteger:
    """Says in the JSON Schema that a number will do, too."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "type": ["string", "integer"]}


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class TelegramConfiguration(Configuration):
    """A bot that writes to people and groups."""

    model_config = ConfigDict(title="Telegram")

    bot_token: Annotated[
        Secret,
        Like(r"[0-9A-Za-z:_-]+", "must be a bot's token, such as 123456789:AAE..., as @BotFather shows it"),
        Field(
            description="The bot's token, from @BotFather", examples=["123456789:AAExampleExampleExampleExampleExample"]
        ),
    ]
    chat_id: Annotated[
        Annotated[
            Text,
            Like(r"-?[1-9][0-9]{0,18}|@[A-Za-z][A-Za-z0-9_]{3,31}", "must be a chat's number or @channelname"),
            _OrInteger,
        ]
        | None,
        BeforeValidator(_text),
        Field(description="Where messages without a recipient go", examples=["987654321", "-1001234567890"]),
    ] = None


class Telegram(HttpKind[TelegramConfiguration]):
    """Implements ChannelKind. `url`: of the Bot API."""

    type = ChannelType.TELEGRAM
    address: Address | None = Address.TELEGRAM_CHAT_ID
    receipts = False
    longest_send = 2 * _TIMEOUT

    def __init__(self, transport: HttpTransport, url: str = "https://api.telegram.org") -> None:
        super().__init__(TelegramConfiguration, transport)
        self._url = url.rstrip("/")
        self._moved: OrderedDict[tuple[str, str], str] = OrderedDict()

    def destination(self, configuration: Mapping[str, JSON]) -> str | None:
        return self.read(configuration).chat_id

    def problem(self, message_text: str) -> str | None:
        length = len(message_text.encode("utf-16-le", "surrogatepass")) // 2
        if not message_text.strip():
            return "Telegram sends no empty message"
        if length > LONGEST_TEXT:
            return f"the text is too long for Telegram: {length} UTF-16 units, and {LONGEST_TEXT} are allowed"
        return None

    async def _send(self, configuration: TelegramConfiguration, send: Send) -> SendOutcome:
        chat = send.to or configuration.chat_id
        if chat is None:
            hint = "set chatId, or give the recipient a telegramChatId"
            return Refused(Refusal.CONFIGURATION, "there is no chat to write to", hint=hint, step=Step.DESTINATION)
        if problem := self.problem(send.message.text):
            return Refused(Refusal.PERMANENT, problem, hint="shorten it", step=Step.MESSAGE)
        token = configuration.bot_token
        outcome = await self._post(token, self._moved.get((token, chat), chat), send.message.text)
        if isinstance(outcome, str):
            self._remember(token, chat, outcome)
            outcome = await self._post(token, outcome, send.message.text)
        if isinstance(outcome, str):
            return Refused(Refusal.TEMPORARY, "the chat moved twice", hint=f"set chatId to {outcome}")
        return outcome

    def _remember(self, token: str, chat: str, moved_to: str) -> None:
        self._moved[token, chat] = moved_to
        while len(self._moved) > _MOVED:
            self._moved.popitem(last=False)

    async def _post(self, token: str, chat: str, text: str) -> SendOutcome | str:
        """A text: the chat's new id."""
        number = chat.removeprefix("-").isdecimal()
        body = json.dumps({"chat_id": int(chat) if number else chat, "text": text}, ensure_ascii=False)
        answer = await self._call(
            "POST",
            f"{self._url}/bot{token}/sendMessage",
            {"Content-Type": "application/json", "Accept": "application/json"},
            body.encode(errors="replace"),
            timeout=_TIMEOUT,
            address="check TELEGRAM_API_URL",
        )
        return _outcome(answer, token) if isinstance(answer, Answer) else answer


def _outcome(answer: Answer, token: str) -> SendOutcome | str:
    said = json_object(answer)
    if said.get("ok") is True:
        result = said.get("result")
        number = result.get("message_id") if isinstance(result, dict) else None
        return Accepted(None if number is None else str(number)) if answer.status < 300 else _lost(answer)
    code = said.get("error_code")
    status = code if isinstance(code, int) and said.get("ok") is False else answer.status
    if not 300 <= status < 500:
        return _lost(answer)
    parameters = said.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    if isinstance(moved_to := parameters.get("migrate_to_chat_id"), int):
        return str(moved_to)
    description = words(said.get("description") or "", token)
    return _refused(status, description or body_words(answer, token), _wait(parameters.get("retry_after"), answer))


def _lost(answer: Answer) -> Unknown:
    return Unknown(f"Telegram did not say whether it took the message (HTTP {answer.status})")


def _wait(seconds: Any, answer: Answer) -> float | None:
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0:
        return float(seconds)
    return answer.retry_after


def _refused(status: int, description: str, retry_after: float | None) -> Refused:
    fallback = _ELSEWHERE if status < 400 else _OTHER
    known = (row for row in _ERRORS if row[0] == status and (row[1] is None or row[1] in description.lower()))
    _, _, refusal, reason, hint = next(known, fallback)
    step = Step.LOGIN if status in {401, 404} else Step.SEND
    return Refused(refusal, with_words(reason, description), str(status), hint, retry_after, step)
