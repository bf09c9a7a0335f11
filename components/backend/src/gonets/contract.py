"""The public JSON of tasks and notifications, once for all doors: REST, the queues and the command line read and write
these very models (ADR 002)."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from gonets.core.channels.model import Message, Recipient
from gonets.core.notifications.model import MAX_ROUTE, MAX_TEXT, NewNotification, Notification, Status, TemplateUse
from gonets.core.shared.errors import Category
from gonets.core.tasks.model import MAX_DATA_LENGTH, MAX_TASK_ID, Attempt, Failure, Task, TaskType
from gonets.core.tasks.set_aside import DeadLetter, FailedTask
from gonets.core.templates.model import LONGEST_NAME as LONGEST_TEMPLATE_NAME
from gonets.core.templates.rendering import LONGEST_NAME as LONGEST_VARIABLE


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain the NUL character (U+0000)")
    return value


TaskId = Annotated[
    StrictInt,
    Field(
        ge=1, le=MAX_TASK_ID, description="Chosen by the sender; the same id again means the same task", examples=[1]
    ),
]


class TaskMessage(BaseModel):
    """A task, as it is handed in."""

    model_config = ConfigDict(frozen=True)

    task_id: TaskId
    task_type: Annotated[TaskType, Field(description="Which question is asked")]
    data: Annotated[
        StrictStr,
        Field(
            min_length=1,
            max_length=MAX_DATA_LENGTH,
            # Says to readers and fuzzers what _no_nul checks, in the regular expressions of JSON Schema.
            json_schema_extra={"pattern": "^[^\\u0000]*$"},
            description="A phone number, an e-mail address or a text, as a person typed it",
            examples=["8 916 823 34 54"],
        ),
        AfterValidator(_no_nul),
    ]

    def to_task(self) -> Task:
        return Task(self.task_id, self.task_type, self.data)

    @classmethod
    def from_task(cls, task: Task) -> "TaskMessage":
        return cls.model_construct(task_id=task.task_id, task_type=task.task_type, data=task.data)


class TaskResult(BaseModel):
    """A task is done: `id` is the row of table `integration_service` that holds the answer."""

    task_id: TaskId
    id: Annotated[int, Field(examples=[42])]


class TaskError(BaseModel):
    """Why there is no result."""

    category: Category
    reason: Annotated[str, Field(description="A sentence for a person")]

    @classmethod
    def of(cls, failure: Failure) -> "TaskError":
        return cls(category=failure.category, reason=failure.reason)


class TaskFailure(BaseModel):
    """A task ended without a result."""

    task_id: TaskId
    error: TaskError


ProviderWords = Annotated[str | None, Field(description="What the provider said, shortened, secrets out")]


class AttemptView(BaseModel):
    """A try that failed."""

    number: int
    ended_at: datetime
    error: TaskError
    answer: ProviderWords

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptView":
        failure = attempt.failure
        return cls(number=attempt.number, ended_at=attempt.ended_at, error=TaskError.of(failure), answer=failure.answer)


class FailedTaskView(BaseModel):
    """A task that ended without a result. Times are RFC 3339 in UTC."""

    task_id: int
    task_type: TaskType
    data: str
    error: TaskError
    answer: ProviderWords
    attempts: Annotated[int, Field(description="Since it was taken, or replayed")]
    replays: Annotated[int, Field(description="Times an operator had it tried again")]
    created_at: datetime
    first_failed_at: Annotated[datetime | None, Field(description="The first try that failed, of all replays")]
    failed_at: datetime
    dropped_at: Annotated[datetime | None, Field(description="When an operator gave it up")]
    told: Annotated[bool, Field(description="Until its failure is told, a task cannot be replayed")]
    history: Annotated[Sequence[AttemptView], Field(description="Tries that failed; not in lists")] = ()

    @classmethod
    def of(cls, failed: FailedTask) -> "FailedTaskView":
        return cls(
            task_id=failed.task.task_id,
            task_type=failed.task.task_type,
            data=failed.task.data,
            error=TaskError.of(failed.failure),
            answer=failed.failure.answer,
            attempts=failed.attempts,
            replays=failed.replays,
            created_at=failed.created_at,
            first_failed_at=failed.first_failed_at,
            failed_at=failed.failed_at,
            dropped_at=failed.dropped_at,
            told=failed.told,
            history=[AttemptView.of(attempt) for attempt in failed.history],
        )


_EXCERPT = 200  # characters


class DeadLetterView(BaseModel):
    """A message that is no task or no notification, or contradicts one. Times are RFC 3339 in UTC."""

    id: Annotated[str, Field(examples=["m0123456789abcdef"])]
    queue: Annotated[str, Field(description="Where it came from, and a replay sends it")]
    category: Annotated[Category | None, Field(description="null where the message was not set aside by this service")]
    reason: str
    dead_at: Annotated[datetime | None, Field(description="null where nobody knows")]
    size: Annotated[int, Field(description="Of the body, in bytes")]
    body: Annotated[str, Field(description="As text, shortened in lists; what is no UTF-8 shows as U+FFFD")]
    body_base64: Annotated[str | None, Field(description="The very bytes, where they are no UTF-8; not in lists")]
    properties: Annotated[Mapping[str, str], Field(description="Its AMQP properties and headers")]

    @classmethod
    def of(cls, letter: DeadLetter, *, whole: bool) -> "DeadLetterView":
        text = letter.body.decode(errors="replace")
        exact = text.encode() == letter.body
        return cls(
            id=letter.id,
            queue=letter.queue,
            category=letter.category,
            reason=letter.reason,
            dead_at=letter.dead_at,
            size=len(letter.body),
            body=text if whole else text[:_EXCERPT],
            body_base64=base64.b64encode(letter.body).decode() if whole and not exact else None,
            properties=letter.properties,
        )


MAX_ID = 2**63 - 1
_LONGEST_FALLBACK = 30 * 86_400  # seconds
_LARGEST_EVENT = 64 * 1024  # bytes, as JSON


class _Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True)


def _no_number(value: object) -> object:
    # pydantic takes numbers for seconds since 1970, in strings too: more likely a mistake than a time.
    if not isinstance(value, str | datetime) or (isinstance(value, str) and "-" not in value[1:]):
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z")
    return value


def within_years(value: datetime) -> datetime:
    """In UTC too it has a year from 1 to 9999: a database keeps others, and nobody can read them back."""
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be between the years 1 and 9999 in UTC") from None
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


Id = Annotated[StrictInt, Field(ge=1, le=MAX_ID, examples=[1])]
_WithoutNul = Annotated[StrictStr, AfterValidator(_no_nul)]
_NO_NUL = {"pattern": "^[^\\u0000]*$"}


MOST_VARIABLES = 200
Variables = Annotated[
    dict[
        Annotated[StrictStr, Field(max_length=LONGEST_VARIABLE)],
        Annotated[_WithoutNul, Field(max_length=MAX_TEXT)]
        | StrictBool
        | StrictInt
        | Annotated[StrictFloat, Field(allow_inf_nan=False)]
        | None,
    ],
    Field(max_length=MOST_VARIABLES),
]
"""Of a template, by their names."""


class RecipientMessage(_Camel):
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


class NotificationMessage(_Camel):
    """One message to one person, as it is handed in."""

    recipient: RecipientMessage | None = None
    contact_id: Annotated[Id | None, Field(description="As `recipient.contactId`", examples=[None])] = None
    template: Annotated[
        Id | Annotated[_WithoutNul, Field(min_length=1, max_length=LONGEST_TEMPLATE_NAME)] | None,
        Field(description="The id or the name of a template of yours, in place of `message`", examples=[None]),
    ] = None
    message: Annotated[
        Annotated[_WithoutNul, Field(min_length=1, max_length=MAX_TEXT, json_schema_extra=_NO_NUL)] | None,
        Field(description="The text; or give a `template`", examples=["Ваш код: 4711"], validate_default=True),
    ] = None
    variables: Annotated[
        Variables | None,
        Field(description="For the template; they win over what the contact offers", examples=[None]),
    ] = None
    subject: Annotated[
        _WithoutNul | None,
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
    ] = []
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
    ] = {}
    username: Annotated[
        _WithoutNul | None, Field(max_length=200, description="Passed on to webhooks and bots", examples=["anna"])
    ] = None
    send: Annotated[StrictBool, Field(description="false: it waits until `POST /notifications/send` releases it")] = (
        True
    )
    notify_result: Annotated[StrictBool, Field(description="Tell its end on NotificationResultQueue")] = False
    idempotency_key: Annotated[
        _WithoutNul | None,
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


class NotificationResult(_Camel):
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


class NotificationWake(_Camel):
    """Inside the service: look at this row."""

    notification_id: Id


class ContactImportWake(_Camel):
    """Inside the service: look at this row."""

    import_id: Id


class CampaignWake(_Camel):
    """Inside the service: look at this campaign, or at this chunk of one."""

    campaign_id: Id | None = None
    chunk_id: Id | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.campaign_id is None) == (self.chunk_id is None):
            raise ValueError("must name a campaignId or a chunkId")
        return self
