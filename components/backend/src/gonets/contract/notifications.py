"""Notifications, as they are handed in, and how they ended."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gonets.contract.fields import Camel, Id, WithoutNul, within_years
from gonets.core.channels.model import Message, Recipient
from gonets.core.notifications.model import MAX_ROUTE, MAX_TEXT, NewNotification, Notification, Status, TemplateUse
from gonets.core.templates.model import LONGEST_NAME as LONGEST_TEMPLATE_NAME
from gonets.core.templates.rendering import LONGEST_NAME as LONGEST_VARIABLE

_LONGEST_FALLBACK = 30 * 86_400  # seconds
_LARGEST_EVENT = 64 * 1024  # bytes, as JSON
_NO_NUL = {"pattern": "^[^\\u0000]*$"}

MOST_VARIABLES = 200
Variables = Annotated[
    dict[
        Annotated[StrictStr, Field(max_length=LONGEST_VARIABLE)],
        Annotated[WithoutNul, Field(max_length=MAX_TEXT)]
        | StrictBool
        | StrictInt
        | Annotated[StrictFloat, Field(allow_inf_nan=False)]
        | None,
    ],
    Field(max_length=MOST_VARIABLES),
]
"""Of a template, by their names."""


def _no_number(value: object) -> object:
    # pydantic takes numbers for seconds since 1970, in strings too: more likely a mistake than a time.
    if not isinstance(value, str | datetime) or (isinstance(value, str) and "-" not in value[1:]):
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z")
    return value


def _told_apart(value: Sequence[int]) -> Sequence[int]:
    if len(set(value)) < len(value):
        raise ValueError("must name each channel once")
    return value


def _small(value: Mapping[str, Any]) -> Mapping[str, Any]:
    text = _canonical(value)
    if len(text) > _LARGEST_EVENT:
        raise ValueError(f"must have at most {_LARGEST_EVENT} bytes, written as JSON")
    if "\\u0000" in text:
        raise ValueError("must not contain the NUL character (U+0000)")
    return value


def _canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


class RecipientMessage(Camel):
    """One person: addresses, as somebody typed them, at least one; or a contact that has them."""

    telegram_chat_id: Annotated[
        StrictStr | StrictInt | None,
        Field(description="The number of a chat with the bot, or @channelname", examples=["123456789"]),
    ] = None
    email: Annotated[StrictStr | None, Field(max_length=320, examples=["anna@example.com"])] = None
    phone: Annotated[StrictStr | None, Field(max_length=100, examples=["+79161234567"])] = None
    contact_id: Annotated[Id | None, Field(description="A contact, in place of addresses", examples=[None])] = None

    @field_validator("contact_id")
    @classmethod
    def _no_addresses(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and any(address is not None for address in info.data.values()):
            raise ValueError("must be left out where there are addresses")
        return value

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if all(value is None for value in (self.telegram_chat_id, self.email, self.phone, self.contact_id)):
            raise ValueError("must have a telegramChatId, an email, a phone or a contactId")
        return self


class NotificationMessage(Camel):
    """One message to one person, as it is handed in."""

    recipient: RecipientMessage | None = None
    contact_id: Annotated[Id | None, Field(description="As `recipient.contactId`", examples=[None])] = None
    template: Annotated[
        Id | Annotated[WithoutNul, Field(min_length=1, max_length=LONGEST_TEMPLATE_NAME)] | None,
        Field(description="The id or the name of a template of yours, in place of `message`", examples=[None]),
    ] = None
    message: Annotated[
        Annotated[WithoutNul, Field(min_length=1, max_length=MAX_TEXT, json_schema_extra=_NO_NUL)] | None,
        Field(description="The text; or give a `template`", examples=["Ваш код: 4711"], validate_default=True),
    ] = None
    variables: Annotated[
        Variables | None,
        Field(description="For the template; they win over what the contact offers", examples=[None]),
    ] = None
    subject: Annotated[
        WithoutNul | None,
        Field(max_length=500, description="Of an e-mail; a template has its own", examples=["Код"]),
    ] = None
    route: Annotated[
        list[Id],
        Field(
            max_length=MAX_ROUTE,
            description="Channels to try, in order. Left out: Telegram, e-mail, SMS, as the recipient has addresses; "
            "else the default channel",
            examples=[[]],
        ),
        AfterValidator(_told_apart),
    ] = []  # noqa: RUF012 - pydantic copies it
    deadline: Annotated[
        Annotated[AwareDatetime, AfterValidator(within_years)] | None,
        BeforeValidator(lambda value: value if value is None else _no_number(value)),
        Field(description="After this time nothing is sent", examples=["2099-01-31T12:00:00Z"]),
    ] = None
    fallback_after: Annotated[
        float | None,
        Field(
            gt=0,
            le=_LONGEST_FALLBACK,
            strict=True,
            allow_inf_nan=False,
            description="Seconds without a delivery receipt after which the next channel tries",
            examples=[300],
        ),
    ] = None
    event: Annotated[
        dict[StrictStr, Any],
        AfterValidator(_small),
        Field(description="Passed on to webhooks and bots: serviceName, serviceUrl, status, severity, metadata…"),
    ] = {}  # noqa: RUF012 - as above
    username: Annotated[
        WithoutNul | None, Field(max_length=200, description="Passed on to webhooks and bots", examples=["anna"])
    ] = None
    send: Annotated[StrictBool, Field(description="false: it waits until `POST /notifications/send` releases it")] = (
        True
    )
    notify_result: Annotated[StrictBool, Field(description="Tell its end on NotificationResultQueue")] = False
    idempotency_key: Annotated[
        WithoutNul | None,
        Field(
            min_length=1,
            max_length=200,
            description="For seven days the same key is the same notification; as the header Idempotency-Key",
            examples=["order-4711"],
        ),
    ] = None

    @field_validator("contact_id")
    @classmethod
    def _one_of_two(cls, value: int | None, info: ValidationInfo) -> int | None:
        to = info.data.get("recipient")
        if value is None or to is None or to.contact_id == value:
            return value
        if to.contact_id is None:
            raise ValueError("must be left out where the recipient has addresses")
        raise ValueError("must be what recipient.contactId is, or be left out")

    @field_validator("message")
    @classmethod
    def _message_or_template(cls, value: str | None, info: ValidationInfo) -> str | None:
        # A template that is wrong is not there, and has an error of its own.
        if value is None and "template" in info.data and info.data["template"] is None:
            raise ValueError("must be given, or template: one of the two")
        if value is not None and info.data.get("template") is not None:
            raise ValueError("must be left out where there is a template")
        return value

    @field_validator("variables", "subject")
    @classmethod
    def _template_only(cls, value: Any, info: ValidationInfo) -> Any:
        has_template = info.data.get("template") is not None
        if value is not None and info.field_name == "variables" and info.data.get("message") is not None:
            raise ValueError("must be left out where there is no template")
        if value is not None and info.field_name == "subject" and has_template:
            raise ValueError("must be left out where there is a template, which has its own")
        return value

    @cached_property
    def digest(self) -> str:
        """Of everything but the key: equal for equal notifications, wherever the contact is named."""
        content = self.model_dump(
            mode="json", by_alias=True, exclude={"idempotency_key": True, "recipient": {"contact_id"}}
        )
        if self._contact is not None:
            content |= {"recipient": None, "contactId": self._contact}
        return hashlib.sha256(_canonical(content).encode()).hexdigest()

    @property
    def _contact(self) -> int | None:
        return self.recipient.contact_id if self.recipient and self.recipient.contact_id else self.contact_id

    def to_new(self, owner_id: int, key: str | None) -> NewNotification:
        to = self.recipient
        chat = to.telegram_chat_id if to else None
        return NewNotification(
            owner_id=owner_id,
            recipient=Recipient(None if chat is None else str(chat), to.email, to.phone) if to else Recipient(),
            contact_id=self._contact,
            contact_field="recipient.contactId" if to and to.contact_id else "contactId",
            message=Message(self.message or "", self.subject, self.username, self.event),
            route=tuple(self.route),
            deadline=self.deadline,
            fallback_after=None if self.fallback_after is None else timedelta(seconds=self.fallback_after),
            notify_result=self.notify_result,
            held=not self.send,
            template=None if self.template is None else TemplateUse(self.template, self.variables or {}),
            key=key,
            digest=self.digest,
        )


class NotificationResult(Camel):
    """How a notification ended. Told again where more is learnt later: `sent` may become `delivered`."""

    notification_id: Id
    status: Status
    channel_id: Annotated[int | None, Field(description="The channel its end is about; 0: the operator's")]
    reason: Annotated[str | None, Field(description="A sentence for a person")]
    finished_at: datetime | None

    @classmethod
    def of(cls, ended: Notification) -> "NotificationResult":
        return cls(
            notificationId=ended.id,
            status=ended.status,
            channelId=ended.channel.id if ended.channel else None,
            reason=ended.reason,
            finishedAt=ended.finished_at,
        )
