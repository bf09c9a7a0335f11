"""The scheduler's part: campaigns start, end and finish by themselves, and what nobody does is woken again."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

from gonets.core.campaigns.model import Campaign, Status
from gonets.core.campaigns.ports import CampaignNews, CampaignStore, CampaignWakes
from gonets.core.notifications.ports import Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeepCampaigns:
    """One sweep. `latest_start`: one without an end whose time passed longer ago than this, with everything down, is
    not started any more."""

    wakes: CampaignWakes
    store: CampaignStore
    news: CampaignNews
    now: Clock
    latest_start: timedelta
    limit: int = 500

    async def __call__(self) -> int:
        """Returns the number of wake-ups sent. Raises Unavailable; what was not done is done by a later sweep."""
        if orphans := await self.wakes.orphans():
            log.warning("took campaigns or chunks back from dead workers", extra={"rows": orphans})
        for campaign in await self.wakes.starting(self.limit):
            await self._save(self._started(campaign))
        # Before the ends: what is through has not been cut short.
        for campaign in await self.wakes.through(self.limit):
            await self._save(campaign.moved(Status.FINISHED, self.now()))
        for campaign in await self.wakes.ending(self.limit):
            await self._save(campaign.moved(Status.EXPIRED, self.now(), "its end came before all had been sent"))
        campaigns, chunks = await self.wakes.due(self.limit)
        await asyncio.gather(
            *(self.news.wake_campaign(number) for number in campaigns), *(self.news.wake_chunk(one) for one in chunks)
        )
        if campaigns or chunks:
            await self.wakes.woken(campaigns, chunks)
        return len(campaigns) + len(chunks)

    def _started(self, campaign: Campaign) -> Campaign:
        now = self.now()
        late = now - (campaign.start_at or now)
        if campaign.end_at is not None and campaign.end_at <= now:
            return campaign.moved(Status.EXPIRED, now, "its end came before it could be started")
        if campaign.end_at is None and late > self.latest_start:
            minutes = int(late.total_seconds() // 60)
            return campaign.moved(
                Status.EXPIRED, now, f"nothing was there to start it in time; {minutes} minutes later it is too late"
            )
        return campaign.moved(Status.RUNNING, now)

    async def _save(self, changed: Campaign) -> None:
        # Where somebody else changed it in between, the next sweep looks again.
        if await self.store.save(changed) is not None:
            facts = {"campaign_id": changed.id, "status": changed.status.value, "reason": changed.reason}
            log.info("campaign moved", extra=facts)
