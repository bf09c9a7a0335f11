"""The composition: the only place that knows everything, read top to bottom.

Each process builds the container and asks it for the part it runs. To add a provider: write its module beside the
others and put it into `task_providers`.
"""

import random
import time
from datetime import timedelta

from dependency_injector import containers
from dependency_injector.providers import Dict, Factory, List, Singleton
from sqlalchemy.ext.asyncio import create_async_engine

from gonets.adapters.http import health
from gonets.adapters.http import tasks as task_routes
from gonets.adapters.http.app import create_app
from gonets.adapters.postgres.leader import PostgresLeader
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.queries import PostgresTaskQueries
from gonets.adapters.postgres.tasks import PostgresTaskIntake, PostgresTasks, PostgresTaskWakes, new_token
from gonets.adapters.providers.dadata import Dadata
from gonets.adapters.providers.transport import HttpTransport
from gonets.adapters.providers.yandexgpt import YandexGPT
from gonets.adapters.rabbitmq.announcements import RabbitAnnouncements
from gonets.adapters.rabbitmq.consumer import TaskConsumer
from gonets.adapters.rabbitmq.outcomes import DeadLetters
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.replies import RabbitReplyInbox
from gonets.core.tasks.liveness import Watch
from gonets.core.tasks.model import TaskType
from gonets.core.tasks.retry import RetryPolicy
from gonets.core.tasks.use_cases import ReadTasks, RunTask, SubmitTask, TakeTask, TellTask, WakeTasks
from gonets.settings import Settings


def _policy(settings: Settings, *, repeat_unknown: bool) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=settings.worker.max_attempts,
        first_delay=timedelta(seconds=settings.worker.first_delay),
        longest_delay=timedelta(seconds=settings.worker.longest_delay),
        repeat_unknown=repeat_unknown,
    )


class Shared(containers.DeclarativeContainer):
    """What every process has."""

    settings = Singleton(Settings)
    database = settings.provided.database
    rabbit = settings.provided.rabbit


class ApiContainer(Shared):
    """The REST door."""

    config = Shared.settings.provided.api
    pool = Singleton(
        Pool, Shared.database.dsn, size=config.database_connections, timeout=config.database_timeout
    )
    engine = Singleton(
        create_async_engine,
        Shared.database.url,
        pool_pre_ping=True,
        pool_size=2,
        pool_timeout=config.database_timeout,
        connect_args=Dict(timeout=config.database_timeout, command_timeout=5.0),
    )
    publisher = Singleton(Publisher, Shared.rabbit.url, timeout=0.9)
    inbox = Singleton(RabbitReplyInbox, Shared.rabbit.url)

    submit = Singleton(SubmitTask, Singleton(PostgresTaskIntake, pool), Singleton(RabbitAnnouncements, publisher), inbox)
    read = Singleton(ReadTasks, Singleton(PostgresTaskQueries, engine))
    app = Singleton(
        create_app,
        routers=List(Singleton(task_routes.router, submit, read, config.wait)),
        health=Singleton(health.router, Dict(database=pool.provided.check, broker=inbox.provided.check)),
        documentation=Shared.settings.provided.is_development,
    )


class WorkerContainer(Shared):
    """The process that asks the providers."""

    config = Shared.settings.provided.worker
    dadata = Shared.settings.provided.dadata
    gpt = Shared.settings.provided.yandexgpt

    pool = Singleton(
        Pool, Shared.database.dsn, size=config.database_connections, timeout=config.database_timeout
    )
    lazy_pool = Singleton(Pool, Shared.database.dsn, size=2, timeout=config.database_timeout, lazy_commit=True)
    lifeline = Singleton(PostgresLifeline, pool)
    tasks = Singleton(PostgresTasks, pool, lazy_pool, lifeline)
    publisher = Singleton(Publisher, Shared.rabbit.url, timeout=5.0)
    announcements = Singleton(RabbitAnnouncements, publisher)

    transport = Singleton(HttpTransport, timeout=dadata.timeout)
    phone = Singleton(
        Dadata,
        "phone",
        transport,
        dadata.phone_api_url,
        dadata.api_key.get_secret_value.call(),
        dadata.secret_key.get_secret_value.call(),
    )
    email = Singleton(
        Dadata,
        "email",
        transport,
        dadata.email_api_url,
        dadata.api_key.get_secret_value.call(),
        dadata.secret_key.get_secret_value.call(),
    )
    yandexgpt = Singleton(
        YandexGPT,
        endpoint=gpt.endpoint,
        insecure=gpt.insecure,
        folder_id=gpt.folder_id,
        api_key=gpt.api_key.get_secret_value.call(),
        iam_token=gpt.iam_token.get_secret_value.call(),
        model=gpt.model,
        system_prompt=gpt.system_prompt,
        temperature=gpt.temperature,
        max_tokens=gpt.max_tokens,
        timeout=gpt.timeout,
        max_in_flight=gpt.max_in_flight,
    )
    task_providers = Dict({TaskType.PHONE: phone, TaskType.EMAIL: email, TaskType.GPT: yandexgpt})
    policies = Dict(
        {
            TaskType.PHONE: Factory(_policy, Shared.settings, repeat_unknown=dadata.repeat_unknown),
            TaskType.EMAIL: Factory(_policy, Shared.settings, repeat_unknown=dadata.repeat_unknown),
            TaskType.GPT: Factory(_policy, Shared.settings, repeat_unknown=gpt.repeat_unknown),
        }
    )

    tell = Singleton(TellTask, announcements, tasks)
    take = Singleton(TakeTask, tasks, announcements, tell)
    run = Singleton(RunTask, task_providers, lifeline, tasks, tell, policies, random=random.random)
    consumer = Singleton(
        TaskConsumer,
        Shared.rabbit.url,
        take,
        run,
        Singleton(DeadLetters, publisher),
        concurrency=config.concurrency,
        new_token=new_token,
    )


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
