"""A campaign's messages, as JSON and as CSV."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from gonets.adapters.http.camel import Answer
from gonets.adapters.http.notifications import RecipientView
from gonets.adapters.http.pages import NextCursor
from gonets.adapters.http.spreadsheets import defused
from gonets.core.channels.model import ChannelType
from gonets.core.notifications.model import Notification, Status


class MessageView(Answer):
    """One message of a campaign. `GET /notifications/{id}` has its attempts."""

    id: int
    contact_id: int | None
    recipient: RecipientView
    status: Status
    reason: str | None
    channel_id: int | None
    channel_type: ChannelType | None
    created_at: datetime
    sent_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, found: Notification) -> Self:
        to = found.recipient
        return cls(
            id=found.id,
            contact_id=found.contact_id,
            recipient=RecipientView(telegram_chat_id=to.telegram_chat_id, email=to.email, phone=to.phone),
            status=found.status,
            reason=found.reason,
            channel_id=found.channel.id if found.channel else None,
            channel_type=found.channel.type if found.channel else None,
            created_at=found.created_at,
            sent_at=found.sent_at,
            finished_at=found.finished_at,
        )


class MessageList(Answer):
    """One page, in the order of contacts. With a filter it may be shorter than asked for, and even empty: go on while
    there is a nextCursor."""

    messages: Sequence[MessageView]
    next_cursor: NextCursor


COLUMNS = (
    "id",
    "contactId",
    "telegramChatId",
    "email",
    "phone",
    "status",
    "reason",
    "channelId",
    "channelType",
    "createdAt",
    "sentAt",
    "finishedAt",
)


def cells(found: Notification) -> Sequence[str]:
    to, channel = found.recipient, found.channel
    times = (found.created_at, found.sent_at, found.finished_at)
    return [
        str(found.id),
        str(found.contact_id or ""),
        defused(to.telegram_chat_id or ""),
        defused(to.email or ""),
        defused(to.phone or ""),
        found.status.value,
        defused(found.reason or ""),
        str(channel.id) if channel else "",
        channel.type.value if channel else "",
        *("" if at is None else at.isoformat() for at in times),
    ]
