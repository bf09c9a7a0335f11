"""What people answer to messages: it is looked at for words such as STOP, and not kept."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gonets.core.channels.model import Channel, ChannelType, Incoming
from gonets.core.channels.ports import ChannelOwners, ChannelsOf, OperatorChannels
from gonets.core.notifications.ports import Answers, Heeded, NotificationStore, Phone
from gonets.core.shared.errors import Forbidden, Invalid, NotFound

log = logging.getLogger(__name__)

IncomingUrl = Callable[[ChannelType, int], str | None]
"""Where the messages of people to this channel are brought; None: the provider cannot reach us."""

ReadIncoming = Callable[[Channel, str, bytes, str], Incoming | None]
"""What a call brings: the channel, the whole public URL, the body and the signature. None: it is not signed by who
holds the channel's secret. Raises Invalid, with the field, for what is signed and is no message."""


@dataclass(frozen=True, slots=True)
class TakeIncoming:
    """A person's message to a channel's number. Implements IncomingSink."""

    owners: ChannelOwners
    store: NotificationStore
    answers: Answers
    heeded: Heeded
    phone: Phone

    async def __call__(self, channel_id: int, channel_type: ChannelType, incoming: Incoming) -> None:
        """It counts for the channel's owner; to the operator's number, for everyone for whom that person was written
        to from it. It counts once: whoever brings an old STOP again does not undo a later START. Raises Unavailable: it
        is to be brought again."""
        facts = {"channel_id": channel_id, "type": channel_type.value}
        try:
            sender = self.phone("sender", incoming.sender)
        except Invalid:
            log.warning("an answer came from what is no phone number", extra=facts)
            return
        name = incoming.provider_id
        if name is not None and await self.heeded.has(channel_id, name):
            log.info("an answer came again", extra=facts)
            return
        concerned = await self._concerned(channel_id, channel_type, sender)
        log.info("an answer came", extra=facts | {"owners": len(concerned)})
        await self.answers.answered(concerned, sender, incoming.text)
        # Only now: what could not be heeded is brought again.
        if name is not None:
            await self.heeded.add(channel_id, name)

    async def _concerned(self, channel_id: int, channel_type: ChannelType, sender: str) -> Sequence[int]:
        if not channel_id:
            return await self.store.written_to(channel_type, sender)
        owner = await self.owners.owner(channel_id, channel_type)
        return [] if owner is None else [owner]


@dataclass(frozen=True, slots=True)
class TakeIncomingCall:
    """A provider's call that brings a person's message: believed only when it is signed."""

    owners: ChannelOwners
    channels: ChannelsOf
    operator: OperatorChannels
    take: TakeIncoming
    url: IncomingUrl
    read: ReadIncoming

    async def __call__(
        self, channel_type: ChannelType, channel_id: int, query: str, body: bytes, signature: str
    ) -> None:
        """`query`: of the URL that was called, without the question mark. Raises Forbidden for what is forged, Invalid
        for what is signed and is no message, NotFound for a channel that is not there, Unavailable: the provider is to
        bring it again."""
        channel = await self._channel(channel_type, channel_id)
        url = self.url(channel_type, channel_id)
        if url is None:
            raise NotFound("this installation takes no callbacks: PUBLIC_URL is not set")
        incoming = self.read(channel, f"{url}?{query}" if query else url, body, signature)
        if incoming is None:
            raise Forbidden("the signature is not the provider's")
        await self.take(channel_id, channel_type, incoming)

    async def _channel(self, channel_type: ChannelType, channel_id: int) -> Channel:
        if not channel_id and channel_type in self.operator:
            return self.operator[channel_type]
        owner = await self.owners.owner(channel_id, channel_type)
        if owner is None:
            raise NotFound(f"no channel of the type {channel_type} has the id {channel_id}")
        return await self.channels.get(owner, channel_id)
