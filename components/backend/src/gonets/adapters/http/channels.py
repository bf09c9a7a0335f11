"""Routes of channels."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked, Name
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.core.channels.model import Address, Channel, ChannelType, NewChannel, Step, Tested
from gonets.core.channels.ports import ChannelKind
from gonets.core.channels.self_tests import LONGEST, SHORTEST
from gonets.core.channels.use_cases import Change, ManageChannels, Trial, TrialReport, TryChannel
from gonets.core.identity.model import Principal
from gonets.core.shared.errors import Invalid

_CONFIGURATION = "What this type needs: see `/notifications/channels/types`. Secrets are shown as `••••wxyz`"
_EXAMPLE = {"url": "https://example.com/hook"}

Enabled = Annotated[StrictBool, Field(description="false: passed over, until it is true again", examples=[True])]
IsDefault = Annotated[StrictBool, Field(description="true: takes the place of the default that was", examples=[False])]
RatePerSecond = Annotated[
    StrictFloat,
    Field(
        ge=0.01,
        le=1000,
        description="Messages a second, over all workers; null: as the setting of its type says",
        examples=[20],
    ),
]
SelfTestEvery = Annotated[
    StrictInt,
    Field(
        ge=SHORTEST,
        le=LONGEST,
        description="Seconds between tests that are made by themselves, each a message that may cost; null: none",
        examples=[None],
    ),
]


class NewChannelBody(Asked):
    """A channel to be made."""

    name: Annotated[Name, Field(examples=["Alarm"])]
    type: Annotated[ChannelType, Field(examples=["WEBHOOK"])]
    configuration: Annotated[
        dict[str, Any], Field(default_factory=dict, description=_CONFIGURATION, examples=[_EXAMPLE])
    ]
    enabled: Enabled = True
    is_default: IsDefault = False
    rate_per_second: RatePerSecond | None = None
    self_test_every: SelfTestEvery | None = None

    def to_new(self) -> NewChannel:
        return NewChannel(
            name=self.name,
            type=self.type,
            configuration=self.configuration,
            enabled=self.enabled,
            is_default=self.is_default,
            rate_per_second=self.rate_per_second,
            self_test_every=self.self_test_every,
        )


def _optional(schema: dict[str, Any]) -> None:
    # What is left out stays as it is; null is a value of the rate alone.
    schema.pop("default", None)


def _stays(**more: Any) -> Any:
    return Field(default=None, json_schema_extra=_optional, **more)


class ChannelChange(Asked):
    """What is to be different; what is left out stays. `id`, `createdAt`, `updatedAt` and `lastTest` may come along,
    as an answer had them, and change nothing."""

    name: Annotated[Name, _stays(examples=["Alarm"])]
    type: Annotated[ChannelType, _stays(description="Cannot be changed", examples=["WEBHOOK"])]
    configuration: Annotated[
        dict[str, Any],
        _stays(
            description="Key by key: what is left out stays, null takes a key away, a mask keeps its secret",
            examples=[_EXAMPLE],
        ),
    ]
    enabled: Annotated[Enabled, _stays()]
    is_default: Annotated[IsDefault, _stays()]
    rate_per_second: Annotated[RatePerSecond | None, _stays()]
    self_test_every: Annotated[SelfTestEvery | None, _stays()]
    last_test: Annotated[dict[str, Any] | None, _stays(examples=[None])]
    id: Annotated[StrictInt, _stays(examples=[1])]
    created_at: Annotated[StrictStr, _stays(examples=["2026-01-31T12:00:00Z"])]
    updated_at: Annotated[StrictStr, _stays(examples=["2026-01-31T12:00:00Z"])]

    def to_change(self, channel_id: int) -> Change:
        """Raises Invalid."""
        if self.id not in (None, channel_id):
            raise Invalid("id", f"must be left out, or be {channel_id} as in the address")
        return Change(
            name=self.name,
            type=self.type,
            configuration=self.configuration,
            enabled=self.enabled,
            is_default=self.is_default,
            rate_per_second=(self.rate_per_second or 0.0) if "rate_per_second" in self.model_fields_set else None,
            self_test_every=(self.self_test_every or 0) if "self_test_every" in self.model_fields_set else None,
        )


class LastTestView(Answer):
    """What came of the last test."""

    at: datetime
    ok: bool
    step: Annotated[str | None, Field(description="Where it failed")]
    reason: str | None

    @classmethod
    def of(cls, tested: Tested) -> "LastTestView":
        return cls(at=tested.at, ok=tested.ok, step=tested.step, reason=tested.reason)


class ChannelView(Answer):
    """A channel. Times are RFC 3339 in UTC."""

    id: int
    name: str
    type: ChannelType
    configuration: Annotated[dict[str, Any], Field(description=_CONFIGURATION)]
    enabled: bool
    is_default: bool
    rate_per_second: float | None
    self_test_every: int | None
    last_test: Annotated[LastTestView | None, Field(description="Asked for, or by itself; null: there was none")]
    created_at: datetime
    updated_at: datetime


class ChannelList(Answer):
    """One page, latest first."""

    channels: Sequence[ChannelView]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last")]


class ChannelTypeView(Answer):
    """What a type of channel needs."""

    type: ChannelType
    address: Annotated[
        Address | None, Field(description="What a recipient must have; null: the channel has its own destination")
    ]
    receipts: Annotated[bool, Field(description="Whether deliveries are reported afterwards")]
    json_schema: Annotated[
        dict[str, Any],
        Field(
            alias="schema",
            description="JSON Schema (draft 2020-12) of `configuration`; secrets are `writeOnly`",
        ),
    ]

    @classmethod
    def of(cls, kind: ChannelKind) -> "ChannelTypeView":
        return cls(type=kind.type, address=kind.address, receipts=kind.receipts, json_schema=dict(kind.schema))


class ChannelTypeList(Answer):
    """All types of channels that this installation has."""

    types: Sequence[ChannelTypeView]


class TrialBody(Asked):
    """What to send, and to whom; all of it may be left out."""

    message: Annotated[
        StrictStr | None, Field(min_length=1, max_length=20_000, description="null: a text of ours", examples=["Test"])
    ] = None
    username: Annotated[
        StrictStr | None,
        Field(min_length=1, max_length=200, description="For bots and webhooks, which look a person up by it"),
    ] = None
    to: Annotated[
        StrictStr | None,
        Field(
            min_length=1,
            max_length=300,
            description="A phone number, e-mail address or chat id, where the channel's own destination is not meant",
        ),
    ] = None

    def to_trial(self) -> Trial:
        return Trial(message=self.message, username=self.username, to=self.to)


class TrialView(Answer):
    """What came of it. The provider's words are without secrets."""

    success: bool
    step: Annotated[Step | None, Field(description="Where it failed; null: nowhere")]
    reason: Annotated[str | None, Field(description="A sentence for a person")]
    code: Annotated[str | None, Field(description="The provider's own")]
    hint: Annotated[str | None, Field(description="What to try")]
    provider_id: Annotated[str | None, Field(description="The provider's name for the message")]

    @classmethod
    def of(cls, report: TrialReport) -> "TrialView":
        return cls(
            success=report.success,
            step=report.step,
            reason=report.reason,
            code=report.code,
            hint=report.hint,
            provider_id=report.provider_id,
        )


_ALWAYS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE)
_CREATED = {"Location": {"description": "Where the channel is", "schema": {"type": "string"}}}

ChannelId = Annotated[int, Path(ge=1, le=MAX_ID)]

Wrong = Callable[[Request, Mapping[str, Any]], Awaitable[Sequence[tuple[str, str]]]]
"""Given a request and its body: fields of the configuration, and what would be right."""


def _together(wrong: Wrong) -> type[JsonRoute]:
    """A route that tells what is wrong inside of `configuration` along with what is wrong around it."""

    class Route(JsonRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def read(request: Request) -> Response:
                try:
                    return await handle(request)
                except RequestValidationError as error:
                    found = await wrong(request, error.body) if isinstance(error.body, dict) else ()
                    inside = [{"type": "value_error", "loc": ("body", field), "msg": reason} for field, reason in found]
                    raise RequestValidationError([*error.errors(), *inside], body=error.body) from error

            return read

    return Route


def router(
    manage: ManageChannels, try_channel: TryChannel, authenticated: Callable[..., Awaitable[Principal]]
) -> APIRouter:
    """`authenticated`: the dependency that says who asks, and refuses who may not ask here."""
    channels = APIRouter(prefix="/notifications/channels", tags=["channels"], route_class=JsonRoute)
    Who = Annotated[Principal, Depends(authenticated)]  # noqa: N806 - a type

    def view(channel: Channel) -> ChannelView:
        return ChannelView(
            id=channel.id,
            name=channel.name,
            type=channel.type,
            configuration=manage.shown(channel),
            enabled=channel.enabled,
            is_default=channel.is_default,
            rate_per_second=channel.rate_per_second,
            self_test_every=channel.self_test_every,
            last_test=LastTestView.of(channel.last_test) if channel.last_test else None,
            created_at=channel.created_at,
            updated_at=channel.updated_at,
        )

    async def wrong_new(_: Request, body: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        return manage.wrong(body.get("type"), body.get("configuration", {}))

    async def create_channel(who: Who, body: NewChannelBody, response: Response) -> ChannelView:
        """Secrets are encrypted, and never shown again."""
        channel = await manage.create(who, body.to_new())
        response.headers["Location"] = f"/api/v1/notifications/channels/{channel.id}"
        return view(channel)

    channels.add_api_route(
        "",
        create_channel,
        methods=["POST"],
        summary="Create a channel",
        status_code=HTTPStatus.CREATED,
        responses={201: {"headers": _CREATED}, **responses(*OWN, HTTPStatus.CONFLICT, TOO_LARGE)},
        route_class_override=_together(wrong_new),
    )

    @channels.get("", summary="List your channels, latest first", responses=responses(*OWN))
    async def list_channels(
        who: Who,
        cursor: Annotated[str | None, Query(description="nextCursor of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> ChannelList:
        page = await manage.page(who.user_id, cursor=cursor, limit=limit)
        return ChannelList(channels=[view(channel) for channel in page.channels], next_cursor=page.next_cursor)

    @channels.get("/types", summary="What each type of channel needs", responses=responses(*_ALWAYS))
    async def list_channel_types(_: Who) -> ChannelTypeList:
        """With a JSON Schema each, from which a form can be drawn."""
        return ChannelTypeList(types=[ChannelTypeView.of(kind) for kind in manage.kinds.values()])

    @channels.get(
        "/default", summary="Look at the default channel", responses=responses(*_ALWAYS, HTTPStatus.NOT_FOUND)
    )
    async def get_default_channel(who: Who) -> ChannelView:
        return view(await manage.default(who.user_id))

    @channels.get("/{channel_id:int}", summary="Look at one channel", responses=responses(*ONE))
    async def get_channel(who: Who, channel_id: ChannelId) -> ChannelView:
        return view(await manage.one(who.user_id, channel_id))

    async def remember(request: Request, who: Who) -> None:
        request.state.asking = who

    async def wrong_change(request: Request, body: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        channel_id = request.path_params["channel_id"]
        if channel_id > MAX_ID:
            return ()
        return await manage.wrong_change(request.state.asking.user_id, channel_id, body.get("configuration"))

    changing: dict[str, Any] = {
        "responses": responses(*ONE, HTTPStatus.CONFLICT, TOO_LARGE),
        "dependencies": [Depends(remember)],
        "route_class_override": _together(wrong_change),
    }

    async def change_channel(who: Who, channel_id: ChannelId, body: ChannelChange) -> ChannelView:
        """What is left out stays. Of `configuration` too: keys that are left out stay, null takes a key away, and a
        secret that is sent back as it was shown, masked, is kept. Where the channel leads elsewhere (another
        `smtpHost`, say), its secrets must be given again."""
        return view(await manage.update(who, channel_id, body.to_change(channel_id)))

    for method, name in (("PUT", "put_channel"), ("PATCH", "patch_channel")):
        channels.add_api_route(
            "/{channel_id:int}",
            change_channel,
            methods=[method],
            operation_id=name,
            summary=f"Change a channel ({method})",
            **changing,
        )

    @channels.delete(
        "/{channel_id:int}",
        summary="Delete a channel",
        status_code=HTTPStatus.NO_CONTENT,
        responses=responses(*ONE),
    )
    async def delete_channel(who: Who, channel_id: ChannelId) -> None:
        await manage.delete(who, channel_id)

    @channels.post(
        "/{channel_id:int}/test",
        summary="Send a test message by a channel",
        responses=responses(*ONE, TOO_LARGE),
    )
    async def test_channel(who: Who, channel_id: ChannelId, body: TrialBody | None = None) -> TrialView:
        """Now, whether it is enabled or not. Answers 200 also where it fails: `success` says so, `step` where, `reason`
        in the provider's words why, and `hint` what to try. Without `to` it goes to the channel's own destination; by
        e-mail else to the address of your account."""
        return TrialView.of(await try_channel(who, channel_id, (body or TrialBody()).to_trial()))

    return channels
