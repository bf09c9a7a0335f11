"""HTTP to providers, with errors cut where it matters: was the request written or not?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import ProviderError

MAX_ANSWER = 4 * 2**20  # bytes: more is no answer to a look-up


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises ValueError for what is no JSON: also NaN, infinity, and nesting that no parser would follow."""
        try:
            return json.loads(self.body, parse_constant=_refuse)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class HttpTransport:
    """Keeps connections alive, follows no redirect, sends nothing twice.

    `timeout`: seconds for one exchange, from the first byte sent to the last byte read; `connect_timeout` before that.
    """

    def __init__(self, *, timeout: float, connect_timeout: float = 3.0, connections: int = 200) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=timeout + connect_timeout, sock_read=timeout, sock_connect=connect_timeout
        )
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises ProviderError: `unavailable` where the request certainly was not written, `outcome_unknown` where it
        was, or may have been, and no complete answer came back."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=15),
                timeout=self._timeout,
                auto_decompress=True,
            )
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                answer = await response.content.read(MAX_ANSWER + 1)
                while not response.content.at_eof() and len(answer) <= MAX_ANSWER:
                    answer += await response.content.read(MAX_ANSWER + 1 - len(answer))
                if len(answer) > MAX_ANSWER:
                    raise ProviderError(Category.OUTCOME_UNKNOWN, f"the answer is longer than {MAX_ANSWER} bytes")
                return Answer(response.status, response.headers, answer)
        except aiohttp.ClientConnectorError as error:
            raise ProviderError(Category.UNAVAILABLE, f"cannot connect: {error.os_error or error}") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise ProviderError(Category.UNAVAILABLE, "cannot connect: no answer in time") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise ProviderError(Category.MISCONFIGURED, f"no address that can be called: {url}") from error
        except TimeoutError as error:
            raise ProviderError(Category.OUTCOME_UNKNOWN, "no answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            words = str(error) or type(error).__name__
            raise ProviderError(Category.OUTCOME_UNKNOWN, f"the answer broke off: {words}") from error
