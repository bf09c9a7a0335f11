"""Tasks, their results, and what failed."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr

from gonets.contract.fields import no_nul
from gonets.core.shared.errors import Category
from gonets.core.tasks.model import MAX_DATA_LENGTH, MAX_TASK_ID, Attempt, Failure, Task, TaskType
from gonets.core.tasks.set_aside import DeadLetter, FailedTask

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
            # Says to readers and fuzzers what no_nul checks, in the regular expressions of JSON Schema.
            json_schema_extra={"pattern": "^[^\\u0000]*$"},
            description="A phone number, an e-mail address or a text, as a person typed it",
            examples=["8 916 823 34 54"],
        ),
        AfterValidator(no_nul),
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


class TaskAttemptView(BaseModel):
    """A try that failed."""

    number: int
    ended_at: datetime
    error: TaskError
    answer: ProviderWords

    @classmethod
    def of(cls, attempt: Attempt) -> "TaskAttemptView":
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
    history: Annotated[Sequence[TaskAttemptView], Field(description="Tries that failed; not in lists")] = ()

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
            history=[TaskAttemptView.of(attempt) for attempt in failed.history],
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
