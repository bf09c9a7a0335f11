"""Erasing persons, put together: for the API and the scheduler."""

from gonets.adapters.postgres.audit import PostgresAudit
from gonets.adapters.postgres.erasure import PostgresErasures
from gonets.adapters.postgres.notifications import PostgresNotifications
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.rabbitmq.notifications import RabbitNotificationNews
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.telemetry.logged import LoggedAudit
from gonets.bootstrap.identity import AuditOf
from gonets.bootstrap.notifications import now
from gonets.core.notifications.erasure import EraseContact
from gonets.core.notifications.use_cases import ReadNotifications, SteerNotifications


def erase(pool: Pool, publisher: Publisher) -> EraseContact:
    store, audit = PostgresNotifications(pool), LoggedAudit(PostgresAudit(pool))
    read, news = ReadNotifications(store, store), RabbitNotificationNews(publisher)
    steer = SteerNotifications(read, news, AuditOf(audit, "notification"), now)
    return EraseContact(PostgresErasures(pool), steer, AuditOf(audit, "contact"))
