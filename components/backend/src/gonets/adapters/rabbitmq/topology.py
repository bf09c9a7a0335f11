"""The queues, by their public names, and how they come to be."""

from typing import Any

from aiormq.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

TASKS = "TaskProcessingQueue"
DEAD_TASKS = "TaskProcessingQueue.dead"
RESULTS = "TaskResultDeliveryQueue"
FAILURES = "TaskFailureDeliveryQueue"

NOTIFICATION_REQUESTS = "NotificationRequestQueue"
DEAD_NOTIFICATION_REQUESTS = "NotificationRequestQueue.dead"
NOTIFICATION_RESULTS = "NotificationResultQueue"
NOTIFICATION_DISPATCH = "NotificationDispatchQueue"
NOTIFICATION_URGENT = "NotificationUrgentQueue"
CAMPAIGN_DISPATCH = "CampaignDispatchQueue"
CONTACT_IMPORTS = "ContactImportQueue"

PUBLIC = (
    TASKS,
    DEAD_TASKS,
    RESULTS,
    FAILURES,
    NOTIFICATION_REQUESTS,
    DEAD_NOTIFICATION_REQUESTS,
    NOTIFICATION_RESULTS,
)

INTERNAL = (NOTIFICATION_DISPATCH, NOTIFICATION_URGENT, CAMPAIGN_DISPATCH, CONTACT_IMPORTS)
"""Nobody else's business: wake-ups, and those that do not stand in line behind bulk work. Quorum queues, for nothing of
an integrator depends on them."""

SENDING = frozenset({NOTIFICATION_DISPATCH, NOTIFICATION_URGENT, CAMPAIGN_DISPATCH})
"""Who takes from one of these sends messages."""

SET_ASIDE = {DEAD_TASKS: TASKS, DEAD_NOTIFICATION_REQUESTS: NOTIFICATION_REQUESTS}
"""Where a message of each dead queue came from, and goes when it is replayed."""


async def ensure(connection: AbstractConnection, *queues: str) -> None:
    """Makes the queues that are not there: public ones plain durable, so that an integrator's script may declare them
    too.

    A queue that exists is left as it is, whatever its arguments: declaring it again with others would be refused (406).
    Each look is made on a channel of its own, because a refused one closes its channel.
    """
    for queue in queues:
        channel = await connection.channel()
        try:
            await channel.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            channel = await connection.channel()
            arguments: dict[str, Any] | None = {"x-queue-type": "quorum"} if queue in INTERNAL else None
            await channel.queue_declare(queue, durable=True, arguments=arguments)
        await channel.close()
