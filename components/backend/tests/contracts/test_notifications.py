"""What every table of notifications does, the fake and the real one."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fakes.notification_table import FakeNotificationTable
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.notification_intake import PostgresNotificationIntake
from gonets.adapters.postgres.notification_wakes import PostgresNotificationWakes, PostgresPauses
from gonets.adapters.postgres.notifications import PostgresNotifications
from gonets.adapters.postgres.pool import Pool
from gonets.core.channels.model import Accepted, ChannelType, Delivery, Message, Receipt, Recipient, Refusal, Refused
from gonets.core.notifications.dispatch import new_reference, new_stamp
from gonets.core.notifications.model import (
    Attempt,
    AttemptState,
    ChannelKey,
    KeyReused,
    NewNotification,
    NotificationFilter,
    Status,
    Taken,
)
from gonets.core.shared.errors import Invalid

SMPP = ChannelKey(7, ChannelType.SMS_SMPP)


@dataclass
class Table:
    """One table, seen from all its sides."""

    intake: Any
    store: Any
    wakes: Any
    worker: Any
    another: Any
    pool: Pool | None = None
    fake: FakeNotificationTable | None = None
    lives: tuple[int, int] = (1, 2)

    async def pass_time(self, time: timedelta) -> None:
        if self.fake:
            self.fake.time += time
            return
        # The clock cannot be moved, so everything that happened is moved back.
        await self.pool.fetch(
            "UPDATE notification SET created_at = created_at - $1::interval, due_at = due_at - $1::interval,"
            " wake_at = wake_at - $1::interval",
            time,
        )
        await self.pool.fetch("UPDATE notification_key SET created_at = created_at - $1::interval", time)

    async def bury(self, life: int) -> None:
        if self.fake:
            self.fake.lives.discard(life)
        else:
            await self.pool.fetch("DELETE FROM worker_life WHERE id = $1", life)


@pytest.fixture
async def fake_notifications() -> Table:
    table = FakeNotificationTable(time=datetime.now(UTC))
    return Table(table, table, table, table.of(1), table.of(2), fake=table)


@pytest.fixture
async def postgres_notifications(pool: Pool) -> Table:
    workers = []
    for _ in range(2):
        lifeline = PostgresLifeline(pool, fresh_for=60)
        await lifeline.beat()
        workers.append((PostgresNotifications(pool, lifeline=lifeline), lifeline.life))
    (worker, life), (another, other_life) = workers
    intake, wakes = PostgresNotificationIntake(pool), PostgresNotificationWakes(pool)
    return Table(intake, worker, wakes, worker, another, pool=pool, lives=(life, other_life))


@pytest.fixture(params=["fake_notifications", "postgres_notifications"])
def table(request) -> Table:
    return request.getfixturevalue(request.param)


def new(**facts: Any) -> NewNotification:
    common = {
        "owner_id": 1,
        "recipient": Recipient("123", "a@b.cd", "+79161234567"),
        "contact_id": None,
        "message": Message("Привет \U0001f600", "тема", "anna", {"severity": "high", "metadata": {"n": [1, None]}}),
    }
    return NewNotification(**(common | facts))


def attempt(number=1, *, notification_id=1, state=AttemptState.STARTED, **facts: Any) -> Attempt:
    common = {
        "number": number,
        "round": 1,
        "reference": new_reference(notification_id, number),
        "channel": SMPP,
        "channel_name": "смс",
        "to": "+79161234567",
        "why": "it is first",
        "state": state,
        "started_at": datetime.now(UTC),
    }
    return Attempt(**(common | facts))


async def submitted(table: Table, **facts: Any) -> int:
    taken = await table.intake.submit(new(**facts))
    assert isinstance(taken, Taken)
    return taken.id


async def claimed(table: Table, **facts: Any):
    found = await table.worker.claim(await submitted(table, **facts), new_stamp())
    assert found is not None
    return found


async def test_what_is_handed_in_is_found_again_as_it_was(table):
    deadline = datetime.now(UTC) + timedelta(days=1)
    asked = new(
        contact_id=5,
        route=(3, 1),
        deadline=deadline,
        fallback_after=timedelta(seconds=90),
        notify_result=True,
    )
    taken = await table.intake.submit(asked)
    found = await table.store.get(taken.id)
    assert (found.recipient, found.message, tuple(found.route)) == (asked.recipient, asked.message, (3, 1))
    assert (found.deadline, found.fallback_after, found.notify_result) == (deadline, timedelta(seconds=90), True)
    assert (found.owner_id, found.contact_id, found.status, found.held) == (1, 5, Status.PENDING, False)
    assert await table.store.get(10**12) is None


async def test_a_key_is_taken_once_for_each_owner(table):
    first = await table.intake.submit(new(key="k", digest="a"))
    assert first.new
    assert await table.intake.submit(new(key="k", digest="a")) == Taken(first.id, new=False)
    assert await table.intake.submit(new(key="k", digest="b")) == KeyReused(first.id)
    other = await table.intake.submit(new(owner_id=2, key="k", digest="b"))
    assert other.new
    assert other.id != first.id


async def test_a_key_holds_for_seven_days(table):
    first = await table.intake.submit(new(key="k", digest="a"))
    await table.pass_time(timedelta(days=6, hours=23))
    assert not (await table.intake.submit(new(key="k", digest="a"))).new
    await table.pass_time(timedelta(hours=2))
    later = await table.intake.submit(new(key="k", digest="b"))
    assert later.new
    assert later.id != first.id


async def test_many_at_one_moment_under_one_key_are_one(table):
    answers = await asyncio.gather(*(table.intake.submit(new(key="k", digest="a")) for _ in range(20)))
    assert len({answer.id for answer in answers}) == 1
    assert [answer.new for answer in answers].count(True) == 1


async def test_one_worker_at_a_time_holds_it(table):
    number = await submitted(table)
    both = await asyncio.gather(table.worker.claim(number, new_stamp()), table.another.claim(number, new_stamp()))
    assert [found is None for found in both].count(True) == 1


async def test_a_claim_whose_answer_was_lost_is_given_again(table):
    number, stamp = await submitted(table), new_stamp()
    first = await table.worker.claim(number, stamp)
    again = await table.worker.claim(number, stamp)
    assert again is not None
    assert again.version >= first.version
    assert await table.worker.claim(number, new_stamp()) is None


async def test_what_is_held_is_not_claimed_and_not_woken(table):
    number = await submitted(table, held=True)
    await table.pass_time(timedelta(days=1))
    assert await table.worker.claim(number, new_stamp()) is None
    assert await table.wakes.due(10) == []


async def test_a_change_is_kept_whole_with_its_attempts(table):
    found = await claimed(table)
    begun = found.begun(attempt(notification_id=found.id))
    saved = await table.store.save(begun, new_stamp())
    assert (await table.store.get(found.id)) == saved
    now = datetime.now(UTC)
    [one] = saved.attempts
    heard = one.heard(Refused(Refusal.TEMPORARY, "занято", "0x58", "later", 3.5), now)
    heard = heard.inquired(now)
    ended = saved.changed(heard).ended(Status.FAILED, "почему", SMPP, now)
    saved = await table.store.save(ended, new_stamp(), release=True)
    read = await table.store.get(found.id)
    assert read == saved
    assert read.attempts == (heard,)
    assert (read.status, read.reason, read.channel, read.finished_at) == (Status.FAILED, "почему", SMPP, now)
    assert read.life is None


async def tried(table):
    """In a worker's hands for the second time, and its second try begun; with the attempts that were known before."""
    found = await claimed(table)
    first, now = attempt(notification_id=found.id), datetime.now(UTC)
    saved = await table.store.save(found.begun(first), new_stamp())
    heard = saved.changed(first.heard(Refused(Refusal.TEMPORARY, "busy"), now))
    await table.store.save(heard.waiting(now - timedelta(minutes=1), Status.SENDING, "busy"), new_stamp(), release=True)
    again = await table.worker.claim(found.id, new_stamp())
    assert again.attempts == heard.attempts
    return again.begun(attempt(2, notification_id=found.id)), again.attempts


async def test_attempts_that_are_known_need_not_be_written_again(table):
    begun, known = await tried(table)
    saved = await table.store.save(begun, new_stamp(), known=known)
    assert saved.attempts == begun.attempts
    assert await table.store.get(begun.id) == saved
    delivered = saved.attempts[0].reported(Receipt(Delivery.DELIVERED, final=True), datetime.now(UTC))
    late = await table.store.save(saved.changed(delivered), new_stamp(), known=saved.attempts)
    assert [one.state for one in late.attempts] == [AttemptState.DELIVERED, AttemptState.STARTED]
    assert await table.store.get(begun.id) == late


async def test_only_attempts_that_are_not_known_cost_the_database(postgres_notifications):
    begun, known = await tried(postgres_notifications)
    version = "SELECT xmin::text FROM attempt WHERE notification_id = $1 AND number = 1"
    [before] = await postgres_notifications.pool.fetch(version, begun.id)
    await postgres_notifications.store.save(begun, new_stamp(), known=known)
    assert await postgres_notifications.pool.fetch(version, begun.id) == [before]


async def test_whoever_read_an_older_version_changes_nothing(table):
    found = await claimed(table)
    assert await table.store.save(found.begun(attempt(notification_id=found.id)), new_stamp())
    lost = replace(found, reason="older").begun(attempt(notification_id=found.id, why="not this"))
    assert await table.store.save(lost, new_stamp()) is None
    read = await table.store.get(found.id)
    assert read.reason == "it is first"
    assert [one.why for one in read.attempts] == ["it is first"]


async def test_of_many_writers_at_one_moment_one_wins(table):
    found = await claimed(table)
    saves = [table.store.save(replace(found, reason=str(number)), new_stamp()) for number in range(10)]
    answers = await asyncio.gather(*saves)
    assert [answer is not None for answer in answers].count(True) == 1


async def test_a_save_whose_answer_was_lost_succeeds_again(table):
    found, stamp = await claimed(table), new_stamp()
    begun = found.begun(attempt(notification_id=found.id))
    first = await table.store.save(begun, stamp)
    assert await table.store.save(begun, stamp) == first
    assert len((await table.store.get(found.id)).attempts) == 1


async def test_a_send_that_was_not_made_is_withdrawn(table):
    found = await claimed(table)
    one = attempt(notification_id=found.id)
    saved = await table.store.save(found.begun(one), new_stamp())
    saved = await table.store.save(saved.withdrawn(one.reference), new_stamp(), release=True)
    assert (await table.store.get(found.id)).attempts == ()


async def test_what_was_released_is_claimed_when_it_is_due(table):
    found = await claimed(table)
    due = datetime.now(UTC) + timedelta(minutes=5)
    await table.store.save(found.waiting(due, Status.SENDING, "later"), new_stamp(), release=True)
    assert await table.another.claim(found.id, new_stamp()) is None
    assert await table.wakes.due(10) == []
    await table.pass_time(timedelta(minutes=6))
    assert [one.id for one in await table.wakes.due(10)] == [found.id]
    again = await table.another.claim(found.id, new_stamp())
    assert again is not None
    assert again.reason == "later"


async def test_a_claim_has_the_attempts_made_before(table):
    found = await claimed(table)
    saved = await table.store.save(found.begun(attempt(notification_id=found.id)), new_stamp())
    await table.store.save(saved.waiting(datetime.now(UTC), Status.SENDING, ""), new_stamp(), release=True)
    await table.pass_time(timedelta(seconds=1))
    again = await table.another.claim(found.id, new_stamp())
    assert again.attempts == saved.attempts


async def test_a_receipt_may_be_entered_while_a_worker_holds_it(table):
    found = await claimed(table)
    saved = await table.store.save(found.begun(attempt(notification_id=found.id)), new_stamp())
    now = datetime.now(UTC)
    read = await table.store.get(found.id)
    [one] = read.attempts
    entered = read.changed(one.reported(Receipt(Delivery.DELIVERED, final=True), now))
    assert await table.store.save(entered, new_stamp())
    # The worker is told so, and still holds it.
    assert await table.store.save(saved.ended(Status.FAILED, "", None, now), new_stamp(), release=True) is None
    fresh = await table.store.get(found.id)
    assert (fresh.status, fresh.life) == (Status.DELIVERED, found.life)
    assert await table.wakes.due(10) == []


async def test_what_a_dead_worker_held_is_due_at_once(table):
    found = await claimed(table)
    assert await table.wakes.orphans() == 0
    await table.bury(table.lives[0])
    assert await table.wakes.orphans() == 1
    assert await table.wakes.orphans() == 0
    assert [one.id for one in await table.wakes.due(10)] == [found.id]
    # Whoever was taken for dead, and was not, writes nothing any more.
    assert await table.store.save(replace(found, reason="late"), new_stamp()) is None
    assert await table.another.claim(found.id, new_stamp()) is not None


async def test_a_wake_up_without_effect_is_repeated_later_each_time(table):
    number = await submitted(table)
    assert await table.wakes.due(10) == []  # whoever took it has woken somebody
    for pause in (31, 31, 61):
        await table.pass_time(timedelta(seconds=pause))
        due = await table.wakes.due(10)
        assert [one.id for one in due] == [number]
        await table.wakes.woken(due)
        assert await table.wakes.due(10) == []


async def test_a_row_that_changed_meanwhile_stays_due(table):
    number = await submitted(table)
    await table.pass_time(timedelta(seconds=31))
    due = await table.wakes.due(10)
    found = await table.worker.claim(number, new_stamp())
    await table.store.save(found.waiting(datetime.now(UTC), Status.SENDING, ""), new_stamp(), release=True)
    await table.wakes.woken(due)
    await table.pass_time(timedelta(seconds=1))
    assert [one.id for one in await table.wakes.due(10)] == [number]


async def test_an_end_that_was_told_is_not_due_any_more(table):
    found = await claimed(table, notify_result=True)
    ended = found.ended(Status.FAILED, "", None, datetime.now(UTC))
    saved = await table.store.save(ended, new_stamp(), release=True)
    assert saved.untold
    await table.worker.told(saved)
    await table.pass_time(timedelta(hours=1))
    assert await table.wakes.due(10) == []
    assert not (await table.store.get(found.id)).untold


async def test_an_end_that_has_changed_since_is_still_to_be_told(table):
    found = await claimed(table, notify_result=True)
    sent = found.ended(Status.SENT, "", None, datetime.now(UTC))
    saved = await table.store.save(sent, new_stamp(), release=True)
    late = replace(saved, status=Status.DELIVERED, due_at=datetime.now(UTC))
    assert await table.store.save(late, new_stamp())
    await table.worker.told(saved)
    await table.pass_time(timedelta(seconds=1))
    assert (await table.store.get(found.id)).untold
    assert [one.id for one in await table.wakes.due(10)] == [found.id]


async def test_an_attempt_is_found_by_the_provider_s_id(table):
    found = await claimed(table)
    one = attempt(notification_id=found.id).heard(Accepted("id-1"), datetime.now(UTC))
    await table.store.save(found.begun(one), new_stamp())
    known = await table.store.by_provider_id(SMPP.id, "id-1")
    assert known is not None
    assert (known[0].id, known[1]) == (found.id, one.reference)
    assert await table.store.by_provider_id(SMPP.id, "id-2") is None
    assert await table.store.by_provider_id(99, "id-1") is None


async def test_only_of_an_sms_centre_an_attempt_is_found_by_the_providers_id(table):
    found = await claimed(table)
    twilio = ChannelKey(8, ChannelType.SMS_TWILIO)
    one = attempt(notification_id=found.id, channel=twilio).heard(Accepted("SM1"), datetime.now(UTC))
    await table.store.save(found.begun(one), new_stamp())
    assert await table.store.by_provider_id(twilio.id, "SM1") is None


async def test_channels_whose_receipts_are_awaited(table):
    async def sent(state=AttemptState.ACCEPTED, channel=SMPP, provider_id="id-1", **facts):
        found = await claimed(table, **facts)
        tried = found.begun(attempt(notification_id=found.id, state=state, channel=channel, provider_id=provider_id))
        waits = tried.waiting(datetime.now(UTC) + timedelta(hours=1), Status.SENT, "its receipt is awaited")
        return await table.store.save(waits, new_stamp(), release=True)

    await sent()
    await sent()
    await sent(owner_id=2, channel=ChannelKey(0, ChannelType.SMS_SMPP))
    await sent(owner_id=3, channel=ChannelKey(8, ChannelType.SMS_TWILIO))
    await sent(AttemptState.UNDELIVERED, owner_id=4)
    await sent(provider_id=None, owner_id=7)
    over = await sent(owner_id=5)
    ended = over.ended(Status.SENT, "no receipt came", SMPP, datetime.now(UTC))
    assert await table.store.save(ended, new_stamp(), release=True)
    await claimed(table, owner_id=6)
    assert await table.store.awaited(ChannelType.SMS_SMPP) == [(1, 7), (2, 0)]


async def test_who_wrote_to_an_address_from_the_operators_number(table):
    async def sent(owner_id, channel_id=0, channel_type=ChannelType.SMS_SMPP, to="+79161234567"):
        found = await claimed(table, owner_id=owner_id)
        channel = ChannelKey(channel_id, channel_type)
        assert await table.store.save(
            found.begun(attempt(notification_id=found.id, channel=channel, to=to)), new_stamp()
        )

    for owner_id in (2, 1, 2):
        await sent(owner_id)
    await sent(3, channel_id=8)
    await sent(4, channel_type=ChannelType.SMS_TWILIO)
    await sent(5, to="+79160000000")
    await sent(6, to=None)
    assert await table.store.written_to(ChannelType.SMS_SMPP, "+79161234567") == [1, 2]


async def test_receipts_that_came_too_early_are_kept(table):
    early = Receipt(
        Delivery.UNDELIVERED, final=True, provider_id="id-1", code="0", refusal=Refusal.PERMANENT, opted_out=True
    )
    await table.store.stray(SMPP.id, early)
    assert await table.store.strays(SMPP.id, "id-1") == [early]
    assert await table.store.strays(SMPP.id, "id-2") == []


async def test_lists_show_one_owner_s_newest_first_page_by_page(table):
    numbers = [await submitted(table) for _ in range(5)]
    await submitted(table, owner_id=2)
    seen, cursor = [], None
    for _ in range(3):
        page = await table.store.page(1, NotificationFilter(), cursor=cursor, limit=2)
        seen += [one.id for one in page.notifications]
        cursor = page.next_cursor
    assert cursor is None
    assert seen == numbers[::-1]
    with pytest.raises(Invalid):
        await table.store.page(1, NotificationFilter(), cursor="none of ours", limit=2)


async def test_lists_are_narrowed(table):
    before = datetime.now(UTC) - timedelta(minutes=1)
    plain, found = await submitted(table), await claimed(table)
    begun = found.begun(attempt(notification_id=found.id))
    await table.store.save(begun, new_stamp())

    async def listed(**wanted):
        page = await table.store.page(1, NotificationFilter(**wanted), cursor=None, limit=10)
        return [one.id for one in page.notifications]

    assert await listed(status=Status.SENDING) == [found.id]
    assert await listed(status=Status.PENDING) == [plain]
    assert await listed(channel_type=ChannelType.SMS_SMPP) == [found.id]
    assert await listed(channel_type=ChannelType.EMAIL) == []
    assert await listed(since=before) == [found.id, plain]
    assert await listed(until=before) == []


async def test_pauses_are_shared_and_the_longer_one_stays(pool):
    pauses = PostgresPauses(pool)
    await pauses.add("channel-1", timedelta(seconds=60))
    await pauses.add("channel-1", timedelta(seconds=5))
    await pauses.add("channel-2", timedelta(seconds=0))
    [(name, left)] = (await pauses.read()).items()
    assert name == "channel-1"
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)
