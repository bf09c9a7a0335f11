"""What ReportBook promises."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fakes.notification_table import FakeNotificationTable
from fakes.reports import FakeReportBook
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.notification_intake import PostgresNotificationIntake
from gonets.adapters.postgres.notifications import PostgresNotifications
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.reports import PostgresReportBook
from gonets.core.channels.model import Accepted, ChannelType, Delivery, Message, Receipt, Recipient, Refusal
from gonets.core.notifications.model import Attempt, AttemptState, ChannelKey, NewNotification, Notification, Status
from gonets.core.notifications.reports import Named

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
THEN = AT + timedelta(minutes=1)
KEY = ChannelKey(3, ChannelType.SMS_TWILIO)
STARTED = Attempt(
    number=1,
    round=1,
    reference="",
    channel=KEY,
    channel_name="ours",
    to="+7916",
    why="is first",
    state=AttemptState.STARTED,
    started_at=AT,
)
TAKEN = STARTED.heard(Accepted("p-1"), AT)
DELIVERED = Receipt(Delivery.DELIVERED, final=True, provider_id="p-1", code="delivered")
UNDELIVERED = Receipt(Delivery.UNDELIVERED, True, "p-1", "30003", "the phone is off", Refusal.TEMPORARY)


@dataclass
class Sides:
    """The table and the book of what is reported about it."""

    intake: Any
    store: Any
    claims: Any
    book: Any
    of_campaign: Any
    """Makes the notification one of a campaign."""

    async def sent(self, attempt: Attempt = TAKEN, *, release: bool = True, **different: Any) -> Notification:
        new = NewNotification(
            owner_id=5, recipient=Recipient(phone="+7916"), contact_id=None, message=Message("Hi"), **different
        )
        taken = await self.intake.submit(new)
        found = await self.claims.claim(taken.id, 1)
        own = replace(attempt, reference=f"{taken.id}-1-abc")
        found = replace(found, attempts=(own,)).changed(own)
        saved = await self.store.save(found.waiting(AT, Status.SENT, "taken by ours"), 2, release=release)
        assert saved is not None
        return await self.store.get(taken.id)


@pytest.fixture
def fake_book() -> Sides:
    table = FakeNotificationTable(time=datetime.now(UTC))

    async def of_campaign(number):
        table.rows[number].found = replace(table.rows[number].found, campaign_id=1)

    return Sides(table, table, table.of(1), FakeReportBook(table), of_campaign)


@pytest.fixture
async def postgres_book(pool: Pool) -> AsyncIterator[Sides]:
    lifeline = PostgresLifeline(pool, fresh_for=60)
    await lifeline.beat()
    store = PostgresNotifications(pool, lifeline=lifeline)

    async def of_campaign(number):
        await pool.fetch("UPDATE notification SET campaign_id = 1 WHERE id = $1", number)

    return Sides(PostgresNotificationIntake(pool), store, store, PostgresReportBook(pool), of_campaign)


@pytest.fixture(params=["fake_book", "postgres_book"])
def sides(request) -> Sides:
    return request.getfixturevalue(request.param)


async def test_a_reference_names_its_channel_and_owner(sides):
    found = await sides.sent()
    assert await sides.book.find(f"{found.id}-1-abc") == Named(5, KEY)
    for other in (f"{found.id}-1-abd", f"{found.id + 1}-1-abc", "nonsense", "", "-1-abc"):
        assert await sides.book.find(other) is None


async def test_a_message_of_a_campaign_without_an_attempt_may_be_under_way(sides):
    taken = await sides.intake.submit(
        NewNotification(owner_id=5, recipient=Recipient(phone="+7916"), contact_id=None, message=Message("Hi"))
    )
    assert await sides.book.find(f"{taken.id}-1-abc") is None
    await sides.of_campaign(taken.id)
    assert await sides.book.find(f"{taken.id}-1-abc") == Named(5, None)


@pytest.mark.parametrize("receipt", [DELIVERED, UNDELIVERED, replace(DELIVERED, provider_id=None)])
@pytest.mark.parametrize("notify_result", [False, True])
async def test_what_is_entered_is_what_the_long_way_would_enter(sides, receipt, notify_result):
    found = await sides.sent(notify_result=notify_result)
    [attempt] = found.attempts
    expected = found.changed(attempt.reported(receipt, THEN))
    assert await sides.book.enter(attempt.reference, TAKEN.reported(receipt, THEN)) == KEY
    after = await sides.store.get(found.id)
    assert after.attempts == expected.attempts
    assert (after.status, after.reason, after.channel) == (expected.status, expected.reason, expected.channel)
    assert (after.finished_at, after.sent_at) == (expected.finished_at, expected.sent_at)
    told_or_decided = notify_result or receipt.delivery is Delivery.UNDELIVERED
    assert after.due_at == (THEN if told_or_decided else None)
    assert after.version > found.version


async def test_of_two_channels_only_the_one_that_was_asked_for_is_heard(sides):
    found = await sides.sent()
    [attempt] = found.attempts
    queued = TAKEN.reported(Receipt(Delivery.SENT, final=False, provider_id="p-1", code="queued"), THEN)
    for said in (TAKEN.reported(DELIVERED, THEN), queued):
        for other in (replace(KEY, id=0), replace(KEY, type=ChannelType.SMS_SMPP)):
            assert await sides.book.enter(attempt.reference, said, other) is None
    assert await sides.store.get(found.id) == found
    assert await sides.book.enter(attempt.reference, queued, KEY) == KEY
    assert await sides.book.enter(attempt.reference, TAKEN.reported(DELIVERED, THEN), KEY) == KEY
    assert (await sides.store.get(found.id)).status is Status.DELIVERED


async def test_what_says_nothing_new_changes_nothing(sides):
    found = await sides.sent()
    said = TAKEN.reported(Receipt(Delivery.SENT, final=False, provider_id="p-1", code="queued"), THEN)
    assert await sides.book.enter(found.attempts[0].reference, said) == KEY
    assert await sides.store.get(found.id) == found


async def test_every_other_case_is_left_to_the_long_way(sides):
    delivered = TAKEN.reported(DELIVERED, THEN)
    for attempt in (STARTED, TAKEN.reported(UNDELIVERED, AT), TAKEN.reported(DELIVERED, AT)):
        found = await sides.sent(attempt)
        assert await sides.book.enter(found.attempts[0].reference, delivered) is None
        assert await sides.store.get(found.id) == found
    held = await sides.sent(release=False)
    assert await sides.book.enter(held.attempts[0].reference, delivered) is None
    assert await sides.book.enter("nonsense", delivered) is None
    assert await sides.book.enter(f"{held.id}-1-abd", delivered) is None


async def test_many_at_one_time_and_of_two_about_one_the_better_stays(sides):
    sent = [await sides.sent() for _ in range(20)]
    entered = await asyncio.gather(
        *(sides.book.enter(one.attempts[0].reference, TAKEN.reported(DELIVERED, THEN)) for one in sent),
        *(sides.book.enter(one.attempts[0].reference, TAKEN.reported(UNDELIVERED, THEN)) for one in sent),
    )
    assert entered == [KEY] * 20 + [None] * 20
    for one in sent:
        assert (await sides.store.get(one.id)).status is Status.DELIVERED


async def test_what_is_kept_is_found_in_order_until_it_is_dropped(sides):
    said = [Receipt(Delivery.SENT, False, "p", "sent"), UNDELIVERED, DELIVERED]
    for receipt in said:
        await sides.book.keep("7-1-abc", receipt)
    await asyncio.gather(*(sides.book.keep(f"{n}-1-x", DELIVERED) for n in range(10)))
    kept = await sides.book.kept(["7-1-abc", "8-1-abc"])
    assert [(one.reference, one.receipt) for one in kept] == [("7-1-abc", receipt) for receipt in said]
    await sides.book.drop([kept[0].id, kept[2].id])
    assert [one.receipt for one in await sides.book.kept(["7-1-abc"])] == [UNDELIVERED]
