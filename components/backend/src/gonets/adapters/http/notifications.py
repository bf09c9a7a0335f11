"""Routes of notifications."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import Field, StrictInt

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.camel import MAX_ID, Answer, Asked
from gonets.adapters.http.failed import Time
from gonets.adapters.http.problems import ONE, OWN, TOO_LARGE, responses
from gonets.contract import NotificationMessage
from gonets.core.channels.model import ChannelType, Refusal
from gonets.core.identity.model import Principal
from gonets.core.notifications.model import (
    Attempt,
    AttemptState,
    Event,
    Notification,
    NotificationFilter,
    Status,
)
from gonets.core.notifications.use_cases import ReadNotifications, SteerNotifications, SubmitNotification
from gonets.core.shared.errors import Invalid

_MOST_IDS = 1000


class RecipientView(Answer):
    """The addresses, as they were when it was handed in."""

    telegram_chat_id: str | None
    email: str | None
    phone: str | None


class EventView(Answer):
    """A line of an attempt's story."""

    at: datetime
    what: Annotated[str, Field(examples=["accepted"])]
    code: Annotated[str | None, Field(description="The provider's own")]
    reason: str | None

    @classmethod
    def of(cls, event: Event) -> "EventView":
        return cls(at=event.at, what=event.what, code=event.code, reason=event.reason)


class AttemptView(Answer):
    """One try to deliver by one channel."""

    number: int
    round: Annotated[int, Field(description="Grows with each retry by hand")]
    reference: Annotated[str, Field(description="Names it in callbacks and headers")]
    channel_id: Annotated[int, Field(description="0: the operator's")]
    channel_type: ChannelType
    channel_name: str
    to: Annotated[str | None, Field(description="null: the channel's own destination")]
    why: Annotated[str, Field(description="The decision that began it")]
    state: AttemptState
    started_at: datetime
    ended_at: datetime | None
    provider_id: str | None
    parts: Annotated[int, Field(description="Messages or segments that it is charged as")]
    refusal: Annotated[Refusal | None, Field(description="Whether another try could help")]
    code: str | None
    reason: str | None
    hint: Annotated[str | None, Field(description="What to try")]
    events: Sequence[EventView]

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptView":
        return cls(
            number=attempt.number,
            round=attempt.round,
            reference=attempt.reference,
            channel_id=attempt.channel.id,
            channel_type=attempt.channel.type,
            channel_name=attempt.channel_name,
            to=attempt.to,
            why=attempt.why,
            state=attempt.state,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            provider_id=attempt.provider_id,
            parts=attempt.parts,
            refusal=attempt.refusal,
            code=attempt.code,
            reason=attempt.reason,
            hint=attempt.hint,
            events=[EventView.of(event) for event in attempt.events],
        )


class NotificationView(Answer):
    """A notification and what has come of it. Times are RFC 3339 in UTC."""

    id: int
    status: Status
    reason: Annotated[str | None, Field(description="The decision that the status rests on")]
    channel_id: Annotated[int | None, Field(description="The channel that its end is about; 0: the operator's")]
    channel_type: ChannelType | None
    recipient: RecipientView
    contact_id: int | None
    message: str
    subject: str | None
    route: Annotated[Sequence[int], Field(description="Empty: the default order")]
    deadline: datetime | None
    fallback_after: Annotated[float | None, Field(description="Seconds")]
    notify_result: bool
    created_at: datetime
    sent_at: Annotated[datetime | None, Field(description="When a provider first took it")]
    finished_at: datetime | None
    next_at: Annotated[datetime | None, Field(description="When it is looked at again, if nothing is heard before")]
    attempts: Annotated[Sequence[AttemptView], Field(description="The timeline; not in lists")] = ()

    @classmethod
    def of(cls, found: Notification) -> "NotificationView":
        to = found.recipient
        return cls(
            id=found.id,
            status=found.status,
            reason=found.reason,
            channel_id=found.channel.id if found.channel else None,
            channel_type=found.channel.type if found.channel else None,
            recipient=RecipientView(telegram_chat_id=to.telegram_chat_id, email=to.email, phone=to.phone),
            contact_id=found.contact_id,
            message=found.message.text,
            subject=found.message.subject,
            route=list(found.route),
            deadline=found.deadline,
            fallback_after=found.fallback_after.total_seconds() if found.fallback_after else None,
            notify_result=found.notify_result,
            created_at=found.created_at,
            sent_at=found.sent_at,
            finished_at=found.finished_at,
            next_at=None if found.finished else found.due_at,
            attempts=[AttemptView.of(attempt) for attempt in found.attempts],
        )


class NotificationList(Answer):
    """One page, newest first."""

    notifications: Sequence[NotificationView]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last")]


class WhichNotifications(Asked):
    """The ones to be released."""

    ids: Annotated[
        list[Annotated[StrictInt, Field(ge=1, le=MAX_ID)]], Field(min_length=1, max_length=_MOST_IDS, examples=[[1]])
    ]


class SkippedView(Answer):
    """One that was not released."""

    id: int
    reason: str


class ReleasedView(Answer):
    """What became of each."""

    released: Sequence[int]
    skipped: Sequence[SkippedView]


NotificationId = Annotated[int, Path(ge=1, le=MAX_ID)]
_KEY = "For seven days the same key is the same notification; the same key with another body is refused"


def router(
    submit: SubmitNotification,
    read: ReadNotifications,
    steer: SteerNotifications,
    who: Callable[..., Awaitable[Principal]],
) -> APIRouter:
    """`/notifications`. `who`: yields the principal, as Security gives it."""
    notifications = APIRouter(prefix="/notifications", tags=["notifications"], route_class=JsonRoute)
    User = Annotated[Principal, Depends(who)]  # noqa: N806 - a type

    @notifications.post(
        "",
        summary="Hand in a notification",
        status_code=HTTPStatus.ACCEPTED,
        responses=responses(HTTPStatus.CONFLICT, TOO_LARGE, *OWN),
    )
    async def submit_notification(
        user: User,
        request: NotificationMessage,
        response: Response,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200, description=_KEY)] = None,
    ) -> NotificationView:
        """It is taken, and goes its way: `GET` it to see how far it is."""
        key = request.idempotency_key or idempotency_key
        if idempotency_key not in {None, key}:
            raise Invalid("idempotencyKey", "must be what the header Idempotency-Key says")
        taken = await submit(request.to_new(user.user_id, key))
        response.headers["Location"] = f"/api/v1/notifications/{taken.id}"
        return NotificationView.of(await read.one(user.user_id, taken.id))

    @notifications.get("", summary="List notifications, newest first", responses=responses(*OWN))
    async def list_notifications(
        user: User,
        status: Status | None = None,
        channel_type: Annotated[ChannelType | None, Query(alias="channelType", description="Of any attempt")] = None,
        since: Annotated[Time | None, Query(description="Handed in at this time or later")] = None,
        until: Annotated[Time | None, Query(description="Handed in before this time")] = None,
        cursor: Annotated[str | None, Query(description="nextCursor of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> NotificationList:
        wanted = NotificationFilter(status=status, channel_type=channel_type, since=since, until=until)
        page = await read.page(user.user_id, wanted, cursor=cursor, limit=limit)
        views = [NotificationView.of(one) for one in page.notifications]
        return NotificationList(notifications=views, next_cursor=page.next_cursor)

    @notifications.post(
        "/send",
        summary="Release notifications that wait",
        status_code=HTTPStatus.ACCEPTED,
        responses=responses(TOO_LARGE, *OWN),
    )
    async def send_notifications(user: User, which: WhichNotifications) -> ReleasedView:
        """Those that were handed in with `"send": false`. What is not there, or does not wait, is skipped."""
        released, skipped = await steer.release(user, which.ids)
        views = [SkippedView(id=one.id, reason=one.reason) for one in skipped]
        return ReleasedView(released=released, skipped=views)

    @notifications.get(
        "/{notification_id:int}",
        summary="Look at one notification",
        responses=responses(*ONE),
    )
    async def get_notification(user: User, notification_id: NotificationId) -> NotificationView:
        """With every attempt, and why it was made."""
        return NotificationView.of(await read.one(user.user_id, notification_id))

    @notifications.post(
        "/{notification_id:int}/cancel",
        summary="Send nothing more",
        responses=responses(HTTPStatus.CONFLICT, *ONE),
    )
    async def cancel_notification(user: User, notification_id: NotificationId) -> NotificationView:
        """What is under way ends as it ends."""
        return NotificationView.of(await steer.cancel(user, notification_id))

    @notifications.post(
        "/{notification_id:int}/retry",
        summary="Try again what ended without success",
        status_code=HTTPStatus.ACCEPTED,
        responses=responses(HTTPStatus.CONFLICT, *ONE),
    )
    async def retry_notification(user: User, notification_id: NotificationId) -> NotificationView:
        """From the start of its route. Of one that is `unknown` it may come twice."""
        return NotificationView.of(await steer.retry(user, notification_id))

    return notifications
