"""Reports by the short way, by the long one, and before the commit that knows their attempt."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fakes.notification_table import FakeNotificationTable
from fakes.reports import FakeReportBook
from gonets.core.channels.model import Accepted, ChannelType, Delivery, Message, Receipt, Recipient
from gonets.core.notifications.model import Attempt, AttemptState, ChannelKey, NewNotification, Status
from gonets.core.notifications.reports import NoteReports

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
DELIVERED = Receipt(Delivery.DELIVERED, final=True, provider_id="p-1")


@dataclass
class Note:
    """Remembers what goes the long way."""

    came: list[Any] = field(default_factory=list)

    async def by_reference(self, reference, receipt):
        self.came.append((reference, receipt))

    async def by_provider_id(self, channel_id, receipt):
        self.came.append((channel_id, receipt))


@dataclass
class Observer:
    """Counts."""

    states: list[AttemptState] = field(default_factory=list)
    ends: list[Status] = field(default_factory=list)

    def reported(self, attempt):
        self.states.append(attempt.state)

    def ended(self, found):
        self.ends.append(found.status)


class World:
    def __init__(self):
        self.table = FakeNotificationTable(time=AT)
        self.book, self.note, self.observer = FakeReportBook(self.table), Note(), Observer()
        self.reports = NoteReports(self.book, self.note, self.table.strays, self.observer, self.table.now)

    async def message(self):
        """Of a campaign, its send not committed."""
        new = NewNotification(owner_id=1, recipient=Recipient(phone="+7"), contact_id=None, message=Message("Hi"))
        number = (await self.table.submit(new)).id
        row = self.table.rows[number]
        row.found = replace(row.found, campaign_id=1, due_at=None)
        return number, f"{number}-1-abc"

    def commit(self, number, reference, channel=ChannelType.SMS_TWILIO):
        attempt = Attempt(
            number=1,
            round=1,
            reference=reference,
            channel=ChannelKey(3, channel),
            channel_name="ours",
            to="+7",
            why="is first",
            state=AttemptState.STARTED,
            started_at=AT,
        ).heard(Accepted("p-1"), AT)
        row = self.table.rows[number]
        row.found = replace(row.found, attempts=(attempt,), status=Status.SENT)

    def status(self, number):
        return self.table.rows[number].found.status


async def test_a_plain_report_goes_the_short_way_and_is_counted():
    world = World()
    number, reference = await world.message()
    world.commit(number, reference)
    await world.reports(reference, DELIVERED)
    assert world.status(number) is Status.DELIVERED
    assert (world.observer.states, world.observer.ends) == ([AttemptState.DELIVERED], [Status.DELIVERED])
    assert not world.note.came


@pytest.mark.parametrize(
    "receipt",
    [
        replace(DELIVERED, opted_out=True),
        Receipt(Delivery.SENT, final=False, held=True),
        Receipt(Delivery.ABSENT, final=True),
    ],
)
async def test_what_is_not_plain_goes_the_long_way(receipt):
    world = World()
    number, reference = await world.message()
    world.commit(number, reference)
    await world.reports(reference, receipt)
    assert world.note.came == [(reference, receipt)]
    assert world.book.entered == 0


async def test_an_early_report_is_entered_by_who_commits_the_send():
    world = World()
    number, reference = await world.message()
    await world.reports.hand_in(reference, DELIVERED)
    assert world.status(number) is Status.PENDING
    world.commit(number, reference)
    await world.reports.settle([reference], [])
    assert world.status(number) is Status.DELIVERED
    assert not world.book.early


async def test_committed_while_it_was_kept_it_is_entered_by_who_kept_it():
    world = World()
    number, reference = await world.message()
    keep = world.book.keep

    async def slow(*report):
        await keep(*report)
        world.commit(number, reference)

    world.book.keep = slow
    await world.reports.early(reference, DELIVERED)
    assert world.status(number) is Status.DELIVERED
    assert not world.book.early


async def test_reports_by_the_providers_name_are_handed_on():
    world = World()
    await world.table.stray(3, DELIVERED)
    await world.reports.settle([], [(3, "p-1"), (3, "p-2")])
    assert world.note.came == [(3, DELIVERED)]
