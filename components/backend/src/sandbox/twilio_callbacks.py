"""Twilio's status callbacks: form-encoded, signed, one repeat where nobody could be connected to.

Sources: https://www.twilio.com/docs/usage/webhooks/webhooks-security and .../webhooks-connection-overrides.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Coroutine, Mapping
from typing import Any, Literal
from urllib.parse import urldefrag

import aiohttp

log = logging.getLogger("sandbox.twilio")

Manner = Literal["normal", "none", "reversed", "repeated", "forged"]
"""forged: each is also sent with a wrong signature, before the right one, and says delivered."""


def sign(url: str, fields: Mapping[str, str], token: str) -> str:
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


class Callbacks:
    """Calls back in the background. `stop` gives up what is under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def deliver(self, url: str, fields: Mapping[str, str], token: str, manner: Manner) -> None:
        if manner == "forged":
            await self._post(url, {**fields, "MessageStatus": "delivered"}, secrets.token_hex(16))
        for _ in range(2 if manner == "repeated" else 1):
            await self._post(url, fields, token)

    async def bring(self, url: str, fields: Mapping[str, str], token: str) -> None:
        """A person's message, by a webhook that is signed in the same way."""
        await self._post(url, fields, token)

    async def _post(self, url: str, fields: Mapping[str, str], token: str) -> None:
        url = urldefrag(url).url  # the fragment tells Twilio how to call, and is not part of what it calls
        headers = {
            "X-Twilio-Signature": sign(url, fields, token),
            "I-Twilio-Idempotency-Token": secrets.token_hex(16),
            "User-Agent": "TwilioProxy/1.1",
        }
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Each call has a connection as soon as it wants one: only the other side can be too slow.
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(sock_connect=5, sock_read=15),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        for last in (False, True):
            try:
                async with self._session.post(url, data=fields, headers=headers, allow_redirects=False) as answer:
                    log.info("callback", extra={"status": answer.status, "message_status": fields.get("MessageStatus")})
                    return
            except aiohttp.ClientConnectorError as error:
                if last:
                    log.warning("callback not taken", extra={"reason": str(error)})
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("callback not taken", extra={"reason": type(error).__name__})
                return
