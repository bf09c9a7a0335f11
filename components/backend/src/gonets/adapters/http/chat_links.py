"""Links by which people tell a Telegram bot who they are."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import Field, StrictInt

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked
from gonets.adapters.http.problems import ONE, TOO_LARGE, responses
from gonets.core.channels.linking import LinkChat
from gonets.core.identity.model import Principal


class ChatLinkBody(Asked):
    """By which bot; may be left out."""

    channel_id: Annotated[
        StrictInt | None, Field(ge=0, le=MAX_ID, description="A Telegram channel; 0: the operator's", examples=[1])
    ] = None


class ChatLinkView(Answer):
    """To be given to the person, who opens it and presses Start."""

    link: Annotated[str, Field(examples=["https://t.me/some_bot?start=x1y2"])]
    expires_at: datetime


def router(link: LinkChat, authenticated: Callable[..., Awaitable[Principal]]) -> APIRouter:
    """`/contacts/{contact_id}/telegram-link`."""
    links = APIRouter(prefix="/contacts", tags=["contacts"], route_class=JsonRoute)

    @links.post(
        "/{contact_id:int}/telegram-link",
        summary="Make a link by which a contact's Telegram chat becomes known",
        status_code=HTTPStatus.CREATED,
        responses=responses(TOO_LARGE, HTTPStatus.BAD_GATEWAY, *ONE),
    )
    async def make_telegram_link(
        who: Annotated[Principal, Depends(authenticated)],
        contact_id: Annotated[int, Path(ge=1, le=MAX_ID)],
        body: ChatLinkBody | None = None,
    ) -> ChatLinkView:
        """The person opens it and presses Start; a moment later the contact has its `telegramChatId`. It works once,
        for an hour; a new one takes its place. While it waits, the bot's other listeners may miss what it hears."""
        made = await link(who, contact_id, body.channel_id if body else None)
        return ChatLinkView(link=made.url, expires_at=made.expires_at)

    return links
