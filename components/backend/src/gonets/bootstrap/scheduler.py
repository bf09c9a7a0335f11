"""The process that wakes what is due, put together."""

import time

from dependency_injector.providers import Singleton

from gonets.adapters.phones import PhoneNumbers
from gonets.adapters.postgres.counts import PostgresTaskCounts
from gonets.adapters.postgres.leader import PostgresLeader
from gonets.adapters.postgres.notification_wakes import PostgresNotificationWakes
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.providers import PostgresCircuits
from gonets.adapters.postgres.queries import PostgresTaskQueries, create_engine
from gonets.adapters.postgres.wakes import PostgresTaskWakes
from gonets.adapters.rabbitmq.announcements import RabbitAnnouncements
from gonets.adapters.rabbitmq.notifications import RabbitNotificationNews
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.queues import RabbitQueues
from gonets.adapters.telemetry.metered import MeteredWakes
from gonets.adapters.telemetry.metrics import BatchMetrics, RetentionMetrics, WakeMetrics, create_registry
from gonets.adapters.telemetry.notifications import SelfTestMetrics
from gonets.adapters.telemetry.watch import Watcher
from gonets.bootstrap import campaigns, channels, contacts, imports, retention
from gonets.bootstrap.erasure import erase
from gonets.bootstrap.shared import Shared
from gonets.core.notifications.use_cases import WakeNotifications
from gonets.core.tasks.liveness import Watch
from gonets.core.tasks.use_cases import WakeTasks


class SchedulerContainer(Shared):
    """The process that wakes what is due."""

    config = Shared.settings.provided.scheduler
    registry = Singleton(create_registry, "scheduler")
    pool = Singleton(Pool, Shared.database.dsn, size=2, timeout=5.0)
    leader = Singleton(PostgresLeader, Shared.database.dsn)
    publisher = Singleton(Publisher, Shared.rabbit.url, timeout=5.0, observe=Singleton(BatchMetrics, registry))
    wake = Singleton(
        WakeTasks,
        Singleton(MeteredWakes, Singleton(PostgresTaskWakes, pool), Singleton(WakeMetrics, registry)),
        Singleton(RabbitAnnouncements, publisher),
        Singleton(Watch, silence=config.dead_after, gap=3.0),
        time.monotonic,
    )
    notification_wakes = Singleton(PostgresNotificationWakes, pool)
    wake_notifications = Singleton(WakeNotifications, notification_wakes, Singleton(RabbitNotificationNews, publisher))
    keep_campaigns = Singleton(campaigns.keep, pool, publisher, Shared.settings.provided.campaigns)
    wake_imports = Singleton(imports.wake, pool, publisher, Shared.settings)
    engine = Singleton(create_engine, Shared.database.dsn, timeout=5.0)
    follow_questions = Singleton(contacts.follow, pool, Singleton(PostgresTaskQueries, engine, patience=5.0), publisher)
    senders = Singleton(channels.Senders, Shared.settings)
    self_tests = Singleton(
        channels.self_tests,
        pool,
        Singleton(channels.store, pool, senders.provided.kinds, Shared.settings),
        senders,
        Singleton(PhoneNumbers, Shared.settings.provided.contacts.phone_region),
        Shared.settings,
        Singleton(SelfTestMetrics, registry),
    )
    follow_starts = Singleton(channels.follow_starts, pool, senders, Shared.settings)
    # Of its own: many rows go in one statement.
    retention_pool = Singleton(Pool, Shared.database.dsn, size=1, timeout=60.0)
    remove_expired = Singleton(
        retention.remove_expired,
        retention_pool,
        Shared.settings.provided.retention,
        Singleton(RetentionMetrics, registry),
    )
    erase_contact = Singleton(erase, retention_pool, publisher)
    watching_pool = Singleton(Pool, Shared.database.dsn, size=1, timeout=30.0)
    queues = Singleton(RabbitQueues, Shared.rabbit.url, timeout=5.0)
    watcher = Singleton(
        Watcher,
        Singleton(PostgresTaskCounts, watching_pool),
        Singleton(PostgresCircuits, watching_pool),
        queues,
        registry,
    )
