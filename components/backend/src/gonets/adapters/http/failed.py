"""Routes of what needs a person: failed tasks, and messages that are no task and no notification."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, params
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from gonets.adapters.http.bodies import JsonRoute
from gonets.adapters.http.pages import Limit, NextCursor
from gonets.adapters.http.problems import ASKED, TOO_LARGE, guarded, responses
from gonets.contract import DeadLetterView, FailedTaskView, TaskId, within_years
from gonets.core.shared.errors import Category
from gonets.core.tasks.failed import HandleDeadLetters, HandleFailedTasks
from gonets.core.tasks.model import MAX_TASK_ID
from gonets.core.tasks.set_aside import Choice, Handled

_MOST_IDS = 1000


def _no_number(value: object) -> object:
    # pydantic takes numbers for seconds since 1970, in strings too: more likely a mistake than a time.
    if not isinstance(value, str | datetime) or (isinstance(value, str) and "-" not in value[1:]):
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z")
    return value


Time = Annotated[AwareDatetime, AfterValidator(within_years), BeforeValidator(_no_number)]
ReasonPart = Annotated[str, Field(min_length=1, max_length=500, description="A part of the reason")]
Since = Annotated[Time, Field(description="Failed, or set aside, at this time or later")]
Until = Annotated[Time, Field(description="Failed, or set aside, before this time")]


class _Which(BaseModel):
    # A condition that is misspelt must not be one condition less.
    model_config = ConfigDict(extra="forbid")

    category: Category | None = None
    reason: ReasonPart | None = None
    since: Since | None = None
    until: Until | None = None
    all: Annotated[StrictBool, Field(description="Must be true where nothing else says which ones")] = False


class WhichTasks(_Which):
    """Which failed tasks: those that meet every condition."""

    ids: Annotated[list[TaskId] | None, Field(min_length=1, max_length=_MOST_IDS, examples=[[1]])] = None

    def to_choice(self) -> Choice[int]:
        return Choice(ids=self.ids, category=self.category, reason=self.reason, since=self.since, until=self.until)


class WhichMessages(_Which):
    """Which dead letters: those that meet every condition."""

    ids: Annotated[list[str] | None, Field(min_length=1, max_length=_MOST_IDS, examples=[["m0123456789abcdef"]])] = None

    def to_choice(self) -> Choice[str]:
        return Choice(ids=self.ids, category=self.category, reason=self.reason, since=self.since, until=self.until)


class FailedTaskList(BaseModel):
    """One page, latest failure first."""

    tasks: Sequence[FailedTaskView]
    next_cursor: NextCursor


class DeadLetterList(BaseModel):
    """Dead letters, oldest first."""

    messages: Sequence[DeadLetterView]
    complete: Annotated[bool, Field(description="false: there are more; narrow the choice, or handle these first")]


class HandledView(BaseModel):
    """What was done."""

    count: Annotated[int, Field(description="Replayed, or dropped")]
    complete: Annotated[bool, Field(description="false: some of the chosen were left; ask again")]

    @classmethod
    def of(cls, handled: Handled) -> "HandledView":
        return cls(count=handled.count, complete=handled.complete)


def router(
    tasks: HandleFailedTasks,
    letters: HandleDeadLetters,
    task_guards: Sequence[params.Depends] = (),
    letter_guards: Sequence[params.Depends] = (),
) -> APIRouter:
    """`/failed/tasks` and `/failed/messages`: list, look, replay, drop. Guards: who may, none where everyone may."""
    failed = APIRouter(prefix="/failed", route_class=JsonRoute)
    failed.include_router(_tasks(tasks), dependencies=task_guards, responses=guarded(task_guards))
    failed.include_router(_messages(letters), dependencies=letter_guards, responses=guarded(letter_guards))
    return failed


def _tasks(handle: HandleFailedTasks) -> APIRouter:
    tasks = APIRouter(prefix="/tasks", tags=["failed tasks"], route_class=JsonRoute)

    @tasks.get("", summary="List failed tasks, latest first", responses=responses(*ASKED))
    async def list_failed_tasks(
        category: Category | None = None,
        reason: ReasonPart | None = None,
        since: Since | None = None,
        until: Until | None = None,
        cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
        limit: Limit = 50,
    ) -> FailedTaskList:
        """Dropped ones are not listed."""
        chosen: Choice[int] = Choice(category=category, reason=reason, since=since, until=until)
        page = await handle.page(chosen, cursor=cursor, limit=limit)
        return FailedTaskList(tasks=[FailedTaskView.of(task) for task in page.tasks], next_cursor=page.next_cursor)

    @tasks.post(
        "/replay", summary="Have failed tasks tried again", responses=responses(HTTPStatus.CONFLICT, TOO_LARGE, *ASKED)
    )
    async def replay_failed_tasks(which: WhichTasks) -> HandledView:
        """They are due at once, with all their attempts, and keep their history. A task that has a result is never
        touched; one whose failure is still being told is left. Named by its id, a dropped one is taken back; one that
        asked about a person who was erased is 409, and none is tried again."""
        return HandledView.of(await handle.replay(which.to_choice(), everything=which.all))

    @tasks.post("/drop", summary="Give failed tasks up", responses=responses(TOO_LARGE, *ASKED))
    async def drop_failed_tasks(which: WhichTasks) -> HandledView:
        """They stay failed, so that a late copy is told so and not paid for, but are not listed here any more."""
        return HandledView.of(await handle.drop(which.to_choice(), everything=which.all))

    @tasks.get("/{task_id:int}", summary="Look at one failed task", responses=responses(HTTPStatus.NOT_FOUND, *ASKED))
    async def get_failed_task(task_id: Annotated[int, Path(ge=1, le=MAX_TASK_ID)]) -> FailedTaskView:
        """With every try that failed, those before a replay included; dropped or not."""
        return FailedTaskView.of(await handle.one(task_id))

    return tasks


def _messages(handle: HandleDeadLetters) -> APIRouter:
    messages = APIRouter(prefix="/messages", tags=["dead letters"], route_class=JsonRoute)

    @messages.get("", summary="List dead letters, oldest first", responses=responses(*ASKED))
    async def list_dead_letters(
        category: Category | None = None,
        reason: ReasonPart | None = None,
        since: Since | None = None,
        until: Until | None = None,
        limit: Limit = 50,
    ) -> DeadLetterList:
        """Reads `TaskProcessingQueue.dead` and `NotificationRequestQueue.dead` and puts everything back. What somebody
        else has in hand is not seen."""
        page = await handle.page(Choice(category=category, reason=reason, since=since, until=until), limit=limit)
        letters = [DeadLetterView.of(letter, whole=False) for letter in page.letters]
        return DeadLetterList(messages=letters, complete=page.complete)

    @messages.post("/replay", summary="Send dead letters again", responses=responses(TOO_LARGE, *ASKED))
    async def replay_dead_letters(which: WhichMessages) -> HandledView:
        """To the queue they came from, body and properties as they were. What is still wrong comes back."""
        return HandledView.of(await handle.replay(which.to_choice(), everything=which.all))

    @messages.post("/drop", summary="Throw dead letters away", responses=responses(TOO_LARGE, *ASKED))
    async def drop_dead_letters(which: WhichMessages) -> HandledView:
        """They are gone."""
        return HandledView.of(await handle.drop(which.to_choice(), everything=which.all))

    @messages.get("/{message_id}", summary="Look at one dead letter", responses=responses(HTTPStatus.NOT_FOUND, *ASKED))
    async def get_dead_letter(
        message_id: Annotated[str, Path(description="The `id` in the list")],
    ) -> DeadLetterView:
        """With its whole body."""
        return DeadLetterView.of(await handle.one(message_id), whole=True)

    return messages
