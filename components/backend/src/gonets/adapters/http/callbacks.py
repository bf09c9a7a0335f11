"""Where providers report what became of a message."""

import re
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from gonets.adapters.http.camel import MAX_ID
from gonets.adapters.http.problems import TOO_LARGE, responses
from gonets.core.channels.model import ChannelType
from gonets.core.notifications.callbacks import TakeCallback
from gonets.core.notifications.incoming import TakeIncomingCall

_NO_ANSWER = '<?xml version="1.0" encoding="UTF-8"?><Response/>'


_REFERENCE = re.compile(r"[0-9A-Za-z-]{1,100}")


class _Short(Route):
    """Takes what it understands; the rest goes to the route of the same path that explains what is wrong."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        if match is not Match.FULL or not _REFERENCE.fullmatch(found["path_params"]["reference"]):
            return Match.NONE, {}
        return match, {**found, "route": self}


def short(take: TakeCallback, prefix: str) -> Route:
    """The status callback without the framework's part: of these calls there are as many as messages."""

    async def twilio_callback(request: Request) -> Response:
        body, signature = await request.body(), request.headers.get("x-twilio-signature", "")
        reference: Any = request.path_params["reference"]
        await take(ChannelType.SMS_TWILIO, reference, request.url.query, body, signature)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return _Short(f"{prefix}/callbacks/twilio/{{reference}}", twilio_callback, methods=["POST"])


def router(take: TakeCallback, take_incoming: TakeIncomingCall) -> APIRouter:
    """`/callbacks/{provider}/…`: no credentials but the provider's signature."""
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

    @callbacks.post(
        "/twilio/{channel_id}/incoming",
        summary="A message that a person sent to a channel's number, from Twilio",
        response_class=Response,
        responses={
            200: {"content": {"text/xml": {"schema": {"type": "string"}}}, "description": "No answer is sent"},
            **responses(
                HTTPStatus.FORBIDDEN,
                HTTPStatus.NOT_FOUND,
                TOO_LARGE,
                HTTPStatus.UNPROCESSABLE_ENTITY,
                HTTPStatus.SERVICE_UNAVAILABLE,
            ),
        },
    )
    async def twilio_incoming(
        request: Request,
        channel_id: Annotated[int, Path(ge=0, le=MAX_ID, description="0: the operator's")],
        x_twilio_signature: Annotated[str, Header(max_length=200)] = "",
    ) -> Response:
        """Signed as the status callback is. STOP and words like it put the sender's number on the list of addresses
        that must not be written to; START takes it off. Other messages change nothing."""
        body = await request.body()
        await take_incoming(ChannelType.SMS_TWILIO, channel_id, request.url.query, body, x_twilio_signature)
        return Response(_NO_ANSWER, media_type="text/xml")

    return callbacks
