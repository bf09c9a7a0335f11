"""Notifications in memory, for all who use the table."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gonets.core.channels.model import ChannelType, Receipt
from gonets.core.notifications.model import (
    Attempt,
    AttemptState,
    ChannelKey,
    Due,
    KeyReused,
    NewNotification,
    Notification,
    NotificationFilter,
    NotificationPage,
    Status,
    Taken,
)
from gonets.core.shared.errors import Invalid

_WAKE_AGAIN = timedelta(seconds=25)
_KEYS_HOLD = timedelta(days=7)


@dataclass
class _Row:
    found: Notification
    wake_at: datetime | None
    stamp: int | None = None
    wakes: int = 0


@dataclass
class FakeNotificationTable:
    """Implements NotificationIntake, NotificationStore, NotificationQueries and NotificationWakes; `of` a worker's life
    also NotificationClaims. The time is what `time` says."""

    time: datetime = datetime(2026, 1, 31, 12, tzinfo=UTC)
    rows: dict[int, _Row] = field(default_factory=dict)
    keys: dict[tuple[int, str], tuple[int, str, datetime]] = field(default_factory=dict)
    kept: list[tuple[int, Receipt]] = field(default_factory=list)
    lives: set[int] = field(default_factory=set)
    _ids: itertools.count = field(default_factory=lambda: itertools.count(1))

    def now(self) -> datetime:
        return self.time

    def of(self, life: int) -> "FakeNotificationClaims":
        self.lives.add(life)
        return FakeNotificationClaims(self, life)

    async def submit(self, new: NewNotification) -> Taken | KeyReused:
        if new.key is not None:
            known, digest, at = self.keys.get((new.owner_id, new.key), (0, "", datetime.min.replace(tzinfo=UTC)))
            if at >= self.time - _KEYS_HOLD:
                return Taken(known, new=False) if digest == new.digest else KeyReused(known)
        number = next(self._ids)
        if new.key is not None:
            self.keys[new.owner_id, new.key] = number, new.digest, self.time
        found = Notification(
            id=number,
            owner_id=new.owner_id,
            recipient=new.recipient,
            contact_id=new.contact_id,
            message=new.message,
            route=tuple(new.route),
            deadline=new.deadline,
            fallback_after=new.fallback_after,
            notify_result=new.notify_result,
            held=new.held,
            reason="waits to be released" if new.held else None,
            created_at=self.time,
            due_at=None if new.held else self.time,
        )
        self.rows[number] = _Row(found, None if new.held else self.time + _WAKE_AGAIN)
        return Taken(number, new=True)

    async def get(self, notification_id: int) -> Notification | None:
        row = self.rows.get(notification_id)
        return row.found if row else None

    async def by_provider_id(self, channel_id: int, provider_id: str) -> tuple[Notification, str] | None:
        known = [
            (attempt.started_at, row.found, attempt.reference)
            for row in self.rows.values()
            for attempt in row.found.attempts
            if attempt.channel == ChannelKey(channel_id, ChannelType.SMS_SMPP) and attempt.provider_id == provider_id
        ]
        return max(known, key=lambda one: one[0])[1:] if known else None

    async def stray(self, channel_id: int, receipt: Receipt) -> None:
        self.kept.append((channel_id, receipt))

    async def strays(self, channel_id: int, provider_id: str) -> Sequence[Receipt]:
        return [receipt for known, receipt in self.kept if (known, receipt.provider_id) == (channel_id, provider_id)]

    async def awaited(self, channel_type: ChannelType) -> Sequence[tuple[int, int]]:
        found = {
            (row.found.owner_id, attempt.channel.id)
            for row in self.rows.values()
            for attempt in row.found.attempts
            if row.wake_at is not None and row.found.status is Status.SENT
            if attempt.channel.type is channel_type and attempt.state is AttemptState.ACCEPTED
            if attempt.provider_id is not None
        }
        return sorted(found)

    async def written_to(self, channel_type: ChannelType, address: str) -> Sequence[int]:
        found = {
            row.found.owner_id
            for row in self.rows.values()
            for attempt in row.found.attempts
            if (attempt.channel, attempt.to) == (ChannelKey(0, channel_type), address)
        }
        return sorted(found)

    async def save(
        self, notification: Notification, stamp: int, *, release: bool = False, known: Sequence[Attempt] = ()
    ) -> Notification | None:
        row = self.rows[notification.id]
        if row.stamp == stamp:
            return replace(notification, version=row.found.version, life=row.found.life)
        if row.found.version != notification.version:
            return None
        life = None if release else row.found.life
        row.found = replace(notification, version=notification.version + 1, life=life)
        row.stamp, row.wake_at, row.wakes = stamp, notification.due_at if life is None else None, 0
        return row.found

    async def orphans(self) -> int:
        orphans = [row for row in self.rows.values() if row.found.life is not None and row.found.life not in self.lives]
        for row in orphans:
            row.found = replace(row.found, life=None, due_at=self.time, version=row.found.version + 1)
            row.stamp, row.wake_at, row.wakes = None, self.time, 0
        return len(orphans)

    async def due(self, limit: int) -> Sequence[Due]:
        due = [
            Due(number, row.wake_at) for number, row in self.rows.items() if row.wake_at and row.wake_at <= self.time
        ]
        return sorted(due, key=lambda one: one.wake_at)[:limit]

    async def woken(self, due: Sequence[Due]) -> None:
        for one in due:
            row = self.rows[one.id]
            if row.wake_at == one.wake_at:
                row.wake_at = self.time + _WAKE_AGAIN * 2 ** min(row.wakes, 8)
                row.wakes += 1

    async def forget(self) -> None:
        self.keys = {key: value for key, value in self.keys.items() if value[2] >= self.time - 2 * _KEYS_HOLD}

    async def page(
        self, owner_id: int, wanted: NotificationFilter, *, cursor: str | None, limit: int
    ) -> NotificationPage:
        if cursor is not None and not cursor.isdecimal():
            raise Invalid("cursor", "must be a next_cursor of an earlier answer, unchanged")
        chosen = [
            replace(row.found, attempts=())
            for row in reversed(self.rows.values())
            if row.found.owner_id == owner_id
            and wanted.status in (None, row.found.status)
            and (
                wanted.channel_type is None
                or any(one.channel.type is wanted.channel_type for one in row.found.attempts)
            )
            and (wanted.since is None or row.found.created_at >= wanted.since)
            and (wanted.until is None or row.found.created_at < wanted.until)
            and (cursor is None or row.found.id < int(cursor))
        ]
        return NotificationPage(chosen[:limit], str(chosen[limit - 1].id) if len(chosen) > limit else None)


@dataclass(frozen=True)
class FakeNotificationClaims:
    """One worker's side."""

    table: FakeNotificationTable
    life: int

    async def claim(self, notification_id: int, stamp: int) -> Notification | None:
        row = self.table.rows.get(notification_id)
        if row is None:
            return None
        mine = row.found.life == self.life and row.stamp == stamp
        due = row.found.due_at is not None and row.found.due_at <= self.table.time
        if not mine and (row.found.life is not None or not due):
            return None
        row.found = replace(row.found, life=self.life, version=row.found.version + 1)
        row.stamp, row.wake_at, row.wakes = stamp, None, 0
        return row.found

    async def told(self, notification: Notification) -> None:
        row = self.table.rows[notification.id]
        if not row.found.finished or row.found.status is not notification.status:
            return
        same = row.found.version == notification.version
        row.found = replace(row.found, told=notification.status, due_at=None if same else row.found.due_at)
        row.wake_at = None if same else row.wake_at


@dataclass
class FakeNews:
    """Implements NotificationNews: keeps what was told."""

    woken: list[int] = field(default_factory=list)
    ends: list[tuple[int, Status]] = field(default_factory=list)

    async def wake(self, notification_id: int) -> None:
        self.woken.append(notification_id)

    async def end(self, notification: Notification) -> None:
        self.ends.append((notification.id, notification.status))
