"""Which workers keep sessions with SMS centres."""

from dataclasses import dataclass

import pytest

from gonets.entrypoints.worker import _sends, _wanted

QUEUES = [
    "TaskProcessingQueue",
    "NotificationRequestQueue",
    "NotificationDispatchQueue",
    "NotificationUrgentQueue",
    "CampaignDispatchQueue",
    "ContactImportQueue",
]


@dataclass
class Taking:
    """As a receiver: from this queue."""

    queue: str


@pytest.mark.parametrize(
    ("named", "sends"),
    [
        (set(), True),
        ({"NotificationDispatchQueue"}, True),
        ({"NotificationUrgentQueue", "TaskProcessingQueue"}, True),
        ({"CampaignDispatchQueue"}, True),
        ({"TaskProcessingQueue", "NotificationRequestQueue", "ContactImportQueue"}, False),
    ],
)
def test_only_a_worker_by_which_messages_leave_listens_for_their_receipts(named, sends):
    assert _sends(_wanted([Taking(queue) for queue in QUEUES], named)) is sends
