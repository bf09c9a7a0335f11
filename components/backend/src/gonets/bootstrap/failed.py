"""The operator's command, put together."""

from dependency_injector.providers import Singleton

from gonets.adapters.postgres.failed import PostgresFailedTasks
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.rabbitmq.dead_letters import RabbitDeadLetters
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.bootstrap.shared import Shared
from gonets.core.tasks.failed import HandleDeadLetters, HandleFailedTasks


class FailedContainer(Shared):
    """What `gonets failed` needs."""

    pool = Singleton(Pool, Shared.database.dsn, size=1, timeout=30.0)
    publisher = Singleton(Publisher, Shared.rabbit.url, timeout=5.0)
    tasks = Singleton(HandleFailedTasks, Singleton(PostgresFailedTasks, pool))
    dead_letters = Singleton(HandleDeadLetters, Singleton(RabbitDeadLetters, Shared.rabbit.url, publisher))
