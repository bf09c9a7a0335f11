"""What providers report by calling us: believed only when it is signed."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gonets.core.channels.model import Channel, ChannelType, Receipt, UnknownStatus
from gonets.core.channels.ports import ChannelsOf, OperatorChannels
from gonets.core.notifications.dispatch import CallbackUrl, key_of
from gonets.core.notifications.model import ChannelKey
from gonets.core.notifications.reports import Named, NoteReports, ReportBook
from gonets.core.shared.errors import Forbidden, NotFound, Unavailable
from gonets.core.shared.patience import until_available

log = logging.getLogger(__name__)

ReadCallback = Callable[[Channel, str, bytes, str], Receipt | UnknownStatus | None]
"""What a call says: the channel, the whole public URL, the body and the signature. None: it is not signed by who holds
the channel's secret."""


@dataclass(frozen=True, slots=True)
class TakeCallback:
    """A provider's call about one attempt. What is signed with the operator's secret is entered for an attempt by the
    operator's channel, and only for such a one, without looking for it before. `moment`: seconds that such a call waits
    where it cannot be entered yet; most have overtaken the commit of their send, and are plain after it. `patience`:
    seconds for which a call is kept waiting while the database is away: few providers call again, and Twilio waits for
    fifteen."""

    book: ReportBook
    channels: ChannelsOf
    operator: OperatorChannels
    note: NoteReports
    callback_url: CallbackUrl
    read: ReadCallback
    moment: float = 0.25
    patience: float = 10.0

    async def __call__(
        self, channel_type: ChannelType, reference: str, query: str, body: bytes, signature: str
    ) -> None:
        """`query`: of the URL that was called, without the question mark. What is signed, and says what is not known,
        is taken: brought again it would say the same. Raises Forbidden for what is forged, NotFound for an attempt that
        is not there, Unavailable: the provider is to bring it again."""
        take = partial(self._take, channel_type, reference, query, body, signature)
        try:
            await take()
        except Unavailable as error:
            try:
                async with asyncio.timeout(self.patience):
                    await until_available(take)
            except TimeoutError:
                raise error from None

    async def _take(self, channel_type: ChannelType, reference: str, query: str, body: bytes, signature: str) -> None:
        url = self.callback_url(channel_type, reference)
        if url is None:
            raise NotFound("this installation takes no callbacks: PUBLIC_URL is not set")
        called = f"{url}?{query}" if query else url
        if channel := self.operator.get(channel_type):
            said = self.read(channel, called, body, signature)
            if isinstance(said, Receipt) and await self._plainly(reference, said, key_of(channel)):
                return
        named = await self.book.find(reference)
        if named is None or (named.channel is not None and named.channel.type is not channel_type):
            raise NotFound("no attempt has this reference")
        for channel in await self._channels(channel_type, named):
            said = self.read(channel, called, body, signature)
            if isinstance(said, UnknownStatus):
                facts = {"channel_id": channel.id, "type": channel_type.value, "reference": reference}
                log.warning("a provider reports a status that is not known", extra=facts | {"status": said.status})
                return
            if said is not None:
                await (self.note.early if named.channel is None else self.note)(reference, said)
                return
        raise Forbidden("the signature is not the provider's")

    async def _plainly(self, reference: str, receipt: Receipt, by: ChannelKey) -> bool:
        if await self.note.plainly(reference, receipt, by):
            return True
        await asyncio.sleep(self.moment)
        return await self.note.plainly(reference, receipt, by)

    async def _channels(self, channel_type: ChannelType, named: Named) -> Sequence[Channel]:
        """The one that it was sent by; or, where nobody has said yet, those that it may have been sent by."""
        usable = await self.channels.usable(named.owner_id)
        if named.channel is None:
            return [channel for channel in usable if channel.type is channel_type]
        known = [channel for channel in usable if ChannelKey(channel.id, channel.type) == named.channel]
        if not known and named.channel.id:
            return [await self.channels.get(named.owner_id, named.channel.id)]
        if not known:
            raise NotFound("the operator's channel is gone")
        return known
