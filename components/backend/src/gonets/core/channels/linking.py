"""A person presses Start in Telegram, and their contact knows their chat: a bot cannot write first.

The link that is given to the person carries a code; the bot hears it as `/start <code>`
(https://core.telegram.org/bots/features#deep-linking). A bot is listened to only while a link of it waits, for whoever
else listens to the same bot loses what we hear.
"""

import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from gonets.core.channels.model import Channel, ChannelType
from gonets.core.channels.ports import ChannelsOf, Unreadable
from gonets.core.shared.audit import Actor
from gonets.core.shared.errors import GonetsError, Invalid, NotFound

log = logging.getLogger(__name__)

LIFETIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Start:
    """Somebody pressed Start in the chat with this number, with a code."""

    code: str
    chat_id: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What a bot was told. `place`: where the next look begins; what is before it is forgotten by then."""

    starts: Sequence[Start]
    place: int


@dataclass(frozen=True, slots=True)
class ChatLink:
    """What the person opens, until when."""

    url: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """Whose bot is to be listened to. `channel_id` 0: the operator's."""

    owner_id: int
    channel_id: int


class Bots(Protocol):
    """Telegram's bots. Every method raises GonetsError where Telegram refuses, or cannot be asked now."""

    async def name(self, token: str) -> str:
        """Its user name, without @."""

    async def hear(self, token: str, place: int) -> Heard:
        """What it was told since; `place` is 0 at first. MUST NOT wait for news."""


class ChatLinks(Protocol):
    """Links that wait. Every method raises Unavailable."""

    async def add(self, code: bytes, whose: Waiting, contact_id: int, expires_at: datetime) -> bool:
        """`code` is a digest. False where the owner has no such contact; MUST take the place of its earlier link."""

    async def waiting(self, now: datetime) -> Sequence[Waiting]:
        """Whose links wait, each once. Those that are over are forgotten."""

    async def redeem(self, code: bytes, whose: Waiting, chat_id: str, now: datetime) -> int | None:
        """Gives the contact its chat, once. The contact's id; None where no such link waits."""


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode(errors="replace")).digest()


async def _bot(channels: ChannelsOf, whose: Waiting) -> Channel | None:
    """The owner's bot, or the operator's. None: it was deleted, switched off, or nobody can read its token."""
    try:
        usable = await channels.usable(whose.owner_id)
    except Unreadable as error:
        log.warning("a bot cannot be listened to", extra={"channel_id": whose.channel_id, "reason": error.reason})
        return None
    for channel in usable:
        if channel.type is ChannelType.TELEGRAM and channel.id == whose.channel_id:
            return channel
    return None


@dataclass(frozen=True, slots=True)
class LinkChat:
    """Makes a link for a contact."""

    channels: ChannelsOf
    bots: Bots
    links: ChatLinks
    now: Callable[[], datetime]

    async def __call__(self, actor: Actor, contact_id: int, channel_id: int | None) -> ChatLink:
        """By the first usable Telegram channel where none is named. Raises NotFound, Invalid, and what Bots does."""
        channel = await self._channel(actor.user_id, channel_id)
        code, expires_at = secrets.token_urlsafe(24), self.now() + LIFETIME
        whose = Waiting(actor.user_id, channel.id)
        if not await self.links.add(_digest(code), whose, contact_id, expires_at):
            raise NotFound(f"no contact has the id {contact_id}")
        name = await self.bots.name(str(channel.configuration["botToken"]))
        log.info("chat link made", extra={"contact_id": contact_id, "channel_id": channel.id, "user_id": actor.user_id})
        return ChatLink(f"https://t.me/{name}?start={code}", expires_at)

    async def _channel(self, owner_id: int, channel_id: int | None) -> Channel:
        for channel in await self.channels.usable(owner_id):
            if channel.type is ChannelType.TELEGRAM and channel_id in (None, channel.id):
                return channel
        raise Invalid("channelId", "must name a Telegram channel that is enabled, or be left out where there is one")


@dataclass(frozen=True, slots=True)
class FollowStarts:
    """Listens to the bots whose links wait, and gives contacts their chats."""

    channels: ChannelsOf
    bots: Bots
    links: ChatLinks
    now: Callable[[], datetime]
    _places: dict[str, int] = field(default_factory=dict, repr=False)

    async def __call__(self) -> int:
        """How many were linked. Raises Unavailable of the links only: one bot's trouble is not the others'."""
        listened: dict[str, Heard] = {}
        linked = 0
        for whose in await self.links.waiting(self.now()):
            channel = await _bot(self.channels, whose)
            if channel is None:
                continue
            token = str(channel.configuration["botToken"])
            if token not in listened:
                listened[token] = await self._hear(channel, token)
            for start in listened[token].starts:
                contact = await self.links.redeem(_digest(start.code), whose, start.chat_id, self.now())
                if contact is not None:
                    linked += 1
                    log.info(
                        "chat linked",
                        extra={"contact_id": contact, "channel_id": channel.id, "user_id": whose.owner_id},
                    )
        # Only now: what could not be written is heard again.
        self._places.update({token: heard.place for token, heard in listened.items()})
        return linked

    async def _hear(self, channel: Channel, token: str) -> Heard:
        place = self._places.get(token, 0)
        try:
            return await self.bots.hear(token, place)
        except GonetsError as error:
            log.warning("a bot cannot be listened to", extra={"channel_id": channel.id, "reason": error.reason})
            return Heard((), place)
