"""Campaigns in memory."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from gonets.core.campaigns.model import Campaign, Chunk, Counts, Status
from gonets.core.campaigns.ports import OUTSTANDING, CampaignPage, MessagePage
from gonets.core.campaigns.windows import next_opening
from gonets.core.channels.model import Message, Recipient
from gonets.core.contacts.audience import Audience
from gonets.core.contacts.model import Contact
from gonets.core.notifications.model import Notification
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.shared.errors import Invalid
from gonets.core.shared.json import JSON


class Row:
    """A chunk, and when it is looked at."""

    def __init__(self, chunk: Chunk, due_at: datetime) -> None:
        self.chunk = chunk
        self.due_at = due_at
        self.wake_at: datetime | None = due_at
        self.done = False


class FakeCampaigns:
    """Implements CampaignStore, CampaignWork, CampaignWakes, CampaignMessages and ChunkLine."""

    def __init__(self, clock: Callable[[], datetime], *, chunk: int = 500) -> None:
        self.clock = clock
        self.life = 1
        self.lives = {1}
        self.rows: dict[int, Campaign] = {}
        self.keys: dict[tuple[int, str], int] = {}
        self.wake_at: dict[int, datetime | None] = {}
        self.fanned_to: dict[int, int] = {}
        self.contacts: dict[int, tuple[int, Contact]] = {}
        self.messages: dict[int, Notification] = {}
        self.chunks: dict[int, Row] = {}
        self._size = chunk
        self._ids = itertools.count(1)
        self._message_ids = itertools.count(1)
        self._chunk_ids = itertools.count(1)

    # The store.

    async def known(self, owner_id: int, key: str) -> Campaign | None:
        found = self.rows.get(self.keys.get((owner_id, key), 0))
        return found if found and found.created_at >= self.clock() - timedelta(days=7) else None

    async def add(self, campaign: Campaign, key: str | None) -> tuple[Campaign, bool]:
        if key is not None and (known := await self.known(campaign.owner_id, key)):
            return known, False
        now = self.clock()
        made = replace(campaign, id=next(self._ids), created_at=now, updated_at=now, version=0)
        if key is not None:
            self.keys[made.owner_id, key] = made.id
        self._keep(made)
        return made, True

    def _keep(self, campaign: Campaign) -> None:
        self.rows[campaign.id] = campaign
        due = campaign.start_at if campaign.status is Status.SCHEDULED else self.clock() if _left(campaign) else None
        self.wake_at[campaign.id] = None if campaign.life is not None else due

    async def get(self, owner_id: int, campaign_id: int) -> Campaign | None:
        found = self.rows.get(campaign_id)
        return found if found and found.owner_id == owner_id else None

    async def find(self, campaign_id: int) -> Campaign | None:
        return self.rows.get(campaign_id)

    async def page(self, owner_id: int, *, status: Status | None, cursor: str | None, limit: int) -> CampaignPage:
        before = _number(cursor) if cursor else None
        found = [
            one
            for one in sorted(self.rows.values(), key=lambda one: -one.id)
            if one.owner_id == owner_id and status in {None, one.status} and (before is None or one.id < before)
        ]
        more = len(found) > limit
        return CampaignPage(
            [(one, await self.counts(one.id)) for one in found[:limit]], str(found[limit - 1].id) if more else None
        )

    async def save(self, campaign: Campaign) -> Campaign | None:
        old = self.rows.get(campaign.id)
        if old is None or old.version != campaign.version:
            return None
        saved = replace(
            campaign,
            version=old.version + 1,
            updated_at=self.clock(),
            total=old.total,
            fanned_out=old.fanned_out,
            closed=old.closed,
            life=old.life,
            stamp=old.stamp,
        )
        self._keep(saved)
        return saved

    async def delete(self, campaign: Campaign) -> bool:
        old = self.rows.get(campaign.id)
        if old is None or old.version != campaign.version or old.life is not None:
            return False
        del self.rows[campaign.id]
        return True

    async def counts(self, campaign_id: int) -> Counts:
        counted: dict[MessageStatus, int] = {}
        for one in self.messages.values():
            if one.campaign_id == campaign_id:
                counted[one.status] = counted.get(one.status, 0) + 1
        return counted

    # The worker.

    async def claim(self, campaign_id: int, stamp: int) -> Campaign | None:
        found = self.rows.get(campaign_id)
        if found is None:
            return None
        if (found.life, found.stamp) != (self.life, stamp) and (found.life is not None or not _left(found)):
            return None
        return self._set(replace(found, life=self.life, stamp=stamp))

    def _set(self, campaign: Campaign) -> Campaign:
        self.rows[campaign.id] = campaign
        if campaign.life is not None:
            self.wake_at[campaign.id] = None
        return campaign

    async def fan_out(self, campaign: Campaign, limit: int) -> Campaign | None:
        found = self.rows.get(campaign.id)
        if found is None or (found.life, found.stamp) != (campaign.life, campaign.stamp):
            return None
        if found.status is not Status.RUNNING or found.fanned_out:
            return None
        after = self.fanned_to.get(found.id, 0)
        people = sorted(
            (one for number, (owner, one) in self.contacts.items() if owner == found.owner_id and number > after),
            key=lambda one: one.id,
        )
        picked = [one for one in people if _meant(one, found.audience)][:limit]
        zones = sorted({self._zone(found, one) or "" for one in picked})
        for zone in zones:
            made = [self._made(found, one, zone) for one in picked if (self._zone(found, one) or "") == zone]
            for start in range(0, len(made), self._size):
                self._cut(found, made[start : start + self._size], zone or None)
        if picked:
            self.fanned_to[found.id] = picked[-1].id
        return self._set(replace(found, total=found.total + len(picked), fanned_out=len(picked) < limit))

    def _zone(self, campaign: Campaign, contact: Contact) -> str | None:
        return contact.timezone or campaign.window.zone if campaign.window else None

    def _made(self, campaign: Campaign, contact: Contact, zone: str) -> int:
        number = next(self._message_ids)
        content = campaign.content
        self.messages[number] = Notification(
            id=number,
            owner_id=campaign.owner_id,
            recipient=Recipient(contact.telegram_chat_id, contact.email, contact.phone),
            contact_id=contact.id,
            message=Message("" if content.variables else content.text, None if content.variables else content.subject),
            route=campaign.route,
            fallback_after=campaign.fallback_after,
            deadline=campaign.end_at,
            campaign_id=campaign.id,
            zone=zone or None,
            created_at=self.clock(),
        )
        return number

    def _cut(self, campaign: Campaign, ids: Sequence[int], zone: str | None) -> None:
        now = self.clock()
        opening = next_opening(campaign.window, zone, now) if campaign.window and zone else None
        chunk = Chunk(
            id=next(self._chunk_ids),
            campaign_id=campaign.id,
            first_id=ids[0],
            last_id=ids[-1],
            mark=ids[0] - 1,
            marked_at=None,
            zone=zone,
            closes_at=opening and opening.closes_at,
            life=0,
            stamp=0,
        )
        self.chunks[chunk.id] = Row(chunk, opening.opens_at if opening else now)

    async def left(self, campaign: Campaign, limit: int) -> Sequence[Chunk]:
        rows = [row for row in self.chunks.values() if row.chunk.campaign_id == campaign.id]
        return [row.chunk for row in rows if not row.done and not row.chunk.life][:limit]

    async def close(self, campaign: Campaign, chunks: Sequence[Chunk]) -> int:
        ended = 0
        for row in (self.chunks[chunk.id] for chunk in chunks):
            if row.done or row.chunk.life:
                continue
            for number in range(row.chunk.mark + 1, row.chunk.last_id + 1):
                found = self.messages.get(number)
                if found and found.campaign_id == campaign.id and found.status is MessageStatus.PENDING:
                    if found.attempts or found.life is not None:
                        continue
                    why = f"its campaign is {campaign.status.value}"
                    status = MessageStatus(campaign.status.value)
                    self.messages[number] = replace(found, status=status, reason=why, finished_at=self.clock())
                    ended += 1
            row.done, row.wake_at = True, None
        return ended

    async def hasten(self, campaign: Campaign, after: int, limit: int) -> int | None:
        found = [one for one in self.messages.values() if one.campaign_id == campaign.id and one.contact_id]
        look = sorted((one for one in found if (one.contact_id or 0) > after), key=lambda one: one.contact_id or 0)[
            :limit
        ]
        for one in look:
            waits = one.status in {MessageStatus.PENDING, MessageStatus.SENDING} and one.life is None
            if waits and one.due_at is not None and one.due_at > self.clock():
                self.messages[one.id] = replace(one, due_at=self.clock(), version=one.version + 1)
        return look[-1].contact_id if len(look) == limit else None

    async def closed(self, campaign: Campaign) -> bool:
        if any(row.chunk.campaign_id == campaign.id and not row.done for row in self.chunks.values()):
            return False
        self.rows[campaign.id] = replace(self.rows[campaign.id], closed=True)
        return True

    async def release(self, campaign: Campaign, after: timedelta = timedelta()) -> None:
        found = self.rows.get(campaign.id)
        if found and (found.life, found.stamp) == (campaign.life, campaign.stamp):
            self.rows[found.id] = replace(found, life=None, stamp=None)
            self.wake_at[found.id] = self.clock() + after if _left(found) else None

    # The scheduler.

    async def orphans(self) -> int:
        lost = [one for one in self.rows.values() if one.life is not None and one.life not in self.lives]
        for one in lost:
            self.rows[one.id] = replace(one, life=None, stamp=None)
            self.wake_at[one.id] = self.clock()
        held = [row for row in self.chunks.values() if row.chunk.life and row.chunk.life not in self.lives]
        for row in held:
            row.chunk, row.wake_at = replace(row.chunk, life=0, stamp=0), self.clock()
        return len(lost) + len(held)

    async def starting(self, limit: int) -> Sequence[Campaign]:
        return [one for one in self._due() if one.status is Status.SCHEDULED][:limit]

    def _due(self) -> Sequence[Campaign]:
        now = self.clock()
        return [self.rows[one] for one, at in self.wake_at.items() if one in self.rows and at is not None and at <= now]

    async def ending(self, limit: int) -> Sequence[Campaign]:
        now = self.clock()
        return [
            one
            for one in self.rows.values()
            if one.status in {Status.RUNNING, Status.PAUSED} and one.end_at is not None and one.end_at <= now
        ][:limit]

    async def through(self, limit: int) -> Sequence[Campaign]:
        waiting = {
            one.campaign_id
            for one in self.messages.values()
            if one.status in {MessageStatus.PENDING, MessageStatus.SENDING}
        } | {row.chunk.campaign_id for row in self.chunks.values() if not row.done}
        return [
            one
            for one in self.rows.values()
            if one.status is Status.RUNNING and one.fanned_out and one.id not in waiting
        ][:limit]

    async def due(self, limit: int) -> tuple[Sequence[int], Sequence[int]]:
        campaigns = [one.id for one in self._due() if one.status is not Status.SCHEDULED]
        running = [one.id for one in self.rows.values() if one.status is Status.RUNNING]
        return campaigns[:limit], [chunk for one in running for chunk in self._line(one)][:limit]

    def _line(self, campaign_id: int) -> Sequence[int]:
        now = self.clock()
        first = [
            row
            for row in self.chunks.values()
            if row.chunk.campaign_id == campaign_id and not row.done and row.due_at <= now
        ][:OUTSTANDING]
        return [row.chunk.id for row in first if row.wake_at is not None and row.wake_at <= now and self.lives]

    async def woken(self, campaigns: Sequence[int], chunks: Sequence[int]) -> None:
        again = self.clock() + timedelta(seconds=20)
        for number in campaigns:
            if (at := self.wake_at.get(number)) is not None and at <= self.clock():
                self.wake_at[number] = again
        for number in chunks:
            row = self.chunks[number]
            if row.wake_at is not None and row.wake_at <= self.clock():
                row.wake_at = again

    async def next(self, campaign_id: int) -> Sequence[int]:
        found = self._line(campaign_id) if self.rows[campaign_id].status is Status.RUNNING else []
        await self.woken([], found)
        return found


class FakeCampaignMessages:
    """Implements CampaignMessages."""

    def __init__(self, campaigns: FakeCampaigns) -> None:
        self._campaigns = campaigns

    async def page(
        self, campaign_id: int, *, status: MessageStatus | None, cursor: str | None, limit: int
    ) -> MessagePage:
        after = _number(cursor) if cursor else 0
        found = sorted(
            (
                one
                for one in self._campaigns.messages.values()
                if one.campaign_id == campaign_id and (one.contact_id or 0) > after and status in {None, one.status}
            ),
            key=lambda one: one.contact_id or 0,
        )
        more = len(found) > limit
        return MessagePage(found[:limit], str(found[limit - 1].contact_id) if more else None)


class FakeCampaignNews:
    """Implements CampaignNews: remembers what was woken."""

    def __init__(self) -> None:
        self.woken: list[tuple[str, int]] = []
        self.failure: Exception | None = None

    async def wake_campaign(self, campaign_id: int) -> None:
        self._wake("campaign", campaign_id)

    async def wake_chunk(self, chunk_id: int) -> None:
        self._wake("chunk", chunk_id)

    def _wake(self, what: str, number: int) -> None:
        if self.failure:
            raise self.failure
        self.woken.append((what, number))


class FakeAudit:
    """Implements Audit."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, int]] = []

    async def note(self, actor: object, action: str, object_id: int, detail: dict[str, JSON]) -> None:
        self.notes.append((action, object_id))


def _left(campaign: Campaign) -> bool:
    if campaign.status is Status.RUNNING:
        return not campaign.fanned_out
    return campaign.status in {Status.CANCELLED, Status.EXPIRED} and not campaign.closed


def _number(cursor: str) -> int:
    if not cursor.isdecimal():
        raise Invalid("cursor", "must be a next_cursor of an earlier answer, unchanged")
    return int(cursor)


def _meant(contact: Contact, audience: Audience) -> bool:
    tags = set(contact.tags)
    return (
        (not audience.tags_any or bool(tags & set(audience.tags_any)))
        and set(audience.tags_all) <= tags
        and not tags & set(audience.tags_none)
        and (not audience.operator_codes or contact.operator_code in audience.operator_codes)
        and (not audience.timezones or contact.timezone in audience.timezones)
    )
