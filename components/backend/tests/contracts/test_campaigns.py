"""What CampaignStore, CampaignWork, CampaignWakes, CampaignMessages and ChunkLine promise."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from eventually import eventually
from fakes.campaigns import FakeCampaignMessages, FakeCampaigns
from gonets.adapters.postgres.campaign_wakes import PostgresCampaignWakes, PostgresChunkLine
from gonets.adapters.postgres.campaign_work import CHUNK, PostgresCampaignWork
from gonets.adapters.postgres.campaigns import PostgresCampaignMessages, PostgresCampaigns
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.core.campaigns.model import Campaign, Content, Status
from gonets.core.campaigns.ports import OUTSTANDING
from gonets.core.campaigns.windows import SendWindow
from gonets.core.contacts.audience import Audience
from gonets.core.contacts.model import Contact
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.shared.errors import Invalid

ALWAYS = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = Campaign(
    id=0,
    owner_id=1,
    name="Spring — весна",
    content=Content(text="Hello", subject="Spring"),
    audience=Audience(),
    created_at=ALWAYS,
    updated_at=ALWAYS,
)
FULL = replace(
    PLAIN,
    content=Content(text="Hello {{name}}", template_id=7, template_version=3, variables=True),
    audience=Audience(tags_any=("a", "b"), tags_none=("c",), operator_codes=("916",), timezones=("Asia/Tokyo",)),
    audience_id=5,
    route=(3, 1),
    fallback_after=timedelta(seconds=90),
    start_at=datetime(2099, 1, 1, 12, tzinfo=UTC),
    end_at=datetime(2099, 1, 2, tzinfo=UTC),
    window=SendWindow(time(9), time(21, 30), "Europe/Moscow", frozenset({1, 7})),
    rate=12.5,
    status=Status.SCHEDULED,
)


@dataclass
class Campaigns:
    """All sides of one table; owners 1 and 2 exist."""

    store: Any
    work: Any
    wakes: Any
    messages: Any
    line: Any
    add_contact: Callable[..., Any]
    pass_time: Callable[[timedelta], Any]
    chunks: Callable[[], Any]
    hold: Callable[[int], Any]
    """The chunk is taken, by this worker."""
    end: Callable[[int], Any]
    """The message is sent."""
    put_off: Callable[[int, datetime], Any]
    """The message is to be tried again then."""
    done: Callable[[], Any]
    """All chunks are."""
    die: Callable[[], Any]
    """This worker is taken for dead."""

    async def running(self, **different):
        made, _ = await self.store.add(replace(PLAIN, status=Status.RUNNING, **different), None)
        return made

    async def fanned_out(self, **different):
        made = await self.running(**different)
        claimed = await self.work.claim(made.id, 1)
        while not claimed.fanned_out:
            claimed = await self.work.fan_out(claimed, 10_000)
        await self.work.release(claimed)
        return await self.store.get(1, made.id)

    async def contacts(self, count, owner=1, **facts):
        return [await self.add_contact(owner, number, **facts) for number in range(count)]


class _Fake:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.table = FakeCampaigns(lambda: self.now, chunk=CHUNK)

    def sides(self) -> Campaigns:
        table = self.table
        return Campaigns(
            table, table, table, FakeCampaignMessages(table), table,
            self.add, self.pass_time, self.chunks, self.hold, self.end, self.put_off, self.done, self.die,
        )  # fmt: skip

    async def add(self, owner, number, *, tags=(), timezone=None, operator_code=None):
        made = Contact(
            id=len(self.table.contacts) + 1,
            name="",
            phone=f"+7916{number:07}",
            tags=tuple(tags),
            timezone=timezone,
            operator_code=operator_code,
            created_at=self.now,
            updated_at=self.now,
        )
        self.table.contacts[made.id] = owner, made
        return made.id

    async def pass_time(self, time):
        self.now += time

    async def chunks(self):
        return [
            (row.chunk.id, row.chunk.first_id, row.chunk.last_id, row.chunk.zone, row.due_at <= self.now, row.done)
            for row in self.table.chunks.values()
        ]

    async def hold(self, chunk_id):
        row = self.table.chunks[chunk_id]
        row.chunk, row.wake_at = replace(row.chunk, life=1, stamp=1), None

    async def put_off(self, number, at):
        found = self.table.messages[number]
        self.table.messages[number] = replace(found, status=MessageStatus.SENDING, due_at=at)

    async def end(self, number):
        self.table.messages[number] = replace(self.table.messages[number], status=MessageStatus.SENT)

    async def done(self):
        for row in self.table.chunks.values():
            row.done, row.wake_at = True, None

    async def die(self):
        self.table.lives.clear()


class _Postgres:
    def __init__(self, pool: Pool, lifeline: PostgresLifeline) -> None:
        self.pool = pool
        self.lifeline = lifeline

    def sides(self) -> Campaigns:
        pool = self.pool
        return Campaigns(
            PostgresCampaigns(pool), PostgresCampaignWork(pool, self.lifeline), PostgresCampaignWakes(pool),
            PostgresCampaignMessages(pool), PostgresChunkLine(pool),
            self.add, self.pass_time, self.chunks, self.hold, self.end, self.put_off, self.done, self.die,
        )  # fmt: skip

    async def add(self, owner, number, *, tags=(), timezone=None, operator_code=None):
        [row] = await self.pool.fetch(
            "INSERT INTO contact (owner_id, name, phone, tags, timezone, operator_code)"
            " VALUES ($1, '', $2, $3, $4, $5) RETURNING id",
            owner,
            f"+7916{number:07}",
            list(tags),
            timezone,
            operator_code,
        )
        return row["id"]

    async def pass_time(self, time):
        """Everything becomes older instead."""
        await self.pool.fetch(
            "UPDATE campaign SET wake_at = wake_at - $1::interval, start_at = start_at - $1::interval,"
            " end_at = end_at - $1::interval, created_at = created_at - $1::interval",
            time,
        )
        await self.pool.fetch(
            "UPDATE campaign_chunk SET wake_at = wake_at - $1::interval, due_at = due_at - $1::interval", time
        )

    async def chunks(self):
        rows = await self.pool.fetch(
            "SELECT id, first_id, last_id, zone, due_at <= clock_timestamp() AS due, done_at IS NOT NULL AS done"
            " FROM campaign_chunk ORDER BY id"
        )
        return [tuple(row) for row in rows]

    async def hold(self, chunk_id):
        await self.pool.fetch(
            "UPDATE campaign_chunk SET life = $2, stamp = 1, wake_at = NULL WHERE id = $1", chunk_id, self.lifeline.life
        )

    async def put_off(self, number, at):
        await self.pool.fetch(
            "UPDATE notification SET status = 'sending', due_at = $2, wake_at = $2 WHERE id = $1", number, at
        )

    async def end(self, number):
        await self.pool.fetch("UPDATE notification SET status = 'sent' WHERE id = $1", number)

    async def done(self):
        await self.pool.fetch("UPDATE campaign_chunk SET done_at = clock_timestamp(), wake_at = NULL")

    async def die(self):
        await self.pool.fetch("DELETE FROM worker_life")


@pytest.fixture
async def fake_campaigns() -> Campaigns:
    return _Fake().sides()


@pytest.fixture
async def postgres_campaigns(pool: Pool) -> AsyncIterator[Campaigns]:
    for number in (1, 2):
        await pool.fetch(
            "INSERT INTO users (email, email_key, password_hash, role) VALUES ($1, $1, '', 'member')", f"{number}@test"
        )
    lifeline = PostgresLifeline(pool, fresh_for=60)
    await lifeline.beat()
    return _Postgres(pool, lifeline).sides()


@pytest.fixture(params=["fake_campaigns", "postgres_campaigns"])
def campaigns(request) -> Campaigns:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("written", [PLAIN, FULL])
async def test_a_campaign_is_read_as_it_was_written(campaigns, written):
    made, new = await campaigns.store.add(written, None)
    assert new
    assert made.created_at <= made.updated_at
    same = {"id": made.id, "created_at": made.created_at, "updated_at": made.updated_at}
    assert made == replace(written, **same)
    assert await campaigns.store.get(1, made.id) == made
    assert await campaigns.store.find(made.id) == made


async def test_another_owners_campaign_is_not_there(campaigns):
    made, _ = await campaigns.store.add(PLAIN, "key")
    assert await campaigns.store.get(2, made.id) is None
    assert (await campaigns.store.page(2, status=None, cursor=None, limit=10)).campaigns == []
    other, new = await campaigns.store.add(replace(PLAIN, owner_id=2), "key")
    assert new
    assert other.id != made.id


async def test_a_key_makes_one_campaign_whoever_is_first(campaigns):
    made = await asyncio.gather(*(campaigns.store.add(PLAIN, "key") for _ in range(5)))
    assert len({campaign.id for campaign, _ in made}) == 1
    assert [new for _, new in made].count(True) == 1


async def test_a_key_holds_for_seven_days(campaigns):
    first, _ = await campaigns.store.add(PLAIN, "key")
    other, _ = await campaigns.store.add(PLAIN, "other")
    await campaigns.pass_time(timedelta(days=6, hours=23))
    known, new = await campaigns.store.add(PLAIN, "key")
    assert (known.id, new) == (first.id, False)
    assert (await campaigns.store.known(1, "key")).id == first.id
    assert await campaigns.store.known(2, "key") is None
    assert await campaigns.store.known(1, "a third one") is None
    await campaigns.pass_time(timedelta(hours=2))
    assert await campaigns.store.known(1, "key") is None
    made = await asyncio.gather(*(campaigns.store.add(PLAIN, "key") for _ in range(3)))
    [second] = {campaign.id for campaign, _ in made}
    assert second != first.id
    assert [new for _, new in made].count(True) == 1
    assert {one.id for one, _ in (await campaigns.store.page(1, status=None, cursor=None, limit=9)).campaigns} == {
        first.id,
        other.id,
        second,
    }


async def test_pages_are_latest_first_and_complete(campaigns):
    made = [(await campaigns.store.add(PLAIN, None))[0].id for _ in range(5)]
    await campaigns.store.save((await campaigns.store.get(1, made[2])).moved(Status.CANCELLED, ALWAYS))
    seen, cursor = [], None
    while True:
        page = await campaigns.store.page(1, status=Status.DRAFT, cursor=cursor, limit=3)
        seen += [campaign.id for campaign, _ in page.campaigns]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [made[4], made[3], made[1], made[0]]
    with pytest.raises(Invalid):
        await campaigns.store.page(1, status=None, cursor="nonsense", limit=3)


async def test_of_two_who_change_it_the_second_learns_of_the_first(campaigns):
    made, _ = await campaigns.store.add(PLAIN, None)
    saved = await campaigns.store.save(replace(made, name="one"))
    assert (saved.name, saved.version) == ("one", 1)
    assert await campaigns.store.save(replace(made, name="other")) is None
    assert not await campaigns.store.delete(made)
    other = await campaigns.store.save(replace(saved, audience=Audience(tags_all=("a",)), audience_id=9))
    assert (other.audience, other.audience_id) == (Audience(tags_all=("a",)), 9)
    assert await campaigns.store.delete(other)
    assert await campaigns.store.get(1, made.id) is None


async def test_only_what_has_work_is_claimed_and_only_once(campaigns):
    draft, _ = await campaigns.store.add(PLAIN, None)
    assert await campaigns.work.claim(draft.id, 1) is None
    assert await campaigns.work.claim(10**9, 1) is None
    made = await campaigns.running()
    claims = await asyncio.gather(*(campaigns.work.claim(made.id, stamp) for stamp in range(5)))
    [claimed] = [one for one in claims if one]
    assert await campaigns.work.claim(made.id, claimed.stamp) == claimed
    await campaigns.work.release(claimed)
    assert await campaigns.work.claim(made.id, 99)


async def test_fan_out_makes_one_message_for_each_of_the_audience(campaigns):
    meant = await campaigns.contacts(7, tags=["a"])
    await campaigns.add_contact(1, 100, tags=["a", "c"])
    await campaigns.add_contact(1, 101)
    await campaigns.contacts(3, owner=2, tags=["a"])
    made = await campaigns.running(
        audience=Audience(tags_any=("a",), tags_none=("c",)),
        route=(4,),
        end_at=datetime(2099, 1, 1, tzinfo=UTC),
        fallback_after=timedelta(seconds=7),
    )
    claimed = await campaigns.work.claim(made.id, 1)
    totals = []
    while not claimed.fanned_out:
        claimed = await campaigns.work.fan_out(claimed, 3)
        totals.append(claimed.total)
    assert totals == [3, 6, 7]
    assert await campaigns.work.fan_out(claimed, 3) is None
    await campaigns.work.release(claimed)
    page = await campaigns.messages.page(made.id, status=None, cursor=None, limit=100)
    assert [one.contact_id for one in page.messages] == meant
    first = page.messages[0]
    assert (first.recipient.phone, first.message.text, first.message.subject) == ("+79160000000", "Hello", "Spring")
    assert (first.route, first.deadline, first.fallback_after) == ((4,), made.end_at, made.fallback_after)
    assert (first.status, first.campaign_id, first.zone, first.due_at) == (MessageStatus.PENDING, made.id, None, None)
    assert await campaigns.store.counts(made.id) == {MessageStatus.PENDING: 7}
    chunks = await campaigns.chunks()
    assert [last - first + 1 for _, first, last, *_ in chunks] == [3, 3, 1]
    assert all(due and not done for *_, due, done in chunks)


async def test_a_text_with_variables_is_left_to_be_rendered(campaigns):
    await campaigns.contacts(1)
    made = await campaigns.fanned_out(content=Content(text="Hi {{name}}", subject="{{name}}", variables=True))
    [message] = (await campaigns.messages.page(made.id, status=None, cursor=None, limit=9)).messages
    assert (message.message.text, message.message.subject) == ("", None)


async def test_a_chunk_holds_no_more_than_its_measure(campaigns):
    await campaigns.contacts(CHUNK + 1)
    await campaigns.fanned_out()
    assert [last - first + 1 for _, first, last, *_ in await campaigns.chunks()] == [CHUNK, 1]


async def test_with_a_window_each_zone_has_chunks_of_its_own_that_wait_for_its_opening(campaigns):
    now = datetime.now(UTC)
    # Open in one of the two zones, whatever the time is: they lie twelve hours apart.
    opens, closes = now.time().replace(microsecond=0), (now + timedelta(hours=12)).time().replace(microsecond=0)
    await campaigns.add_contact(1, 1, timezone="Etc/GMT+12")
    await campaigns.add_contact(1, 2, timezone="Etc/UTC")
    await campaigns.add_contact(1, 3)
    made = await campaigns.fanned_out(window=SendWindow(opens, closes, "Etc/UTC"))
    assert made.total == 3
    zones = {zone: due for _, _, _, zone, due, _ in await campaigns.chunks()}
    assert zones == {"Etc/GMT+12": False, "Etc/UTC": True}
    messages = (await campaigns.messages.page(made.id, status=None, cursor=None, limit=9)).messages
    assert [one.zone for one in messages] == ["Etc/GMT+12", "Etc/UTC", "Etc/UTC"]


async def test_a_campaign_that_was_paused_or_lost_is_not_fanned_out(campaigns):
    await campaigns.contacts(5)
    made = await campaigns.running()
    claimed = await campaigns.work.claim(made.id, 1)
    claimed = await campaigns.work.fan_out(claimed, 2)
    paused = await campaigns.store.save(claimed.moved(Status.PAUSED, ALWAYS))
    assert await campaigns.work.fan_out(claimed, 2) is None
    await campaigns.work.release(claimed)
    assert await campaigns.work.claim(made.id, 2) is None
    await campaigns.store.save(paused.moved(Status.RUNNING, ALWAYS))
    again = await campaigns.work.claim(made.id, 3)
    assert again.total == 2
    assert await campaigns.work.fan_out(claimed, 2) is None
    assert (await campaigns.work.fan_out(again, 10)).total == 5


async def test_a_pause_waits_for_no_step_and_undoes_the_one_under_way(postgres_campaigns, pool):
    campaigns = postgres_campaigns
    await campaigns.contacts(3)
    made = await campaigns.running()
    claimed = await campaigns.work.claim(made.id, 1)

    async def waiting():
        return await pool.fetch("SELECT FROM pg_locks WHERE NOT granted")

    async with pool.transaction() as connection:
        await connection.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        step = asyncio.create_task(campaigns.work.fan_out(claimed, 10))
        await eventually(waiting, "the step to be under way")
        assert await campaigns.store.save(claimed.moved(Status.PAUSED, ALWAYS))
    assert await step is None
    assert (await campaigns.store.counts(made.id), (await campaigns.store.find(made.id)).total) == ({}, 0)


async def test_what_changed_while_it_was_in_hand_is_due_when_it_is_given_back(campaigns):
    made = await campaigns.running()
    claimed = await campaigns.work.claim(made.id, 1)
    await campaigns.store.save(claimed.moved(Status.CANCELLED, ALWAYS))
    assert (await campaigns.wakes.due(9))[0] == []
    await campaigns.work.release(claimed)
    assert (await campaigns.wakes.due(9))[0] == [made.id]


async def test_close_ends_what_was_not_begun_and_leaves_what_is_in_hands(campaigns):
    await campaigns.contacts(CHUNK + 3)
    made = await campaigns.fanned_out()
    [one, other] = await campaigns.chunks()
    await campaigns.end(other[1])
    await campaigns.hold(one[0])
    await campaigns.store.save(made.moved(Status.CANCELLED, ALWAYS))
    claimed = await campaigns.work.claim(made.id, 1)
    left = await campaigns.work.left(claimed, 10)
    assert [chunk.id for chunk in left] == [other[0]]
    assert await campaigns.work.close(claimed, left) == 2
    assert await campaigns.work.close(claimed, left) == 0
    assert not await campaigns.work.closed(claimed)
    counts = {MessageStatus.PENDING: CHUNK, MessageStatus.SENT: 1, MessageStatus.CANCELLED: 2}
    assert await campaigns.store.counts(made.id) == counts
    await campaigns.die()
    assert await campaigns.wakes.orphans() == 2
    left = await campaigns.work.left(claimed, 10)
    assert await campaigns.work.close(claimed, left) == CHUNK
    assert await campaigns.work.closed(claimed)
    ended = (await campaigns.messages.page(made.id, status=MessageStatus.CANCELLED, cursor=None, limit=1)).messages[0]
    assert (ended.reason, ended.finished_at is not None) == ("its campaign is cancelled", True)


async def test_what_waits_to_be_tried_again_hears_of_the_end_at_once(campaigns):
    await campaigns.contacts(5)
    made = await campaigns.fanned_out()
    every = (await campaigns.messages.page(made.id, status=None, cursor=None, limit=9)).messages
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await campaigns.put_off(every[0].id, tomorrow)
    await campaigns.put_off(every[4].id, tomorrow)
    places, after = [], 0
    while (after := await campaigns.work.hasten(made, after, 2)) is not None:
        places.append(after)
    assert places == [every[1].contact_id, every[3].contact_id]
    found = (await campaigns.messages.page(made.id, status=None, cursor=None, limit=9)).messages
    assert [one.due_at is not None and one.due_at < tomorrow for one in found] == [True, False, False, False, True]


async def test_the_scheduler_finds_what_starts_ends_and_is_through(campaigns):
    soon = datetime.now(UTC) + timedelta(minutes=10)
    made, _ = await campaigns.store.add(
        replace(PLAIN, status=Status.SCHEDULED, start_at=soon, end_at=soon + timedelta(minutes=10)), None
    )
    assert await campaigns.wakes.starting(9) == []
    await campaigns.pass_time(timedelta(minutes=11))
    [starting] = await campaigns.wakes.starting(9)
    assert starting.id == made.id
    await campaigns.store.save(starting.moved(Status.RUNNING, ALWAYS))
    assert await campaigns.wakes.starting(9) == []
    assert await campaigns.wakes.ending(9) == []
    assert (await campaigns.wakes.due(9))[0] == [made.id]
    await campaigns.pass_time(timedelta(minutes=10))
    [ending] = await campaigns.wakes.ending(9)
    assert ending.id == made.id


async def test_a_campaign_is_through_when_nothing_waits(campaigns):
    await campaigns.contacts(2)
    made = await campaigns.fanned_out()
    assert await campaigns.wakes.through(9) == []
    for message in (await campaigns.messages.page(made.id, status=None, cursor=None, limit=9)).messages:
        await campaigns.end(message.id)
    assert await campaigns.wakes.through(9) == []
    await campaigns.done()
    [through] = await campaigns.wakes.through(9)
    assert through.id == made.id
    assert await campaigns.store.counts(made.id) == {MessageStatus.SENT: 2}


async def test_a_campaign_without_anybody_is_through_at_once(campaigns):
    made = await campaigns.fanned_out(audience=Audience(tags_all=("nobody",)))
    assert [one.id for one in await campaigns.wakes.through(9)] == [made.id]


async def test_a_wake_up_that_nobody_took_comes_again_within_half_a_minute(campaigns):
    await campaigns.contacts(3)
    waiting = await campaigns.running()
    running = await campaigns.fanned_out()
    [chunk] = await campaigns.chunks()
    due = [waiting.id], [chunk[0]]
    for _ in range(3):
        assert await campaigns.wakes.due(9) == due
        await campaigns.wakes.woken(*due)
        assert await campaigns.wakes.due(9) == ([], [])
        await campaigns.pass_time(timedelta(seconds=28))
    await campaigns.store.save(running.moved(Status.PAUSED, ALWAYS))
    assert await campaigns.wakes.due(9) == ([waiting.id], [])


async def test_so_many_chunks_of_a_campaign_are_on_their_way_at_a_time(campaigns):
    made = await campaigns.running()
    await campaigns.contacts(OUTSTANDING + 3)
    claimed = await campaigns.work.claim(made.id, 1)
    while not claimed.fanned_out:
        claimed = await campaigns.work.fan_out(claimed, 1)
    await campaigns.work.release(claimed)
    chunks = [chunk for chunk, *_ in await campaigns.chunks()]
    assert await campaigns.line.next(made.id) == chunks[:OUTSTANDING]
    assert await campaigns.line.next(made.id) == []
    await campaigns.hold(chunks[0])
    assert (await campaigns.wakes.due(99))[1] == []
    await campaigns.done()
    assert await campaigns.line.next(made.id) == []


async def test_nobody_is_woken_where_nobody_works(campaigns):
    await campaigns.contacts(1)
    made = await campaigns.fanned_out()
    await campaigns.die()
    assert await campaigns.line.next(made.id) == []
    assert (await campaigns.wakes.due(9))[1] == []


async def test_what_a_dead_worker_held_is_due_at_once(campaigns):
    await campaigns.contacts(1)
    made = await campaigns.running()
    await campaigns.work.claim(made.id, 1)
    assert await campaigns.wakes.orphans() == 0
    assert await campaigns.wakes.due(9) == ([], [])
    await campaigns.die()
    assert await campaigns.wakes.orphans() == 1
    assert (await campaigns.wakes.due(9))[0] == [made.id]


async def test_messages_are_listed_by_contact_and_by_status(campaigns):
    contacts = await campaigns.contacts(12)
    made = await campaigns.fanned_out()
    every = (await campaigns.messages.page(made.id, status=None, cursor=None, limit=99)).messages
    for message in every[::3]:
        await campaigns.end(message.id)

    async def listed(status):
        seen, cursor = [], None
        while True:
            page = await campaigns.messages.page(made.id, status=status, cursor=cursor, limit=2)
            seen += [one.contact_id for one in page.messages]
            if (cursor := page.next_cursor) is None:
                return seen

    assert await listed(None) == contacts
    assert (await campaigns.messages.page(made.id, status=None, cursor=None, limit=12)).next_cursor is None
    assert await listed(MessageStatus.SENT) == contacts[::3]
    assert await listed(MessageStatus.FAILED) == []
    with pytest.raises(Invalid):
        await campaigns.messages.page(made.id, status=None, cursor="nonsense", limit=2)
