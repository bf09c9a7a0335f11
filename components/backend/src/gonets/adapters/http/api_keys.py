"""Routes of API keys."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked, Name
from gonets.adapters.http.pages import Cursor, Limit, NextCursor
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.adapters.http.security import Security
from gonets.core.identity.administration import ManageApiKeys
from gonets.core.identity.model import ApiKey, Principal, Scope


class NewApiKey(Asked):
    """A key for a program."""

    name: Annotated[Name, Field(examples=["the shop"])]
    scopes: Annotated[
        list[Scope], Field(min_length=1, max_length=20, description="What it may be used for", examples=[["tasks"]])
    ]


class ApiKeyView(Answer):
    """A key, without the key itself."""

    id: int
    name: str
    hint: Annotated[str, Field(description="The key's last characters")]
    scopes: Sequence[Scope]
    created_at: datetime
    last_used_at: Annotated[datetime | None, Field(description="Within a minute or so")]
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyView":
        return cls(
            id=key.id,
            name=key.name,
            hint=key.hint,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
        )


class FreshApiKey(ApiKeyView):
    """A key that was just made: the only time that it is shown."""

    key: Annotated[str, Field(description="Goes into `Authorization: Bearer …` or `X-API-Key: …`")]


class ApiKeyList(Answer):
    """One page, latest first."""

    api_keys: Sequence[ApiKeyView]
    next_cursor: NextCursor


KeyId = Annotated[int, Path(ge=1, le=MAX_ID)]


def router(manage: ManageApiKeys, security: Security) -> APIRouter:
    """`/api-keys`: only for people, so that a leaked key makes no others."""
    keys = APIRouter(prefix="/api-keys", tags=["API keys"], route_class=JsonRoute)
    Person = Annotated[Principal, Depends(security.person)]  # noqa: N806 - a type

    @keys.post(
        "",
        status_code=HTTPStatus.CREATED,
        summary="Make an API key",
        responses=responses(HTTPStatus.CONFLICT, TOO_LARGE, *OWN),
    )
    async def create_api_key(person: Person, body: NewApiKey) -> FreshApiKey:
        """The key is in this answer and nowhere else."""
        made, secret = await manage.create(person, body.name, body.scopes)
        return FreshApiKey(**dict(ApiKeyView.of(made)), key=secret)

    @keys.get("", summary="List your API keys, latest first", responses=responses(*OWN))
    async def list_api_keys(
        person: Person,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> ApiKeyList:
        """Revoked ones too."""
        page = await manage.page(person, cursor=cursor, limit=limit)
        return ApiKeyList(api_keys=[ApiKeyView.of(key) for key in page.keys], next_cursor=page.next_cursor)

    @keys.get("/{key_id}", summary="Look at one API key", responses=responses(*ONE))
    async def get_api_key(person: Person, key_id: KeyId) -> ApiKeyView:
        return ApiKeyView.of(await manage.get(person, key_id))

    @keys.delete(
        "/{key_id}",
        status_code=HTTPStatus.NO_CONTENT,
        summary="Revoke an API key",
        responses=responses(*ONE),
    )
    async def revoke_api_key(person: Person, key_id: KeyId) -> None:
        """It stops working at once, and stays in the list."""
        await manage.revoke(person, key_id)

    return keys
