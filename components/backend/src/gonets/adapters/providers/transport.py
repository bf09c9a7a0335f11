"""HTTP to providers, with errors cut where it matters: was the request written or not?"""

import asyncio
import json
import math
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

from gonets.adapters.providers.egress import CheckedResolver, Egress, ForbiddenAddress, Unreachable
from gonets.core.shared.errors import Category, GonetsError

MAX_ANSWER = 4 * 2**20  # bytes, unpacked: more is no answer


class CallError(GonetsError):
    """No complete answer came. `unavailable`, `misconfigured`: the request certainly was not written; in the latter
    case the address or its certificate is to blame, and `hint` says what to do. `outcome_unknown`: it was written, or
    may have been. `tls`: the connection stood, but could not be trusted."""

    def __init__(self, category: Category, reason: str, *, hint: str | None = None, tls: bool = False) -> None:
        super().__init__(reason)
        self.category = category
        self.hint = hint
        self.tls = tls


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
            return _DECODER.decode(self.body.removeprefix(BOM_UTF8).decode())
        except RecursionError:
            raise ValueError("nested too deeply") from None

    @property
    def retry_after(self) -> float | None:
        """Seconds, from either form of the header (RFC 9110, 10.2.3); None where there is none that can be read."""
        value = self.headers.get("Retry-After", "").strip()
        try:
            if value.isdecimal():
                seconds = float(value)
            else:
                seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError, OverflowError):
            return None
        return max(seconds, 0.0)


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
    With an `egress`, only addresses that it lets pass are connected to.
    """

    def __init__(self, *, timeout: float, connect_timeout: float = 3.0, egress: Egress | None = None) -> None:
        self._total = timeout
        self._connect_timeout = connect_timeout
        self._egress = egress
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises CallError."""
        return await self.request("POST", url, headers, body)

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout: float | None = None,
    ) -> Answer:
        """`timeout`: instead of this transport's own. Raises CallError."""
        total = timeout or self._total
        # Sooner than the total, which does not know whether the request was written.
        connecting = aiohttp.ClientTimeout(connect=min(self._connect_timeout, 0.9 * total))
        try:
            async with (
                asyncio.timeout(total),
                self._open().request(
                    method,
                    await self._checked(url),
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    timeout=connecting,
                ) as response,
            ):
                return Answer(response.status, response.headers, await _read(response))
        except (ForbiddenAddress, Unreachable) as error:
            category = Category.UNAVAILABLE if isinstance(error, Unreachable) else Category.MISCONFIGURED
            raise CallError(category, error.reason, hint=error.hint) from error
        except aiohttp.ClientConnectorCertificateError as error:
            reason = f"the provider's certificate is not trusted: {error.certificate_error}"
            raise CallError(Category.MISCONFIGURED, reason, tls=True) from error
        except aiohttp.ClientConnectorError as error:
            tls = isinstance(error, aiohttp.ClientConnectorSSLError)
            reason = f"cannot connect to the provider: {error.os_error}"
            raise CallError(Category.UNAVAILABLE, reason, tls=tls) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise CallError(Category.UNAVAILABLE, "cannot connect to the provider: no answer in time") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise CallError(Category.MISCONFIGURED, "the provider's address cannot be called") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            words = next((words for kind, words in _BROKEN.items() if isinstance(error, kind)), type(error).__name__)
            raise CallError(Category.OUTCOME_UNKNOWN, words) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=15, resolver=CheckedResolver(self._egress) if self._egress else None
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            # It repeats a PUT whose connection broke; no option turns that off, and a test sees that this does.
            self._session._retry_connection = False
        return self._session

    async def _checked(self, url: str) -> URL:
        """The resolver is not asked for an address that stands in the URL itself."""
        try:
            parsed = URL(url)
        except ValueError as error:
            raise aiohttp.InvalidURL(url) from error
        # As it stands there, not decoded: that is what is connected to.
        host = parsed.raw_host or ""
        if self._egress is not None and _is_literal(host):
            await self._egress.addresses(host, parsed.port or 0)
        return parsed


def _is_literal(host: str) -> bool:
    """Whether aiohttp takes it for an address: also what is none, `::1%25%25` for one."""
    return ":" in host or host.replace(".", "").isdigit()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while not response.content.at_eof():
        body += await response.content.read(MAX_ANSWER)
        if len(body) > MAX_ANSWER:
            raise CallError(Category.OUTCOME_UNKNOWN, f"the answer is longer than {MAX_ANSWER} bytes")
    return body
