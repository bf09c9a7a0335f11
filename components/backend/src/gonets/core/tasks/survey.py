"""How the whole is doing, in figures: what metrics show and readiness judges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from gonets.core.tasks.model import TaskStatus, TaskType


@dataclass(frozen=True, slots=True)
class Backlog:
    """The tasks that are not done. `oldest`: the age of the oldest one that still has to be answered, by type;
    `overdue`: for how long the most overdue row has been waiting for the scheduler."""

    tasks: Mapping[tuple[TaskType, TaskStatus], int] = field(default_factory=dict)
    oldest: Mapping[TaskType, timedelta] = field(default_factory=dict)
    overdue: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Queue:
    """What the broker says of a queue: messages that are ready, and consumers."""

    messages: int
    consumers: int


class TaskCounts(Protocol):
    """The counting side of the task table. Raises Unavailable while the database is away."""

    async def backlog(self) -> Backlog:
        """MUST NOT look at the tasks that are done: they only grow. Its time may grow with the backlog."""

    async def heartbeats(self) -> Mapping[str, timedelta]:
        """The workers, `host:pid`, and for how long each has been silent."""


class Queues(Protocol):
    """The public queues, looked at from outside."""

    async def look(self) -> Mapping[str, Queue]:
        """By name; a queue that is not there is left out. MUST NOT make or change one. Raises Unavailable."""
