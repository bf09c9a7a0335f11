"""What the model "writes": a proof-reader with a small dictionary, deterministic for its input.

Statuses, limits and messages follow the API reference in `yandex-cloud/docs` (folder `en/ai-studio`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MODEL_VERSION = "09.02.2025"

CORRECTIONS = {
    "превет": "привет",
    "здраствуйте": "здравствуйте",
    "карова": "корова",
    "малако": "молоко",
    "сабака": "собака",
    "извените": "извините",
    "програма": "программа",
    "будующий": "будущий",
    "вообщем": "в общем",
    "тоесть": "то есть",
    "координально": "кардинально",
    "зделать": "сделать",
}
TOKEN = re.compile(r"\s*\S{1,4}")
BLOCKED = "Я не могу обсуждать эту тему. Давайте поговорим о чём-нибудь ещё."


class RefusedError(Exception):
    """The service says no: `code` is a gRPC status name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request, whichever wire it came by. `messages`: (role, text)."""

    model_uri: str
    messages: Sequence[tuple[str, str]]
    max_tokens: int | None = None
    temperature: float | None = None
    stream: bool = False

    @property
    def question(self) -> str:
        """The text the model is asked about: the last one that is not the system's."""
        return next((text for role, text in reversed(self.messages) if role != "system"), "")


@dataclass(frozen=True, slots=True)
class Completion:
    """`status` without its prefix ALTERNATIVE_STATUS_; `text` None where the answer has no alternatives at all."""

    text: str | None
    status: str
    input_tokens: int
    completion_tokens: int


def complete(prompt: Prompt) -> Completion:
    """Raises RefusedError where the service would not take the request."""
    _check(prompt)
    question = prompt.question
    asked = sum(count_tokens(text) for _, text in prompt.messages)
    if "[no-alternatives]" in question:
        return Completion(None, "FINAL", asked, 0)
    if "[filter]" in question:
        return Completion(BLOCKED, "CONTENT_FILTER", asked, count_tokens(BLOCKED))
    if "[empty]" in question:
        return Completion("", "FINAL", asked, 0)
    if "[tools]" in question:
        return Completion("", "TOOL_CALLS", asked, 0)
    text = correct(question.replace("[nul]", "\x00"))
    limit = 3 if "[truncated]" in question else prompt.max_tokens
    tokens = TOKEN.findall(text)
    if limit is not None and len(tokens) > limit:
        return Completion("".join(tokens[:limit]), "TRUNCATED_FINAL", asked, limit)
    return Completion(text, "FINAL", asked, len(tokens))


def correct(text: str) -> str:
    """Known misspellings, single spaces, a capital letter at the start and a full stop at the end."""
    text = re.sub(r"[^\W\d_]+", _correct_word, re.sub(r" +", " ", text.strip()))
    text = text[:1].upper() + text[1:]
    return text + "." if text[-1:].isalnum() else text


def count_tokens(text: str) -> int:
    return len(TOKEN.findall(text))


def pieces(text: str) -> list[str]:
    """The cumulative beginnings a streamed answer shows before its end."""
    words = text.split(" ")
    return [" ".join(words[:count]) for count in range(1, len(words))]


def _check(prompt: Prompt) -> None:
    scheme, _, path = prompt.model_uri.partition("://")
    folder, _, model = path.partition("/")
    if scheme not in {"gpt", "ds"} or not folder or not model:
        raise RefusedError("INVALID_ARGUMENT", f"Failed to parse model URI: {prompt.model_uri!r}")
    if folder.startswith("unknown"):
        raise RefusedError("PERMISSION_DENIED", f"Permission to [resource-manager.folder {folder}] denied")
    if model.startswith("unknown"):
        raise RefusedError("NOT_FOUND", f"Failed to get model {prompt.model_uri!r}")
    if not any(text for _, text in prompt.messages):
        raise RefusedError("INVALID_ARGUMENT", "Empty messages list or message text")
    if prompt.max_tokens is not None and prompt.max_tokens <= 0:
        raise RefusedError("INVALID_ARGUMENT", "max_tokens must be greater than zero")
    if prompt.temperature is not None and not 0 <= prompt.temperature <= 1:
        raise RefusedError("INVALID_ARGUMENT", "temperature must be in [0, 1]")


def _correct_word(match: re.Match[str]) -> str:
    word = match[0]
    fixed = CORRECTIONS.get(word.lower())
    if fixed is None:
        return word
    return fixed[0].upper() + fixed[1:] if word[0].isupper() else fixed
