"""The ports of the core in memory. The contract suites hold them to what the real adapters do."""

from fakes.announcements import FakeAnnouncements
from fakes.providers import FakeBudget, FakeCircuits
from fakes.replies import FakeReplyInbox
from fakes.task_table import Clock, FakeTaskTable
from fakes.worker import FakeLifeline, FakeProvider

__all__ = [
    "Clock",
    "FakeAnnouncements",
    "FakeBudget",
    "FakeCircuits",
    "FakeLifeline",
    "FakeProvider",
    "FakeReplyInbox",
    "FakeTaskTable",
]
