"""Routes of campaigns."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Response
from fastapi.responses import StreamingResponse

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID
from gonets.adapters.http.campaign_bodies import CampaignBody, CampaignChange
from gonets.adapters.http.campaign_events import events
from gonets.adapters.http.campaign_messages import COLUMNS, MessageList, MessageView, cells
from gonets.adapters.http.campaign_views import CampaignList, CampaignView, DryRunView
from gonets.adapters.http.pages import Cursor, Limit
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.adapters.http.spreadsheets import csv_file
from gonets.core.campaigns.model import Campaign, Status
from gonets.core.campaigns.use_cases import DryRun, ManageCampaigns, SendToAll, SteerCampaigns
from gonets.core.identity.model import Principal
from gonets.core.notifications.model import Status as MessageStatus

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
        cursor: Cursor = None,
        limit: Limit = 50,
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
        cursor: Cursor = None,
        limit: Limit = 50,
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
        return csv_file(f"campaign-{campaign_id}.csv", COLUMNS, (map(cells, page) async for page in pages))

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
            events(lambda: read.with_counts(user.user_id, campaign_id), closing),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @routes.post(
        "/campaigns/{campaign_id:int}/dry-run", summary="What it would come to", responses=responses(*_STEERED)
    )
    async def try_campaign(user: User, campaign_id: CampaignId) -> DryRunView:
        """As the audience, the suppressions and the channels are now. Nothing is sent."""
        return DryRunView.of(await dry_run(user.user_id, campaign_id))

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
