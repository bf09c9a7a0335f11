"""The process that wakes what is due, put together."""

import time

from dependency_injector.providers import Singleton

from gonets.adapters.postgres.leader import PostgresLeader
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.wakes import PostgresTaskWakes
from gonets.adapters.rabbitmq.announcements import RabbitAnnouncements
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.bootstrap.shared import Shared
from gonets.core.tasks.liveness import Watch
from gonets.core.tasks.use_cases import WakeTasks


class SchedulerContainer(Shared):
    """The process that wakes what is due."""

    config = Shared.settings.provided.scheduler
    pool = Singleton(Pool, Shared.database.dsn, size=2, timeout=5.0)
    leader = Singleton(PostgresLeader, Shared.database.dsn)
    publisher = Singleton(Publisher, Shared.rabbit.url, timeout=5.0)
    wake = Singleton(
        WakeTasks,
        Singleton(PostgresTaskWakes, pool),
        Singleton(RabbitAnnouncements, publisher),
        Singleton(Watch, silence=config.dead_after, gap=3.0),
        time.monotonic,
    )
