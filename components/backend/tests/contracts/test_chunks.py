"""What Chunks promises."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.test_campaigns import Campaigns, _Fake, _Postgres
from fakes.chunks import FakeChunks
from gonets.adapters.postgres.chunks import PostgresChunks
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.notifications import PostgresNotifications
from gonets.adapters.postgres.pool import Pool
from gonets.core.campaigns.model import Content, Outcome, Status
from gonets.core.channels.model import Accepted, ChannelType, Message, Recipient, Refusal, Refused
from gonets.core.notifications.model import Attempt, AttemptState, ChannelKey, Notification
from gonets.core.notifications.model import Status as MessageStatus

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = timedelta(minutes=10)


@dataclass
class Sides:
    """Two workers and the table; all contacts of owner 1 have phones."""

    campaigns: Campaigns
    mine: Any
    other: Any
    message: Any
    """A notification with its attempts, by id."""

    async def claimed(self, count, stamp=7, **different):
        await self.campaigns.contacts(count)
        await self.campaigns.fanned_out(**different)
        [(chunk_id, *_)] = await self.campaigns.chunks()
        found = await self.mine.claim(chunk_id, stamp)
        assert found is not None
        return found


@pytest.fixture
def fake_sides() -> Sides:
    made = _Fake()
    made.table.lives.add(2)

    async def message(number):
        return made.table.messages[number]

    return Sides(made.sides(), FakeChunks(made.table), FakeChunks(made.table, life=2), message)


@pytest.fixture
async def postgres_sides(pool: Pool) -> AsyncIterator[Sides]:
    await pool.fetch("INSERT INTO users (email, email_key, password_hash, role) VALUES ('a', 'a', '', 'member')")
    lives = [PostgresLifeline(pool, fresh_for=60) for _ in range(2)]
    for life in lives:
        await life.beat()
    mine, other = (PostgresChunks(pool, life) for life in lives)
    return Sides(_Postgres(pool, lives[0]).sides(), mine, other, PostgresNotifications(pool).get)


@pytest.fixture(params=["fake_sides", "postgres_sides"])
def sides(request) -> Sides:
    return request.getfixturevalue(request.param)


def _like(said: object = Accepted("p"), status: MessageStatus = MessageStatus.SENT) -> Notification:
    attempt = Attempt(
        number=1,
        round=1,
        reference="",
        channel=ChannelKey(3, ChannelType.SMS_TWILIO),
        channel_name="ours",
        to=None,
        why="is first",
        state=AttemptState.STARTED,
        started_at=AT,
    ).heard(said, AT)
    found = Notification(id=0, owner_id=1, recipient=Recipient(), message=Message(""), created_at=AT)
    after = replace(found, attempts=(attempt,)).changed(attempt)
    return after.waiting(AT + LATER, status, "taken")


def _outcome(number: int, like: Notification, **different: Any) -> Outcome:
    ended = AT + timedelta(seconds=number)
    facts = {"to": f"+7{number}", "reference": f"{number}-1-a", "provider_id": f"p{number}"}
    return Outcome(number, like, **(facts | {"started_at": AT, "ended_at": ended} | different))


async def test_one_caller_gets_a_chunk_and_a_repeated_call_the_same_claim(sides):
    chunk, campaign = await sides.claimed(3)
    assert (chunk.campaign_id, chunk.mark, chunk.marked_at) == (campaign.id, chunk.first_id - 1, None)
    assert await sides.mine.claim(chunk.id, chunk.stamp) == (chunk, campaign)
    assert await sides.other.claim(chunk.id, 8) is None
    assert await sides.mine.claim(chunk.id, 9) is None


async def test_only_one_of_many_gets_it(sides):
    chunk, _ = await sides.claimed(1)
    await sides.mine.release(chunk, AT, None)
    claims = await asyncio.gather(*(one.claim(chunk.id, n) for n, one in enumerate([sides.mine, sides.other] * 3, 20)))
    assert len([one for one in claims if one is not None]) == 1


async def test_a_chunk_of_a_campaign_that_does_not_run_is_nobodys(sides):
    chunk, campaign = await sides.claimed(1)
    await sides.mine.release(chunk, AT, None)
    running = await sides.campaigns.store.get(1, campaign.id)
    paused = await sides.campaigns.store.save(running.moved(Status.PAUSED, AT))
    assert await sides.mine.claim(chunk.id, 8) is None
    await sides.campaigns.store.save(paused.moved(Status.RUNNING, AT))
    assert await sides.mine.claim(chunk.id, 8) is not None


async def test_one_that_is_not_due_waits(sides):
    chunk, _ = await sides.claimed(1)
    await sides.mine.release(chunk, datetime.now(UTC) + timedelta(hours=1), None)
    assert await sides.mine.claim(chunk.id, 8) is None
    await sides.campaigns.pass_time(timedelta(hours=2))
    assert await sides.mine.claim(chunk.id, 8) is not None


async def test_what_waits_comes_in_order_and_once_it_has_an_outcome_no_more(sides):
    chunk, _ = await sides.claimed(5)
    ids = [one.id for one in await sides.mine.waiting(chunk, chunk.mark, 10)]
    assert ids == sorted(ids)
    assert len(ids) == 5
    assert [one.id for one in await sides.mine.waiting(chunk, ids[1], 2)] == ids[2:4]
    like = _like()
    await sides.mine.record([_outcome(ids[0], like), _outcome(ids[3], like)])
    assert [one.id for one in await sides.mine.waiting(chunk, chunk.mark, 10)] == [ids[1], ids[2], ids[4]]
    [first, *_] = await sides.mine.waiting(chunk, chunk.mark, 10)
    assert first.recipient == Recipient(phone="+79160000001")
    assert first.contact_id is not None
    assert not first.values


async def test_what_was_begun_and_has_no_outcome(sides):
    chunk, _ = await sides.claimed(5)
    ids = [one.id for one in await sides.mine.waiting(chunk, chunk.mark, 10)]
    assert await sides.mine.begun(chunk, 10) == []
    chunk = await sides.mine.advance(chunk, ids[2])
    await sides.mine.record([_outcome(ids[1], _like())])
    assert [one.id for one in await sides.mine.begun(chunk, 10)] == [ids[0], ids[2]]
    assert [one.id for one in await sides.mine.begun(chunk, 1)] == [ids[0]]


async def test_the_mark_moves_only_for_its_holder(sides):
    chunk, _ = await sides.claimed(5)
    advanced = await sides.mine.advance(chunk, chunk.first_id + 1)
    assert (advanced.mark, advanced.marked_at is not None) == (chunk.first_id + 1, True)
    assert await sides.other.advance(replace(chunk, life=chunk.life + 1), chunk.last_id) is None
    assert await sides.mine.advance(replace(chunk, stamp=99), chunk.last_id) is None
    await sides.mine.release(advanced, AT, None)
    assert await sides.mine.advance(advanced, chunk.last_id) is None
    again, _ = await sides.other.claim(chunk.id, 8)
    assert again.mark == chunk.first_id + 1


async def test_the_mark_stands_still_once_the_campaign_does(sides):
    chunk, campaign = await sides.claimed(5)
    running = await sides.campaigns.store.get(1, campaign.id)
    await sides.campaigns.store.save(running.moved(Status.PAUSED, AT))
    assert await sides.mine.advance(chunk, chunk.last_id) is None


async def test_the_mark_stands_still_at_the_end_and_when_the_window_has_closed(sides):
    chunk, _ = await sides.claimed(5, end_at=datetime.now(UTC) + timedelta(minutes=30))
    assert await sides.mine.advance(chunk, chunk.first_id)
    await sides.campaigns.pass_time(timedelta(hours=1))
    assert await sides.mine.advance(chunk, chunk.last_id) is None


async def test_a_closed_window_stops_the_mark(sides):
    chunk, _ = await sides.claimed(5)
    now = datetime.now(UTC)
    await sides.mine.release(chunk, AT, now - timedelta(minutes=1))
    again, _ = await sides.mine.claim(chunk.id, 8)
    assert again.closes_at == now - timedelta(minutes=1)
    assert await sides.mine.advance(again, again.last_id) is None


async def test_marks_of_many_chunks_move_together(sides):
    await sides.campaigns.contacts(1200)
    await sides.campaigns.fanned_out()
    claims = [await sides.mine.claim(chunk_id, 7) for chunk_id, *_ in await sides.campaigns.chunks()]
    moved = await asyncio.gather(*(sides.mine.advance(chunk, chunk.last_id) for chunk, _ in claims))
    assert [one.mark for one in moved] == [chunk.last_id for chunk, _ in claims]
    assert len(moved) == 3


async def test_each_outcome_is_written_with_what_is_its_own(sides):
    chunk, _ = await sides.claimed(3)
    ids = [one.id for one in await sides.mine.waiting(chunk, chunk.mark, 10)]
    taken, busy = _like(), _like(Refused(Refusal.TEMPORARY, "busy", "429", "wait", 7.5), MessageStatus.SENDING)
    outcomes = [_outcome(ids[0], taken), _outcome(ids[1], taken), _outcome(ids[2], busy, provider_id=None)]
    assert set(await sides.mine.record(outcomes)) == set(ids)
    for number in ids[:2]:
        found, ended = await sides.message(number), AT + timedelta(seconds=number)
        assert (found.status, found.reason, found.sent_at) == (MessageStatus.SENT, "taken", ended)
        assert (found.due_at, found.finished_at) == (ended + LATER, None)
        [attempt] = found.attempts
        like = taken.attempts[0]
        assert attempt == replace(
            like,
            to=f"+7{number}",
            reference=f"{number}-1-a",
            provider_id=f"p{number}",
            ended_at=ended,
            counted_from=ended,
            events=(replace(like.events[0], at=ended),),
        )
    found = await sides.message(ids[2])
    assert (found.status, found.sent_at) == (MessageStatus.SENDING, None)
    [attempt] = found.attempts
    assert (attempt.state, attempt.refusal, attempt.code) == (AttemptState.REJECTED, Refusal.TEMPORARY, "429")
    assert (attempt.reason, attempt.hint, attempt.retry_after) == ("busy", "wait", 7.5)


async def test_what_was_not_sent_ends_or_waits_without_an_attempt(sides):
    chunk, _ = await sides.claimed(2, content=Content(text="Hi {{name}}", variables=True))
    ids = [one.id for one in await sides.mine.waiting(chunk, chunk.mark, 10)]
    plain = replace(_like(), attempts=(), sent_at=None)
    failed = plain.ended(MessageStatus.FAILED, "no channel", None, AT)
    later = plain.waiting(AT + LATER, MessageStatus.PENDING, "waits for its turn")
    await sides.mine.record([Outcome(ids[0], failed), Outcome(ids[1], later, text="Hi Anna", subject="S")])
    one, other = [await sides.message(number) for number in ids]
    assert (one.status, one.reason, one.finished_at, one.due_at) == (MessageStatus.FAILED, "no channel", AT, None)
    assert (other.status, other.due_at, other.attempts) == (MessageStatus.PENDING, AT + LATER, ())
    assert (other.message.text, other.message.subject) == ("Hi Anna", "S")
    # It goes on by itself.
    assert await sides.mine.waiting(chunk, chunk.mark, 10) == []


async def test_repeated_it_says_the_same_and_what_others_changed_stays(sides):
    chunk, _ = await sides.claimed(2)
    ids = [one.id for one in await sides.mine.waiting(chunk, chunk.mark, 10)]
    like = _like()
    await sides.campaigns.end(ids[1])
    assert set(await sides.mine.record([_outcome(ids[0], like), _outcome(ids[1], like)])) == {ids[0]}
    before = await sides.message(ids[0])
    assert set(await sides.mine.record([_outcome(ids[0], like), _outcome(ids[1], like)])) == {ids[0]}
    assert await sides.message(ids[0]) == before
    assert set(await sides.mine.record([_outcome(ids[0], like, reference="other")])) == set()
    assert (await sides.message(ids[1])).attempts == ()


async def test_counts_follow_every_outcome(sides):
    chunk, campaign = await sides.claimed(5)
    ids = [one.id for one in await sides.mine.waiting(chunk, chunk.mark, 10)]
    like = _like()
    await asyncio.gather(*(sides.mine.record([_outcome(number, like)]) for number in ids[:4]))
    counts = await sides.campaigns.store.counts(campaign.id)
    assert counts == {MessageStatus.SENT: 4, MessageStatus.PENDING: 1}


async def test_what_is_done_is_done(sides):
    chunk, _ = await sides.claimed(1)
    await sides.mine.release(replace(chunk, stamp=99), None, None)
    [(*_, done)] = await sides.campaigns.chunks()
    assert not done
    await sides.mine.release(chunk, None, None)
    [(*_, done)] = await sides.campaigns.chunks()
    assert done
    assert await sides.mine.claim(chunk.id, 8) is None
