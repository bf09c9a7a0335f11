"""How campaigns are shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from gonets.adapters.http.camel import Answer
from gonets.adapters.http.pages import NextCursor
from gonets.core.campaigns.estimate import Estimate
from gonets.core.campaigns.model import PENDING, Campaign, Counts, Status
from gonets.core.campaigns.windows import SendWindow
from gonets.core.channels.model import ChannelType
from gonets.core.notifications.model import Status as MessageStatus


class WindowView(Answer):
    """As it was asked for."""

    opens: Annotated[str, Field(alias="from", examples=["09:00"])]
    closes: Annotated[str, Field(alias="to", examples=["21:00"])]
    days: Sequence[int]
    timezone: str

    @classmethod
    def of(cls, window: SendWindow) -> Self:
        opens, closes = (at.isoformat("minutes") for at in (window.opens, window.closes))
        return cls(opens=opens, closes=closes, days=sorted(window.days), timezone=window.zone)


class ProgressView(Answer):
    """How far it is."""

    status: Status
    reason: str | None
    total: Annotated[int, Field(description="Messages made so far")]
    fanned_out: Annotated[bool, Field(description="All are made")]
    progress: Annotated[float, Field(description="0 to 1: those that have left, or have ended", ge=0, le=1)]
    counts: Annotated[dict[MessageStatus, int], Field(description="Messages by status; what is left out is none")]

    @classmethod
    def facts(cls, campaign: Campaign, counts: Counts) -> dict[str, Any]:
        waiting = sum(counts.get(status, 0) for status in PENDING)
        over = campaign.total - waiting
        return {
            "status": campaign.status,
            "reason": campaign.reason,
            "total": campaign.total,
            "fanned_out": campaign.fanned_out,
            "progress": round(min(1.0, max(0.0, over / campaign.total)), 4) if campaign.total else 0.0,
            "counts": dict(sorted(counts.items())),
        }

    @classmethod
    def of(cls, campaign: Campaign, counts: Counts) -> Self:
        return cls(**cls.facts(campaign, counts))


class CampaignView(ProgressView):
    """A campaign and what has come of it. Times are RFC 3339 in UTC."""

    id: int
    name: str
    text: Annotated[str | None, Field(description="null: it is its template's")]
    subject: str | None
    template_id: int | None
    template_version: int | None
    audience: Annotated[
        dict[str, Any], Field(description="A saved one: its audienceId, and once it has started whom that meant then")
    ]
    route: Sequence[int]
    fallback_after: Annotated[float | None, Field(description="Seconds")]
    start_at: datetime | None
    end_at: datetime | None
    send_window: WindowView | None
    rate: Annotated[float | None, Field(description="Messages a second")]
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, campaign: Campaign, counts: Counts) -> Self:
        content, window = campaign.content, campaign.window
        return cls(
            id=campaign.id,
            name=campaign.name,
            text=content.text if content.template_id is None else None,
            subject=content.subject,
            template_id=content.template_id,
            template_version=content.template_version,
            audience=_audience_view(campaign),
            route=list(campaign.route),
            fallback_after=campaign.fallback_after.total_seconds() if campaign.fallback_after else None,
            start_at=campaign.start_at,
            end_at=campaign.end_at,
            send_window=WindowView.of(window) if window else None,
            rate=campaign.rate,
            created_at=campaign.created_at,
            updated_at=campaign.updated_at,
            started_at=campaign.started_at,
            finished_at=campaign.finished_at,
            **cls.facts(campaign, counts),
        )


def _audience_view(campaign: Campaign) -> dict[str, Any]:
    if campaign.audience_id is None:
        return campaign.audience.to_json()
    saved: dict[str, Any] = {"audienceId": campaign.audience_id}
    return saved if campaign.started_at is None else saved | campaign.audience.to_json()


class CampaignList(Answer):
    """One page, latest first."""

    campaigns: Sequence[CampaignView]
    next_cursor: NextCursor


class DryRunView(Answer):
    """What a campaign would come to."""

    now: Annotated[int, Field(description="Messages that leave at the start")]
    later: Annotated[int, Field(description="Messages whose recipient's window is still shut then")]
    suppressed: Annotated[int, Field(description="People who must not be written to")]
    no_address: Annotated[int, Field(description="People whom no channel of the route reaches")]
    by_channel_type: Annotated[dict[ChannelType, int], Field(description="By the first channel of each route")]
    segments: Annotated[int, Field(description="Of the text as SMS")]
    ends_at: Annotated[datetime | None, Field(description="About; null: nothing limits how fast they go")]
    cost: Annotated[float | None, Field(description="About; null: SMS_PRICES does not say what a segment costs")]
    currency: str

    @classmethod
    def of(cls, found: Estimate) -> Self:
        return cls(
            now=found.now,
            later=found.later,
            suppressed=found.suppressed,
            no_address=found.no_address,
            by_channel_type=dict(found.by_type),
            segments=found.segments,
            ends_at=found.ends_at,
            cost=found.cost,
            currency=found.currency,
        )
