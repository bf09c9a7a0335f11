"""Routes of campaigns."""

import asyncio
import contextlib
import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, time, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field, StrictInt, StrictStr, field_validator, model_validator

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked, Name
from gonets.adapters.http.failed import Time
from gonets.adapters.http.notifications import RecipientView
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.core.campaigns.estimate import Estimate
from gonets.core.campaigns.model import OVER, PENDING, Campaign, Counts, Status
from gonets.core.campaigns.use_cases import (
    DryRun,
    ManageCampaigns,
    Plan,
    SendToAll,
    SteerCampaigns,
)
from gonets.core.campaigns.windows import EVERY_DAY, SendWindow, known_zone
from gonets.core.channels.model import ChannelType
from gonets.core.contacts.audience import EVERYBODY, Audience, audience_of
from gonets.core.contacts.rows import is_formula
from gonets.core.identity.model import Principal
from gonets.core.notifications.model import MAX_ROUTE, MAX_TEXT, Notification
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.shared.errors import Invalid, NotFound, Unavailable

_LONGEST_FALLBACK = 30 * 86_400
_LEAST_A_SECOND, _MOST_A_SECOND = 0.001, 1_000_000
Id = Annotated[StrictInt, Field(ge=1, le=MAX_ID)]
_Clock = Annotated[StrictStr, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class WindowBody(Asked):
    """When messages may leave, by the clock on the recipient's wall. Where `to` is not later than `from`, it is of the
    next day; the window belongs to the day on which it opens."""

    opens: Annotated[_Clock, Field(alias="from", examples=["09:00"])]
    closes: Annotated[_Clock, Field(alias="to", description="Not from then on", examples=["21:00"])]
    days: Annotated[
        list[Annotated[StrictInt, Field(ge=1, le=7)]],
        Field(min_length=1, max_length=7, description="Monday is 1", examples=[[1, 2, 3, 4, 5]]),
    ] = sorted(EVERY_DAY)
    timezone: Annotated[
        StrictStr, Field(description="IANA, for recipients whose own nobody knows", examples=["Europe/Moscow"])
    ] = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if known_zone(value) is None:
            raise ValueError("must be the name of a time zone, as Europe/Moscow")
        return value

    def to_window(self) -> SendWindow:
        return SendWindow(
            time.fromisoformat(self.opens), time.fromisoformat(self.closes), self.timezone, frozenset(self.days)
        )


class TagsBody(Asked):
    """Which tags."""

    any: list[StrictStr] | None = None
    all: list[StrictStr] | None = None
    none: list[StrictStr] | None = None


class AudienceBody(Asked):
    """Who of your contacts: those that meet every condition. Without any: everybody. Or `audienceId` alone: a saved
    audience, as it is when the campaign starts."""

    tags: TagsBody | None = None
    operator_codes: Annotated[list[StrictStr] | None, Field(examples=[["916"]])] = None
    timezones: Annotated[list[StrictStr] | None, Field(examples=[["Asia/Vladivostok"]])] = None
    audience_id: Annotated[Id | None, Field(examples=[None])] = None

    @model_validator(mode="after")
    def _saved_or_not(self) -> Self:
        if self.audience_id is not None and (self.tags or self.operator_codes or self.timezones):
            raise ValueError("must hold audienceId alone, or conditions")
        return self

    def to_audience(self) -> Audience:
        return audience_of(self.model_dump(by_alias=True, exclude={"audience_id"}, exclude_none=True))


_Text = Annotated[StrictStr, Field(min_length=1, max_length=MAX_TEXT, pattern="^[^\\u0000]*$", examples=["Скидки!"])]
_Subject = Annotated[StrictStr, Field(max_length=500, pattern="^[^\\u0000]*$", description="Of an e-mail")]
_Route = Annotated[
    list[Id], Field(max_length=MAX_ROUTE, description="Channels to try, in order. Empty: the default order")
]
_Fallback = Annotated[
    float,
    Field(
        gt=0,
        le=_LONGEST_FALLBACK,
        strict=True,
        allow_inf_nan=False,
        description="Seconds without a delivery receipt after which the next channel tries",
        examples=[300],
    ),
]
_Rate = Annotated[
    float,
    Field(
        ge=_LEAST_A_SECOND,
        le=_MOST_A_SECOND,
        strict=True,
        allow_inf_nan=False,
        description="Messages a second; null: as fast as its channels may",
        examples=[50],
    ),
]
_Start = Annotated[Time, Field(description="It starts by itself; left out: with `…/start`")]
_End = Annotated[Time, Field(description="Nothing leaves from then on")]


class _Planned(Asked):
    """What create and change have in common."""

    def changes(self) -> dict[str, Any]:
        """What was sent, as fields of Plan."""
        names = {"send_window": "window"}
        sent = {names.get(name, name): getattr(self, name) for name in self.model_fields_set}
        if "audience" in sent:
            asked: AudienceBody | None = sent["audience"]
            sent["audience"] = asked.to_audience() if asked else EVERYBODY
            sent["audience_id"] = asked.audience_id if asked else None
        if sent.get("window") is not None:
            sent["window"] = sent["window"].to_window()
        if sent.get("fallback_after") is not None:
            sent["fallback_after"] = timedelta(seconds=sent["fallback_after"])
        if "route" in sent:
            sent["route"] = _told_apart(sent["route"] or [])
        return sent


class CampaignBody(_Planned):
    """One message to many: a text, or a template."""

    name: Name
    text: _Text | None = None
    subject: _Subject | None = None
    template_id: Annotated[Id | None, Field(description="In place of `text`", examples=[None])] = None
    template_version: Annotated[Id | None, Field(description="Left out: the latest", examples=[None])] = None
    audience: AudienceBody | None = None
    route: _Route | None = None
    fallback_after: _Fallback | None = None
    start_at: _Start | None = None
    end_at: _End | None = None
    send_window: WindowBody | None = None
    rate: _Rate | None = None

    def to_plan(self) -> Plan:
        return Plan(**self.changes())


class CampaignChange(_Planned):
    """What is to be different: what is left out stays, and null takes away."""

    name: Name = ""
    text: _Text | None = None
    subject: _Subject | None = None
    template_id: Id | None = None
    template_version: Id | None = None
    audience: AudienceBody | None = None
    route: _Route | None = None
    fallback_after: _Fallback | None = None
    start_at: _Start | None = None
    end_at: _End | None = None
    send_window: WindowBody | None = None
    rate: _Rate | None = None


def _told_apart(route: Sequence[int]) -> Sequence[int]:
    if len(set(route)) < len(route):
        raise Invalid("route", "must name each channel once")
    return tuple(route)


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
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last")]


class MessageView(Answer):
    """One message of a campaign. `GET /notifications/{id}` has its attempts."""

    id: int
    contact_id: int | None
    recipient: RecipientView
    status: MessageStatus
    reason: str | None
    channel_id: int | None
    channel_type: ChannelType | None
    created_at: datetime
    sent_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, found: Notification) -> Self:
        to = found.recipient
        return cls(
            id=found.id,
            contact_id=found.contact_id,
            recipient=RecipientView(telegram_chat_id=to.telegram_chat_id, email=to.email, phone=to.phone),
            status=found.status,
            reason=found.reason,
            channel_id=found.channel.id if found.channel else None,
            channel_type=found.channel.type if found.channel else None,
            created_at=found.created_at,
            sent_at=found.sent_at,
            finished_at=found.finished_at,
        )


class MessageList(Answer):
    """One page, in the order of contacts. With a filter it may be shorter than asked for, and even empty: go on while
    there is a nextCursor."""

    messages: Sequence[MessageView]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last")]


class EstimateView(Answer):
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


_COLUMNS = (
    "id",
    "contactId",
    "telegramChatId",
    "email",
    "phone",
    "status",
    "reason",
    "channelId",
    "channelType",
    "createdAt",
    "sentAt",
    "finishedAt",
)


async def _csv(pages: AsyncIterator[Sequence[Notification]]) -> AsyncIterator[str]:
    # The mark tells spreadsheet programs that it is UTF-8.
    yield "\N{ZERO WIDTH NO-BREAK SPACE}" + ",".join(_COLUMNS) + "\r\n"
    async for page in pages:
        text = io.StringIO()
        csv.writer(text).writerows(_cells(one) for one in page)
        yield text.getvalue()


def _cells(found: Notification) -> Sequence[str]:
    to, channel = found.recipient, found.channel
    times = (found.created_at, found.sent_at, found.finished_at)
    return [
        str(found.id),
        str(found.contact_id or ""),
        _defused(to.telegram_chat_id),
        _defused(to.email),
        _defused(to.phone),
        found.status.value,
        _defused(found.reason),
        str(channel.id) if channel else "",
        channel.type.value if channel else "",
        *("" if at is None else at.isoformat() for at in times),
    ]


def _defused(value: str | None) -> str:
    """What a spreadsheet would compute is shown as a text (OWASP, CSV injection)."""
    return f"'{value}" if value and is_formula(value) else value or ""


_EVERY, _HEARTBEAT, _QUIET = 1, 15, 3
"""Seconds: between two looks; after which no news are told by a sign of life; after which what is over is quiet."""


async def _events(look: Callable[[], Awaitable[tuple[Campaign, Counts]]], closing: asyncio.Event) -> AsyncIterator[str]:
    said, quiet = "", 0
    while not closing.is_set():
        try:
            found, counts = await look()
        except NotFound:
            break
        except Unavailable:
            yield ": unavailable\n\n"
        else:
            data = ProgressView.of(found, counts).model_dump_json(by_alias=True)
            if data != said:
                yield f"event: progress\ndata: {data}\n\n"
                said, quiet = data, 0
            elif found.status in OVER and quiet >= _QUIET:
                break
            elif quiet % _HEARTBEAT == _HEARTBEAT - 1:
                yield ": nothing new\n\n"
        quiet += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), _EVERY)
    yield "event: end\ndata: {}\n\n"


CampaignId = Annotated[int, Path(ge=1, le=MAX_ID)]
_KEY = "For seven days the same key and body is the same campaign; the same key with another body is refused"
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200, description=_KEY)]
_STEERED = (HTTPStatus.CONFLICT, *ONE)
_CREATED = {"Location": {"description": "Where the campaign is", "schema": {"type": "string"}}}


def router(
    manage: ManageCampaigns,
    steer: SteerCampaigns,
    send_to_all: SendToAll,
    dry_run: DryRun,
    closing: asyncio.Event,
    who: Callable[..., Awaitable[Principal]],
) -> APIRouter:
    """`/campaigns` and `/send-notification`. `closing`: set when the process is about to leave. `who`: yields the
    principal, as Security gives it."""
    routes = APIRouter(tags=["campaigns"], route_class=JsonRoute)
    User = Annotated[Principal, Depends(who)]  # noqa: N806 - a type
    read = manage.read

    async def view(campaign: Campaign) -> CampaignView:
        return CampaignView.of(campaign, await read.store.counts(campaign.id))

    @routes.post(
        "/campaigns",
        status_code=HTTPStatus.CREATED,
        summary="Create a campaign",
        responses={201: {"headers": _CREATED}, **responses(HTTPStatus.CONFLICT, TOO_LARGE, *OWN)},
    )
    async def create_campaign(user: User, body: CampaignBody, response: Response, key: Key = None) -> CampaignView:
        """With `startAt` it is `scheduled` and starts by itself; without, it is a `draft`."""
        made = await manage.create(user, body.to_plan(), key)
        response.headers["Location"] = f"/api/v1/campaigns/{made.id}"
        return await view(made)

    @routes.get("/campaigns", summary="List your campaigns, latest first", responses=responses(*OWN))
    async def list_campaigns(
        user: User,
        status: Status | None = None,
        cursor: Annotated[str | None, Query(description="nextCursor of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> CampaignList:
        """With the counts of each."""
        page = await read.page(user.user_id, status=status, cursor=cursor, limit=limit)
        views = [CampaignView.of(campaign, counts) for campaign, counts in page.campaigns]
        return CampaignList(campaigns=views, next_cursor=page.next_cursor)

    @routes.get("/campaigns/{campaign_id:int}", summary="Look at one campaign", responses=responses(*ONE))
    async def get_campaign(user: User, campaign_id: CampaignId) -> CampaignView:
        return CampaignView.of(*await read.with_counts(user.user_id, campaign_id))

    @routes.patch(
        "/campaigns/{campaign_id:int}", summary="Change a campaign", responses=responses(TOO_LARGE, *_STEERED)
    )
    async def change_campaign(user: User, campaign_id: CampaignId, body: CampaignChange) -> CampaignView:
        """Everything before it has started; then its name and its rate; when it is over its name."""
        return await view(await manage.change(user, campaign_id, body.changes()))

    @routes.delete(
        "/campaigns/{campaign_id:int}",
        status_code=HTTPStatus.NO_CONTENT,
        summary="Delete a campaign",
        responses=responses(*_STEERED),
    )
    async def delete_campaign(user: User, campaign_id: CampaignId) -> None:
        """One that runs or is paused has to be cancelled first. Its messages stay among the notifications."""
        await manage.delete(user, campaign_id)

    @routes.post(
        "/campaigns/{campaign_id:int}/start",
        status_code=HTTPStatus.ACCEPTED,
        summary="Start a draft at once",
        responses=responses(*_STEERED),
    )
    async def start_campaign(user: User, campaign_id: CampaignId) -> CampaignView:
        """One that is scheduled starts when its time comes: take `startAt` away to start it now."""
        return await view(await steer.start(user, campaign_id))

    @routes.post("/campaigns/{campaign_id:int}/pause", summary="Let nothing more leave", responses=responses(*_STEERED))
    async def pause_campaign(user: User, campaign_id: CampaignId) -> CampaignView:
        """What is being sent at this moment ends as it ends."""
        return await view(await steer.pause(user, campaign_id))

    @routes.post(
        "/campaigns/{campaign_id:int}/resume",
        status_code=HTTPStatus.ACCEPTED,
        summary="Go on",
        responses=responses(*_STEERED),
    )
    async def resume_campaign(user: User, campaign_id: CampaignId) -> CampaignView:
        return await view(await steer.resume(user, campaign_id))

    @routes.post("/campaigns/{campaign_id:int}/cancel", summary="End it for good", responses=responses(*_STEERED))
    async def cancel_campaign(user: User, campaign_id: CampaignId) -> CampaignView:
        """What has not left never does. What is being sent at this moment ends as it ends."""
        return await view(await steer.cancel(user, campaign_id))

    @routes.get(
        "/campaigns/{campaign_id:int}/messages", summary="List a campaign's messages", responses=responses(*ONE)
    )
    async def list_messages(
        user: User,
        campaign_id: CampaignId,
        status: MessageStatus | None = None,
        cursor: Annotated[str | None, Query(description="nextCursor of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> MessageList:
        page = await read.messages_of(user.user_id, campaign_id, status=status, cursor=cursor, limit=limit)
        return MessageList(messages=[MessageView.of(one) for one in page.messages], next_cursor=page.next_cursor)

    @routes.get(
        "/campaigns/{campaign_id:int}/messages/export",
        summary="Export a campaign's messages as CSV",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}, **responses(*ONE)},
    )
    async def export_messages(
        user: User, campaign_id: CampaignId, status: MessageStatus | None = None
    ) -> StreamingResponse:
        """Sent while it is read. An apostrophe is put before what a spreadsheet would compute."""
        pages = await read.all_messages(user.user_id, campaign_id, status)
        return StreamingResponse(
            _csv(pages),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="campaign-{campaign_id}.csv"'},
        )

    @routes.get(
        "/campaigns/{campaign_id:int}/events",
        summary="Follow a campaign's progress",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}, **responses(*ONE)},
    )
    async def follow_campaign(user: User, campaign_id: CampaignId) -> StreamingResponse:
        """Server-sent events: `progress` with its counts, once a second while they change, and `end` when it is over
        and nothing changes any more. Then close: whoever connects again begins anew."""
        await read.one(user.user_id, campaign_id)
        return StreamingResponse(
            _events(lambda: read.with_counts(user.user_id, campaign_id), closing),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @routes.post(
        "/campaigns/{campaign_id:int}/dry-run", summary="What it would come to", responses=responses(*_STEERED)
    )
    async def try_campaign(user: User, campaign_id: CampaignId) -> EstimateView:
        """As the audience, the suppressions and the channels are now. Nothing is sent."""
        return EstimateView.of(await dry_run(user.user_id, campaign_id))

    @routes.post(
        "/send-notification/{template_id}",
        status_code=HTTPStatus.ACCEPTED,
        summary="Send a template to all your contacts, at once",
        responses={202: {"headers": _CREATED}, **responses(*_STEERED)},
    )
    async def send_notification(
        user: User, template_id: Annotated[int, Path(ge=1, le=MAX_ID)], response: Response, key: Key = None
    ) -> CampaignView:
        """It is a campaign like any other, and runs when this is answered: `id` is the campaign's."""
        made = await send_to_all(user, template_id, key)
        response.headers["Location"] = f"/api/v1/campaigns/{made.id}"
        return await view(made)

    return routes
