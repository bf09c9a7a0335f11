"""Channels in memory, a kind of channel that sends nowhere, and what else the channels feature asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gonets.core.channels.model import (
    Accepted,
    Address,
    Channel,
    ChannelPage,
    ChannelType,
    NewChannel,
    Send,
    SendOutcome,
    Tested,
)
from gonets.core.shared.audit import Actor
from gonets.core.shared.errors import Invalid, InvalidFields
from gonets.core.shared.json import JSON


class FakeChannelStore:
    """Implements ChannelStore."""

    def __init__(self) -> None:
        self.rows: dict[int, Channel] = {}
        self.began: dict[int, datetime] = {}
        """When self-tests last began; a test may move them."""
        self._last = 0
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def _tick(self) -> datetime:
        self._now += timedelta(microseconds=1)
        return self._now

    async def add(self, owner_id: int, new: NewChannel) -> Channel:
        self._last += 1
        now = self._tick()
        channel = Channel(
            id=self._last,
            owner_id=owner_id,
            name=new.name,
            type=new.type,
            configuration=dict(new.configuration),
            enabled=new.enabled,
            is_default=new.is_default,
            rate_per_second=new.rate_per_second,
            self_test_every=new.self_test_every,
            created_at=now,
            updated_at=now,
        )
        return self._put(channel)

    def _put(self, channel: Channel) -> Channel:
        if channel.is_default:
            for other in self._own(channel.owner_id):
                if other.is_default and other.id != channel.id:
                    self.rows[other.id] = replace(other, is_default=False, updated_at=self._tick())
        self.rows[channel.id] = channel
        return channel

    def _own(self, owner_id: int | None) -> list[Channel]:
        return sorted(
            (channel for channel in self.rows.values() if channel.owner_id == owner_id), key=lambda one: one.id
        )

    async def get(self, owner_id: int, channel_id: int) -> Channel | None:
        return next((channel for channel in self._own(owner_id) if channel.id == channel_id), None)

    async def default(self, owner_id: int) -> Channel | None:
        return next((channel for channel in self._own(owner_id) if channel.is_default), None)

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ChannelPage:
        if cursor and not cursor.isdecimal():
            raise Invalid("cursor", "must be a next_cursor of an earlier answer, unchanged")
        rest = [one for one in reversed(self._own(owner_id)) if cursor is None or one.id < int(cursor)]
        return ChannelPage(rest[:limit], str(rest[limit - 1].id) if len(rest) > limit else None)

    async def all(self, owner_id: int) -> Sequence[Channel]:
        return self._own(owner_id)

    async def count(self, owner_id: int) -> int:
        return len(self._own(owner_id))

    async def replace(self, old: Channel, new: Channel) -> Channel | None:
        present = self.rows.get(old.id)
        if present is None or present.updated_at != old.updated_at or present.owner_id != old.owner_id:
            return None
        return self._put(replace(new, last_test=present.last_test, updated_at=self._tick()))

    async def delete(self, owner_id: int, channel_id: int) -> bool:
        if await self.get(owner_id, channel_id) is None:
            return False
        del self.rows[channel_id]
        return True

    async def tested(self, channel_id: int, *, ok: bool, step: str | None, reason: str | None) -> None:
        if channel_id in self.rows:
            found = Tested(at=self._now, ok=ok, step=step, reason=reason)
            self.rows[channel_id] = replace(self.rows[channel_id], last_test=found)

    async def begin_self_tests(self, limit: int) -> Sequence[tuple[int, int]]:
        due = [one for one in self.rows.values() if one.self_test_every and one.enabled and self._is_due(one)]
        longest = sorted(due, key=lambda one: (self.began.get(one.id, datetime.min.replace(tzinfo=UTC)), one.id))[
            :limit
        ]
        self.began |= {one.id: self._now for one in longest}
        return [(one.owner_id or 0, one.id) for one in longest]

    def _is_due(self, channel: Channel) -> bool:
        began = self.began.get(channel.id)
        return began is None or began + timedelta(seconds=channel.self_test_every or 0) <= self._now


@dataclass
class FakeKind:
    """Implements ChannelKind. Its configuration: `key` (a secret, must be there), `to`, `headers` (secret values) and
    `port`, a number that is 25 where it is left out, and decides who is told the secrets. What it is given to send is
    kept."""

    type: ChannelType = ChannelType.TELEGRAM
    address: Address | None = Address.TELEGRAM_CHAT_ID
    receipts: bool = False
    schema: Mapping[str, JSON] = field(default_factory=lambda: {"type": "object"})
    secrets: frozenset[str] = frozenset({"key", "headers"})
    destinations: frozenset[str] = frozenset({"port"})
    longest_send: float = 1.0
    outcome: SendOutcome = field(default_factory=lambda: Accepted("p-1"))
    sent: list[tuple[Channel, Send]] = field(default_factory=list)

    def check(self, configuration: Mapping[str, JSON]) -> dict[str, JSON]:
        wrong = [
            (f"configuration.{key}", "is not known here")
            for key in configuration.keys() - {"key", "to", "headers", "port"}
        ]
        if not isinstance(configuration.get("key"), str):
            wrong.append(("configuration.key", "must be given"))
        if not isinstance(configuration.get("port", 25), int):
            wrong.append(("configuration.port", "must be a number"))
        if wrong:
            raise InvalidFields(wrong)
        return {"port": 25, **configuration}

    def destination(self, configuration: Mapping[str, JSON]) -> str | None:
        to = configuration.get("to")
        return to if isinstance(to, str) else None

    def problem(self, message_text: str) -> str | None:
        return "is too long" if len(message_text) > 1000 else None

    async def send(self, channel: Channel, send: Send) -> SendOutcome:
        self.sent.append((channel, send))
        return self.outcome


@dataclass
class FakeMailbox:
    """Implements Mailbox: addresses by user."""

    emails: Mapping[int, str]

    async def of(self, user_id: int) -> str | None:
        return self.emails.get(user_id)


@dataclass
class FakeAudit:
    """Implements Audit of channels."""

    notes: list[tuple[Actor, str, int, Mapping[str, JSON]]] = field(default_factory=list)

    async def note(self, actor: Actor, action: str, channel_id: int, detail: Mapping[str, JSON]) -> None:
        self.notes.append((actor, action, channel_id, detail))
