"""The REST door, put together."""

from dependency_injector.providers import Dict, List, Singleton

from gonets.adapters.http import health
from gonets.adapters.http import tasks as task_routes
from gonets.adapters.http.app import create_app
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.queries import PostgresTaskQueries, create_engine
from gonets.adapters.postgres.tasks import PostgresTaskIntake
from gonets.adapters.rabbitmq.announcements import RabbitAnnouncements
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.replies import RabbitReplyInbox
from gonets.bootstrap.shared import Shared
from gonets.core.tasks.use_cases import ReadTasks, SubmitTask


class ApiContainer(Shared):
    """The REST door."""

    config = Shared.settings.provided.api
    pool = Singleton(Pool, Shared.database.dsn, size=config.database_connections, timeout=config.database_timeout)
    engine = Singleton(create_engine, Shared.database.dsn, timeout=config.database_timeout)
    publisher = Singleton(Publisher, Shared.rabbit.url, timeout=0.9)
    inbox = Singleton(RabbitReplyInbox, Shared.rabbit.url)

    submit = Singleton(
        SubmitTask, Singleton(PostgresTaskIntake, pool), Singleton(RabbitAnnouncements, publisher), inbox
    )
    read = Singleton(ReadTasks, Singleton(PostgresTaskQueries, engine))
    app = Singleton(
        create_app,
        routers=List(Singleton(task_routes.router, submit, read, config.wait)),
        health=Singleton(health.router, Dict(database=pool.provided.check, broker=inbox.provided.check)),
        documentation=Shared.settings.provided.is_development,
    )
