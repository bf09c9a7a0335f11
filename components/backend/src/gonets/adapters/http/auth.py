"""Routes of signing up, in and out, and of one's own account."""

import ipaddress
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import Answer, Asked
from gonets.adapters.http.problems import ASKED, TOO_LARGE, responses
from gonets.adapters.http.security import Security
from gonets.core.identity.model import LONGEST_PASSWORD, SHORTEST_PASSWORD, Principal, Role, SignedIn, User
from gonets.core.identity.use_cases import OwnAccount, SignIn

# The limits are for readers: the core checks them.
Email = Annotated[str, Field(examples=["anna@example.com"], json_schema_extra={"format": "email", "maxLength": 254})]
Secret = Annotated[str, Field(max_length=1000, repr=False)]
NewPassword = Annotated[
    str,
    Field(
        repr=False,
        description="Any characters",
        examples=["correct horse battery staple"],
        json_schema_extra={"minLength": SHORTEST_PASSWORD, "maxLength": LONGEST_PASSWORD},
    ),
]


class NewAccount(Asked, extra="ignore"):
    """An account's address and password. What else a form sends is not looked at."""

    email: Email
    password: NewPassword


class Credentials(Asked, extra="ignore"):
    """The same, as somebody typed them."""

    email: Annotated[str, Field(max_length=1000, examples=["anna@example.com"])]
    password: Annotated[str, Field(max_length=1000, repr=False, examples=["correct horse battery staple"])]


class RefreshToken(Asked):
    """A refresh token; it can be used once."""

    refresh_token: Secret


class PasswordChange(Asked):
    """The old password and the new one."""

    current_password: Secret
    new_password: NewPassword


class PasswordReset(Asked):
    """A token that an administrator gave out, and the new password."""

    token: Secret
    new_password: NewPassword


class SignedInUser(Answer):
    """Whose session it is."""

    id: int
    email: str
    creation_time: datetime

    @classmethod
    def of(cls, user: User) -> "SignedInUser":
        return cls(id=user.id, email=user.email, creation_time=user.created_at)


class Profile(SignedInUser):
    """One's own account."""

    role: Role

    @classmethod
    def of(cls, user: User) -> "Profile":
        return cls(id=user.id, email=user.email, creation_time=user.created_at, role=user.role)


class SessionView(Answer):
    """A session: the access token goes into `Authorization: Bearer …`, the refresh token gets the next pair, once."""

    user: SignedInUser
    access_token: str
    refresh_token: str

    @classmethod
    def of(cls, signed_in: SignedIn) -> "SessionView":
        return cls(
            user=SignedInUser.of(signed_in.user),
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
        )


_WRONG = (TOO_LARGE, *ASKED)


def network(host: str) -> str:
    """Whose tries are counted together: an IPv4 address, or the /64 that one subscriber has of IPv6."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def _source(request: Request) -> str:
    return network(request.client.host if request.client else "")


def router(sign_in: SignIn, own: OwnAccount, security: Security) -> APIRouter:
    """`/auth`."""
    auth = APIRouter(prefix="/auth", tags=["auth"], route_class=JsonRoute)
    _sessions(auth, sign_in, security)
    _account(auth, own, security)
    return auth


def _sessions(auth: APIRouter, sign_in: SignIn, security: Security) -> None:
    @auth.post(
        "/signup",
        status_code=HTTPStatus.CREATED,
        summary="Make an account",
        responses=responses(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, *_WRONG),
    )
    async def sign_up(account: NewAccount, request: Request) -> SessionView:
        """The first account of an installation is its admin. 403 where sign-up is closed, 429 after many from one
        network address."""
        return SessionView.of(await sign_in.sign_up(account.email, account.password, _source(request)))

    @auth.post(
        "/login",
        summary="Log in",
        responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, *_WRONG),
    )
    async def log_in(credentials: Credentials, request: Request) -> SessionView:
        """After a few wrong passwords the door is closed for a while, longer each time: 429 says how long."""
        return SessionView.of(await sign_in.log_in(credentials.email, credentials.password, _source(request)))

    @auth.post("/refresh", summary="Get a fresh pair of tokens", responses=responses(HTTPStatus.UNAUTHORIZED, *_WRONG))
    async def refresh(old: RefreshToken) -> SessionView:
        """The old refresh token is used up; used again, it ends the session, for one of two who hold it is a thief."""
        return SessionView.of(await sign_in.refresh(old.refresh_token))

    @auth.post(
        "/logout",
        status_code=HTTPStatus.NO_CONTENT,
        summary="Log out",
        openapi_extra={"security": [{}]},  # besides the access token: none, for the refresh token will do
        responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, *_WRONG),
    )
    async def log_out(
        principal: Annotated[Principal | None, Depends(security.anyone)], token: RefreshToken | None = None
    ) -> Response:
        """Ends the session of the access token, of the refresh token, or of both. Their access tokens end with them."""
        await sign_in.log_out(principal, token.refresh_token if token else None)
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _account(auth: APIRouter, own: OwnAccount, security: Security) -> None:
    @auth.get(
        "/profile",
        summary="Look at one's own account",
        responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE),
    )
    async def get_profile(principal: Annotated[Principal, Depends(security.person)]) -> Profile:
        return Profile.of(await own.profile(principal))

    @auth.post(
        "/password",
        status_code=HTTPStatus.NO_CONTENT,
        summary="Change one's password",
        responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, *_WRONG),
    )
    async def change_password(
        change: PasswordChange, principal: Annotated[Principal, Depends(security.person)]
    ) -> Response:
        """All other sessions are over."""
        await own.change_password(principal, change.current_password, change.new_password)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @auth.post(
        "/password/reset",
        status_code=HTTPStatus.NO_CONTENT,
        summary="Set a password with a reset token",
        responses=responses(*_WRONG),
    )
    async def reset_password(reset: PasswordReset) -> Response:
        """The token comes from an admin (`POST /api/v1/users/{id}/password-reset`) or from `gonets user reset`. All
        sessions are over."""
        await own.reset_password(reset.token, reset.new_password)
        return Response(status_code=HTTPStatus.NO_CONTENT)
