"""What is told by queue, and how it looks on the wire."""

import logging
import uuid
from collections.abc import Callable
from typing import Any

from pamqp.commands import Basic

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.publisher import PERSISTENT, NotTaken, Outgoing, Publisher
from gonets.contract import TaskError, TaskFailure, TaskMessage, TaskResult
from gonets.core.shared.errors import Invalid
from gonets.core.tasks.model import Failure, Task, Waiter

log = logging.getLogger(__name__)


class RabbitAnnouncements:
    """Implements Announcements. `headers`: what each message carries besides, a trace's context for one."""

    def __init__(self, publisher: Publisher, headers: Callable[[], dict[str, Any]] | None = None) -> None:
        self._publisher = publisher
        self._headers = headers

    async def result(self, task_id: int, result_id: int) -> None:
        body = _end(task_id, result_id)
        await self._publisher.publish(Outgoing(topology.RESULTS, body, self._properties(f"task-{task_id}-result")))

    async def failure(self, task_id: int, failure: Failure) -> None:
        body = _end(task_id, failure)
        await self._publisher.publish(Outgoing(topology.FAILURES, body, self._properties(f"task-{task_id}-failure")))

    async def reply(self, waiter: Waiter, task_id: int, outcome: int | Failure) -> None:
        properties = self._properties(str(uuid.uuid4()), waiter.correlation_id)
        # Not mandatory: direct reply-to reports NO_ROUTE although it delivers.
        try:
            await self._publisher.publish(
                Outgoing(waiter.reply_to, _end(task_id, outcome), properties, mandatory=False)
            )
        # A waiter's queue that is full must not hold up the end itself, and be told it again and again.
        except (Invalid, NotTaken) as error:
            log.warning("no message can reach a waiter", extra={"task_id": task_id, "reason": error.reason})

    async def wake(self, task: Task) -> None:
        body = TaskMessage.from_task(task).model_dump_json().encode()
        await self._publisher.publish(Outgoing(topology.TASKS, body, self._properties(f"task-{task.task_id}")))

    def _properties(self, message_id: str, correlation_id: str | None = None) -> Basic.Properties:
        return Basic.Properties(
            content_type="application/json",
            headers=self._headers() or None if self._headers else None,
            delivery_mode=PERSISTENT,
            message_id=message_id,
            correlation_id=correlation_id,
        )


def _end(task_id: int, outcome: int | Failure) -> bytes:
    if isinstance(outcome, Failure):
        error = TaskError.model_construct(category=outcome.category, reason=outcome.reason)
        return TaskFailure.model_construct(task_id=task_id, error=error).model_dump_json().encode()
    return TaskResult.model_construct(task_id=task_id, id=outcome).model_dump_json().encode()
