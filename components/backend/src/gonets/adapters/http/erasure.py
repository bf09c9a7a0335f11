"""Erasing a person."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer
from gonets.adapters.http.problems import responses
from gonets.core.identity.model import Principal
from gonets.core.notifications.erasure import EraseContact


class ErasedView(Answer):
    """What it came to; a call that is repeated finds less."""

    messages: Annotated[int, Field(description="Notifications whose addresses and texts are gone")]
    cancelled: Annotated[int, Field(description="Of them, those that had not ended and were cancelled before")]


def router(erase: EraseContact, authenticated: Callable[..., Awaitable[Principal]]) -> APIRouter:
    """`/contacts/{contact_id}/erase`."""
    erasures = APIRouter(prefix="/contacts", tags=["contacts"], route_class=JsonRoute)

    @erasures.post(
        "/{contact_id:int}/erase",
        summary="Erase a person, for good",
        responses=responses(
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    )
    async def erase_contact(
        who: Annotated[Principal, Depends(authenticated)], contact_id: Annotated[int, Path(ge=1, le=MAX_ID)]
    ) -> ErasedView:
        """The contact is deleted; what waits to be sent to them is cancelled; addresses, texts and providers' words go
        from all their notifications, whose statuses and counts stay. Also for a contact that was deleted before. That
        an address must not be written to stays known. Repeat it where it was not answered."""
        erased = await erase(who, contact_id)
        return ErasedView(messages=erased.messages, cancelled=erased.cancelled)

    return erasures
