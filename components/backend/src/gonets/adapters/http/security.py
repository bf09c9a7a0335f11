"""Who asks: access tokens and API keys, as dependencies of routes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import Depends, params
from fastapi import Security as With
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from gonets.core.identity.model import Principal, Role, Scope
from gonets.core.shared.errors import Forbidden, Unauthenticated

Authenticate = Callable[[str], Awaitable[Principal]]
"""The principal of an access token or API key. Raises Unauthenticated."""

_BEARER = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="An access token (`/api/v1/auth/login`), or an API key"
)
_KEY = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="apiKey", description="An API key (`/api/v1/api-keys`)"
)

Bearer = Annotated[HTTPAuthorizationCredentials | None, With(_BEARER)]
Key = Annotated[str | None, With(_KEY)]


class Security:
    """Dependencies that yield the Principal. Each raises Unauthenticated (401) where nobody is known and Forbidden
    (403) where they may not.

    person: somebody who logged in; API keys are refused.
    admin: a person who is admin.
    anyone: the person, or None where no credentials came; wrong ones are refused.
    """

    def __init__(self, authenticate: Authenticate, *, tasks_open: bool = True) -> None:
        """`tasks_open`: whether tasks are taken from whoever reaches the door."""
        self._authenticate = authenticate
        self._tasks_open = tasks_open

    def principal(self, scope: Scope) -> Callable[..., Awaitable[Principal]]:
        """A person, or a program whose API key has the scope."""

        async def scoped(bearer: Bearer, key: Key) -> Principal:
            found = await self._find(bearer, key)
            if scope not in found.scopes:
                raise Forbidden(f"this API key has no scope {scope.value}")
            return found

        return scoped

    async def person(self, bearer: Bearer) -> Principal:
        if not bearer:
            raise Unauthenticated("log in, and send the access token: Authorization: Bearer …")
        found = await self._find(bearer, None)
        if not found.is_person:
            raise Forbidden("an API key may not do this: log in")
        return found

    async def admin(self, bearer: Bearer) -> Principal:
        found = await self.person(bearer)
        if found.role is not Role.ADMIN:
            raise Forbidden("only an admin may do this")
        return found

    async def anyone(self, bearer: Bearer) -> Principal | None:
        return await self.person(bearer) if bearer else None

    def tasks(self) -> Sequence[params.Depends]:
        """For the routers of tasks: who may hand them in, and see them all. Empty: everyone."""
        return () if self._tasks_open else (Depends(self.principal(Scope.TASKS)),)

    def dead_letters(self) -> Sequence[params.Depends]:
        """For the router of dead letters, which hold requests of everybody's notifications. Empty: everyone."""
        return () if self._tasks_open else (Depends(self.admin),)

    async def _find(self, bearer: HTTPAuthorizationCredentials | None, key: str | None) -> Principal:
        credential = bearer.credentials if bearer else key
        if not credential:
            raise Unauthenticated("log in, or send an API key: Authorization: Bearer …, or X-API-Key: …")
        return await self._authenticate(credential)
