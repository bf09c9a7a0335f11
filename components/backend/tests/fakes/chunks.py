"""Chunks in memory, and what else dispatch asks for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fakes.campaigns import FakeCampaigns
from gonets.core.campaigns.model import Campaign, Chunk, Outcome, Status, Waiting
from gonets.core.channels.model import Channel
from gonets.core.notifications.model import Attempt, Notification
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.notifications.ports import Turn
from gonets.core.templates.rendering import Value


@dataclass
class FakeChunks:
    """Implements Chunks, for the worker with this life."""

    table: FakeCampaigns
    life: int = 1
    values: Mapping[int, Mapping[str, Value]] = field(default_factory=dict)
    advanced: list[int] = field(default_factory=list)

    async def claim(self, chunk_id: int, stamp: int) -> tuple[Chunk, Campaign] | None:
        row = self.table.chunks[chunk_id]
        campaign = self.table.rows[row.chunk.campaign_id]
        mine = (row.chunk.life, row.chunk.stamp) == (self.life, stamp)
        if campaign.status is not Status.RUNNING or row.done:
            return None
        if not mine and (row.chunk.life or row.due_at > self.table.clock()):
            return None
        row.chunk, row.wake_at = replace(row.chunk, life=self.life, stamp=stamp), None
        return row.chunk, campaign

    async def begun(self, chunk: Chunk, limit: int) -> Sequence[Waiting]:
        return self._without_outcome(chunk, chunk.first_id - 1, chunk.mark, limit)

    async def waiting(self, chunk: Chunk, beyond: int, limit: int) -> Sequence[Waiting]:
        return self._without_outcome(chunk, beyond, chunk.last_id, limit)

    def _without_outcome(self, chunk: Chunk, beyond: int, last: int, limit: int) -> Sequence[Waiting]:
        found = [
            one
            for number, one in sorted(self.table.messages.items())
            if beyond < number <= last and one.campaign_id == chunk.campaign_id and _fresh(one)
        ]
        with_values = self.table.rows[chunk.campaign_id].content.variables
        return [
            Waiting(
                one.id,
                one.contact_id,
                one.recipient,
                one.created_at,
                self.values.get(one.contact_id or 0, {}) if with_values else {},
            )
            for one in found[:limit]
        ]

    async def advance(self, chunk: Chunk, mark: int) -> Chunk | None:
        row, now = self.table.chunks[chunk.id], self.table.clock()
        campaign = self.table.rows[chunk.campaign_id]
        shut = any(at is not None and at <= now for at in (campaign.end_at, row.chunk.closes_at))
        held = (row.chunk.life, row.chunk.stamp) == (chunk.life, chunk.stamp)
        if shut or not held or row.done or campaign.status is not Status.RUNNING:
            return None
        row.chunk = replace(row.chunk, mark=max(mark, row.chunk.mark), marked_at=now)
        self.advanced.append(mark)
        return row.chunk

    async def record(self, outcomes: Sequence[Outcome]) -> Collection[int]:
        written = set()
        for one in outcomes:
            found = self.table.messages[one.id]
            entered = _entered(found, one)
            if _fresh(found):
                self.table.messages[one.id] = entered
            elif not one.like.attempts or found.attempts != entered.attempts:
                continue
            written.add(one.id)
        return written

    async def release(self, chunk: Chunk, at: datetime | None, closes_at: datetime | None) -> None:
        row = self.table.chunks[chunk.id]
        if (row.chunk.life, row.chunk.stamp) != (chunk.life, chunk.stamp):
            return
        row.chunk = replace(row.chunk, life=0, stamp=0, closes_at=closes_at)
        row.due_at, row.wake_at, row.done = at or row.due_at, at, at is None


def _fresh(found: Notification) -> bool:
    waits = found.status is MessageStatus.PENDING and not found.attempts
    return waits and found.due_at is None and found.life is None


def _entered(found: Notification, outcome: Outcome) -> Notification:
    like = outcome.like
    message = found.message
    if outcome.text is not None:
        message = replace(message, text=outcome.text, subject=outcome.subject)
    after = replace(
        found,
        message=message,
        status=like.status,
        reason=like.reason,
        channel=like.channel,
        due_at=like.due_at,
        finished_at=like.finished_at,
        version=found.version + 1,
    )
    if not like.attempts:
        return after
    [attempt] = like.attempts
    ended, later = outcome.ended_at, like.due_at and attempt.ended_at and like.due_at - attempt.ended_at
    assert ended is not None
    own = replace(
        attempt,
        to=outcome.to,
        reference=outcome.reference,
        provider_id=outcome.provider_id,
        started_at=outcome.started_at or attempt.started_at,
        ended_at=ended,
        counted_from=ended if attempt.counted_from else None,
        events=tuple(replace(event, at=ended) for event in attempt.events),
    )
    return replace(
        after,
        attempts=(own,),
        sent_at=ended if like.sent_at else None,
        finished_at=ended if like.finished_at else None,
        due_at=ended + later if later is not None else like.due_at,
    )


@dataclass
class FakeMessages:
    """Implements as much of NotificationStore as dispatch uses, over the same messages."""

    table: FakeCampaigns

    async def get(self, notification_id: int) -> Notification | None:
        return self.table.messages.get(notification_id)

    async def save(
        self, notification: Notification, stamp: int, *, release: bool = False, known: Sequence[Attempt] = ()
    ) -> Notification | None:
        if self.table.messages[notification.id].version != notification.version:
            return None
        saved = replace(notification, version=notification.version + 1)
        self.table.messages[notification.id] = saved
        return saved


@dataclass
class FakeTurns:
    """Implements Turns: `free` messages may go, then each is to wait for `delay`."""

    limit: float = 0.0
    free: int = 0
    delay: timedelta = timedelta(seconds=30)
    turns_over: int = 0
    paused: list[timedelta] = field(default_factory=list)

    def rate(self, campaign: Campaign, channel: Channel) -> float:
        return self.limit

    async def turn(self, campaign: Campaign, channel: Channel) -> Turn | timedelta:
        if not self.limit:
            return self
        self.free -= 1
        return self.delay if self.free < 0 else self

    def over(self) -> None:
        """Implements Turn."""
        self.turns_over += 1

    async def pause(self, channel: Channel, lasting: timedelta) -> None:
        self.paused.append(lasting)


@dataclass
class FakeEarly:
    """Implements EarlyReceipts: remembers what was committed."""

    settled: list[str] = field(default_factory=list)

    async def settle(self, references: Sequence[str], named: Sequence[tuple[int, str]]) -> None:
        self.settled += references


@dataclass
class FakeListed:
    """Implements Suppressions."""

    listed: dict[str, set[str]] = field(default_factory=dict)
    questions: int = 0

    async def among(self, owner_id: int, asked: Mapping[str, Sequence[str]]) -> Mapping[str, frozenset[str]]:
        self.questions += 1
        return {kind: frozenset(set(several) & self.listed.get(kind, set())) for kind, several in asked.items()}

    async def opted_out(self, owner_id: int, kind: str, address: str, reason: str) -> None:
        self.listed.setdefault(kind, set()).add(address)


@dataclass
class FakeObserver:
    """Implements Observer: counts."""

    sends: int = 0
    ends: list[MessageStatus] = field(default_factory=list)

    def sent(self, *_: object) -> None:
        self.sends += 1

    def reported(self, attempt: object) -> None: ...

    def ended(self, found: Notification) -> None:
        self.ends.append(found.status)
