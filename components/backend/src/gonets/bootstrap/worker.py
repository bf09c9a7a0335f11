"""The process that asks the providers, put together.

To add a provider: write its module beside the others, and put it into `task_providers`, with its gate and policy.
"""

import random
from datetime import timedelta

from dependency_injector.providers import Dict, Factory, List, Object, Singleton

from gonets.adapters.phones import PhoneNumbers
from gonets.adapters.postgres.channels import PostgresChannelOwners
from gonets.adapters.postgres.heeded import PostgresHeeded
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.notifications import PostgresNotifications
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.providers import PostgresBudget, PostgresCircuits
from gonets.adapters.postgres.reports import PostgresReportBook
from gonets.adapters.postgres.suppression import PostgresSuppressions
from gonets.adapters.postgres.tasks import PostgresTasks, new_token
from gonets.adapters.providers.dadata import Dadata
from gonets.adapters.providers.transport import HttpTransport
from gonets.adapters.providers.yandexgpt import YandexGPT
from gonets.adapters.rabbitmq.consumer import TaskConsumer
from gonets.adapters.rabbitmq.outcomes import DeadLetters
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.telemetry.imports import ImportMetrics
from gonets.adapters.telemetry.metered import MeteredCircuits, MeteredClaims, MeteredOutcomes
from gonets.adapters.telemetry.metrics import BatchMetrics, DoorMetrics, ProviderMetrics, TaskMetrics, create_registry
from gonets.adapters.telemetry.notifications import NotificationMetrics
from gonets.bootstrap import campaigns as campaigning
from gonets.bootstrap import channels, imports, watching
from gonets.bootstrap import dispatch as dispatching
from gonets.bootstrap import notifications as notifying
from gonets.bootstrap.identity import AuditOf, identity
from gonets.bootstrap.shared import Shared
from gonets.core.contacts.suppression import HeedOptOuts
from gonets.core.notifications.incoming import TakeIncoming
from gonets.core.notifications.reports import NoteReports
from gonets.core.notifications.use_cases import NoteReceipt
from gonets.core.tasks.circuit import CircuitPolicy
from gonets.core.tasks.gate import Gate, Gates, Pace, permits_of
from gonets.core.tasks.model import TaskType
from gonets.core.tasks.ports import Circuits
from gonets.core.tasks.retry import RetryPolicy
from gonets.core.tasks.use_cases import RunAlone, RunTask, TakeTask, TellTask
from gonets.settings import Dadata as DadataSettings
from gonets.settings import Settings
from gonets.settings import YandexGPT as YandexGPTSettings


def _policy(settings: Settings, *, repeat_unknown: bool) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=settings.worker.max_attempts,
        first_delay=timedelta(seconds=settings.worker.first_delay),
        longest_delay=timedelta(seconds=settings.worker.longest_delay),
        operator_delay=timedelta(seconds=settings.circuit.operator_pause),
        max_age=timedelta(seconds=settings.worker.max_age),
        repeat_unknown=repeat_unknown,
    )


def _circuit_policy(settings: Settings) -> CircuitPolicy:
    return CircuitPolicy(
        failures=settings.circuit.failures,
        first_pause=timedelta(seconds=settings.circuit.first_pause),
        longest_pause=timedelta(seconds=settings.circuit.longest_pause),
        operator_pause=timedelta(seconds=settings.circuit.operator_pause),
    )


def _gate(
    provider: str,
    limits: DadataSettings | YandexGPTSettings,
    pool: Pool,
    lifeline: PostgresLifeline,
    circuits: Circuits,
    policy: CircuitPolicy,
    concurrency: int,
) -> Gate:
    rate = limits.rate
    pace = None
    if rate:
        paced = PostgresBudget(pool, lifeline, f"{provider} a second", rate=rate, in_flight=permits_of(rate))
        pace = Pace(paced, rate)
    return Gate(
        provider,
        PostgresBudget(pool, lifeline, provider, rate=rate, in_flight=limits.max_in_flight),
        circuits,
        policy,
        pace=pace,
        in_flight=limits.max_in_flight,
        most_waiting=max(1, concurrency // 2),
    )


class WorkerContainer(Shared):
    """The process that asks the providers."""

    config = Shared.settings.provided.worker
    dadata = Shared.settings.provided.dadata
    gpt = Shared.settings.provided.yandexgpt

    registry = Singleton(create_registry, "worker")
    batches = Singleton(BatchMetrics, registry)
    provider_metrics = Singleton(ProviderMetrics, registry)
    task_metrics = Singleton(TaskMetrics, registry)
    tracing = Singleton(watching.tracing, Shared.settings, "worker")

    pool = Singleton(Pool, Shared.database.dsn, size=config.database_connections, timeout=config.database_timeout)
    lazy_pool = Singleton(
        Pool, Shared.database.dsn, size=2, timeout=config.database_timeout, lazy_commit=True, beside=pool
    )
    lifeline = Singleton(PostgresLifeline, pool)
    tasks = Singleton(PostgresTasks, pool, lazy_pool, lifeline, batches)
    claims = Singleton(MeteredClaims, tasks, Singleton(DoorMetrics, registry))
    outcomes = Singleton(MeteredOutcomes, tasks, task_metrics)
    publisher = Singleton(Publisher, Shared.rabbit.url, timeout=5.0, observe=batches)
    announcements = Singleton(watching.announcements, publisher, tracing)

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
    )
    dadata_masking = Singleton(watching.masking, dadata.secrets)
    gpt_masking = Singleton(watching.masking, gpt.secrets)
    task_providers = Dict(
        {
            TaskType.PHONE: Singleton(
                watching.provider, phone, "dadata", TaskType.PHONE, provider_metrics, dadata_masking, tracing
            ),
            TaskType.EMAIL: Singleton(
                watching.provider, email, "dadata", TaskType.EMAIL, provider_metrics, dadata_masking, tracing
            ),
            TaskType.GPT: Singleton(
                watching.provider, yandexgpt, "yandexgpt", TaskType.GPT, provider_metrics, gpt_masking, tracing
            ),
        }
    )
    circuits = Singleton(MeteredCircuits, Singleton(PostgresCircuits, pool), provider_metrics)
    circuit_policy = Singleton(_circuit_policy, Shared.settings)
    dadata_gate = Singleton(_gate, "dadata", dadata, pool, lifeline, circuits, circuit_policy, config.concurrency)
    yandexgpt_gate = Singleton(_gate, "yandexgpt", gpt, pool, lifeline, circuits, circuit_policy, config.concurrency)
    task_gates = Dict({TaskType.PHONE: dadata_gate, TaskType.EMAIL: dadata_gate, TaskType.GPT: yandexgpt_gate})
    gates = Singleton(Gates, circuits, List(dadata_gate, yandexgpt_gate))
    policies = Dict(
        {
            TaskType.PHONE: Factory(_policy, Shared.settings, repeat_unknown=dadata.repeat_unknown),
            TaskType.EMAIL: Factory(_policy, Shared.settings, repeat_unknown=dadata.repeat_unknown),
            TaskType.GPT: Factory(_policy, Shared.settings, repeat_unknown=gpt.repeat_unknown),
        }
    )

    people = Singleton(identity, pool, Shared.settings.provided.identity)
    notification_store = Singleton(PostgresNotifications, pool, lazy_pool, lifeline, batches)
    notification_metrics = Singleton(NotificationMetrics, registry)
    typed_phone = Singleton(PhoneNumbers, Shared.settings.provided.contacts.phone_region)
    opt_outs = Singleton(
        HeedOptOuts,
        Singleton(PostgresSuppressions, pool, batches),
        Singleton(AuditOf, people.provided.audit, "suppression"),
    )
    note_receipt = Singleton(NoteReceipt, notification_store, notification_metrics, opt_outs, Object(notifying.now))
    reports = Singleton(
        NoteReports,
        Singleton(PostgresReportBook, pool, batches),
        note_receipt,
        notification_store.provided.strays,
        notification_metrics,
        Object(notifying.now),
    )
    senders = Singleton(
        channels.Senders,
        Shared.settings,
        note_receipt.provided.by_provider_id,
        Singleton(
            TakeIncoming,
            Singleton(PostgresChannelOwners, pool),
            notification_store,
            opt_outs,
            Singleton(PostgresHeeded, pool),
            typed_phone,
        ),
        reports.provided.hand_in,
    )
    ways = Singleton(
        channels.use,
        Singleton(channels.store, pool, senders.provided.kinds, Shared.settings),
        senders.provided.kinds,
        Shared.settings,
    )
    turns = Singleton(notifying.turns, pool, lifeline, Shared.settings)
    notifications = Singleton(
        notifying.work,
        Shared.settings,
        pool,
        notification_store,
        lifeline,
        turns,
        publisher,
        ways,
        senders.provided.kinds,
        senders.provided.smpp,
        typed_phone,
        people.provided.authenticate,
        note_receipt,
        opt_outs,
        Singleton(campaigning.permits, pool),
        batches,
        notification_metrics,
    )

    dispatch = Singleton(
        dispatching.dispatch,
        Shared.settings,
        pool,
        notification_store,
        lifeline,
        turns,
        publisher,
        ways,
        senders.provided.kinds,
        reports,
        opt_outs,
        batches,
        notification_metrics,
    )
    campaigns = Singleton(
        campaigning.work,
        Shared.rabbit.url,
        pool,
        lifeline,
        publisher,
        dispatch.provided.send.abandon,
        dispatch.provided.work,
    )

    # Of its own: a block of rows takes longer than a claim may.
    import_pool = Singleton(Pool, Shared.database.dsn, size=4, timeout=60.0, answers_in=config.database_timeout)
    import_receiver = Singleton(
        imports.work, Shared.settings, import_pool, lifeline, Singleton(ImportMetrics, registry)
    )

    tell = Singleton(TellTask, announcements, outcomes)
    take = Singleton(TakeTask, claims, announcements, tell)
    run = Singleton(
        watching.run,
        Singleton(RunTask, task_providers, task_gates, lifeline, outcomes, tell, policies, random=random.random),
        task_metrics,
        tracing,
    )
    consumer = Singleton(
        TaskConsumer,
        Shared.rabbit.url,
        take,
        run,
        Singleton(RunAlone, outcomes, run),
        Singleton(DeadLetters, publisher),
        concurrency=config.concurrency,
        new_token=new_token,
        continued=Singleton(watching.continued, tracing),
    )
