"""The worker's part in a campaign's life: make its messages; where it ended early, end those that were not begun."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from gonets.core.campaigns.model import Campaign, Chunk, Status
from gonets.core.campaigns.ports import Abandon, CampaignNews, CampaignWork, ChunkLine
from gonets.core.shared.errors import Unavailable
from gonets.core.shared.patience import until_available

log = logging.getLogger(__name__)

_AFTER_AN_ERROR = timedelta(seconds=20)
_UNTIL_GIVEN_BACK = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class RunCampaign:
    """Do what is to be done about a claimed campaign, step by step; others work between the steps, and each of them
    sees whether it still runs."""

    work: CampaignWork
    line: ChunkLine
    news: CampaignNews
    abandon: Abandon
    contacts: int = 10_000
    """In one step."""
    ended: int = 20
    """Chunks in one step."""

    async def __call__(self, claimed: Campaign) -> None:
        """Never raises for what the database or the broker does."""
        after = _AFTER_AN_ERROR
        try:
            if claimed.status is Status.RUNNING:
                after = await self._fan_out(claimed)
            else:
                after = await self._close(claimed)
        except Exception:
            log.exception("an error of ours in a campaign", extra={"campaign_id": claimed.id})
        await until_available(partial(self.work.release, claimed, after))

    async def _fan_out(self, campaign: Campaign) -> timedelta:
        while not campaign.fanned_out:
            step = await until_available(partial(self.work.fan_out, campaign, self.contacts))
            if step is None:
                return timedelta()
            campaign = step
            await self._wake_next(campaign)
        log.info("campaign fanned out", extra={"campaign_id": campaign.id, "messages": campaign.total})
        return timedelta()

    async def _close(self, campaign: Campaign) -> timedelta:
        ended = 0
        while chunks := await until_available(partial(self.work.left, campaign, self.ended)):
            for chunk in chunks:
                if _begun(chunk):
                    await until_available(partial(self.abandon, campaign, chunk))
            ended += await until_available(partial(self.work.close, campaign, chunks))
        if campaign.status is Status.CANCELLED:
            await self._hasten(campaign)
        if not await until_available(partial(self.work.closed, campaign)):
            return _UNTIL_GIVEN_BACK
        log.info("campaign closed", extra={"campaign_id": campaign.id, "ended": ended})
        return timedelta()

    async def _hasten(self, campaign: Campaign) -> None:
        """An end comes to what waits as its own deadline; a cancellation would only be heard at the next try."""
        after: int | None = 0
        while after is not None:
            after = await until_available(partial(self.work.hasten, campaign, after, self.contacts))

    async def _wake_next(self, campaign: Campaign) -> None:
        """Where it cannot be done the scheduler finds the chunks."""
        try:
            for chunk_id in await self.line.next(campaign.id):
                await self.news.wake_chunk(chunk_id)
        except Unavailable as error:
            log.warning("wake-ups delayed", extra={"campaign_id": campaign.id, "reason": error.reason})


def _begun(chunk: Chunk) -> bool:
    return chunk.mark >= chunk.first_id
