"""What becomes of a message: read it, or set it aside where a person can find it and the reason."""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pydantic import BaseModel, ValidationError

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.publisher import PERSISTENT, Outgoing, Publisher
from gonets.contract import TaskMessage
from gonets.core.shared.errors import GonetsError, Invalid
from gonets.core.shared.masking import MASK
from gonets.core.tasks.model import Task
from gonets.wording import keys, merged, place, reason

Model = TypeVar("Model", bound=BaseModel)

REASON_HEADER = "x-gonets-reason"
CATEGORY_HEADER = "x-gonets-category"
QUEUE_HEADER = "x-gonets-queue"
KEY_HEADER = "x-api-key"
THEIR_HEADERS = "x-gonets-their-headers"
TIME_HEADER = "x-gonets-time"


def read_task(body: bytes) -> Task:
    """The task in a message, whatever its content type says. Raises Invalid, with each field that is wrong."""
    return read(TaskMessage, body).to_task()


def read(model: type[Model], body: bytes) -> Model:
    """What the body holds. Raises Invalid, with each field that is wrong."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        wrong = merged(_wrong(detail, model) for detail in error.errors(include_url=False))
        lines = [f"{where}: {why}" if where else why for where, why in wrong]
        raise Invalid(wrong[0][0].partition(".")[0] or "body", "; ".join(lines)) from error


def _wrong(detail: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    where = place(detail)
    return ".".join(map(str, where)), reason(detail, keys(model, where[:-1]))


def without_key(headers: Mapping[str, Any]) -> dict[str, Any]:
    """As a person may read them."""
    return {name: MASK if name.lower() == KEY_HEADER else value for name, value in headers.items()}


Protect = Callable[[Mapping[str, Any], bytes], Mapping[str, Any]]
"""Given the headers of a message and its body: the headers as they may lie in a queue."""


class DeadLetters:
    """Moves a message to the dead queue: body and properties untouched, reason and category in headers.

    The service does this itself, with a confirm, so that nothing depends on a queue's arguments.
    """

    def __init__(
        self,
        publisher: Publisher,
        protect: Protect = lambda headers, _: headers,
        *,
        queue: str = topology.TASKS,
        dead_queue: str = topology.DEAD_TASKS,
    ) -> None:
        self._publisher = publisher
        self._protect = protect
        self._queue = queue
        self._dead_queue = dead_queue

    async def put(self, message: DeliveredMessage, error: GonetsError) -> None:
        """Returns when the message is in the dead queue; then it may be acknowledged. Raises Unavailable."""
        theirs = dict(self._protect(message.header.properties.headers or {}, bytes(message.body)))
        ours = {
            REASON_HEADER: error.reason[:2000],
            CATEGORY_HEADER: error.category.value,
            # Not the routing key: an exchange of the integrator's may have any, and this is where a replay goes.
            QUEUE_HEADER: self._queue,
            TIME_HEADER: datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        try:
            await self._put(message, theirs | ours)
        except Invalid:
            # Headers that we can read and not write, or that leave no room for ours: a person reads them as text.
            await self._put(message, ours | {THEIR_HEADERS: str(without_key(theirs))[:10_000]})

    async def _put(self, message: DeliveredMessage, headers: dict[str, Any]) -> None:
        old = message.header.properties
        properties = Basic.Properties(
            content_type=old.content_type,
            content_encoding=old.content_encoding,
            headers=headers,
            delivery_mode=PERSISTENT,
            correlation_id=old.correlation_id,
            reply_to=old.reply_to,
            message_id=old.message_id or str(uuid.uuid4()),
            timestamp=old.timestamp,
            message_type=old.message_type,
            app_id=old.app_id,
        )
        await self._publisher.publish(Outgoing(self._dead_queue, bytes(message.body), properties))
