"""Routes of tasks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response, params
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.pages import Limit, NextCursor
from gonets.adapters.http.problems import TOO_LARGE, guarded, responses
from gonets.contract import TaskAttemptView, TaskError, TaskMessage, TaskResult
from gonets.core.tasks.model import MAX_TASK_ID, TaskRecord, TaskStatus, TaskType
from gonets.core.tasks.use_cases import ReadTasks, SubmitTask


class TaskView(BaseModel):
    """A task and what has come of it. Times are RFC 3339 in UTC."""

    task_id: int
    task_type: TaskType
    data: str
    status: TaskStatus
    attempts: Annotated[int, Field(description="Provider calls begun, since it was taken or replayed")]
    replays: Annotated[int, Field(description="Times an operator had it tried again")]
    last_error: TaskError | None
    id: Annotated[int | None, Field(description="The row of table integration_service")]
    result: Annotated[Any, Field(description="What the provider answered, all its fields")]
    created_at: datetime
    updated_at: datetime
    next_attempt_at: Annotated[datetime | None, Field(description="Of a parked task")]
    history: Annotated[Sequence[TaskAttemptView], Field(description="Tries that failed; not in lists")] = ()

    @classmethod
    def of(cls, record: TaskRecord) -> "TaskView":
        failure = record.last_failure
        return cls(
            task_id=record.task.task_id,
            task_type=record.task.task_type,
            data=record.task.data,
            status=record.status,
            attempts=record.attempts,
            replays=record.replays,
            last_error=TaskError.of(failure) if failure else None,
            id=record.result_id,
            result=record.result,
            created_at=record.created_at,
            updated_at=record.updated_at,
            next_attempt_at=record.next_attempt_at,
            history=[TaskAttemptView.of(attempt) for attempt in record.history],
        )


class TaskList(BaseModel):
    """One page, newest first."""

    tasks: Sequence[TaskView]
    next_cursor: NextCursor


_LOCATION = {"Location": {"description": "Where the task can be followed", "schema": {"type": "string"}}}
_TAKEN = {"description": "Taken; the end will come later", "headers": _LOCATION, "content": {}}


def router(submit: SubmitTask, read: ReadTasks, wait: timedelta, guards: Sequence[params.Depends] = ()) -> APIRouter:
    """`wait`: how long a client is kept waiting for the end of its task; `guards`: who may, none where everyone may."""
    tasks = APIRouter(
        prefix="/tasks", tags=["tasks"], route_class=JsonRoute, dependencies=guards, responses=guarded(guards)
    )

    @tasks.post(
        "",
        summary="Hand in a task",
        response_model=TaskResult,
        responses={
            202: _TAKEN,
            **responses(
                HTTPStatus.CONFLICT,
                TOO_LARGE,
                HTTPStatus.UNPROCESSABLE_ENTITY,
                HTTPStatus.BAD_GATEWAY,
                HTTPStatus.SERVICE_UNAVAILABLE,
                HTTPStatus.GATEWAY_TIMEOUT,
            ),
        },
    )
    async def submit_task(
        task: TaskMessage,
        prefer: Annotated[str | None, Header(description="`respond-async`: do not wait for the end (RFC 7240)")] = None,
    ) -> Response:
        """Takes the task and waits a while for its end. Sent again with the same content, it gives the same answer and
        is not paid twice."""
        asynchronously = "respond-async" in (prefer or "")
        result_id = await submit(task.to_task(), timedelta(0) if asynchronously else wait)
        if result_id is None:
            headers = {"Location": f"/api/v1/tasks/{task.task_id}"}
            if asynchronously:
                headers["Preference-Applied"] = "respond-async"
            return Response(status_code=HTTPStatus.ACCEPTED, headers=headers)
        return JSONResponse({"task_id": task.task_id, "id": result_id})

    @tasks.get(
        "/{task_id}",
        summary="Look at one task",
        responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    )
    async def get_task(task_id: Annotated[int, Path(ge=1, le=MAX_TASK_ID)]) -> TaskView:
        return TaskView.of(await read.one(task_id))

    @tasks.get(
        "",
        summary="List tasks, newest first",
        responses=responses(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    )
    async def list_tasks(
        status: TaskStatus | None = None,
        task_type: TaskType | None = None,
        cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
        limit: Limit = 50,
    ) -> TaskList:
        page = await read.page(status=status, task_type=task_type, cursor=cursor, limit=limit)
        return TaskList(tasks=[TaskView.of(record) for record in page.records], next_cursor=page.next_cursor)

    return tasks
