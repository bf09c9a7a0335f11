"""The REST door, put together."""

import asyncio

from dependency_injector.providers import Dict, List, Object, Singleton

from gonets.adapters.http import api_keys as api_key_routes
from gonets.adapters.http import audiences as audience_routes
from gonets.adapters.http import auth as auth_routes
from gonets.adapters.http import callbacks as callback_routes
from gonets.adapters.http import campaigns as campaign_routes
from gonets.adapters.http import channels as channel_routes
from gonets.adapters.http import chat_links as chat_link_routes
from gonets.adapters.http import contacts as contact_routes
from gonets.adapters.http import erasure as erasure_routes
from gonets.adapters.http import failed as failed_routes
from gonets.adapters.http import health
from gonets.adapters.http import history as history_routes
from gonets.adapters.http import imports as import_routes
from gonets.adapters.http import notifications as notification_routes
from gonets.adapters.http import suppression as suppression_routes
from gonets.adapters.http import tasks as task_routes
from gonets.adapters.http import templates as template_routes
from gonets.adapters.http import users as user_routes
from gonets.adapters.http.app import PREFIX, create_app
from gonets.adapters.http.security import Security
from gonets.adapters.phones import PhoneNumbers
from gonets.adapters.postgres.campaigns import PostgresAudiences
from gonets.adapters.postgres.channels import PostgresChannelOwners
from gonets.adapters.postgres.failed import PostgresFailedTasks
from gonets.adapters.postgres.heeded import PostgresHeeded
from gonets.adapters.postgres.history import PostgresHistories
from gonets.adapters.postgres.notifications import PostgresNotifications
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.providers import PostgresCircuits
from gonets.adapters.postgres.queries import PostgresTaskQueries, create_engine
from gonets.adapters.postgres.suppression import PostgresSuppressions
from gonets.adapters.postgres.tasks import PostgresTaskIntake
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.dead_letters import RabbitDeadLetters
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.queues import RabbitQueues
from gonets.adapters.rabbitmq.replies import RabbitReplyInbox
from gonets.adapters.telemetry.metered import MeteredIntake
from gonets.adapters.telemetry.metrics import BatchMetrics, DoorMetrics, HttpMetrics, create_registry
from gonets.adapters.telemetry.notifications import NotificationMetrics
from gonets.bootstrap import campaigns as campaigning
from gonets.bootstrap import channels, imports, templates, watching
from gonets.bootstrap import contacts as contact_parts
from gonets.bootstrap import notifications as notifying
from gonets.bootstrap.erasure import erase
from gonets.bootstrap.identity import AuditOf, identity
from gonets.bootstrap.shared import Shared
from gonets.core.channels.use_cases import ManageChannels
from gonets.core.contacts.suppression import HeedOptOuts, ManageSuppressions
from gonets.core.identity.model import Scope
from gonets.core.notifications.incoming import TakeIncoming
from gonets.core.notifications.use_cases import NoteReceipt
from gonets.core.reports.history import ReadHistory, Subject
from gonets.core.tasks.failed import HandleDeadLetters, HandleFailedTasks
from gonets.core.tasks.use_cases import ReadTasks, SubmitTask


def _body_limits(most: int) -> dict[str, int]:
    """Of those routes that take files."""
    return {**import_routes.body_limits(most), **suppression_routes.body_limits(most)}


class ApiContainer(Shared):
    """The REST door."""

    config = Shared.settings.provided.api
    closing = Singleton(asyncio.Event)
    """Set when the process is about to leave: what would be answered for ever ends then."""
    pool = Singleton(Pool, Shared.database.dsn, size=config.database_connections, timeout=config.database_timeout)
    engine = Singleton(create_engine, Shared.database.dsn, timeout=config.database_timeout)
    registry = Singleton(create_registry, "api")
    batches = Singleton(BatchMetrics, registry)
    tracing = Singleton(watching.tracing, Shared.settings, "api")
    publisher = Singleton(Publisher, Shared.rabbit.url, timeout=0.7, observe=batches)
    queues = Singleton(RabbitQueues, Shared.rabbit.url, timeout=0.9)
    inbox = Singleton(RabbitReplyInbox, Shared.rabbit.url)

    intake = Singleton(
        MeteredIntake,
        Singleton(PostgresTaskIntake, pool, batches, timeout=config.database_timeout),
        Singleton(DoorMetrics, registry),
    )
    submit = Singleton(SubmitTask, intake, Singleton(watching.announcements, publisher, tracing), inbox)
    read = Singleton(ReadTasks, Singleton(PostgresTaskQueries, engine, patience=config.database_timeout))
    # Of its own: an operator's "all" takes longer than a client's task may.
    operator_pool = Singleton(Pool, Shared.database.dsn, size=2, timeout=5.0, answers_in=config.database_timeout)
    failed = Singleton(HandleFailedTasks, Singleton(PostgresFailedTasks, operator_pool))
    dead_letters = Singleton(HandleDeadLetters, Singleton(RabbitDeadLetters, Shared.rabbit.url, publisher))
    people = Singleton(identity, pool, Shared.settings.provided.identity)
    security = Singleton(Security, people.provided.authenticate, tasks_open=Shared.settings.provided.tasks_open)
    phone = Singleton(PhoneNumbers, Shared.settings.provided.contacts.phone_region)
    # Of its own: an export, or a count of millions, takes its time.
    crowd_pool = Singleton(Pool, Shared.database.dsn, size=4, timeout=60.0, answers_in=config.database_timeout)
    contacts = Singleton(contact_parts.doors, pool, crowd_pool, phone, people.provided.audit)
    notification_metrics = Singleton(NotificationMetrics, registry)
    suppressions = Singleton(PostgresSuppressions, pool, batches)
    suppression_audit = Singleton(AuditOf, people.provided.audit, "suppression")
    opt_outs = Singleton(HeedOptOuts, suppressions, suppression_audit)
    notification_store = Singleton(PostgresNotifications, pool, observe=batches)
    # A session with an SMS centre, once a test has opened it, is brought the receipts of the workers' messages, too.
    note_receipt = Singleton(NoteReceipt, notification_store, notification_metrics, opt_outs, Object(notifying.now))
    take_incoming = Singleton(
        TakeIncoming,
        Singleton(PostgresChannelOwners, pool),
        notification_store,
        opt_outs,
        Singleton(PostgresHeeded, pool),
        phone,
    )
    senders = Singleton(channels.Senders, Shared.settings, note_receipt.provided.by_provider_id, take_incoming)
    channel_store = Singleton(channels.store, pool, senders.provided.kinds, Shared.settings)
    manage_channels = Singleton(
        ManageChannels, channel_store, senders.provided.kinds, Singleton(AuditOf, people.provided.audit, "channel")
    )
    usable_channels = Singleton(channels.use, channel_store, senders.provided.kinds, Shared.settings)
    notifications = Singleton(
        notifying.doors,
        pool,
        publisher,
        usable_channels,
        senders.provided.kinds,
        phone,
        Shared.settings.provided.notifications,
        batches,
        note_receipt,
        take_incoming,
        Singleton(AuditOf, people.provided.audit, "notification"),
        config.database_timeout,
    )
    texts = Singleton(
        templates.doors,
        pool,
        Singleton(AuditOf, people.provided.audit, "template"),
        Shared.settings.provided.sms,
    )
    campaigns = Singleton(
        campaigning.doors,
        pool,
        publisher,
        usable_channels,
        Singleton(PostgresAudiences, pool),
        Singleton(AuditOf, people.provided.audit, "campaign"),
        senders.provided.kinds,
        crowd_pool,
        Shared.settings,
    )
    histories = Singleton(PostgresHistories, pool)
    app = Singleton(
        create_app,
        routers=List(
            # Before the contacts, by whose ids it would be taken for one.
            Singleton(
                import_routes.router,
                Singleton(
                    imports.doors,
                    pool,
                    publisher,
                    Singleton(AuditOf, people.provided.audit, "import"),
                    Shared.settings,
                ),
                security.provided.principal.call(Scope.CONTACTS),
            ),
            Singleton(task_routes.router, submit, read, config.wait, security.provided.tasks.call()),
            Singleton(
                failed_routes.router,
                failed,
                dead_letters,
                security.provided.tasks.call(),
                security.provided.dead_letters.call(),
            ),
            Singleton(auth_routes.router, people.provided.sign_in, people.provided.own, security),
            Singleton(api_key_routes.router, people.provided.keys, security),
            Singleton(user_routes.router, people.provided.users, people.provided.read_audit, security),
            Singleton(
                contact_routes.router,
                contacts.provided.manage,
                contacts.provided.export,
                contacts.provided.tag,
                contacts.provided.enrich,
                security.provided.principal.call(Scope.CONTACTS),
            ),
            Singleton(
                audience_routes.router,
                contacts.provided.audiences,
                security.provided.principal.call(Scope.CONTACTS),
            ),
            Singleton(
                erasure_routes.router,
                Singleton(erase, operator_pool, publisher),
                security.provided.principal.call(Scope.CONTACTS),
            ),
            Singleton(
                chat_link_routes.router,
                Singleton(channels.link_chat, pool, usable_channels, senders.provided.bots),
                security.provided.principal.call(Scope.CONTACTS),
            ),
            Singleton(
                channel_routes.router,
                manage_channels,
                Singleton(channels.try_channel, manage_channels, pool, phone, Shared.settings),
                security.provided.principal.call(Scope.CHANNELS),
            ),
            Singleton(
                notification_routes.router,
                notifications.provided.submit,
                notifications.provided.read,
                notifications.provided.steer,
                security.provided.principal.call(Scope.NOTIFICATIONS),
            ),
            Singleton(
                template_routes.router,
                texts.provided.manage,
                texts.provided.preview,
                Shared.settings.provided.sms.currency,
                security.provided.principal.call(Scope.NOTIFICATIONS),
            ),
            Singleton(
                suppression_routes.router,
                Singleton(ManageSuppressions, suppressions, phone, suppression_audit),
                security.provided.principal.call(Scope.CONTACTS),
            ),
            Singleton(
                campaign_routes.router,
                campaigns.provided.manage,
                campaigns.provided.steer,
                campaigns.provided.send_to_all,
                campaigns.provided.dry_run,
                closing,
                security.provided.principal.call(Scope.NOTIFICATIONS),
            ),
            Singleton(
                history_routes.of_contacts,
                Singleton(ReadHistory, histories, Subject.CONTACT),
                security.provided.principal.call(Scope.CONTACTS),
            ),
            Singleton(
                history_routes.of_campaigns,
                Singleton(ReadHistory, histories, Subject.CAMPAIGN),
                security.provided.principal.call(Scope.NOTIFICATIONS),
            ),
            Singleton(
                history_routes.of_notifications,
                Singleton(ReadHistory, histories, Subject.NOTIFICATION),
                security.provided.principal.call(Scope.NOTIFICATIONS),
            ),
            Singleton(callback_routes.router, notifications.provided.callback, notifications.provided.incoming),
        ),
        health=Singleton(
            health.router,
            needed=Dict(database=pool.provided.check),
            wanted=Dict(
                broker=inbox.provided.check,
                queues=Singleton(health.consumed, queues, topology.TASKS),
                providers=Singleton(health.closed, Singleton(PostgresCircuits, pool)),
            ),
        ),
        documentation=Shared.settings.provided.docs_open,
        first=List(Singleton(callback_routes.short, notifications.provided.callback, PREFIX)),
        longer=Singleton(_body_limits, Shared.settings.provided.files.most_bytes),
    )
    served = Singleton(watching.app, app, registry, Singleton(HttpMetrics, registry), tracing)
