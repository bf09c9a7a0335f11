"""Notifications, put together: for the API, the worker and the scheduler."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gonets.adapters.crypto.vault import AesVault
from gonets.adapters.postgres.contacts import PostgresContacts
from gonets.adapters.postgres.identity import PostgresUsers
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.notification_intake import PostgresNotificationIntake
from gonets.adapters.postgres.notification_wakes import PostgresPauses
from gonets.adapters.postgres.notifications import PostgresNotifications
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.providers import PostgresBudget
from gonets.adapters.postgres.reports import PostgresReportBook
from gonets.adapters.providers import twilio_calls
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.notifications import Owner, RabbitNotificationNews, SealedKeys, TakeRequest, TakeWake
from gonets.adapters.rabbitmq.outcomes import DeadLetters
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.receiver import Receiver, whole
from gonets.bootstrap.templates import TemplatesOf, render
from gonets.core.channels.model import Channel, ChannelType, Incoming, Receipt, Recipient, UnknownStatus
from gonets.core.channels.ports import ChannelKinds, ChannelsOf, Listening
from gonets.core.channels.use_cases import UseChannels
from gonets.core.identity.model import Scope
from gonets.core.identity.use_cases import Authenticate
from gonets.core.notifications.callbacks import TakeCallback
from gonets.core.notifications.dispatch import CallbackUrl, FindRoute, RunNotification, new_stamp
from gonets.core.notifications.incoming import IncomingUrl, TakeIncoming, TakeIncomingCall
from gonets.core.notifications.listening import ListenForReceipts
from gonets.core.notifications.ports import Observer, Permits, Phone, Suppressions
from gonets.core.notifications.recent import RecentChannels
from gonets.core.notifications.reports import NoteReports
from gonets.core.notifications.routing import OfUnknown, RoutingPolicy
from gonets.core.notifications.turns import ChannelTurns
from gonets.core.notifications.use_cases import (
    NoteReceipt,
    ReadNotifications,
    SteerNotifications,
    SubmitNotification,
)
from gonets.core.shared.audit import AuditOfMany
from gonets.core.shared.batching import Observe
from gonets.core.shared.errors import Forbidden, Unauthenticated
from gonets.core.tasks.gate import permits_of
from gonets.settings import Notifications as NotificationSettings
from gonets.settings import Settings


def now() -> datetime:
    return datetime.now(UTC)


def policy(settings: NotificationSettings) -> RoutingPolicy:
    return RoutingPolicy(
        max_attempts=settings.max_attempts,
        first_delay=timedelta(seconds=settings.first_delay),
        longest_delay=timedelta(seconds=settings.longest_delay),
        grace=timedelta(seconds=settings.grace),
        of_unknown=OfUnknown(settings.of_unknown),
        first_inquiry=timedelta(seconds=settings.first_inquiry),
        first_reminder=timedelta(seconds=settings.first_reminder),
        receipt_patience=timedelta(seconds=settings.receipt_patience),
    )


_CALLED_BACK = {ChannelType.SMS_TWILIO: "twilio"}


def callback_url(settings: NotificationSettings) -> CallbackUrl:
    """Where each type's provider reports, by the public URL."""
    base = settings.public_url.rstrip("/")

    def url(channel_type: ChannelType, reference: str) -> str | None:
        path = _CALLED_BACK.get(channel_type)
        return f"{base}/api/v1/callbacks/{path}/{reference}" if base and path else None

    return url


def incoming_url(settings: NotificationSettings) -> IncomingUrl:
    """Where each type's provider brings what people write to a channel's number, by the public URL."""
    base = settings.public_url.rstrip("/")

    def url(channel_type: ChannelType, channel_id: int) -> str | None:
        path = _CALLED_BACK.get(channel_type)
        return f"{base}/api/v1/callbacks/{path}/{channel_id}/incoming" if base and path else None

    return url


def read_callback(channel: Channel, url: str, body: bytes, signature: str) -> Receipt | UnknownStatus | None:
    """Twilio's; no other provider calls us."""
    return twilio_calls.callback(url, body, signature, str(channel.configuration["authToken"]))


def read_incoming(channel: Channel, url: str, body: bytes, signature: str) -> Incoming | None:
    """Twilio's; no other provider calls us."""
    return twilio_calls.incoming(url, body, signature, str(channel.configuration["authToken"]))


@dataclass(frozen=True, slots=True)
class ContactsOf:
    """Contacts, as notifications see them."""

    contacts: PostgresContacts

    async def recipient(self, owner_id: int, contact_id: int) -> Recipient | None:
        found = await self.contacts.get(owner_id, contact_id)
        return Recipient(found.telegram_chat_id, found.email, found.phone) if found else None


@dataclass(frozen=True)
class Doors:
    """What people and providers can ask of notifications."""

    submit: SubmitNotification
    read: ReadNotifications
    steer: SteerNotifications
    callback: TakeCallback
    incoming: TakeIncomingCall


def doors(
    pool: Pool,
    publisher: Publisher,
    channels: UseChannels,
    kinds: ChannelKinds,
    phone: Phone,
    settings: NotificationSettings,
    observe: Observe,
    note: NoteReceipt,
    take_incoming: TakeIncoming,
    audit: AuditOfMany,
    timeout: float,
) -> Doors:
    """`timeout`: seconds for handing one in."""
    news, store = RabbitNotificationNews(publisher), PostgresNotifications(pool, observe=observe)
    # One that is handed in alone overtakes what comes by queue, or is released by the thousand.
    urgent = RabbitNotificationNews(publisher, topology.NOTIFICATION_URGENT)
    intake = PostgresNotificationIntake(pool, observe, timeout=timeout)
    read, book = ReadNotifications(store, store), PostgresReportBook(pool, observe)
    contacts, templates = ContactsOf(PostgresContacts(pool)), TemplatesOf(render(pool))
    return Doors(
        submit=SubmitNotification(intake, contacts, channels, kinds, urgent, phone, templates, now),
        read=read,
        steer=SteerNotifications(read, news, audit, now),
        # What is asked for with each of very many calls is remembered for a moment.
        callback=TakeCallback(
            book,
            RecentChannels(channels),
            channels.operator,
            NoteReports(book, note, store.strays, note.observer, now),
            callback_url(settings),
            read_callback,
        ),
        incoming=TakeIncomingCall(
            take_incoming.owners, channels, channels.operator, take_incoming, incoming_url(settings), read_incoming
        ),
    )


def owner(authenticate: Authenticate, users: PostgresUsers, settings: NotificationSettings) -> Owner:
    """Whose a request by queue is."""

    async def owner_of(key: str | None) -> int:
        if key is not None:
            principal = await authenticate(key)
            if principal.api_key_id is None or Scope.NOTIFICATIONS not in principal.scopes:
                raise Forbidden(f"x-api-key must be an API key with the scope {Scope.NOTIFICATIONS.value}")
            return principal.user_id
        account = await users.account(settings.queue_owner) if settings.queue_owner else None
        if account is None or account.user.disabled_at is not None:
            raise Unauthenticated("the header x-api-key must hold an API key with the scope notifications")
        return account.user.id

    return owner_of


@dataclass(frozen=True)
class Work:
    """What a worker does about notifications: these are started and stopped with it."""

    receivers: Sequence[Receiver]
    turns: ChannelTurns
    listen: ListenForReceipts


def turns(pool: Pool, lifeline: PostgresLifeline, settings: Settings) -> ChannelTurns:
    rates = settings.notifications.rate_of

    def budget(name: str, rate: float) -> PostgresBudget:
        return PostgresBudget(pool, lifeline, name, rate=rate, in_flight=permits_of(rate))

    def rate(channel: Channel) -> float:
        return channel.rate_per_second or rates.get(channel.type.value, 0.0)

    most_waiting = max(1, settings.worker.concurrency // 2)
    return ChannelTurns(rate, budget, PostgresPauses(pool), most_waiting)


def work(
    settings: Settings,
    pool: Pool,
    store: PostgresNotifications,
    lifeline: PostgresLifeline,
    lanes: ChannelTurns,
    publisher: Publisher,
    channels: ChannelsOf,
    kinds: ChannelKinds,
    listening: Listening,
    phone: Phone,
    authenticate: Authenticate,
    note: NoteReceipt,
    suppressions: Suppressions,
    permits: Permits,
    observe: Observe,
    observer: Observer,
) -> Work:
    news = RabbitNotificationNews(publisher)
    route = FindRoute(RecentChannels(channels), kinds, callback_url(settings.notifications), suppressions)
    rules = policy(settings.notifications)
    run = RunNotification(
        store, store, route, lifeline, lanes, news, note.by_provider_id, suppressions, permits, observer, rules, now
    )
    intake = PostgresNotificationIntake(pool, observe)
    contacts, templates = ContactsOf(PostgresContacts(pool)), TemplatesOf(render(pool))
    submit = SubmitNotification(intake, contacts, channels, kinds, news, phone, templates, now)
    keys = SealedKeys(AesVault(settings.secret_keys.by_name))
    dead_letters = DeadLetters(
        publisher, keys.protect, queue=topology.NOTIFICATION_REQUESTS, dead_queue=topology.DEAD_NOTIFICATION_REQUESTS
    )
    take = TakeRequest(submit, owner(authenticate, PostgresUsers(pool), settings.notifications), keys, dead_letters)
    concurrency = settings.worker.concurrency
    wake, url = TakeWake(store.claim, run, new_stamp), settings.rabbit.url
    return Work(
        receivers=(
            Receiver(url, topology.NOTIFICATION_REQUESTS, whole(take), concurrency=concurrency),
            # Most of them wait for the database, in whose batches they travel together.
            Receiver(url, topology.NOTIFICATION_DISPATCH, wake, concurrency=2 * concurrency),
            Receiver(url, topology.NOTIFICATION_URGENT, wake, concurrency=concurrency),
        ),
        turns=lanes,
        listen=ListenForReceipts(store, channels, listening),
    )
