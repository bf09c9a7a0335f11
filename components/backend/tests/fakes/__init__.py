"""The ports of the core in memory. The contract suites hold them to what the real adapters do."""

from fakes.announcements import FakeAnnouncements
from fakes.dead_letters import FakeDeadLetters
from fakes.providers import FakeBudget, FakeCircuits
from fakes.replies import FakeReplyInbox
from fakes.task_table import Clock, FakeFailedTasks, FakeTaskTable
from fakes.worker import FakeLifeline, FakeProvider

__all__ = [
    "Clock",
    "FakeAnnouncements",
    "FakeBudget",
    "FakeCircuits",
    "FakeDeadLetters",
    "FakeFailedTasks",
    "FakeLifeline",
    "FakeProvider",
    "FakeReplyInbox",
    "FakeTaskTable",
]
