"""Reports of providers in memory, beside the notifications they are about."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fakes.notification_table import FakeNotificationTable
from gonets.core.channels.model import Receipt
from gonets.core.notifications.dispatch import notification_of
from gonets.core.notifications.model import Attempt, AttemptState, ChannelKey, Status
from gonets.core.notifications.reports import Kept, Named


@dataclass
class FakeReportBook:
    """Implements ReportBook. `entered`: how often the short way was gone."""

    table: FakeNotificationTable
    early: list[Kept] = field(default_factory=list)
    entered: int = 0
    _ids: itertools.count = field(default_factory=lambda: itertools.count(1))

    async def find(self, reference: str) -> Named | None:
        row = self.table.rows.get(notification_of(reference) or 0)
        if row is None:
            return None
        if attempt := row.found.attempt(reference):
            return Named(row.found.owner_id, attempt.channel)
        early = row.found.campaign_id is not None and not row.found.attempts
        return Named(row.found.owner_id, None) if early else None

    async def enter(self, reference: str, after: Attempt, by: ChannelKey | None = None) -> ChannelKey | None:
        row = self.table.rows.get(notification_of(reference) or 0)
        attempt = row.found.attempt(reference) if row else None
        if row is None or attempt is None or (by is not None and attempt.channel != by):
            return None
        if after.state is AttemptState.ACCEPTED:
            known = attempt.provider_id is not None or after.provider_id is None
            at_least = attempt.state not in {AttemptState.STARTED, AttemptState.UNKNOWN}
            return attempt.channel if known and at_least and not attempt.held else None
        found = row.found
        if attempt.state is not AttemptState.ACCEPTED or found.status is not Status.SENT or found.life is not None:
            return None
        self.entered += 1
        entered = replace(
            attempt,
            state=after.state,
            ended_at=after.ended_at,
            code=after.code,
            reason=after.reason,
            refusal=after.refusal,
            hint=None,
            retry_after=None,
            provider_id=attempt.provider_id or after.provider_id,
            events=(*attempt.events, *after.events[-1:]),
        )
        changed = found.changed(entered)
        if after.state is not AttemptState.DELIVERED:
            changed = replace(changed, due_at=after.ended_at)
        row.found = replace(changed, version=found.version + 1)
        row.stamp, row.wake_at, row.wakes = None, changed.due_at, 0
        return attempt.channel

    async def keep(self, reference: str, receipt: Receipt) -> None:
        self.early.append(Kept(next(self._ids), reference, receipt))

    async def kept(self, references: Sequence[str]) -> Sequence[Kept]:
        return [one for one in self.early if one.reference in references]

    async def drop(self, kept: Sequence[int]) -> None:
        self.early = [one for one in self.early if one.id not in kept]
