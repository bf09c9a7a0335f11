"""Where providers report what became of a message."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response

from gonets.adapters.http.problems import TOO_LARGE, responses
from gonets.core.channels.model import ChannelType
from gonets.core.notifications.callbacks import TakeCallback


def router(take: TakeCallback) -> APIRouter:
    """`/callbacks/{provider}/{reference}`: no credentials but the provider's signature."""
    callbacks = APIRouter(prefix="/callbacks", tags=["callbacks"])

    @callbacks.post(
        "/twilio/{reference}",
        summary="Twilio's status callback",
        status_code=HTTPStatus.NO_CONTENT,
        response_class=Response,
        responses=responses(
            HTTPStatus.FORBIDDEN,
            HTTPStatus.NOT_FOUND,
            TOO_LARGE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    )
    async def twilio_callback(
        request: Request,
        reference: Annotated[str, Path(max_length=100, pattern="^[0-9A-Za-z-]+$")],
        x_twilio_signature: Annotated[str, Header(max_length=200)] = "",
    ) -> None:
        """Signed with the account's auth token over the whole public URL and the form in the body. Repeated calls and
        calls in any order do no harm."""
        body = await request.body()
        await take(ChannelType.SMS_TWILIO, reference, request.url.query, body, x_twilio_signature)

    return callbacks
