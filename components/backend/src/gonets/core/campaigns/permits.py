"""What a campaign has to say about those of its messages that go on by themselves: retries, and other channels."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from gonets.core.campaigns.model import Campaign, Status
from gonets.core.campaigns.ports import Standings
from gonets.core.campaigns.windows import next_opening
from gonets.core.notifications.model import Notification
from gonets.core.notifications.ports import Clock, Later

_LOOK_AGAIN = timedelta(seconds=30)
_MOST = 10_000
"""Campaigns remembered."""


@dataclass(frozen=True, slots=True)
class CampaignPermits:
    """Implements Permits. What was read of a campaign holds for `fresh_for` seconds."""

    standings: Standings
    now: Clock
    fresh_for: float = 1.0
    monotonic: Callable[[], float] = time.monotonic
    _read: dict[int, tuple[float, Campaign | None]] = field(default_factory=dict)

    async def permit(self, found: Notification) -> Literal[True] | Later | Literal[False]:
        """The end of the campaign is the message's own deadline."""
        if found.campaign_id is None:
            return True
        campaign = await self._campaign(found.campaign_id)
        if campaign is None or campaign.status is Status.CANCELLED:
            return False
        now = self.now()
        if campaign.status is Status.PAUSED:
            return Later(now + _LOOK_AGAIN, "its campaign is paused")
        if campaign.window is not None:
            opening = next_opening(campaign.window, found.zone or campaign.window.zone, now)
            if opening.opens_at > now:
                return Later(opening.opens_at, "waits for the send window of its campaign")
        return True

    async def _campaign(self, campaign_id: int) -> Campaign | None:
        at, campaign = self._read.get(campaign_id, (float("-inf"), None))
        if self.monotonic() - at < self.fresh_for:
            return campaign
        if len(self._read) >= _MOST:
            self._read.clear()
        asked_at = self.monotonic()
        campaign = await self.standings.find(campaign_id)
        self._read[campaign_id] = asked_at, campaign
        return campaign
