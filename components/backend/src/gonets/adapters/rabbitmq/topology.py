"""The queues, by their public names, and how they come to be."""

from aiormq.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

TASKS = "TaskProcessingQueue"
DEAD_TASKS = "TaskProcessingQueue.dead"
RESULTS = "TaskResultDeliveryQueue"
FAILURES = "TaskFailureDeliveryQueue"

PUBLIC = (TASKS, DEAD_TASKS, RESULTS, FAILURES)


async def ensure(connection: AbstractConnection, *queues: str) -> None:
    """Makes the public queues that are not there: plain durable, so that an integrator's script may declare them too.

    A queue that exists is left as it is, whatever its arguments: declaring it again with others would be refused (406).
    Each look is made on a channel of its own, because a refused one closes its channel.
    """
    for queue in queues:
        channel = await connection.channel()
        try:
            await channel.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            channel = await connection.channel()
            await channel.queue_declare(queue, durable=True)
        await channel.close()
