"""Dadata, "clean phone" and "clean e-mail": https://dadata.ru/api/clean/phone/ and /email/.

Every qc value is an answer, also "not recognised": the caller reads it in the stored JSON. So the table holds HTTP
statuses only.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from dadata.asynchr import CleanClient

from gonets.adapters.providers.transport import Answer, HttpTransport
from gonets.core.shared.errors import Category
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
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Authorization": f"Token {token}",
            "X-Secret": secret,
        }

    async def _post(self, _: str, data: object) -> list[Any]:
        """The list with the answer; its first element is an object."""
        answer = await self._transport.post(self._url, _encode(data).encode(errors="replace"), self._headers)
        if not 200 <= answer.status < 300:
            raise _error(answer)
        try:
            value = answer.json()
        except ValueError as error:
            raise ProviderError(Category.OUTCOME_UNKNOWN, "Dadata's answer is no JSON") from error
        if not (isinstance(value, list) and value and isinstance(value[0], dict)):
            raise ProviderError(Category.OUTCOME_UNKNOWN, "Dadata's answer is not a list with one object")
        return value


def _error(answer: Answer) -> ProviderError:
    category, reason = _meaning(answer.status)
    # The body may quote the API key, so its words stay out.
    return ProviderError(category, f"{reason} (HTTP {answer.status})", retry_after=_retry_after(answer.headers))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form of the header (RFC 9110, 10.2.3); None where there is none that can be read."""
    value = headers.get("Retry-After", "").strip()
    try:
        if value.isdecimal():
            seconds = float(value)
        else:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(seconds, 0.0)


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
