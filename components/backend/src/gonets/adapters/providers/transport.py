"""HTTP to providers, with errors cut where it matters: was the request written or not?"""

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import ProviderError

MAX_ANSWER = 4 * 2**20  # bytes, unpacked: more is no answer to a look-up


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text[:20]} is beyond any number")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises ValueError for what is no JSON in UTF-8: also NaN, infinity, and nesting that no parser follows."""
        try:
            return _DECODER.decode(self.body.decode("utf-8-sig"))
        except RecursionError:
            raise ValueError("nested too deeply") from None


# The first that fits. What the other side wrote stays out: it may quote a key or be of any length.
_BROKEN: Mapping[type[Exception], str] = {
    TimeoutError: "no answer in time",
    aiohttp.ServerDisconnectedError: "the connection was closed without an answer",
    aiohttp.ClientPayloadError: "the answer was cut off or damaged",
    aiohttp.ClientResponseError: "what came back is no HTTP",
    OSError: "the connection was lost during the call",
}


class HttpTransport:
    """Keeps connections alive, follows no redirect, keeps no cookie, uses no proxy, sends nothing twice.

    `timeout`: seconds for one call, to the last byte of its answer; `connect_timeout`: how many of them may pass until
    the connection stands, name look-up and TLS included. As many connections are opened as calls are made at one time.
    """

    def __init__(self, *, timeout: float, connect_timeout: float = 3.0) -> None:
        self._total = timeout
        # Sooner than the total, which does not know whether the request was written.
        self._connecting = aiohttp.ClientTimeout(connect=min(connect_timeout, 0.9 * timeout))
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises ProviderError: `unavailable` where the request certainly was not written, `outcome_unknown` where it
        was, or may have been, and no complete answer came back."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._connecting,
            )
        try:
            async with (
                asyncio.timeout(self._total),
                self._session.post(url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return Answer(response.status, response.headers, await _read(response))
        except aiohttp.ClientConnectorCertificateError as error:
            raise ProviderError(
                Category.MISCONFIGURED, f"the provider's certificate is not trusted: {error.certificate_error}"
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise ProviderError(Category.UNAVAILABLE, f"cannot connect to the provider: {error.os_error}") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise ProviderError(Category.UNAVAILABLE, "cannot connect to the provider: no answer in time") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise ProviderError(Category.MISCONFIGURED, "the provider's address cannot be called") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            words = next((words for kind, words in _BROKEN.items() if isinstance(error, kind)), type(error).__name__)
            raise ProviderError(Category.OUTCOME_UNKNOWN, words) from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while not response.content.at_eof():
        body += await response.content.read(MAX_ANSWER)
        if len(body) > MAX_ANSWER:
            raise ProviderError(Category.OUTCOME_UNKNOWN, f"the answer is longer than {MAX_ANSWER} bytes")
    return body
