"""Routes for admins: users, and the audit log."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field, StrictBool

from gonets.adapters.http.auth import Email, NewPassword
from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked
from gonets.adapters.http.pages import Cursor, Limit, NextCursor
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.adapters.http.security import Security
from gonets.core.identity.administration import ManageUsers, ReadAudit
from gonets.core.identity.model import AuditEntry, Principal, Role, User


class NewUser(Asked):
    """An account for somebody else."""

    email: Email
    password: NewPassword
    role: Role = Role.MEMBER


class UserChange(Asked):
    """What is to be different; what is left out stays."""

    role: Annotated[Role | None, Field(examples=["member"])] = None
    disabled: Annotated[
        StrictBool | None,
        Field(description="true: may not log in, and no session or API key of theirs works", examples=[False]),
    ] = None


class UserView(Answer):
    """An account."""

    id: int
    email: str
    role: Role
    disabled: bool
    creation_time: datetime

    @classmethod
    def of(cls, user: User) -> "UserView":
        return cls(
            id=user.id,
            email=user.email,
            role=user.role,
            disabled=user.disabled_at is not None,
            creation_time=user.created_at,
        )


class UserList(Answer):
    """One page, latest first."""

    users: Sequence[UserView]
    next_cursor: NextCursor


class ResetView(Answer):
    """A token for `POST /api/v1/auth/password/reset`: hand it to the user by a way that you trust."""

    token: str
    expires_at: datetime


class AuditEntryView(Answer):
    """Who changed what."""

    id: int
    at: datetime
    user_id: Annotated[int | None, Field(description="null: an operator at the command line")]
    api_key_id: Annotated[int | None, Field(description="null: in person")]
    action: Annotated[str, Field(examples=["created"])]
    object: Annotated[str, Field(examples=["contact"])]
    object_id: int | None
    detail: Mapping[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditEntryView":
        return cls(
            id=entry.id,
            at=entry.at,
            user_id=entry.user_id,
            api_key_id=entry.api_key_id,
            action=entry.action,
            object=entry.object,
            object_id=entry.object_id,
            detail=entry.detail,
        )


class AuditList(Answer):
    """One page, latest first. A page may be short, even empty, before the last one: only `nextCursor` tells."""

    entries: Sequence[AuditEntryView]
    next_cursor: NextCursor


UserId = Annotated[int, Path(ge=1, le=MAX_ID)]


def router(manage: ManageUsers, audit: ReadAudit, security: Security) -> APIRouter:
    """`/users` and `/audit`."""
    admins = APIRouter(route_class=JsonRoute)
    admins.include_router(_users(manage, security))
    admins.include_router(_audit(audit, security))
    return admins


def _users(manage: ManageUsers, security: Security) -> APIRouter:
    users = APIRouter(prefix="/users", tags=["users"], route_class=JsonRoute)
    Admin = Annotated[Principal, Depends(security.admin)]  # noqa: N806 - a type

    @users.post(
        "",
        status_code=HTTPStatus.CREATED,
        summary="Make an account for somebody",
        responses=responses(HTTPStatus.CONFLICT, TOO_LARGE, *OWN),
    )
    async def create_user(admin: Admin, body: NewUser) -> UserView:
        """Also where sign-up is closed."""
        return UserView.of(await manage.create(admin, body.email, body.password, body.role))

    @users.get("", summary="List users, latest first", responses=responses(*OWN))
    async def list_users(_: Admin, cursor: Cursor = None, limit: Limit = 50) -> UserList:
        page = await manage.page(cursor=cursor, limit=limit)
        return UserList(users=[UserView.of(user) for user in page.users], next_cursor=page.next_cursor)

    @users.get("/{user_id}", summary="Look at one user", responses=responses(*ONE))
    async def get_user(_: Admin, user_id: UserId) -> UserView:
        return UserView.of(await manage.get(user_id))

    @users.patch(
        "/{user_id}",
        summary="Change a user's role, disable or enable them",
        responses=responses(HTTPStatus.CONFLICT, TOO_LARGE, *ONE),
    )
    async def change_user(admin: Admin, user_id: UserId, body: UserChange) -> UserView:
        """Counts at once. 409 where nobody would remain admin."""
        return UserView.of(await manage.change(admin, user_id, role=body.role, disabled=body.disabled))

    @users.post(
        "/{user_id}/password-reset",
        status_code=HTTPStatus.CREATED,
        summary="Issue a token by which a user sets a new password",
        responses=responses(HTTPStatus.CONFLICT, *ONE),
    )
    async def issue_password_reset(admin: Admin, user_id: UserId) -> ResetView:
        """It works once, for a day, and takes the place of an earlier one."""
        token, expires_at = await manage.issue_reset(admin, user_id)
        return ResetView(token=token, expires_at=expires_at)

    return users


def _audit(read: ReadAudit, security: Security) -> APIRouter:
    audit = APIRouter(prefix="/audit", tags=["audit"], route_class=JsonRoute)

    @audit.get("", summary="Who changed what, latest first", responses=responses(*OWN))
    async def list_audit(
        _: Annotated[Principal, Depends(security.admin)],
        object: Annotated[str | None, Query(description="user, api key, contact, channel, …")] = None,  # noqa: A002
        user_id: Annotated[int | None, Query(alias="userId", ge=1, le=MAX_ID, description="Who did it")] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> AuditList:
        page = await read.page(object=object, user_id=user_id, cursor=cursor, limit=limit)
        return AuditList(entries=[AuditEntryView.of(entry) for entry in page.entries], next_cursor=page.next_cursor)

    return audit
