"""The public JSON of tasks, once for both doors: REST and the queues read and write these very models (ADR 002)."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr

from gonets.core.shared.errors import Category
from gonets.core.tasks.model import MAX_DATA_LENGTH, MAX_TASK_ID, Task, TaskType


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


class TaskFailure(BaseModel):
    """A task ended without a result."""

    task_id: TaskId
    error: TaskError
