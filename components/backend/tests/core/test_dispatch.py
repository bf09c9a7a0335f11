"""A chunk is sent: behind its mark, by what is decided once for many, and whatever happens meanwhile."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from fakes.campaigns import FakeCampaignNews, FakeCampaigns
from fakes.channels import FakeKind
from fakes.chunks import FakeChunks, FakeEarly, FakeListed, FakeMessages, FakeObserver, FakeTurns
from gonets.core.campaigns.dispatch import SendChunk, reference_of
from gonets.core.campaigns.lanes import Lanes
from gonets.core.campaigns.model import Campaign, Chunk, Content, Status
from gonets.core.campaigns.windows import SendWindow
from gonets.core.channels.model import (
    Accepted,
    Address,
    Channel,
    ChannelType,
    Recipient,
    Refusal,
    Refused,
    Unknown,
)
from gonets.core.contacts.audience import EVERYBODY
from gonets.core.contacts.model import Contact
from gonets.core.notifications.dispatch import FindRoute
from gonets.core.notifications.model import AttemptState, Notification
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.notifications.routing import RoutingPolicy
from gonets.core.shared.errors import Conflict

START = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Kind(FakeKind):
    """`say` tells what comes of a send, by its address; `during` is called while it is under way."""

    say: Callable[[str], Any] = lambda _: Accepted("p-1")
    during: Callable[[], Any] | None = None
    under_way: int = 0
    most: int = 0

    async def send(self, channel, send):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await super().send(channel, send)
        if self.during:
            await self.during()
        await asyncio.sleep(0)
        self.under_way -= 1
        said = self.say(send.to)
        if isinstance(said, Exception):
            raise said
        return said

    def problem(self, message_text):
        return "it is too long" if len(message_text) > 30 else None


@dataclass
class Channels:
    """Implements ChannelsOf."""

    owned: list[Channel]

    async def usable(self, owner_id):
        return self.owned

    async def get(self, owner_id, channel_id):
        return next(one for one in self.owned if one.id == channel_id)


@dataclass
class Lifeline:
    fresh: bool = True

    def surely_holds(self, claim):
        return self.fresh

    async def holds(self, claim):
        return self.fresh


class _Lists:
    async def among(self, owner_id, asked):
        return {}


def _channel(number: int, kind: ChannelType) -> Channel:
    return Channel(
        id=number,
        owner_id=1,
        name=f"channel {number}",
        type=kind,
        configuration={"key": "k"},
        created_at=START,
        updated_at=START,
    )


@dataclass
class World:
    """One worker, one campaign of so many contacts, all of them with phones."""

    size: int = 20
    width: int = 4
    time: datetime = START
    content: Content = field(default_factory=lambda: Content(text="Hello"))
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = FakeCampaigns(lambda: self.time, chunk=1000)
        self.sms = Kind(ChannelType.SMS_TWILIO, Address.PHONE, receipts=True)
        self.mail = Kind(ChannelType.EMAIL, Address.EMAIL)
        self.channels = Channels([_channel(1, ChannelType.SMS_TWILIO), _channel(2, ChannelType.EMAIL)])
        self.chunks, self.messages = FakeChunks(self.table), FakeMessages(self.table)
        self.turns, self.early, self.listed = FakeTurns(), FakeEarly(), FakeListed()
        self.news, self.observer, self.lifeline = FakeCampaignNews(), FakeObserver(), Lifeline()
        for number in range(1, self.size + 1):
            self.contact(number, phone=f"+7900000{number:04d}")

    def contact(self, number: int, **known: Any) -> None:
        contact = Contact(id=number, name="", created_at=START, updated_at=START, **known)
        self.table.contacts[number] = 1, contact

    async def fan_out(self) -> list[int]:
        campaign = Campaign(
            id=0,
            owner_id=1,
            name="Spring",
            content=self.content,
            audience=EVERYBODY,
            status=Status.RUNNING,
            created_at=START,
            updated_at=START,
            **self.options,
        )
        self.campaign, _ = await self.table.add(campaign, None)
        claimed = await self.table.claim(self.campaign.id, 1)
        assert claimed is not None
        done = await self.table.fan_out(claimed, 100_000)
        assert done is not None
        await self.table.release(done)
        return list(self.table.chunks)

    def worker(self, life: int = 1) -> SendChunk:
        self.lanes = Lanes(self.width)
        kinds = {self.sms.type: self.sms, self.mail.type: self.mail}
        return SendChunk(
            replace(self.chunks, life=life),
            self.table,
            self.news,
            self.listed,
            self.messages,
            self.early,
            FindRoute(self.channels, kinds, lambda kind, reference: f"https://us/{kind}/{reference}", _Lists()),
            self.lifeline,
            self.turns,
            self.observer,
            RoutingPolicy(),
            lambda: self.time,
            self.lanes,
        )

    async def claimed(self, chunk_id: int = 1, life: int = 1) -> tuple[Chunk, Campaign]:
        found = await replace(self.chunks, life=life).claim(chunk_id, stamp=life * 1000 + chunk_id)
        assert found is not None
        return found

    async def run(self, chunk_id: int = 1) -> None:
        await self.worker()(*await self.claimed(chunk_id))

    def found(self, status: MessageStatus) -> list[Notification]:
        return [one for _, one in sorted(self.table.messages.items()) if one.status is status]


async def test_each_message_is_sent_once_and_recorded():
    world = World()
    await world.fan_out()
    await world.run()
    assert sorted(send.to for _, send in world.sms.sent) == [f"+7900000{n:04d}" for n in range(1, 21)]
    assert len(world.found(MessageStatus.SENT)) == 20
    for message in world.found(MessageStatus.SENT):
        [attempt] = message.attempts
        assert (attempt.state, attempt.to, attempt.provider_id) == (
            AttemptState.ACCEPTED,
            message.recipient.phone,
            "p-1",
        )
        assert attempt.reference == reference_of(world.campaign)(message.id)
        assert message.due_at is not None
    assert world.table.chunks[1].done
    assert world.observer.sends == 20


async def test_what_is_said_is_told_to_the_provider():
    world = World(size=1)
    await world.fan_out()
    await world.run()
    [(channel, send)] = world.sms.sent
    assert channel.id == 1
    assert send.message.text == "Hello"
    assert send.callback_url == f"https://us/SMS_TWILIO/{send.reference}"


async def test_never_more_are_under_way_than_lanes():
    world = World(size=50, width=3)
    await world.fan_out()
    await world.run()
    assert 2 <= world.sms.most <= 3


async def test_the_mark_is_ahead_of_every_send():
    world = World()
    await world.fan_out()

    async def ahead():
        [row] = world.table.chunks.values()
        assert all(send.to <= f"+7900000{row.chunk.mark:04d}" for _, send in world.sms.sent)

    world.sms.during = ahead
    await world.run()
    assert world.chunks.advanced[-1] == 20
    assert len(world.chunks.advanced) >= 5


async def test_a_pause_stops_within_one_step():
    world = World(size=100, width=4)
    await world.fan_out()

    async def pause():
        if len(world.sms.sent) == 10:
            found = world.table.rows[1]
            await world.table.save(found.moved(Status.PAUSED, world.time))

    world.sms.during = pause
    await world.run()
    # What was begun when it came, and the step that was prepared.
    assert 10 <= len(world.sms.sent) <= 10 + 2 * world.width
    assert len(world.found(MessageStatus.SENT)) == len(world.sms.sent)
    assert len(world.found(MessageStatus.PENDING)) == 100 - len(world.sms.sent)
    assert not world.table.chunks[1].done
    assert world.table.chunks[1].wake_at == world.time


async def test_paused_and_resumed_nobody_is_left_out_or_written_to_twice():
    world = World(size=40)
    await world.fan_out()

    async def pause():
        if len(world.sms.sent) == 10:
            await world.table.save(world.table.rows[1].moved(Status.PAUSED, world.time))

    world.sms.during = pause
    await world.run()
    world.sms.during = None
    await world.table.save(world.table.rows[1].moved(Status.RUNNING, world.time))
    await world.run()
    assert len({send.to for _, send in world.sms.sent}) == len(world.sms.sent) == 40
    assert world.table.chunks[1].done


async def test_nothing_leaves_at_the_end_of_the_campaign():
    world = World(size=40, options={"end_at": START + timedelta(seconds=60)})
    await world.fan_out()

    async def later():
        world.time += timedelta(seconds=10)

    world.sms.during = later
    await world.run()
    assert len(world.sms.sent) < 40
    assert all(send.started_at < START + timedelta(seconds=60) for _, send in world.sms.sent)
    assert len(world.found(MessageStatus.SENT)) == len(world.sms.sent)


async def test_when_its_window_closes_a_chunk_waits_for_the_next_one():
    window = SendWindow(time(9), time(12, 1), "UTC")
    world = World(size=40, options={"window": window})
    await world.fan_out()

    async def later():
        world.time += timedelta(seconds=10)

    world.sms.during = later
    await world.run()
    row = world.table.chunks[1]
    assert not row.done
    assert (row.due_at, row.chunk.closes_at) == (
        datetime(2026, 3, 3, 9, tzinfo=UTC),
        datetime(2026, 3, 3, 12, 1, tzinfo=UTC),
    )


async def test_what_a_dead_worker_began_is_unknown_and_not_sent_again():
    world = World(size=40)
    await world.fan_out()
    chunk, _ = await world.claimed()
    await world.chunks.advance(chunk, 7)
    world.table.lives = {2}
    await world.table.orphans()
    world.time += timedelta(seconds=20)
    await world.worker(2)(*await world.claimed(life=2))
    assert sorted(send.to for _, send in world.sms.sent) == [f"+7900000{n:04d}" for n in range(8, 41)]
    unknown = world.found(MessageStatus.UNKNOWN)
    assert [one.id for one in unknown] == [1, 2, 3, 4, 5, 6, 7]
    for one in unknown:
        [attempt] = one.attempts
        assert attempt.state is AttemptState.UNKNOWN
        # Its callbacks prove it, and it is looked for at the time when it was begun.
        assert (attempt.reference, attempt.started_at) == (reference_of(world.campaign)(one.id), START)
        assert one.due_at is not None
    assert set(world.early.settled) >= {reference_of(world.campaign)(number) for number in range(1, 8)}


async def test_a_campaign_that_ended_notes_what_was_begun():
    world = World()
    await world.fan_out()
    chunk, campaign = await world.claimed()
    after = await world.chunks.advance(chunk, 3)
    assert after is not None
    await world.worker(2).abandon(campaign, after)
    assert [one.id for one in world.found(MessageStatus.UNKNOWN)] == [1, 2, 3]
    assert not world.sms.sent


async def test_a_worker_that_lost_its_claim_advances_nothing_and_its_outcomes_are_not_lost():
    world = World(size=12, width=4)
    await world.fan_out()

    async def lose():
        if len(world.sms.sent) == 1:
            world.table.lives = {2}
            await world.table.orphans()
            other = world.worker(2)
            claimed = await world.claimed(life=2)
            await other.abandon(claimed[1], claimed[0])
            await replace(world.chunks, life=2).release(claimed[0], world.time, None)

    world.sms.during = lose
    await world.run()
    assert len({send.to for _, send in world.sms.sent}) == len(world.sms.sent) < 12
    # They were taken for lost, and yet the provider had said yes; a worker decides what follows.
    tried = [one for one in world.table.messages.values() if one.attempts]
    assert [one.attempts[0].state for one in tried] == [AttemptState.ACCEPTED] * len(world.sms.sent)
    assert all(one.due_at == world.time for one in tried)


async def test_a_provider_that_is_busy_is_asked_again_by_the_message_itself():
    world = World()
    world.sms.say = lambda to: Refused(Refusal.TEMPORARY, "busy") if to.endswith("7") else Accepted("p")
    await world.fan_out()
    await world.run()
    waiting = world.found(MessageStatus.SENDING)
    assert [one.id for one in waiting] == [7, 17]
    assert all(one.due_at is not None and one.due_at > world.time for one in waiting)
    assert len(world.found(MessageStatus.SENT)) == 18


async def test_a_refusal_for_ever_fails_with_its_reason():
    world = World(size=3)
    world.sms.say = lambda to: Refused(Refusal.PERMANENT, "is a landline", "21635")
    await world.fan_out()
    await world.run()
    failed = world.found(MessageStatus.FAILED)
    assert len(failed) == 3
    assert "is a landline" in (failed[0].reason or "")
    assert failed[0].attempts[0].code == "21635"
    assert failed[0].finished


async def test_nobody_knows_and_an_error_of_ours_are_unknown():
    world = World(size=2)
    world.sms.say = lambda to: Unknown("no answer in time") if to.endswith("1") else ValueError("ours")
    await world.fan_out()
    await world.run()
    assert [one.status for one in world.table.messages.values()] == [MessageStatus.UNKNOWN] * 2
    assert world.table.chunks[1].done


async def test_whoever_has_no_address_fails_and_says_so():
    world = World(size=3)
    world.contact(4)
    await world.fan_out()
    await world.run()
    [failed] = world.found(MessageStatus.FAILED)
    assert failed.id == 4
    assert failed.reason


async def test_likeness_is_by_the_addresses_that_are_there():
    world = World(size=2)
    world.contact(3, email="anna@example.com", phone="+79000000003")
    world.contact(4, email="boris@example.com")
    await world.fan_out()
    await world.run()
    assert sorted(send.to for _, send in world.mail.sent) == ["anna@example.com", "boris@example.com"]
    assert len(world.sms.sent) == 2


async def test_suppressed_addresses_are_passed_over_and_asked_for_by_the_step():
    world = World(size=40, width=20)
    world.contact(41, email="anna@example.com", phone="+79000000041")
    world.listed.listed = {"phone": {"+79000000002"}, "email": {"anna@example.com"}}
    await world.fan_out()
    await world.run()
    [suppressed] = world.found(MessageStatus.SUPPRESSED)
    assert suppressed.id == 2
    assert "suppressed" in (suppressed.reason or "")
    assert "+79000000041" in {send.to for _, send in world.sms.sent}
    assert world.listed.questions <= 5


async def test_a_channels_own_destination_is_asked_for_too():
    world = World(size=0, options={"route": (2,)})
    [sms, mail] = world.channels.owned
    world.channels.owned = [sms, replace(mail, configuration={"key": "k", "to": "office@example.com"})]
    world.contact(1)
    world.contact(2, email="anna@example.com")
    world.listed.listed = {"email": {"office@example.com"}}
    await world.fan_out()
    await world.run()
    [suppressed] = world.found(MessageStatus.SUPPRESSED)
    assert suppressed.id == 1
    assert [send.to for _, send in world.mail.sent] == ["anna@example.com"]
    world.listed.listed = {}
    await world.fan_out()
    await world.run(2)
    assert [send.to for _, send in world.mail.sent][1:] == [None, "anna@example.com"]


async def test_who_unsubscribed_with_the_provider_is_suppressed():
    world = World(size=1)
    world.sms.say = lambda _: Refused(Refusal.PERMANENT, "has unsubscribed", opted_out=True)
    await world.fan_out()
    await world.run()
    assert world.listed.listed == {"phone": {"+79000000001"}}


async def test_templates_are_rendered_for_each_and_a_missing_variable_fails_with_its_name():
    world = World(size=3, content=Content(text="Hello {{ name }}", variables=True))
    world.chunks.values = {1: {"name": "Anna"}, 2: {"name": "Boris"}}
    await world.fan_out()
    await world.run()
    assert sorted(send.message.text for _, send in world.sms.sent) == ["Hello Anna", "Hello Boris"]
    assert [one.message.text for one in world.found(MessageStatus.SENT)] == ["Hello Anna", "Hello Boris"]
    [failed] = world.found(MessageStatus.FAILED)
    assert "variables.name" in (failed.reason or "")
    with pytest.raises(Conflict, match="never written"):
        failed.again(START)


async def test_what_was_suppressed_is_written_and_can_be_tried_again():
    world = World(size=1, content=Content(text="Hello {{ name }}", variables=True))
    world.chunks.values = {1: {"name": "Anna"}}
    world.listed.listed = {"phone": {"+79000000001"}}
    await world.fan_out()
    await world.run()
    [suppressed] = world.found(MessageStatus.SUPPRESSED)
    assert suppressed.again(START).message.text == "Hello Anna"


async def test_a_text_that_is_too_long_for_one_is_decided_about_by_itself():
    world = World(size=3, content=Content(text="Hello {{ name }}", variables=True))
    world.chunks.values = {1: {"name": "Anna"}, 2: {"name": "B" * 40}, 3: {"name": "Clara"}}
    await world.fan_out()
    await world.run()
    [failed] = world.found(MessageStatus.FAILED)
    assert (failed.id, "it is too long" in (failed.reason or "")) == (2, True)
    assert len(world.sms.sent) == 2


async def test_where_its_turn_is_far_away_a_chunk_waits_as_it_is():
    world = World(size=20)
    world.turns.limit, world.turns.free = 20.0, 6
    await world.fan_out()
    await world.run()
    row = world.table.chunks[1]
    assert len(world.sms.sent) == 6
    assert not row.done
    assert row.due_at == START + world.turns.delay
    # Those that were begun go on by themselves, all others wait in the chunk.
    by_themselves = [one for one in world.table.messages.values() if one.due_at == START + world.turns.delay]
    assert len(by_themselves) <= 2
    assert row.chunk.mark == 6 + len(by_themselves)


async def test_a_provider_that_wants_peace_stops_the_chunk_and_all_others():
    world = World(size=100)
    world.sms.say = lambda _: Refused(Refusal.TEMPORARY, "slower", "20429", retry_after=60)
    await world.fan_out()
    await world.run()
    assert world.turns.paused[0] == timedelta(seconds=60)
    assert len(world.sms.sent) <= 2 * world.width
    assert world.table.chunks[1].due_at >= START + timedelta(seconds=60)


async def test_out_of_touch_with_the_database_nothing_is_sent():
    world = World(size=4)
    world.lifeline.fresh = False
    await world.fan_out()
    await world.run()
    assert not world.sms.sent
    assert all(one.due_at == START for one in world.table.messages.values())


async def test_one_that_was_cancelled_while_it_was_sent_learns_what_came_of_it():
    world = World(size=1)
    await world.fan_out()

    async def cancel():
        world.table.messages[1] = replace(world.table.messages[1].cancel(world.time), version=5)

    world.sms.during = cancel
    await world.run()
    [attempt] = world.table.messages[1].attempts
    assert attempt.state is AttemptState.ACCEPTED
    assert world.table.messages[1].due_at == world.time


async def test_the_next_chunk_of_the_campaign_is_woken():
    world = World(size=30)
    world.table._size = 10
    await world.fan_out()
    await world.run(1)
    assert ("chunk", 2) in world.news.woken


async def test_a_worker_that_is_stopped_gives_the_chunk_back():
    world = World(size=100)
    await world.fan_out()

    async def stop():
        if len(world.sms.sent) == 5:
            world.lanes.stop()

    world.sms.during = stop
    await world.run()
    assert len(world.sms.sent) < 20
    assert len(world.found(MessageStatus.SENT)) == len(world.sms.sent)
    assert world.news.woken == [("chunk", 1)]
    assert not world.table.chunks[1].done


async def test_nobody_waits_for_the_slowest():
    world, hangs = World(size=40, width=4), asyncio.Event()

    async def hang():
        if len(world.sms.sent) == 1:
            await hangs.wait()
        elif len(world.sms.sent) == 40:
            hangs.set()

    world.sms.during = hang
    async with asyncio.timeout(10):
        await world.fan_out()
        await world.run()
    assert len(world.found(MessageStatus.SENT)) == 40


@pytest.mark.parametrize("recipient", [Recipient(phone="+79000000001"), Recipient(None, "anna@example.com", None)])
async def test_references_are_always_alike_and_tell_messages_apart(recipient):
    world = World(size=0)
    world.contact(1, phone=recipient.phone, email=recipient.email)
    await world.fan_out()
    one, again = reference_of(world.campaign), reference_of(world.campaign)
    other = reference_of(replace(world.campaign, id=2))
    assert one(1) == again(1)
    assert len({one(1), one(2), other(1)}) == 3
    assert one(1).startswith("1-1-")
