"""Where providers report what became of a message."""

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from gonets.adapters.http import problems
from gonets.adapters.http.camel import MAX_ID
from gonets.adapters.http.problems import TOO_LARGE, responses
from gonets.core.channels.model import ChannelType
from gonets.core.notifications.callbacks import TakeCallback
from gonets.core.notifications.incoming import TakeIncomingCall
from gonets.core.shared.errors import GonetsError

_NO_ANSWER = '<?xml version="1.0" encoding="UTF-8"?><Response/>'


class _Short:
    """The status callback without the framework's part: of these calls there are as many as messages. Takes what it
    understands; the rest goes on to the route of the same path, which explains what is wrong."""

    def __init__(self, app: ASGIApp, take: TakeCallback, prefix: str) -> None:
        self._app = app
        self._take = take
        self._understood = re.compile(f"{re.escape(prefix)}/callbacks/twilio/([0-9A-Za-z-]{{1,100}})")
        self.path = f"{prefix}/callbacks/twilio/{{reference}}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._understood.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = self  # by whose path it is counted
        request = Request(scope, receive)
        query, signature = scope["query_string"].decode("latin-1"), request.headers.get("x-twilio-signature", "")
        response: Response = Response(status_code=HTTPStatus.NO_CONTENT)
        try:
            await self._take(ChannelType.SMS_TWILIO, found[1], query, await request.body(), signature)
        except GonetsError as error:
            response = problems.of(error)
        await response(scope, receive, send)


def short(take: TakeCallback, prefix: str) -> Middleware:
    """Answers most status callbacks."""
    return Middleware(_Short, take=take, prefix=prefix)


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
