"""What a campaign would come to, before it is started. Pure: the same arguments give the same answer."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gonets.core.campaigns.model import Campaign, Crowd
from gonets.core.campaigns.windows import SendWindow, known_zone, next_opening
from gonets.core.channels.model import Address, Channel, ChannelType, Recipient
from gonets.core.channels.ports import ChannelKinds
from gonets.core.channels.sms_text import segmented
from gonets.core.notifications.routing import order

_PAID = frozenset(
    {ChannelType.SMS_TWILIO, ChannelType.SMS_SMSAERO, ChannelType.SMS_EMAIL_GATEWAY, ChannelType.SMS_SMPP}
)
_MOST_OPENINGS = 1000


@dataclass(frozen=True, slots=True)
class Tariff:
    """What is known of rates and prices: messages a second by each channel of a type, where there is a limit; what one
    SMS segment costs by channels of a type, where somebody said so."""

    rates: Mapping[ChannelType, float]
    prices: Mapping[ChannelType, float]
    currency: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """`now`, `later`: messages by whether the window is open at the start. `ends_at`: about when the last one leaves;
    None: nobody can tell, for nothing limits how fast they go, and no window holds them back. `cost`: None: nobody said
    what a segment costs. Other channels than the first one of each route are not counted."""

    now: int
    later: int
    suppressed: int
    no_address: int
    by_type: Mapping[ChannelType, int]
    segments: int
    ends_at: datetime | None
    cost: float | None
    currency: str


def estimate(
    campaign: Campaign,
    crowds: Sequence[Crowd],
    channels: Sequence[Channel],
    kinds: ChannelKinds,
    tariff: Tariff,
    now: datetime,
) -> Estimate:
    """`channels`: those that the owner's messages may go by."""
    starts_at = max(now, campaign.start_at or now)
    ways = [_way(campaign, crowd, channels, kinds) for crowd in crowds]
    sent = [(crowd, way) for crowd, way in zip(crowds, ways, strict=True) if isinstance(way, Channel)]
    by_type: Counter[ChannelType] = Counter()
    for crowd, way in sent:
        by_type[way.type] += crowd.people
    later = sum(crowd.people for crowd, _ in sent if _opens_at(campaign.window, crowd.zone, starts_at) > starts_at)
    segments = len(segmented(campaign.content.text).parts)
    paid = [(tariff.prices.get(one), people) for one, people in by_type.items() if one in _PAID]
    return Estimate(
        now=sum(by_type.values()) - later,
        later=later,
        suppressed=sum(crowd.people for crowd, way in zip(crowds, ways, strict=True) if way == "suppressed"),
        no_address=sum(crowd.people for crowd, way in zip(crowds, ways, strict=True) if way == "no address"),
        by_type=dict(by_type),
        segments=segments,
        ends_at=_ends_at(campaign, sent, tariff, starts_at),
        cost=None
        if any(price is None for price, _ in paid)
        else round(sum((price or 0) * people * segments for price, people in paid), 2),
        currency=tariff.currency,
    )


def _way(campaign: Campaign, crowd: Crowd, channels: Sequence[Channel], kinds: ChannelKinds) -> Channel | str:
    """The channel that its messages go by first; or why they go by none."""
    open_to = crowd.has - crowd.suppressed
    found = _first(campaign, open_to, channels, kinds)
    if found is not None:
        return found
    return "no address" if _first(campaign, crowd.has, channels, kinds) is None else "suppressed"


def _first(
    campaign: Campaign, has: frozenset[Address], channels: Sequence[Channel], kinds: ChannelKinds
) -> Channel | None:
    somebody = Recipient(
        "1" if Address.TELEGRAM_CHAT_ID in has else None,
        "a@b.cd" if Address.EMAIL in has else None,
        "+79160000000" if Address.PHONE in has else None,
    )
    for channel in order(campaign.route, somebody, channels):
        kind = kinds.get(channel.type)
        if kind is None or not channel.enabled:
            continue
        if kind.address is None or kind.address in has or kind.destination(channel.configuration) is not None:
            return channel
    return None


def _opens_at(window: SendWindow | None, zone: str | None, at: datetime) -> datetime:
    return at if window is None else next_opening(window, known_zone(zone or "") or window.zone, at).opens_at


def _ends_at(
    campaign: Campaign, sent: Sequence[tuple[Crowd, Channel]], tariff: Tariff, starts_at: datetime
) -> datetime | None:
    """One zone after the other, in the order in which they open, each as fast as the campaign and its channel may."""
    limited = campaign.window is not None
    at = starts_at
    for crowd, channel in sorted(sent, key=lambda one: _opens_at(campaign.window, one[0].zone, starts_at)):
        rates = [rate for rate in (campaign.rate, tariff.rates.get(channel.type)) if rate]
        limited = limited or bool(rates)
        at = _through(campaign.window, crowd, min(rates, default=math.inf), at)
    return at if limited and sent else None


def _through(window: SendWindow | None, crowd: Crowd, rate: float, at: datetime) -> datetime:
    if window is None:
        return at + timedelta(seconds=crowd.people / rate)
    people = float(crowd.people)
    zone = known_zone(crowd.zone or "") or window.zone
    for _ in range(_MOST_OPENINGS):
        opening = next_opening(window, zone, at)
        fits = (opening.closes_at - opening.opens_at).total_seconds() * rate
        if people <= fits:
            return opening.opens_at + timedelta(seconds=people / rate)
        people -= fits
        at = opening.closes_at
    return at
