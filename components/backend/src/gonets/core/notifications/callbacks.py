"""What providers report by calling us: believed only when it is signed."""

from collections.abc import Callable
from dataclasses import dataclass

from gonets.core.channels.model import Channel, ChannelType, Receipt
from gonets.core.channels.ports import ChannelsOf
from gonets.core.notifications.dispatch import CallbackUrl, notification_of
from gonets.core.notifications.model import ChannelKey
from gonets.core.notifications.ports import NotificationStore
from gonets.core.notifications.use_cases import NoteReceipt
from gonets.core.shared.errors import Forbidden, NotFound

ReadCallback = Callable[[Channel, str, bytes, str], Receipt | None]
"""What a call says: the channel, the whole public URL, the body and the signature. None: it is not signed by who holds
the channel's secret, or says nothing that is known."""


@dataclass(frozen=True, slots=True)
class TakeCallback:
    """A provider's call about one attempt."""

    store: NotificationStore
    channels: ChannelsOf
    note: NoteReceipt
    callback_url: CallbackUrl
    read: ReadCallback

    async def __call__(
        self, channel_type: ChannelType, reference: str, query: str, body: bytes, signature: str
    ) -> None:
        """`query`: of the URL that was called, without the question mark. Raises Forbidden for what is forged,
        NotFound for an attempt that is not there, Unavailable: the provider is to bring it again."""
        channel = await self._channel(channel_type, reference)
        url = self.callback_url(channel_type, reference)
        if url is None:
            raise NotFound("this installation takes no callbacks: PUBLIC_URL is not set")
        receipt = self.read(channel, f"{url}?{query}" if query else url, body, signature)
        if receipt is None:
            raise Forbidden("the signature is not the provider's")
        await self.note.by_reference(reference, receipt)

    async def _channel(self, channel_type: ChannelType, reference: str) -> Channel:
        number = notification_of(reference)
        found = None if number is None else await self.store.get(number)
        attempt = found.attempt(reference) if found else None
        if found is None or attempt is None or attempt.channel.type is not channel_type:
            raise NotFound("no attempt has this reference")
        if attempt.channel.id:
            return await self.channels.get(found.owner_id, attempt.channel.id)
        for channel in await self.channels.usable(found.owner_id):
            if ChannelKey(channel.id, channel.type) == attempt.channel:
                return channel
        raise NotFound("the operator's channel is gone")
