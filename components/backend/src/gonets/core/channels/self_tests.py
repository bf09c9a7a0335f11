"""Channels that test themselves, so that their owner hears of trouble before somebody is not reached."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from gonets.core.channels.ports import ChannelStore
from gonets.core.channels.use_cases import Trial, TryChannel
from gonets.core.shared.errors import GonetsError

log = logging.getLogger(__name__)

SHORTEST, LONGEST = 60, 30 * 86_400
"""Between two self-tests, in seconds: each one is a message, and may cost as much."""


class Count(Protocol):
    """Where self-tests are counted."""

    def __call__(self, channel_id: int, channel_type: str, *, ok: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Owner:
    """In whose name a channel tests itself."""

    user_id: int
    api_key_id: int | None = None


@dataclass(frozen=True, slots=True)
class SelfTests:
    """Tests the channels that are due, at most `limit` at a time."""

    store: ChannelStore
    test: TryChannel
    count: Count
    limit: int = 20

    async def __call__(self) -> int:
        """How many were tested. Raises Unavailable of the store."""
        due = await self.store.begin_self_tests(self.limit)
        await asyncio.gather(*(self._test(owner_id, channel_id) for owner_id, channel_id in due))
        return len(due)

    async def _test(self, owner_id: int, channel_id: int) -> None:
        try:
            channel = await self.test.channels.one(owner_id, channel_id)
            report = await self.test(Owner(owner_id), channel_id, Trial(), by_itself=True)
        except GonetsError as error:
            # Deleted meanwhile, or not to be read; the others' tests go on.
            log.warning("a channel could not test itself", extra={"channel": channel_id, "reason": error.reason})
            return
        self.count(channel_id, channel.type, ok=report.success)
        if not report.success:
            facts = {"channel": channel_id, "type": channel.type, "step": report.step, "reason": report.reason}
            log.warning("a channel's self-test failed", extra=facts)
