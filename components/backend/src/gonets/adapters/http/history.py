"""What happened to contacts, campaigns and notifications, by their ids."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer
from gonets.adapters.http.pages import Cursor, Limit, NextCursor
from gonets.adapters.http.problems import responses
from gonets.core.identity.model import Principal
from gonets.core.reports.history import Entry, HistoryPage, Kind, ReadHistory


class ByView(Answer):
    """Who did it."""

    user_id: int
    api_key_id: Annotated[int | None, Field(description="null: in person")]


class HistoryEntryView(Answer):
    """One thing that happened."""

    at: datetime
    kind: Kind
    what: Annotated[str, Field(description="In a word: what was done, or where it came to stand", examples=["paused"])]
    by: Annotated[ByView | None, Field(description="null: it happened by itself")]
    detail: Mapping[str, Any]

    @classmethod
    def of(cls, entry: Entry) -> "HistoryEntryView":
        by = entry.by and ByView(user_id=entry.by.user_id, api_key_id=entry.by.api_key_id)
        return cls(at=entry.at, kind=entry.kind, what=entry.what, by=by, detail=entry.detail)


class HistoryView(Answer):
    """One page, latest first."""

    entries: Sequence[HistoryEntryView]
    next_cursor: NextCursor

    @classmethod
    def of(cls, page: HistoryPage) -> "HistoryView":
        return cls(entries=[HistoryEntryView.of(entry) for entry in page.entries], next_cursor=page.next_cursor)


Id = Annotated[int, Path(ge=1, le=MAX_ID)]
_ERRORS = responses(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)

Authenticated = Callable[..., Awaitable[Principal]]


def of_contacts(read: ReadHistory, authenticated: Authenticated) -> APIRouter:
    """`/contacts/{contact_id}/history`."""
    routes = APIRouter(prefix="/contacts", tags=["contacts"], route_class=JsonRoute)

    @routes.get("/{contact_id:int}/history", summary="What happened to a contact, latest first", responses=_ERRORS)
    async def get_contact_history(
        who: Annotated[Principal, Depends(authenticated)], contact_id: Id, cursor: Cursor = None, limit: Limit = 50
    ) -> HistoryView:
        """Who changed it, and the notifications that were handed in with its id. Also of one that is gone."""
        return HistoryView.of(await read(who.user_id, contact_id, cursor=cursor, limit=limit))

    return routes


def of_campaigns(read: ReadHistory, authenticated: Authenticated) -> APIRouter:
    """`/campaigns/{campaign_id}/history`."""
    routes = APIRouter(prefix="/campaigns", tags=["campaigns"], route_class=JsonRoute)

    @routes.get("/{campaign_id:int}/history", summary="What happened to a campaign, latest first", responses=_ERRORS)
    async def get_campaign_history(
        who: Annotated[Principal, Depends(authenticated)], campaign_id: Id, cursor: Cursor = None, limit: Limit = 50
    ) -> HistoryView:
        """Who created, changed, started, paused it, and where it came to stand. Also of one that is gone."""
        return HistoryView.of(await read(who.user_id, campaign_id, cursor=cursor, limit=limit))

    return routes


def of_notifications(read: ReadHistory, authenticated: Authenticated) -> APIRouter:
    """`/notifications/{notification_id}/history`."""
    routes = APIRouter(prefix="/notifications", tags=["notifications"], route_class=JsonRoute)

    @routes.get(
        "/{notification_id:int}/history", summary="What happened to a notification, latest first", responses=_ERRORS
    )
    async def get_notification_history(
        who: Annotated[Principal, Depends(authenticated)],
        notification_id: Id,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> HistoryView:
        """Every try and what was learnt of it, in one line of time."""
        return HistoryView.of(await read(who.user_id, notification_id, cursor=cursor, limit=limit))

    return routes
