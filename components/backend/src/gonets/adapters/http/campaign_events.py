"""A campaign's progress as server-sent events."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from gonets.adapters.http.campaign_views import ProgressView
from gonets.core.campaigns.model import OVER, Campaign, Counts
from gonets.core.shared.errors import NotFound, Unavailable

_EVERY, _HEARTBEAT, _QUIET = 1, 15, 3
"""Seconds: between two looks; after which no news are told by a sign of life; after which what is over is quiet."""


async def events(look: Callable[[], Awaitable[tuple[Campaign, Counts]]], closing: asyncio.Event) -> AsyncIterator[str]:
    said, quiet = "", 0
    while not closing.is_set():
        try:
            found, counts = await look()
        except NotFound:
            break
        except Unavailable:
            yield ": unavailable\n\n"
        else:
            data = ProgressView.of(found, counts).model_dump_json(by_alias=True)
            if data != said:
                yield f"event: progress\ndata: {data}\n\n"
                said, quiet = data, 0
            elif found.status in OVER and quiet >= _QUIET:
                break
            elif quiet % _HEARTBEAT == _HEARTBEAT - 1:
                yield ": nothing new\n\n"
        quiet += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), _EVERY)
    yield "event: end\ndata: {}\n\n"
