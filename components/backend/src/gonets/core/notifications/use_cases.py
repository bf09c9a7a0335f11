"""What the outside can ask of notifications. REST routes, queue handlers and the scheduler call these."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gonets.core.channels.model import Address, Receipt, Recipient
from gonets.core.channels.ports import ChannelKinds, ChannelsOf
from gonets.core.notifications.dispatch import new_stamp, notification_of
from gonets.core.notifications.model import (
    Attempt,
    KeyReused,
    NewNotification,
    Notification,
    NotificationFilter,
    NotificationPage,
    Taken,
    TemplateUse,
)
from gonets.core.notifications.ports import (
    Clock,
    Contacts,
    NotificationIntake,
    NotificationNews,
    NotificationQueries,
    NotificationStore,
    NotificationWakes,
    Observer,
    Phone,
    Suppressions,
    Templates,
)
from gonets.core.notifications.routing import ADDRESS
from gonets.core.shared import addresses
from gonets.core.shared.audit import Actor, AuditOfMany
from gonets.core.shared.concerning import concerning
from gonets.core.shared.copies import copied
from gonets.core.shared.errors import Conflict, Invalid, InvalidFields, NotFound, Unavailable

log = logging.getLogger(__name__)

_NOBODY = Recipient()


@dataclass(frozen=True, slots=True)
class SubmitNotification:
    """Take a notification at a door."""

    intake: NotificationIntake
    contacts: Contacts
    channels: ChannelsOf
    kinds: ChannelKinds
    news: NotificationNews
    phone: Phone
    templates: Templates
    now: Clock

    async def __call__(self, new: NewNotification) -> Taken:
        """Raises Invalid, with the field, for what can never be sent; Conflict where its key names another one;
        Unavailable where it could not be taken."""
        checked = await self._checked(new)
        match await self.intake.submit(checked):
            case KeyReused(id=known):
                raise Conflict(f"this idempotency key was used for notification {known}, with other content")
            case Taken() as taken:
                if taken.new and not new.held:
                    await wake_or_leave(self.news, taken.id)
                return taken

    async def _checked(self, new: NewNotification) -> NewNotification:
        if new.deadline is not None and new.deadline <= self.now():
            raise Invalid("deadline", "must be in the future")
        if new.contact_id is not None:
            recipient = await self.contacts.recipient(new.owner_id, new.contact_id)
            if recipient is None:
                raise Invalid(new.contact_field, f"no contact has the id {new.contact_id}")
            new = copied(new, recipient=recipient)
        else:
            new = copied(new, recipient=self._typed(new.recipient))
        if new.route or new.recipient == _NOBODY:
            await self._check_route(new)
        return new if new.template is None else await self._written(new, new.template)

    async def _written(self, new: NewNotification, use: TemplateUse) -> NewNotification:
        """From here on it says what it says, whatever becomes of the template."""
        written = await self.templates.written(new.owner_id, use, new.contact_id)
        return copied(new, message=replace(new.message, text=written.text, subject=written.subject), template=None)

    def _typed(self, recipient: Recipient) -> Recipient:
        """The addresses, as they are stored, from what a person typed. Raises InvalidFields."""
        wrong: list[tuple[str, str]] = []

        def checked(check: Callable[[str, str], str], field: Address) -> str | None:
            typed = recipient.at(field)
            try:
                return None if typed is None else check(f"recipient.{field.value}", typed)
            except Invalid as error:
                wrong.append((error.field, error.reason))
                return None

        found = Recipient(
            checked(addresses.telegram_chat_id, Address.TELEGRAM_CHAT_ID),
            checked(addresses.email, Address.EMAIL),
            checked(self.phone, Address.PHONE),
        )
        if wrong:
            raise InvalidFields(wrong)
        return found

    async def _check_route(self, new: NewNotification) -> None:
        steps = []
        for place, channel_id in enumerate(new.route):
            try:
                steps.append(await self.channels.get(new.owner_id, channel_id))
            except NotFound as error:
                raise Invalid(f"route.{place}", error.reason) from error
        if new.recipient != _NOBODY:
            return
        usable = steps or [one for one in await self.channels.usable(new.owner_id) if one.is_default]
        if not any(self.kinds[one.type].destination(one.configuration) is not None for one in usable):
            raise Invalid("recipient", "must be given, for no channel of the route has a destination of its own")


async def wake_or_leave(news: NotificationNews, notification_id: int) -> None:
    """The row is there: where no wake-up can be sent the scheduler finds it."""
    try:
        await news.wake(notification_id)
    except Unavailable as error:
        facts = {"notification_id": notification_id, "reason": error.reason}
        log.warning("notification taken, wake-up delayed", extra=facts)


@dataclass(frozen=True, slots=True)
class ReadNotifications:
    """Look at notifications, one or many. Another owner's are not there."""

    store: NotificationStore
    queries: NotificationQueries

    async def one(self, owner_id: int, notification_id: int) -> Notification:
        """With its attempts. Raises NotFound."""
        found = await self.store.get(notification_id)
        if found is None or found.owner_id != owner_id:
            raise NotFound(f"no notification has the id {notification_id}")
        return found

    async def page(
        self, owner_id: int, wanted: NotificationFilter, *, cursor: str | None, limit: int
    ) -> NotificationPage:
        """Newest first, without attempts. Raises Invalid for a cursor that is none of ours."""
        return await self.queries.page(owner_id, wanted, cursor=cursor, limit=limit)


_Change = Callable[[Notification, datetime], Notification]


@dataclass(frozen=True, slots=True)
class Skipped:
    """One that was not released, and why."""

    id: int
    reason: str


@dataclass(frozen=True, slots=True)
class SteerNotifications:
    """What an owner may do with a notification that was taken."""

    read: ReadNotifications
    news: NotificationNews
    audit: AuditOfMany
    now: Clock

    async def cancel(self, actor: Actor, notification_id: int) -> Notification:
        """Raises NotFound; Conflict where it has ended."""
        return await self._noted(actor, "cancelled", notification_id, Notification.cancel)

    async def stop(self, owner_id: int, notification_id: int) -> None:
        """Cancels it as a part of something else, which is what the audit knows. Raises as `cancel` does."""
        await self._change(owner_id, notification_id, Notification.cancel)

    async def retry(self, actor: Actor, notification_id: int) -> Notification:
        """Raises NotFound; Conflict unless it ended without success."""
        changed = await self._noted(actor, "retried", notification_id, Notification.again)
        await wake_or_leave(self.news, notification_id)
        return changed

    async def release(self, actor: Actor, ids: Sequence[int]) -> tuple[Sequence[int], Sequence[Skipped]]:
        """The ids that were released, and those that were not."""
        released: list[int] = []
        skipped: list[Skipped] = []
        try:
            for notification_id in dict.fromkeys(ids):
                try:
                    await self._change(actor.user_id, notification_id, Notification.released)
                except (NotFound, Conflict) as error:
                    skipped.append(Skipped(notification_id, error.reason))
                else:
                    released.append(notification_id)
                    await wake_or_leave(self.news, notification_id)
        finally:
            # Those before the one that could not be written are released all the same.
            if released:
                await self.audit.note_each(actor, "released", released, {})
        return released, skipped

    async def _noted(self, actor: Actor, done: str, notification_id: int, change: _Change) -> Notification:
        changed, new = await self._change(actor.user_id, notification_id, change)
        if new:
            await self.audit.note(actor, done, notification_id, {})
        return changed

    async def _change(self, owner_id: int, notification_id: int, change: _Change) -> tuple[Notification, bool]:
        """False: it was so already."""
        while True:
            found = await self.read.one(owner_id, notification_id)
            changed = change(found, self.now())
            if changed == found:
                return found, False
            if saved := await self.read.store.save(changed, new_stamp()):
                return saved, True


@dataclass(frozen=True, slots=True)
class NoteReceipt:
    """Enter what a provider reports. Reports may come late, twice, in any order, and before our own commit."""

    store: NotificationStore
    observer: Observer
    suppressions: Suppressions
    now: Clock

    async def by_reference(self, reference: str, receipt: Receipt) -> None:
        """Raises NotFound for a reference that is none of ours; Unavailable: nothing was entered, bring it again."""
        while True:
            found = await self._found(reference)
            if await self._enter(found, reference, receipt):
                return

    async def by_provider_id(self, channel_id: int, receipt: Receipt) -> None:
        """What names only the provider's own id. One that is not known yet is kept. Implements ReceiptSink."""
        if receipt.provider_id is None:
            log.warning("a receipt names no message", extra={"channel_id": channel_id, "code": receipt.code})
            return
        while True:
            known = await self.store.by_provider_id(channel_id, receipt.provider_id)
            if known is None:
                await self.store.stray(channel_id, receipt)
                # It may have become known since we looked; then nobody else would look at what was kept.
                if await self.store.by_provider_id(channel_id, receipt.provider_id) is None:
                    return
                continue
            found, reference = known
            if await self._enter(found, reference, receipt):
                return

    async def _found(self, reference: str) -> Notification:
        number = notification_of(reference)
        found = None if number is None else await self.store.get(number)
        if found is None or found.attempt(reference) is None:
            raise NotFound("no attempt has this reference")
        return found

    async def _enter(self, found: Notification, reference: str, receipt: Receipt) -> bool:
        """False: somebody else wrote in between."""
        with concerning(**found.ids):
            return await self._entered(found, reference, receipt)

    async def _entered(self, found: Notification, reference: str, receipt: Receipt) -> bool:
        attempt = found.attempt(reference)
        assert attempt is not None  # noqa: S101 - it was found by it
        now = self.now()
        if receipt.opted_out:
            await self._suppress(found, attempt, receipt)
        after = attempt.reported(receipt, now)
        if after == attempt:
            return True
        changed = found.changed(after)
        log.info(
            "receipt",
            extra={"notification_id": found.id, "attempt": attempt.number, "delivery": receipt.delivery.value},
        )
        # A worker decides what follows.
        if await self.store.save(replace(changed, due_at=now), new_stamp()) is None:
            return False
        if after.state is not attempt.state:
            self.observer.reported(after)
        if changed.status is not found.status:
            self.observer.ended(changed)
        return True

    async def _suppress(self, found: Notification, attempt: Attempt, receipt: Receipt) -> None:
        address = ADDRESS.get(attempt.channel.type)
        if address is not None and attempt.to is not None:
            reason = receipt.reason or attempt.channel_name
            await self.suppressions.opted_out(found.owner_id, address.value, attempt.to, reason)


@dataclass(frozen=True, slots=True)
class WakeNotifications:
    """The sweep: wake the rows whose time has come, and take back what dead workers held."""

    wakes: NotificationWakes
    news: NotificationNews
    limit: int = 500

    async def __call__(self) -> int:
        """Returns the number of wake-ups sent. Raises Unavailable; what was not sent is sent by a later sweep."""
        if orphans := await self.wakes.orphans():
            log.warning("took notifications back from dead workers", extra={"notifications": orphans})
        due = await self.wakes.due(self.limit)
        outcomes = await asyncio.gather(*(self.news.wake(one.id) for one in due), return_exceptions=True)
        sent = [one for one, outcome in zip(due, outcomes, strict=True) if outcome is None]
        if sent:
            await self.wakes.woken(sent)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return len(sent)
