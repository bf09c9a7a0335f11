"""Hearing of messages that were sent before: some providers report by a connection that we have to open."""

import logging
from dataclasses import dataclass

from gonets.core.channels.model import Channel
from gonets.core.channels.ports import ChannelsOf, Listening
from gonets.core.notifications.ports import NotificationStore
from gonets.core.shared.errors import NotFound, Unavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListenForReceipts:
    """For a worker that starts, and from time to time: nothing may be sent for hours by the channels whose receipts
    are awaited, and the worker that sent may be gone."""

    store: NotificationStore
    channels: ChannelsOf
    kind: Listening

    async def __call__(self) -> None:
        """Raises Unavailable."""
        heard: set[int] = set()
        for owner_id, channel_id in await self.store.awaited(self.kind.type):
            if channel_id in heard:
                continue
            try:
                channel = await self._channel(owner_id, channel_id)
                if channel is not None:
                    heard.add(channel_id)
                    await self.kind.listen(channel)
            except Unavailable:
                raise
            except Exception:  # a secret that cannot be read, say: the others are listened to all the same
                log.exception("receipts are not listened to", extra={"channel_id": channel_id})

    async def _channel(self, owner_id: int, channel_id: int) -> Channel | None:
        """None: it is gone or off."""
        if not channel_id:
            usable = await self.channels.usable(owner_id)
            return next((one for one in usable if (one.id, one.type) == (0, self.kind.type)), None)
        try:
            channel = await self.channels.get(owner_id, channel_id)
        except NotFound:
            return None
        return channel if channel.enabled else None
