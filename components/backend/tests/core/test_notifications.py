"""One message gets through: taken, sent by one channel after the other, reported on; whatever happens meanwhile."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fakes.channels import FakeKind
from fakes.identity import FakeAuditLog
from fakes.notification_table import FakeNews, FakeNotificationTable
from fakes.reports import FakeReportBook
from fakes.suppressions import FakeSuppressions
from gonets.bootstrap.identity import AuditOf
from gonets.core.channels.model import (
    Accepted,
    Address,
    Channel,
    ChannelType,
    Delivery,
    Message,
    Receipt,
    Recipient,
    Refusal,
    Refused,
    Unknown,
    UnknownStatus,
)
from gonets.core.contacts import suppression
from gonets.core.contacts.suppression import Entry, HeedOptOuts, Source
from gonets.core.identity.model import Principal, Role
from gonets.core.notifications.callbacks import TakeCallback
from gonets.core.notifications.dispatch import FindRoute, RunNotification, key_of, new_stamp
from gonets.core.notifications.model import AttemptState, NewNotification, Status, TemplateUse
from gonets.core.notifications.ports import Later
from gonets.core.notifications.recent import RecentChannels
from gonets.core.notifications.reports import NoteReports
from gonets.core.notifications.routing import RoutingPolicy
from gonets.core.notifications.use_cases import (
    NoteReceipt,
    ReadNotifications,
    SteerNotifications,
    SubmitNotification,
    WakeNotifications,
)
from gonets.core.shared.errors import Conflict, Forbidden, Invalid, InvalidFields, NotFound, Unavailable

ANNA = Principal(1, Role.MEMBER, api_key_id=9)
BERT = Principal(2, Role.MEMBER)
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
BUSY = Refused(Refusal.TEMPORARY, "busy")
NEVER = Refused(Refusal.PERMANENT, "blocked")


@dataclass
class Kind(FakeKind):
    """Says what its script says, the last line again and again. `during` is called while the send is under way."""

    script: list[Any] = field(default_factory=lambda: [Accepted("p-1")])
    during: Callable[[Any], Any] | None = None

    async def send(self, channel, send):
        await super().send(channel, send)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if self.during:
            await self.during(send)
        if isinstance(said, Exception):
            raise said
        return said


@dataclass
class Asked(Kind):
    """Can be asked."""

    receipt: Receipt | None = None
    inquiries: list[Any] = field(default_factory=list)

    async def inquire(self, channel, send, provider_id):
        self.inquiries.append((send, provider_id))
        return self.receipt


@dataclass
class World:
    """A service with a Telegram, an e-mail and an SMPP channel."""

    table: FakeNotificationTable = field(default_factory=lambda: FakeNotificationTable(time=START))
    news: FakeNews = field(default_factory=FakeNews)
    channels: dict[int, Channel] = field(default_factory=dict)
    postponed: list[timedelta] = field(default_factory=list)
    turns_over: int = 0
    pauses: list[timedelta] = field(default_factory=list)
    permits: list[Any] = field(default_factory=list)
    observed: list[Any] = field(default_factory=list)
    log: FakeAuditLog = field(default_factory=FakeAuditLog)
    suppressed: FakeSuppressions = field(default_factory=FakeSuppressions)
    public: str | None = None
    life: int = 1
    next_life: int | None = None
    """The worker stands still while it waits for its turn, and is taken for dead."""
    policy: RoutingPolicy = field(default_factory=RoutingPolicy)

    def __post_init__(self):
        self.telegram = Kind()
        self.email = Kind(type=ChannelType.EMAIL, address=Address.EMAIL)
        self.smpp = Kind(type=ChannelType.SMS_SMPP, address=Address.PHONE, receipts=True)
        self.aero = Asked(type=ChannelType.SMS_SMSAERO, address=Address.PHONE, receipts=True)
        self.kinds = {kind.type: kind for kind in (self.telegram, self.email, self.smpp, self.aero)}
        self.add(1, ChannelType.TELEGRAM)
        self.add(2, ChannelType.EMAIL)
        self.read = ReadNotifications(self.table, self.table)
        self.steer = SteerNotifications(self.read, self.news, AuditOf(self.log, "notification"), self.table.now)
        self.opt_outs = HeedOptOuts(self.suppressed, AuditOf(FakeAuditLog(), "suppression"))
        self.note = NoteReceipt(self.table, self, self.opt_outs, self.table.now)
        self.submit = SubmitNotification(
            self.table, self, self, self.kinds, self.news, lambda _, text: text, self, self.table.now
        )

    def add(self, number, channel_type, **facts):
        facts = {"configuration": {"key": "secret"}} | facts
        self.channels[number] = Channel(
            id=number,
            owner_id=1,
            name=channel_type.value,
            type=channel_type,
            created_at=START,
            updated_at=START,
            **facts,
        )

    async def usable(self, owner_id):
        return [one for one in self.channels.values() if one.enabled]

    async def get(self, owner_id, channel_id):
        if channel_id not in self.channels or owner_id != 1:
            raise NotFound(f"no channel has the id {channel_id}")
        return self.channels[channel_id]

    async def recipient(self, owner_id, contact_id):
        return Recipient("55") if (owner_id, contact_id) == (1, 5) else None

    async def permit(self, found):
        return self.permits.pop(0) if self.permits else True

    async def written(self, owner_id, use, contact_id):
        if use.template != "welcome":
            raise Invalid("template", f"no template has the name {use.template}")
        return Message(f"Hello, {use.variables['name']}, {contact_id}!", "Hello")

    async def holds(self, claim):
        return claim.life == self.life

    def surely_holds(self, claim):
        return claim.life == self.life

    async def turn(self, channel):
        self.life = self.next_life or self.life
        return self.postponed.pop(0) if self.postponed else self

    def over(self):
        self.turns_over += 1

    async def pause(self, channel, lasting):
        self.pauses.append(lasting)

    def sent(self, found, channel, outcome, seconds, age):
        self.observed.append(("sent", type(outcome).__name__))

    def reported(self, attempt):
        self.observed.append(("reported", attempt.state.value))

    def ended(self, found):
        self.observed.append(("ended", found.status.value))

    def url(self, channel_type, reference):
        return f"{self.public}/{reference}" if self.public else None

    async def hand_in(self, **facts):
        common = {
            "owner_id": 1,
            "recipient": Recipient("123", "a@b.cd", "+79161234567"),
            "contact_id": None,
            "message": Message("hi"),
        }
        return (await self.submit(NewNotification(**(common | facts)))).id

    async def claim(self, number, life=1):
        return await self.table.of(life).claim(number, new_stamp())

    async def work(self, claimed, life=1):
        route = FindRoute(self, self.kinds, self.url, self.opt_outs)
        run = RunNotification(
            self.table,
            self.table.of(life),
            route,
            self,
            self,
            self.news,
            self.note.by_provider_id,
            self.opt_outs,
            self,
            self,
            self.policy,
            self.table.now,
        )
        await run(claimed)

    async def go(self, number, *, passing=timedelta(0), steps=50):
        """Works as the scheduler and one worker would, until nothing more is due within the time."""
        until = self.table.time + passing
        for _ in range(steps):
            row = self.table.rows[number]
            if row.found.due_at is None or row.found.due_at > until:
                break
            self.table.time = max(self.table.time, row.found.due_at)
            claimed = await self.claim(number)
            if claimed is None:
                break
            await self.work(claimed)
        self.table.time = max(self.table.time, until)
        return await self.read.one(1, number)


@pytest.fixture
def world():
    return World()


async def test_it_is_sent_by_the_first_channel_and_told(world):
    number = await world.hand_in(notify_result=True)
    assert world.news.woken == [number]
    found = await world.go(number)
    assert found.status is Status.SENT
    assert found.sent_at == START
    [(channel, send)] = world.telegram.sent
    assert (channel.id, send.to, send.message.text) == (1, "123", "hi")
    assert send.reference == found.attempts[0].reference
    assert world.news.ends == [(number, Status.SENT)]
    assert found.told is Status.SENT


async def test_the_row_of_the_attempt_is_there_before_the_send(world):
    seen = []

    async def look(send):
        seen.append((await world.table.get(number)).attempt(send.reference).state)

    world.telegram.during = look
    number = await world.hand_in()
    await world.go(number)
    assert seen == [AttemptState.STARTED]


async def test_the_next_channel_takes_over(world):
    world.telegram.script = [NEVER]
    found = await world.go(await world.hand_in())
    assert found.status is Status.SENT
    assert [(one.channel.id, one.state) for one in found.attempts] == [
        (1, AttemptState.REJECTED),
        (2, AttemptState.ACCEPTED),
    ]
    assert "blocked" in found.attempts[1].why


async def test_passing_failures_are_tried_again_later(world):
    world.telegram.script = [replace(BUSY, retry_after=7.0), Accepted()]
    number = await world.hand_in()
    found = await world.go(number, passing=timedelta(seconds=6))
    assert (found.status, len(found.attempts)) == (Status.SENDING, 1)
    assert world.pauses == [timedelta(seconds=7)]
    found = await world.go(number, passing=timedelta(seconds=2))
    assert (found.status, len(found.attempts)) == (Status.SENT, 2)
    assert not world.email.sent


async def test_a_bug_while_sending_is_an_unknown_outcome(world):
    world.telegram.script = [RuntimeError("a bug")]
    found = await world.go(await world.hand_in(), passing=timedelta(hours=1))
    assert found.status is Status.UNKNOWN
    assert not world.email.sent


async def test_an_unknown_outcome_is_held(world):
    world.telegram.script = [Unknown("no answer")]
    number = await world.hand_in()
    found = await world.go(number)
    assert (found.status, found.finished) == (Status.UNKNOWN, False)
    found = await world.go(number, passing=timedelta(minutes=5))
    assert (found.status, found.finished) == (Status.UNKNOWN, True)
    assert len(world.telegram.sent) == 1
    assert not world.email.sent


async def test_a_provider_is_asked_about_the_unknown(world):
    world.add(3, ChannelType.SMS_SMSAERO)
    world.aero.script = [Unknown("no answer")]
    world.aero.receipt = Receipt(Delivery.DELIVERED, final=True, provider_id="77")
    number = await world.hand_in(recipient=Recipient(phone="+79161234567"))
    found = await world.go(number, passing=timedelta(seconds=10))
    assert found.status is Status.DELIVERED
    [(send, provider_id)] = world.aero.inquiries
    assert (send.reference, provider_id) == (found.attempts[0].reference, None)
    assert found.attempts[0].provider_id == "77"


async def test_an_earlier_try_is_not_taken_for_the_one_that_is_asked_about(world):
    world.add(3, ChannelType.SMS_SMSAERO)
    world.aero.script = [Accepted("76"), Unknown("no answer")]
    number = await world.hand_in(recipient=Recipient(phone="+79161234567"))
    found = await world.go(number)
    reference, failed = found.attempts[0].reference, Receipt(Delivery.UNDELIVERED, final=True, code="1")
    await world.note.by_reference(reference, replace(failed, refusal=Refusal.TEMPORARY))
    found = await world.go(number, passing=timedelta(seconds=10))
    assert [one.state for one in found.attempts] == [AttemptState.UNDELIVERED, AttemptState.UNKNOWN]
    await world.go(number, passing=timedelta(seconds=10))
    send, provider_id = world.aero.inquiries[-1]
    assert (send.reference, send.others, provider_id) == (found.attempts[1].reference, {"76"}, None)


async def test_what_a_provider_never_had_is_sent_again(world):
    world.add(3, ChannelType.SMS_SMSAERO)
    world.aero.script = [Unknown("no answer"), Accepted("78")]
    world.aero.receipt = Receipt(Delivery.ABSENT, final=True)
    number = await world.hand_in(recipient=Recipient(phone="+79161234567"))
    # It may still be under way: a word that it is not there means nothing yet.
    found = await world.go(number, passing=timedelta(seconds=5))
    assert [one.state for one in found.attempts] == [AttemptState.UNKNOWN]
    assert len(world.aero.inquiries) == 1
    found = await world.go(number, passing=timedelta(seconds=30))
    assert [one.state for one in found.attempts] == [AttemptState.REJECTED, AttemptState.ACCEPTED]


async def test_receipts_that_are_not_sent_are_asked_for(world):
    world.add(3, ChannelType.SMS_SMSAERO)
    number = await world.hand_in(recipient=Recipient(phone="+79161234567"))
    world.aero.receipt = Receipt(Delivery.SENT, final=False, code="8", held=True)
    found = await world.go(number, passing=timedelta(minutes=1))
    assert (found.status, found.finished) == (Status.SENT, False)
    asked = len(world.aero.inquiries)
    assert 1 < asked < 10
    world.aero.receipt = Receipt(Delivery.DELIVERED, final=True, code="1")
    found = await world.go(number, passing=timedelta(hours=2))
    assert found.status is Status.DELIVERED


async def test_what_a_dead_worker_was_sending_is_unknown(world):
    number = await world.hand_in()
    claimed = await world.claim(number)

    class KilledError(BaseException):
        """The process is gone in the middle of the send."""

    async def killed(send):
        raise KilledError

    world.telegram.during = killed
    with pytest.raises(KilledError):
        await world.work(claimed)
    world.table.lives.discard(1)
    await world.table.orphans()
    world.telegram.during = None
    world.life = 2
    await world.work(await world.claim(number, life=2), life=2)
    found = await world.read.one(1, number)
    assert (found.status, found.attempts[0].state) == (Status.UNKNOWN, AttemptState.UNKNOWN)
    assert len(world.telegram.sent) == 1


async def test_who_lost_the_claim_sends_nothing(world):
    number = await world.hand_in()
    claimed = await world.claim(number)
    world.life = 99
    await world.work(claimed)
    assert not world.telegram.sent


async def test_who_was_taken_for_dead_before_its_turn_sends_nothing(world):
    number = await world.hand_in()
    world.next_life = 99
    await world.work(await world.claim(number))
    assert not world.telegram.sent


async def test_who_was_taken_for_dead_while_sending_still_leaves_the_truth(world):
    number = await world.hand_in()

    async def taken_away(send):
        world.table.lives.discard(1)
        await world.table.orphans()
        world.table.lives.add(1)

    world.telegram.during = taken_away
    await world.work(await world.claim(number))
    found = await world.table.get(number)
    assert found.attempts[0].state is AttemptState.ACCEPTED
    assert found.due_at == world.table.time
    found = await world.go(number)
    assert found.status is Status.SENT
    assert len(world.telegram.sent) == 1


async def test_a_receipt_may_overtake_the_send_s_own_answer(world):
    world.add(3, ChannelType.SMS_SMPP)

    async def reported(send):
        await world.note.by_reference(send.reference, Receipt(Delivery.DELIVERED, final=True))

    world.smpp.during = reported
    found = await world.go(await world.hand_in(recipient=Recipient(phone="+79161234567")))
    assert found.status is Status.DELIVERED
    assert found.attempts[0].provider_id == "p-1"


async def test_a_receipt_by_the_provider_s_id_may_come_before_anybody_knows_the_id(world):
    world.add(3, ChannelType.SMS_SMPP)

    async def reported(send):
        await world.note.by_provider_id(3, Receipt(Delivery.DELIVERED, final=True, provider_id="p-1"))

    world.smpp.during = reported
    found = await world.go(await world.hand_in(recipient=Recipient(phone="+79161234567")))
    assert found.status is Status.DELIVERED


async def test_repeated_and_reordered_receipts_change_nothing(world):
    world.add(3, ChannelType.SMS_SMPP)
    number = await world.hand_in(recipient=Recipient(phone="+79161234567"), notify_result=True)
    found = await world.go(number)
    reference = found.attempts[0].reference
    delivered = Receipt(Delivery.DELIVERED, final=True, provider_id="p-1")
    await world.note.by_reference(reference, delivered)
    await world.go(number)
    before = await world.read.one(1, number)
    for late in (Receipt(Delivery.SENT, final=False), delivered, Receipt(Delivery.UNDELIVERED, final=True)):
        await world.note.by_reference(reference, late)
    await world.note.by_provider_id(3, delivered)
    assert await world.read.one(1, number) == before
    assert world.news.ends == [(number, Status.DELIVERED)]
    assert world.observed == [("sent", "Accepted"), ("reported", "delivered"), ("ended", "delivered")]


async def test_undelivered_makes_the_next_channel_try(world):
    world.add(3, ChannelType.SMS_SMPP)
    number = await world.hand_in(route=(3, 2))
    found = await world.go(number)
    assert found.status is Status.SENT
    await world.note.by_reference(found.attempts[0].reference, Receipt(Delivery.UNDELIVERED, final=True, reason="off"))
    found = await world.go(number)
    assert [one.channel.id for one in found.attempts] == [3, 2]


async def test_a_receipt_for_nobody_is_refused(world):
    for reference in ("1-1-abc", "x", "", "99999999999999999999-1-a"):
        with pytest.raises(NotFound):
            await world.note.by_reference(reference, Receipt(Delivery.DELIVERED, final=True))


async def test_a_turn_that_is_far_away_sets_it_aside_without_an_attempt(world):
    world.postponed = [timedelta(seconds=30)]
    number = await world.hand_in()
    found = await world.go(number)
    assert (found.status, found.attempts) == (Status.PENDING, ())
    assert found.due_at == START + timedelta(seconds=30)
    found = await world.go(number, passing=timedelta(seconds=30))
    assert (found.status, len(found.attempts), world.turns_over) == (Status.SENT, 1, 1)


async def test_cancelled_while_it_is_sent_it_ends_as_it_ends(world):
    async def cancelled(send):
        await world.steer.cancel(ANNA, number)

    world.telegram.during = cancelled
    world.telegram.script = [BUSY]
    number = await world.hand_in()
    found = await world.go(number, passing=timedelta(minutes=1))
    assert (found.status, len(found.attempts)) == (Status.CANCELLED, 1)
    world.telegram.script = [Accepted()]
    number = await world.hand_in()
    assert (await world.go(number)).status is Status.SENT


async def test_cancel_and_retry_refuse_what_makes_no_sense(world):
    number = await world.hand_in(held=True)
    assert (await world.steer.cancel(ANNA, number)).status is Status.CANCELLED
    with pytest.raises(Conflict):
        await world.steer.cancel(ANNA, number)
    assert (await world.steer.retry(ANNA, number)).status is Status.PENDING
    with pytest.raises(Conflict):
        await world.steer.retry(ANNA, number)
    assert (await world.go(number)).status is Status.SENT
    with pytest.raises(Conflict):
        await world.steer.retry(ANNA, number)
    for change in (world.steer.cancel, world.steer.retry):
        with pytest.raises(NotFound):
            await change(BERT, number)


async def test_who_steers_one_is_in_the_audit_and_what_changed_nothing_is_not(world):
    async def twice(send):
        await world.steer.cancel(ANNA, number)
        await world.steer.cancel(ANNA, number)

    number, other = await world.hand_in(held=True), await world.hand_in(held=True)
    await world.steer.release(ANNA, [number, 99])
    world.telegram.script, world.telegram.during = [BUSY], twice
    await world.go(number, passing=timedelta(minutes=1))
    await world.steer.retry(ANNA, number)
    await world.steer.stop(1, other)
    for refused in (world.steer.cancel, world.steer.retry):
        with pytest.raises(NotFound):
            await refused(BERT, number)
    assert [(one.user_id, one.api_key_id, one.action, one.object, one.object_id) for one in world.log.entries] == [
        (1, 9, done, "notification", number) for done in ("released", "cancelled", "retried")
    ]


async def test_a_retry_by_hand_tells_its_end_anew(world):
    world.telegram.script = world.email.script = [NEVER]
    number = await world.hand_in(notify_result=True)
    assert (await world.go(number)).status is Status.FAILED
    world.telegram.script = [Accepted()]
    await world.steer.retry(ANNA, number)
    found = await world.go(number)
    assert (found.status, found.round, len(found.attempts)) == (Status.SENT, 2, 3)
    assert world.news.ends == [(number, Status.FAILED), (number, Status.SENT)]


async def test_held_ones_wait_to_be_released(world):
    number = await world.hand_in(held=True)
    other = await world.hand_in(held=False)
    assert (await world.go(number)).status is Status.PENDING
    assert not world.telegram.sent
    released, skipped = await world.steer.release(ANNA, [number, other, 99, number])
    assert released == [number]
    assert [one.id for one in skipped] == [other, 99]
    assert (await world.steer.release(BERT, [number]))[0] == []
    assert (await world.go(number)).status is Status.SENT


async def test_many_are_released_with_one_step_of_the_audit_and_an_entry_each(world):
    numbers = [await world.hand_in(held=True) for _ in range(3)]
    await world.steer.release(ANNA, numbers)
    assert [one.object_id for one in world.log.entries] == numbers
    assert world.log.steps == 1
    await world.steer.release(ANNA, numbers)
    assert world.log.steps == 1


async def test_what_was_released_before_the_database_went_away_is_in_the_audit(world, monkeypatch):
    first, second = await world.hand_in(held=True), await world.hand_in(held=True)
    save = world.table.save

    async def silent_from_the_second_on(notification, *args, **more):
        if notification.id == second:
            raise Unavailable("the database is away")
        return await save(notification, *args, **more)

    monkeypatch.setattr(world.table, "save", silent_from_the_second_on)
    with pytest.raises(Unavailable):
        await world.steer.release(ANNA, [first, second])
    assert [one.object_id for one in world.log.entries] == [first]


async def test_a_contact_s_addresses_are_taken(world):
    found = await world.go(await world.hand_in(recipient=Recipient(), contact_id=5))
    assert world.telegram.sent[0][1].to == "55"
    assert found.recipient == Recipient("55")


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"recipient": Recipient(), "contact_id": 6}, "contactId"),
        ({"recipient": Recipient(), "contact_id": 6, "contact_field": "recipient.contactId"}, "recipient.contactId"),
        ({"route": (99,)}, "route.0"),
        ({"deadline": START}, "deadline"),
        ({"recipient": Recipient()}, "recipient"),
        ({"recipient": Recipient(), "route": (1,)}, "recipient"),
    ],
)
async def test_what_can_never_be_sent_is_refused_at_the_door(world, facts, field):
    with pytest.raises(Invalid) as refused:
        await world.hand_in(**facts)
    assert refused.value.field == field
    assert not world.table.rows


async def test_every_address_that_is_none_is_named(world):
    with pytest.raises(InvalidFields) as refused:
        await world.hand_in(recipient=Recipient("not a chat", "nobody", None))
    assert [field for field, _ in refused.value.wrong] == ["recipient.telegramChatId", "recipient.email"]


async def test_a_channel_s_own_destination_needs_no_recipient(world):
    world.add(1, ChannelType.TELEGRAM, configuration={"key": "secret", "to": "@alarm"}, is_default=True)
    for route in ((1,), ()):
        found = await world.go(await world.hand_in(recipient=Recipient(), route=route))
        assert found.status is Status.SENT
        assert found.attempts[0].to is None


async def test_a_channel_that_is_off_is_passed_over(world):
    world.channels[1] = replace(world.channels[1], enabled=False)
    for route in ((), (1, 2)):
        found = await world.go(await world.hand_in(route=route))
        assert found.attempts[0].channel.id == 2
    assert "it is off" in found.attempts[0].why


async def test_a_text_too_long_for_a_channel_goes_by_the_next_one_that_can(world):
    found = await world.go(await world.hand_in(route=(1, 2), message=Message("x" * 1001)))
    assert found.status is Status.FAILED
    assert "is too long" in found.reason


async def test_a_key_names_one_notification(world):
    number = await world.hand_in(key="k", digest="a")
    assert await world.hand_in(key="k", digest="a") == number
    assert world.news.woken == [number]
    with pytest.raises(Conflict):
        await world.hand_in(key="k", digest="b")


async def test_a_wake_up_that_cannot_be_sent_is_left_to_the_scheduler(world):
    async def away(_):
        raise Unavailable("the broker is away")

    wake, world.news.wake = world.news.wake, away
    number = await world.hand_in()
    sweep = WakeNotifications(world.table, world.news)
    world.table.time += timedelta(seconds=31)
    with pytest.raises(Unavailable):
        await sweep()
    world.news.wake = wake
    assert await sweep() == 1
    assert world.news.woken == [number]
    assert await sweep() == 0


async def test_callbacks_are_believed_when_they_are_signed(world, caplog):
    world.add(3, ChannelType.SMS_SMPP)
    world.public = "https://gonets.example.com"
    number = await world.hand_in(recipient=Recipient(phone="+79161234567"))
    found = await world.go(number)
    assert world.smpp.sent[0][1].callback_url == f"https://gonets.example.com/{found.attempts[0].reference}"
    seen = []

    def read(channel, url, body, signature):
        seen.append((channel.id, url, body))
        if (signature, body) == ("right", b"odd"):
            return UnknownStatus("teleported")
        return Receipt(Delivery.DELIVERED, final=True) if signature == "right" else None

    book = FakeReportBook(world.table)
    note = NoteReports(book, world.note, world.table.strays, world.note.observer, world.table.now)
    take = TakeCallback(book, world, {}, note, world.url, read)
    reference = found.attempts[0].reference
    with pytest.raises(Forbidden):
        await take(ChannelType.SMS_SMPP, reference, "a=1", b"x", "wrong")
    with pytest.raises(NotFound):
        await take(ChannelType.EMAIL, reference, "", b"x", "right")
    with pytest.raises(NotFound):
        await take(ChannelType.SMS_SMPP, f"{reference}0", "", b"x", "right")
    with pytest.raises(Forbidden):
        await take(ChannelType.SMS_SMPP, reference, "", b"odd", "wrong")
    assert not caplog.records
    await take(ChannelType.SMS_SMPP, reference, "", b"odd", "right")
    [line] = caplog.records
    assert (line.levelname, line.status, line.reference, line.channel_id) == ("WARNING", "teleported", reference, 3)
    assert (await world.read.one(1, number)).status is Status.SENT
    await take(ChannelType.SMS_SMPP, reference, "a=1", b"x", "right")
    assert (await world.read.one(1, number)).status is Status.DELIVERED
    assert seen[-1] == (3, f"https://gonets.example.com/{reference}?a=1", b"x")


async def test_what_the_operators_secret_signs_is_about_the_operators_attempts_only(world):
    world.add(3, ChannelType.SMS_SMPP)
    world.public = "https://gonets.example.com"
    number = await world.hand_in(recipient=Recipient(phone="+79161234567"))
    reference = (await world.go(number)).attempts[0].reference
    operators = replace(world.channels[3], id=0, owner_id=None)

    def read(channel, url, body, signature):
        return Receipt(Delivery.DELIVERED, final=True) if signature == f"of {channel.id}" else None

    book = FakeReportBook(world.table)
    note = NoteReports(book, world.note, world.table.strays, world.note.observer, world.table.now)
    take = TakeCallback(book, world, {ChannelType.SMS_SMPP: operators}, note, world.url, read, moment=0)
    with pytest.raises(Forbidden):
        await take(ChannelType.SMS_SMPP, reference, "", b"x", "of 0")
    with pytest.raises(Forbidden):
        await take(ChannelType.SMS_SMPP, reference, "", b"x", "nobody's")
    assert (await world.read.one(1, number)).status is Status.SENT
    row = world.table.rows[number]
    [attempt] = row.found.attempts
    row.found = replace(row.found, attempts=(replace(attempt, channel=key_of(operators)),))

    looked, enter = [], book.enter

    async def overtaken(*said):
        looked.append(said)
        return None if len(looked) == 1 else await enter(*said)

    async def find(reference):
        raise AssertionError("it need not be looked for")

    book.enter, book.find = overtaken, find
    await take(ChannelType.SMS_SMPP, reference, "", b"x", "of 0")
    assert (await world.read.one(1, number)).status is Status.DELIVERED
    assert len(looked) == 2


async def test_a_provider_is_kept_waiting_for_the_database_but_not_for_ever(world):
    world.add(3, ChannelType.SMS_SMPP)
    world.public = "https://gonets.example.com"
    number = await world.hand_in(recipient=Recipient(phone="+79161234567"))
    reference = (await world.go(number)).attempts[0].reference
    book, away = FakeReportBook(world.table), [2]

    async def find(wanted, known=book.find):
        if away[0]:
            away[0] -= 1
            raise Unavailable("the database is away")
        return await known(wanted)

    book.find = find
    note = NoteReports(book, world.note, world.table.strays, world.note.observer, world.table.now)

    def read(*_):
        return Receipt(Delivery.DELIVERED, final=True)

    take = TakeCallback(book, world, {}, note, world.url, read)
    await take(ChannelType.SMS_SMPP, reference, "", b"x", "right")
    assert (await world.read.one(1, number)).status is Status.DELIVERED
    away[0] = 1000
    with pytest.raises(Unavailable, match="the database is away"):
        await TakeCallback(book, world, {}, note, world.url, read, patience=0.1)(
            ChannelType.SMS_SMPP, reference, "", b"x", "right"
        )


async def test_channels_are_remembered_for_a_moment_only(world):
    time = [0.0]
    recent = RecentChannels(world, seconds=1.0, monotonic=lambda: time[0])
    assert [one.id for one in await recent.usable(1)] == [1, 2]
    world.add(3, ChannelType.SMS_SMPP)
    assert [one.id for one in await recent.usable(1)] == [1, 2]
    time[0] = 1.0
    assert [one.id for one in await recent.usable(1)] == [1, 2, 3]
    assert (await recent.get(1, 3)).id == 3


async def test_all_who_ask_for_an_owners_channels_at_one_time_share_the_question(world):
    asked, answered = [], asyncio.Event()

    class Slow:
        async def usable(self, owner_id):
            asked.append(owner_id)
            await answered.wait()
            return await world.usable(owner_id)

    recent = RecentChannels(Slow(), seconds=1.0)
    waiting = [asyncio.create_task(recent.usable(owner)) for owner in (1, 1, 2, 1)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    answered.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert [[one.id for one in usable] for usable in (found[1], found[3])] == [[1, 2], [1, 2]]
    assert asked == [1, 2]


async def test_a_question_that_failed_is_asked_again(world):
    answers = [Unavailable("the database is away")]

    class Failing:
        async def usable(self, owner_id):
            if answers:
                raise answers.pop()
            return await world.usable(owner_id)

    recent = RecentChannels(Failing())
    with pytest.raises(Unavailable):
        await recent.usable(1)
    assert [one.id for one in await recent.usable(1)] == [1, 2]


OPTED_OUT = Refused(Refusal.PERMANENT, "has unsubscribed", "21610", opted_out=True)


async def suppress(world, kind, address):
    await world.suppressed.add(1, [Entry(kind, address)], Source.MANUAL)


async def test_nothing_goes_to_a_suppressed_address(world):
    await suppress(world, suppression.Kind.EMAIL, "a@b.cd")
    number = await world.hand_in(recipient=Recipient(None, "A@b.cd", None))
    found = await world.go(number)
    assert (found.status, found.attempts, world.email.sent) == (Status.SUPPRESSED, (), [])
    assert found.reason == "EMAIL: suppressed: the email must not be written to"
    assert world.observed[-1] == ("ended", "suppressed")


async def test_it_is_asked_when_it_is_sent_not_when_it_is_handed_in(world):
    number = await world.hand_in(held=True)
    await suppress(world, suppression.Kind.TELEGRAM_CHAT_ID, "123")
    await world.steer.release(ANNA, [number])
    found = await world.go(number)
    assert (found.status, [one.to for one in found.attempts]) == (Status.SENT, ["a@b.cd"])


async def test_another_owners_list_is_none_of_ours(world):
    await world.suppressed.add(2, [Entry(suppression.Kind.TELEGRAM_CHAT_ID, "123")], Source.MANUAL)
    assert (await world.go(await world.hand_in())).status is Status.SENT


async def test_a_channels_own_destination_is_an_address_too(world):
    world.add(1, ChannelType.TELEGRAM, configuration={"key": "secret", "to": "77"}, is_default=True)
    await suppress(world, suppression.Kind.TELEGRAM_CHAT_ID, "77")
    found = await world.go(await world.hand_in(recipient=Recipient(), route=[1]))
    assert (found.status, world.telegram.sent) == (Status.SUPPRESSED, [])


async def test_who_unsubscribed_with_a_provider_is_suppressed_at_once(world):
    world.smpp.script = [OPTED_OUT]
    world.add(3, ChannelType.SMS_SMPP)
    world.add(4, ChannelType.SMS_SMSAERO)
    found = await world.go(await world.hand_in(recipient=Recipient(phone="+79161234567"), route=[3, 4]))
    assert found.status is Status.SUPPRESSED
    assert [one.code for one in found.attempts] == ["21610"]
    assert world.aero.sent == [], "the same number, by another channel"
    [row] = world.suppressed.rows.values()
    assert (row.kind, row.address, row.source, row.reason) == (
        suppression.Kind.PHONE,
        "+79161234567",
        Source.PROVIDER,
        "has unsubscribed",
    )


async def test_a_report_that_somebody_unsubscribed_is_heeded(world):
    world.add(3, ChannelType.SMS_SMPP)
    found = await world.go(await world.hand_in(recipient=Recipient(phone="+79161234567")))
    gone = Receipt(Delivery.REJECTED, final=True, code="21610", reason="gone", opted_out=True)
    await world.note.by_reference(found.attempts[0].reference, gone)
    assert [row.address for row in world.suppressed.rows.values()] == ["+79161234567"]
    assert (await world.go(found.id)).status is Status.SUPPRESSED


async def test_what_was_suppressed_is_tried_again_when_the_list_allows_it(world):
    await suppress(world, suppression.Kind.EMAIL, "a@b.cd")
    found = await world.go(await world.hand_in(recipient=Recipient(email="a@b.cd")))
    await world.suppressed.delete(1, 1)
    await world.steer.retry(ANNA, found.id)
    assert (await world.go(found.id)).status is Status.SENT


async def test_a_template_is_written_when_it_is_handed_in(world):
    use = TemplateUse("welcome", {"name": "Anna"})
    number = await world.hand_in(message=Message("", username="bot"), template=use, contact_id=5)
    found = await world.read.one(1, number)
    assert found.message == Message("Hello, Anna, 5!", "Hello", "bot")
    with pytest.raises(Invalid, match="no template has the name other"):
        await world.hand_in(template=TemplateUse("other"))


async def test_a_message_that_may_not_leave_now_waits_and_no_attempt_is_made_of_it():
    world = World()
    at = START + timedelta(hours=9)
    world.permits = [Later(at, "waits for the send window of its campaign")]
    number = await world.hand_in()
    await world.go(number)
    found = world.table.rows[number].found
    assert (found.due_at, found.reason, found.attempts) == (at, "waits for the send window of its campaign", ())
    await world.go(number, passing=timedelta(hours=10))
    assert world.table.rows[number].found.status is Status.SENT


async def test_what_waits_for_leave_expires_at_its_deadline():
    world = World()
    deadline = START + timedelta(hours=1)
    world.permits = [Later(START + timedelta(hours=9), "paused")] * 3
    number = await world.hand_in(deadline=deadline)
    await world.go(number, passing=timedelta(hours=2))
    found = world.table.rows[number].found
    assert (found.status, found.finished_at) == (Status.EXPIRED, deadline)


async def test_a_message_that_may_never_leave_is_cancelled():
    world = World()
    world.permits = [False]
    number = await world.hand_in()
    await world.go(number)
    found = world.table.rows[number].found
    assert (found.status, found.attempts) == (Status.CANCELLED, ())
    assert not world.telegram.sent


async def test_a_message_that_was_sent_and_may_not_go_on_stays_sent():
    world = World()
    world.channels.clear()
    world.add(3, ChannelType.SMS_SMPP)
    world.add(2, ChannelType.EMAIL)
    world.permits = [True, False]
    number = await world.hand_in(route=(3, 2), fallback_after=timedelta(minutes=5))
    await world.go(number, passing=timedelta(hours=1))
    found = world.table.rows[number].found
    assert (found.status, len(found.attempts)) == (Status.SENT, 1)
