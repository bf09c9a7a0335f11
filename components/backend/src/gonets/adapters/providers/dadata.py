"""Dadata, "clean phone" and "clean e-mail": https://dadata.ru/api/clean/phone/ and /email/.

Every qc value is an answer, also "not recognised": the caller reads it in the stored JSON. So the table holds HTTP
statuses only.
"""

import json
from collections.abc import Mapping
from typing import Any

from dadata.asynchr import CleanClient

from gonets.adapters.providers.transport import Answer, CallError, HttpTransport
from gonets.adapters.providers.words import words
from gonets.core.shared.errors import Category
from gonets.core.shared.masking import Masking
from gonets.core.tasks.model import JSON, ProviderError

_STATUS: Mapping[int, tuple[Category, str]] = {
    400: (Category.REFUSED, "Dadata could not read the request"),
    401: (Category.MISCONFIGURED, "Dadata wants an API key and a secret: check DADATA_API_KEY and DADATA_SECRET_KEY"),
    402: (Category.MISCONFIGURED, "Dadata wants money: top up the account"),
    403: (
        Category.MISCONFIGURED,
        "Dadata refused the key: it is unknown, its e-mail is not confirmed, the day's limit is used up, or there is "
        "not enough money",
    ),
    404: (Category.MISCONFIGURED, "Dadata has no such path: check DADATA_PHONE_API_URL and DADATA_EMAIL_API_URL"),
    405: (Category.REFUSED, "Dadata refused the method"),
    408: (Category.UNAVAILABLE, "Dadata did not get the request in time"),
    413: (Category.REFUSED, "the request is too long for Dadata"),
    415: (Category.REFUSED, "Dadata refused the content type"),
    429: (Category.QUOTA_EXHAUSTED, "too many requests to Dadata"),
    # A gateway stopped waiting; what is behind it may have gone on.
    504: (Category.OUTCOME_UNKNOWN, "Dadata did not answer in time"),
}

_encode = json.JSONEncoder(ensure_ascii=False).encode


def _meaning(status: int) -> tuple[Category, str]:
    if status in _STATUS:
        return _STATUS[status]
    if status >= 500:
        # A look-up, and a complete answer: it certainly gave no result.
        return Category.UNAVAILABLE, "Dadata has an internal error"
    if status >= 400:
        return Category.REFUSED, "Dadata refused the request"
    return (
        Category.MISCONFIGURED,
        "Dadata's address leads elsewhere: check DADATA_PHONE_API_URL and DADATA_EMAIL_API_URL",
    )


class _Client(CleanClient):  # type: ignore[misc]
    """The SDK's client, which makes the question and unpacks the answer, on our transport and at one address."""

    def __init__(self, transport: HttpTransport, url: str, token: str, secret: str) -> None:
        # Not the SDK's own, which opens an HTTP client of its own: a TLS context that nothing would use.
        self._transport = transport
        self._url = url
        self._masking = Masking([token, secret])
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Authorization": f"Token {token}",
            "X-Secret": secret,
        }

    async def _post(self, _: str, data: object) -> list[Any]:
        """The list with the answer; its first element is an object."""
        try:
            answer = await self._transport.post(self._url, _encode(data).encode(errors="replace"), self._headers)
        except CallError as error:
            raise ProviderError(error.category, error.reason) from error
        if not 200 <= answer.status < 300:
            raise self._error(answer)
        try:
            value = answer.json()
        except ValueError as error:
            raise self._broken("is no JSON", answer) from error
        if not (isinstance(value, list) and value and isinstance(value[0], dict)):
            raise self._broken("is not a list with one object", answer)
        return value

    def _error(self, answer: Answer) -> ProviderError:
        category, reason = _meaning(answer.status)
        # The reason is told to everybody; the body's words are kept beside it, for operators.
        return ProviderError(
            category,
            f"{reason} (HTTP {answer.status})",
            retry_after=answer.retry_after,
            answer=words(answer.body, self._masking),
        )

    def _broken(self, how: str, answer: Answer) -> ProviderError:
        said = words(answer.body, self._masking)
        return ProviderError(Category.OUTCOME_UNKNOWN, f"Dadata's answer {how}", answer=said)


class Dadata:
    """One kind of Dadata's cleaning. Implements Provider.

    `kind` is "phone" or "email"; `url` the full address of that method.
    """

    def __init__(self, kind: str, transport: HttpTransport, url: str, token: str, secret: str) -> None:
        self._kind = kind
        self._client = _Client(transport, url, token, secret)

    async def ask(self, data: str) -> JSON:
        answer: dict[str, JSON] = await self._client.clean(self._kind, data)
        return answer
