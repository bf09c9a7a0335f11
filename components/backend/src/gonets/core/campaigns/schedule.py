"""The scheduler's part: campaigns start, end and finish by themselves, and what nobody does is woken again."""

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from gonets.core.campaigns.model import NOT_STARTED, Campaign, Status
from gonets.core.campaigns.ports import Audiences, CampaignNews, CampaignStore, CampaignWakes
from gonets.core.contacts.audience import Audience
from gonets.core.notifications.ports import Clock

log = logging.getLogger(__name__)


async def whom(campaign: Campaign, audiences: Audiences) -> Audience | None:
    """Until it has started a saved audience is meant as it is now. None: it is gone."""
    if campaign.audience_id is None or campaign.status not in NOT_STARTED:
        return campaign.audience
    return await audiences.get(campaign.owner_id, campaign.audience_id)


@dataclass(frozen=True, slots=True)
class KeepCampaigns:
    """One sweep. `latest_start`: one without an end whose time passed longer ago than this, with everything down, is
    not started any more."""

    wakes: CampaignWakes
    store: CampaignStore
    audiences: Audiences
    news: CampaignNews
    now: Clock
    latest_start: timedelta
    limit: int = 500

    async def __call__(self) -> int:
        """Returns the number of wake-ups sent. Raises Unavailable; what was not done is done by a later sweep."""
        if orphans := await self.wakes.orphans():
            log.warning("took campaigns or chunks back from dead workers", extra={"rows": orphans})
        for campaign in await self.wakes.starting(self.limit):
            await self._save(await self._started(campaign))
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

    async def _started(self, campaign: Campaign) -> Campaign:
        now = self.now()
        late = now - (campaign.start_at or now)
        if campaign.end_at is not None and campaign.end_at <= now:
            return campaign.moved(Status.EXPIRED, now, "its end came before it could be started")
        if campaign.end_at is None and late > self.latest_start:
            minutes = int(late.total_seconds() // 60)
            return campaign.moved(
                Status.EXPIRED, now, f"nothing was there to start it in time; {minutes} minutes later it is too late"
            )
        audience = await whom(campaign, self.audiences)
        if audience is None:
            return campaign.moved(Status.CANCELLED, now, "its saved audience was deleted before it started")
        return replace(campaign, audience=audience).moved(Status.RUNNING, now)

    async def _save(self, changed: Campaign) -> None:
        # Where somebody else changed it in between, the next sweep looks again.
        if await self.store.save(changed) is not None:
            facts = {"campaign_id": changed.id, "status": changed.status.value, "reason": changed.reason}
            log.info("campaign moved", extra=facts)
