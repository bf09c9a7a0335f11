"""The queue side, described: FastStream turns these declarations into the AsyncAPI document (make docs).

Nothing here is run. The names and models are those that the consumer and the announcements use.
"""

from faststream.rabbit import RabbitBroker, RabbitQueue
from faststream.specification import AsyncAPI

from gonets.adapters.rabbitmq import topology
from gonets.contract import NotificationMessage, NotificationResult, TaskFailure, TaskMessage, TaskResult


def document(version: str) -> AsyncAPI:
    """The AsyncAPI document of the public queues."""
    broker = RabbitBroker("amqp://guest:guest@localhost:5672/", description="RabbitMQ 3.10 or later")
    broker.publisher(
        RabbitQueue(topology.RESULTS, durable=True),
        schema=TaskResult,
        title=topology.RESULTS,
        description="A task is done. Persistent, confirmed, at least once; `message_id` names the task.",
    )
    broker.publisher(
        RabbitQueue(topology.FAILURES, durable=True),
        schema=TaskFailure,
        title=topology.FAILURES,
        description="A task ended without a result. Persistent, confirmed, at least once.",
    )
    broker.publisher(
        RabbitQueue(topology.DEAD_TASKS, durable=True),
        schema=bytes,
        title=topology.DEAD_TASKS,
        description=(
            "What is no task, and what contradicts an earlier task with the same id: the body untouched, the reason "
            "in the headers `x-gonets-reason` and `x-gonets-category`."
        ),
    )

    broker.publisher(
        RabbitQueue(topology.NOTIFICATION_RESULTS, durable=True),
        schema=NotificationResult,
        title=topology.NOTIFICATION_RESULTS,
        description=(
            "The end of a notification that asked for it. Persistent, confirmed, at least once; told again where more "
            "is learnt later."
        ),
    )
    broker.publisher(
        RabbitQueue(topology.DEAD_NOTIFICATION_REQUESTS, durable=True),
        schema=bytes,
        title=topology.DEAD_NOTIFICATION_REQUESTS,
        description="Requests that cannot be taken: the body untouched, the reason in headers as above.",
    )

    @broker.subscriber(
        RabbitQueue(topology.NOTIFICATION_REQUESTS, durable=True),
        title=topology.NOTIFICATION_REQUESTS,
        description=(
            "A notification to send, the same JSON as `POST /api/v1/notifications`. The header `x-api-key` says whose "
            "it is. A message_id is an idempotency key, too."
        ),
    )
    async def notification(message: NotificationMessage) -> None:
        """See TakeRequest."""

    @broker.subscriber(
        RabbitQueue(topology.TASKS, durable=True),
        title=topology.TASKS,
        description=(
            "A task to do, published to the queue's name through the default exchange, with or without properties. "
            "With `reply_to` the end is sent there too, with its `correlation_id`."
        ),
    )
    async def task(message: TaskMessage) -> None:
        """See TaskConsumer."""

    return AsyncAPI(broker, title="Gonets", version=version, schema_version="3.0.0")
