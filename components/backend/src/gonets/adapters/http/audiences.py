"""Routes of audiences: which contacts are meant, by a name or on the spot."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field, StrictInt, StrictStr

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.core.contacts.audience import LONGEST_AUDIENCE_NAME, SavedAudience, audience_of
from gonets.core.contacts.crowds import ManageAudiences
from gonets.core.identity.model import Principal

Filter = Annotated[
    dict[str, Any],
    Field(
        description="Who has any of `tags.any`, all of `tags.all`, none of `tags.none`, one of the operator codes and"
        " one of the time zones. What is left out asks for nothing: {} is everybody",
        examples=[{"tags": {"any": ["vip"], "none": ["staff"]}, "operatorCodes": ["916"], "timezones": []}],
    ),
]


class AudienceBody(Asked):
    """An audience with a name."""

    name: Annotated[
        StrictStr,
        Field(examples=["Moscow VIPs"], json_schema_extra={"minLength": 1, "maxLength": LONGEST_AUDIENCE_NAME}),
    ]
    filter: Filter
    id: Annotated[StrictInt | None, Field(description="Changes nothing", examples=[1])] = None
    created_at: Annotated[StrictStr | None, Field(description="Changes nothing", examples=[None])] = None
    updated_at: Annotated[StrictStr | None, Field(description="Changes nothing", examples=[None])] = None


class CountBody(Asked):
    """An audience that need not be saved."""

    audience: Filter


class AudienceView(Answer):
    """A saved audience. It is asked anew each time it is used."""

    id: int
    name: str
    filter: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, saved: SavedAudience) -> "AudienceView":
        return cls(
            id=saved.id,
            name=saved.name,
            filter=saved.filter.to_json(),
            created_at=saved.created_at,
            updated_at=saved.updated_at,
        )


class AudienceList(Answer):
    """All of them, latest first."""

    audiences: Sequence[AudienceView]


class Count(Answer):
    """How many contacts are in an audience."""

    count: int


_CREATED = {"Location": {"description": "Where the audience is", "schema": {"type": "string"}}}

AudienceId = Annotated[int, Path(ge=1, le=MAX_ID)]


def router(manage: ManageAudiences, authenticated: Callable[..., Awaitable[Principal]]) -> APIRouter:
    """`authenticated`: the dependency that says who asks, and refuses who may not ask here."""
    audiences = APIRouter(prefix="/audiences", tags=["contacts"], route_class=JsonRoute)
    Who = Annotated[Principal, Depends(authenticated)]  # noqa: N806 - a type

    @audiences.post(
        "",
        status_code=HTTPStatus.CREATED,
        summary="Save an audience",
        responses={201: {"headers": _CREATED}, **responses(HTTPStatus.CONFLICT, TOO_LARGE, *OWN)},
    )
    async def create_audience(who: Who, body: AudienceBody, response: Response) -> AudienceView:
        made = await manage.create(who, body.name, body.filter)
        response.headers["Location"] = f"/api/v1/audiences/{made.id}"
        return AudienceView.of(made)

    @audiences.get("", summary="List your audiences, latest first", responses=responses(*OWN))
    async def list_audiences(who: Who) -> AudienceList:
        return AudienceList(audiences=[AudienceView.of(saved) for saved in await manage.store.all(who.user_id)])

    @audiences.post("/count", summary="Count who is meant", responses=responses(TOO_LARGE, *OWN))
    async def count_audience(who: Who, body: CountBody) -> Count:
        return Count(count=await manage.count(who.user_id, audience_of(body.audience)))

    @audiences.get("/{audience_id:int}", summary="Look at one audience", responses=responses(*ONE))
    async def get_audience(who: Who, audience_id: AudienceId) -> AudienceView:
        return AudienceView.of(await manage.get(who.user_id, audience_id))

    @audiences.put(
        "/{audience_id:int}",
        summary="Replace an audience",
        responses=responses(HTTPStatus.CONFLICT, TOO_LARGE, *ONE),
    )
    async def replace_audience(who: Who, audience_id: AudienceId, body: AudienceBody) -> AudienceView:
        return AudienceView.of(await manage.replace(who, audience_id, body.name, body.filter))

    @audiences.delete(
        "/{audience_id:int}",
        status_code=HTTPStatus.NO_CONTENT,
        summary="Delete an audience",
        responses=responses(HTTPStatus.CONFLICT, *ONE),
    )
    async def delete_audience(who: Who, audience_id: AudienceId) -> None:
        """Refused while campaigns that have not started are for it."""
        await manage.delete(who, audience_id)

    return audiences
