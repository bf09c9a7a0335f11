"""How fast messages of a campaign may leave: by the rate of their channel, and by one of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from gonets.core.campaigns.model import Campaign
from gonets.core.channels.model import Channel
from gonets.core.notifications.ports import Turn
from gonets.core.notifications.turns import ChannelTurns
from gonets.core.tasks.gate import Pace
from gonets.core.tasks.ports import Budget

_SOON = timedelta(seconds=1)
_MOST = 1000
"""Campaigns remembered."""


@dataclass(frozen=True, slots=True)
class _Both:
    """A turn of the campaign and one of the channel, for one message."""

    campaign: Turn
    channel: Turn

    def over(self) -> None:
        self.campaign.over()
        self.channel.over()


@dataclass(slots=True)
class CampaignTurns:
    """Implements Turns. `budget_of`: what all workers share of a rate, by its name."""

    channels: ChannelTurns
    budget_of: Callable[[str, float], Budget]
    _lanes: dict[tuple[int, float], tuple[Budget, Pace]] = field(default_factory=dict)

    def rate(self, campaign: Campaign, channel: Channel) -> float:
        rates = [rate for rate in (campaign.rate or 0.0, self.channels.rate_of(channel)) if rate]
        return min(rates, default=0.0)

    async def turn(self, campaign: Campaign, channel: Channel) -> Turn | timedelta:
        if not campaign.rate:
            return await self.channels.turn(channel)
        budget, pace = self._lane(campaign.id, campaign.rate)
        own = await pace.wait()
        if own is None:
            [place] = await budget.place_in_line(1, _SOON)
            return place
        turn = await self.channels.turn(channel)
        if isinstance(turn, timedelta):
            own.over()
            return turn
        return _Both(own, turn)

    async def pause(self, channel: Channel, lasting: timedelta) -> None:
        await self.channels.pause(channel, lasting)

    def _lane(self, campaign_id: int, rate: float) -> tuple[Budget, Pace]:
        key = campaign_id, rate
        if key not in self._lanes:
            if len(self._lanes) >= _MOST:
                self._lanes.clear()
            budget = self.budget_of(f"campaign-{campaign_id}", rate)
            self._lanes[key] = budget, Pace(budget, rate)
        return self._lanes[key]
