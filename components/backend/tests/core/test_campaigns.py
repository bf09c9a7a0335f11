"""Campaigns: their life, what may change when, and what happens by itself."""

import itertools
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from fakes.campaigns import FakeAudit, FakeCampaignMessages, FakeCampaignNews, FakeCampaigns
from gonets.core.campaigns.estimate import Tariff
from gonets.core.campaigns.fan_out import RunCampaign
from gonets.core.campaigns.model import OVER, Campaign, Content, Status
from gonets.core.campaigns.permits import CampaignPermits
from gonets.core.campaigns.schedule import KeepCampaigns
from gonets.core.campaigns.use_cases import (
    DrawUp,
    DryRun,
    ManageCampaigns,
    Plan,
    ReadCampaigns,
    SendToAll,
    SteerCampaigns,
    plan_of,
)
from gonets.core.campaigns.windows import SendWindow
from gonets.core.channels.model import Message, Recipient
from gonets.core.contacts.audience import EVERYBODY, Audience
from gonets.core.contacts.model import Contact
from gonets.core.notifications.model import Notification
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.notifications.ports import Later
from gonets.core.shared.errors import Conflict, Invalid, NotFound, Unavailable

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLAN = Plan(name="Spring", text="Hello")


@dataclass
class Anna:
    user_id: int = 1
    api_key_id: int | None = None


@dataclass
class World:
    """A service with two channels, a template and a saved audience."""

    time: datetime = START
    news: FakeCampaignNews = field(default_factory=FakeCampaignNews)
    audit: FakeAudit = field(default_factory=FakeAudit)
    abandoned: list[int] = field(default_factory=list)

    def __post_init__(self):
        self.table = FakeCampaigns(self.now, chunk=2)
        self.read = ReadCampaigns(self.table, FakeCampaignMessages(self.table))
        self.audiences = Audiences()
        self.templates = Templates()
        self.draw_up = DrawUp(Channels(), self.templates, self.audiences, self.now, HOUR)
        self.manage = ManageCampaigns(self.read, self.draw_up, self.audit)
        self.steer = SteerCampaigns(self.read, self.audiences, self.news, self.audit, self.now)
        self.send_to_all = SendToAll(self.table, self.draw_up, self.news, self.audit, self.now)
        self.keep = KeepCampaigns(self.table, self.table, self.audiences, self.news, self.now, HOUR)
        self.run = RunCampaign(self.table, self.table, self.news, self.abandon, contacts=3, ended=1)
        self._stamps = itertools.count(1)

    def now(self):
        return self.time

    async def abandon(self, campaign, chunk):
        self.abandoned.append(chunk.id)

    async def status(self, number):
        return (await self.table.find(number)).status

    async def made(self, status=Status.DRAFT, **different):
        made = await self.manage.create(Anna(), replace(PLAN, **different))
        return await self.table.save(replace(made, status=status))

    async def work(self, number):
        claimed = await self.table.claim(number, next(self._stamps))
        if claimed:
            await self.run(claimed)
        return await self.table.find(number)

    def contacts(self, count):
        for number in range(1, count + 1):
            self.table.contacts[number] = 1, Contact(id=number, name="", created_at=START, updated_at=START)


class Channels:
    async def get(self, owner_id, channel_id):
        if (owner_id, channel_id) not in {(1, 1), (1, 2)}:
            raise NotFound(f"no channel has the id {channel_id}")

    async def usable(self, owner_id):
        return []


class Templates:
    gone = False

    async def content(self, owner_id, template_id, version):
        if self.gone or (owner_id, template_id) != (1, 7) or version not in {None, 1, 2}:
            return None
        return Content(
            text=f"version {version or 2}",
            subject="Hi {{name}}",
            template_id=7,
            template_version=version or 2,
            variables=True,
        )


class Audiences:
    def __init__(self):
        self.saved = {5: Audience(tags_any=("vip",))}

    async def get(self, owner_id, audience_id):
        return self.saved.get(audience_id) if owner_id == 1 else None


class Crowds:
    """Nobody; remembers who was meant."""

    def __init__(self):
        self.meant = []

    async def count(self, owner_id, audience):
        self.meant.append(audience)
        return []


MOVES = {
    "start": {
        Status.DRAFT: Status.RUNNING, Status.SCHEDULED: Status.SCHEDULED, Status.RUNNING: Status.RUNNING,
        Status.PAUSED: None, Status.FINISHED: None, Status.CANCELLED: None, Status.EXPIRED: None,
    },
    "pause": {
        Status.DRAFT: None, Status.SCHEDULED: None, Status.RUNNING: Status.PAUSED, Status.PAUSED: Status.PAUSED,
        Status.FINISHED: None, Status.CANCELLED: None, Status.EXPIRED: None,
    },
    "resume": {
        Status.DRAFT: None, Status.SCHEDULED: None, Status.RUNNING: Status.RUNNING, Status.PAUSED: Status.RUNNING,
        Status.FINISHED: None, Status.CANCELLED: None, Status.EXPIRED: None,
    },
    "cancel": {
        Status.DRAFT: Status.CANCELLED, Status.SCHEDULED: Status.CANCELLED, Status.RUNNING: Status.CANCELLED,
        Status.PAUSED: Status.CANCELLED, Status.FINISHED: None, Status.CANCELLED: Status.CANCELLED,
        Status.EXPIRED: None,
    },
}  # fmt: skip
"""What becomes of each; None: it is refused."""


@pytest.mark.parametrize(("action", "status"), [(action, status) for action in MOVES for status in Status])
async def test_what_an_owner_may_do_in_each_state(action, status):
    world = World()
    made = await world.made(status)
    expected = MOVES[action][status]
    if expected is None:
        with pytest.raises(Conflict) as refused:
            await getattr(world.steer, action)(Anna(), made.id)
        assert status.value in refused.value.reason
        assert await world.status(made.id) is status
        assert not world.news.woken
        return
    moved = await getattr(world.steer, action)(Anna(), made.id)
    assert moved.status is expected
    changed = expected is not status
    assert world.news.woken == ([("campaign", made.id)] if changed else [])
    assert (moved.finished_at == START) == (changed and expected in OVER)
    if action == "start" and changed:
        assert moved.started_at == START


ALLOWED = {
    Status.DRAFT: {"name", "text", "rate", "start_at"},
    Status.SCHEDULED: {"name", "text", "rate", "start_at"},
    Status.RUNNING: {"name", "rate"},
    Status.PAUSED: {"name", "rate"},
    Status.FINISHED: {"name"},
    Status.CANCELLED: {"name"},
    Status.EXPIRED: {"name"},
}
CHANGES = {"name": "Summer", "text": "Bye", "rate": 3.0, "start_at": START + HOUR}


@pytest.mark.parametrize(("status", "what"), [(status, what) for status in Status for what in CHANGES])
async def test_what_may_change_in_each_state(status, what):
    world = World()
    made = await world.made(status)
    if what in ALLOWED[status]:
        changed = await world.manage.change(Anna(), made.id, {what: CHANGES[what]})
        assert getattr(plan_of(changed), what) == CHANGES[what]
        return
    with pytest.raises(Conflict) as refused:
        await world.manage.change(Anna(), made.id, {what: CHANGES[what]})
    assert status.value in refused.value.reason
    assert {"start_at": "startAt"}.get(what, what) in refused.value.reason
    assert all(name in refused.value.reason for name in ALLOWED[status])


@pytest.mark.parametrize("status", Status)
async def test_what_may_be_deleted(status):
    world = World()
    made = await world.made(status)
    if status in {Status.RUNNING, Status.PAUSED, Status.CANCELLED, Status.EXPIRED}:
        with pytest.raises(Conflict):
            await world.manage.delete(Anna(), made.id)
        if status not in OVER:
            return
        await world.work(made.id)
    await world.manage.delete(Anna(), made.id)
    with pytest.raises(NotFound):
        await world.read.one(1, made.id)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"text": None}, "text"),
        ({"template_id": 7}, "text"),
        ({"text": None, "template_id": 8}, "templateId"),
        ({"text": None, "template_id": 7, "template_version": 9}, "templateId"),
        ({"route": (1, 9)}, "route.1"),
        ({"audience_id": 6}, "audience.audienceId"),
        ({"start_at": START - 2 * HOUR}, "startAt"),
        ({"start_at": START + timedelta(days=40_000)}, "startAt"),
        ({"end_at": START}, "endAt"),
        ({"end_at": START + timedelta(days=40_000)}, "endAt"),
        ({"start_at": START + HOUR, "end_at": START + HOUR}, "endAt"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(wrong, field):
    with pytest.raises(Invalid) as refused:
        await World().manage.create(Anna(), replace(PLAN, **wrong))
    assert refused.value.field == field


async def test_a_campaign_is_made_of_what_there_is_when_it_is_written():
    made = await World().manage.create(
        Anna(), Plan(name="x", template_id=7, audience_id=5, route=(2, 1), start_at=START + HOUR)
    )
    assert made.content == Content(
        text="version 2", subject="Hi {{name}}", template_id=7, template_version=2, variables=True
    )
    assert (made.audience, made.route, made.status) == (Audience(tags_any=("vip",)), (2, 1), Status.SCHEDULED)


NEWER = Audience(tags_all=("gold",))


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_saved_audience_is_taken_as_it_is_at_the_start(by_hand):
    world = World()
    made = await world.manage.create(
        Anna(), replace(PLAN, audience_id=5, start_at=None if by_hand else START + HOUR), "key"
    )
    world.audiences.saved[5] = NEWER
    world.time = START + HOUR
    if by_hand:
        await world.steer.start(Anna(), made.id)
    else:
        await world.keep()
    found = await world.table.find(made.id)
    assert (found.status, found.audience, found.audience_id) == (Status.RUNNING, NEWER, 5)
    world.audiences.saved[5] = EVERYBODY
    await world.steer.pause(Anna(), made.id)
    assert (await world.steer.resume(Anna(), made.id)).audience == NEWER


async def test_the_same_key_is_the_same_campaign_whatever_has_become_of_its_audience():
    world = World()
    plan = replace(PLAN, audience_id=5)
    made = await world.manage.create(Anna(), plan, "key")
    await world.steer.start(Anna(), made.id)
    world.audiences.saved[5] = NEWER
    assert (await world.manage.create(Anna(), plan, "key")).id == made.id
    with pytest.raises(Conflict):
        await world.manage.create(Anna(), replace(PLAN, audience=NEWER), "key")


async def test_without_its_saved_audience_a_campaign_does_not_start():
    world = World()
    draft = await world.manage.create(Anna(), replace(PLAN, audience_id=5))
    scheduled = await world.manage.create(Anna(), replace(PLAN, audience_id=5, start_at=START + HOUR))
    del world.audiences.saved[5]
    with pytest.raises(Conflict, match="saved audience was deleted"):
        await world.steer.start(Anna(), draft.id)
    assert await world.status(draft.id) is Status.DRAFT
    world.time = START + HOUR
    await world.keep()
    found = await world.table.find(scheduled.id)
    assert (found.status, found.started_at) == (Status.CANCELLED, None)
    assert found.reason == "its saved audience was deleted before it started"
    given = await world.manage.change(Anna(), draft.id, {"audience": NEWER, "audience_id": None})
    assert (given.audience, given.audience_id) == (NEWER, None)
    assert (await world.steer.start(Anna(), draft.id)).audience == NEWER


async def test_a_dry_run_asks_for_the_audience_as_it_is_now():
    world = World()
    crowds = Crowds()
    dry_run = DryRun(world.read, world.audiences, crowds, Channels(), {}, Tariff({}, {}, ""), world.now)
    made = await world.manage.create(Anna(), replace(PLAN, audience_id=5))
    world.audiences.saved[5] = NEWER
    await dry_run(1, made.id)
    await world.steer.start(Anna(), made.id)
    world.audiences.saved[5] = EVERYBODY
    await dry_run(1, made.id)
    assert crowds.meant == [NEWER, NEWER]
    draft = await world.manage.create(Anna(), replace(PLAN, audience_id=5))
    del world.audiences.saved[5]
    with pytest.raises(Conflict, match="saved audience was deleted"):
        await dry_run(1, draft.id)


async def test_a_change_of_the_start_makes_it_scheduled_or_a_draft_again():
    world = World()
    made = await world.made()
    assert (await world.manage.change(Anna(), made.id, {"start_at": START + HOUR})).status is Status.SCHEDULED
    assert (await world.manage.change(Anna(), made.id, {"start_at": None})).status is Status.DRAFT


async def test_a_text_takes_the_place_of_a_template_and_the_other_way_round():
    world = World()
    made = await world.made(audience=Audience(tags_any=("a",)))
    changed = await world.manage.change(Anna(), made.id, {"template_id": 7, "template_version": 1})
    assert (changed.content.text, changed.content.template_version) == ("version 1", 1)
    changed = await world.manage.change(Anna(), made.id, {"text": "plain"})
    assert changed.content == Content(text="plain")
    assert changed.audience == Audience(tags_any=("a",))


async def test_what_is_said_stays_where_something_else_changes():
    world = World()
    made = await world.manage.create(Anna(), Plan(name="x", template_id=7, template_version=1, subject="My own"))
    changed = await world.manage.change(Anna(), made.id, {"rate": 5.0})
    assert (changed.content, changed.rate) == (made.content, 5.0)
    assert changed.content.subject == "My own"


async def test_what_may_not_change_any_more_is_named_as_it_was_asked():
    world = World()
    made = await world.made(Status.RUNNING)
    asked = {"end_at": START + HOUR, "audience": EVERYBODY, "audience_id": None, "window": None, "fallback_after": None}
    with pytest.raises(Conflict) as refused:
        await world.manage.change(Anna(), made.id, asked)
    assert refused.value.reason == (
        "is running: name and rate may change now, and not audience, endAt, fallbackAfter, sendWindow"
    )


async def test_a_key_makes_one_campaign():
    world = World()
    made = await world.manage.create(Anna(), PLAN, "key")
    assert (await world.manage.create(Anna(), PLAN, "key")).id == made.id
    with pytest.raises(Conflict):
        await world.manage.create(Anna(), replace(PLAN, text="other"), "key")
    sent = await world.send_to_all(Anna(), 7, "key")
    assert sent.id != made.id
    assert (sent.status, sent.audience) == (Status.RUNNING, EVERYBODY)
    assert (await world.send_to_all(Anna(), 7, "key")).id == sent.id
    assert world.news.woken == [("campaign", sent.id)]
    assert (await world.send_to_all(Anna(), 7, None)).id != sent.id
    with pytest.raises(NotFound):
        await world.send_to_all(Anna(), 8, None)


async def test_a_key_is_the_same_campaign_when_its_time_is_over_and_its_template_gone():
    world = World()
    plan = Plan(name="x", template_id=7, subject="My own", start_at=START + HOUR, end_at=START + 2 * HOUR)
    made = await world.manage.create(Anna(), plan, "key")
    sent = await world.send_to_all(Anna(), 7, "key")
    world.time = START + 24 * HOUR
    world.templates.gone = True
    assert (await world.manage.create(Anna(), plan, "key")).id == made.id
    assert (await world.send_to_all(Anna(), 7, "key")).id == sent.id
    with pytest.raises(Conflict):
        await world.manage.create(Anna(), replace(plan, end_at=None), "key")
    with pytest.raises(Conflict):
        await world.send_to_all(Anna(), 8, "key")
    with pytest.raises(Invalid):
        await world.manage.create(Anna(), plan, "another key")


async def test_a_key_is_the_same_campaign_when_its_owner_gave_it_another_name_and_rate():
    world = World()
    sent = await world.send_to_all(Anna(), 7, "key")
    await world.manage.change(Anna(), sent.id, {"name": "Spring", "rate": 5.0})
    assert (await world.send_to_all(Anna(), 7, "key")).id == sent.id
    with pytest.raises(Conflict):
        await world.send_to_all(Anna(), 8, "key")


async def test_what_cannot_be_woken_is_taken_all_the_same():
    world = World()
    world.news.failure = Unavailable("the broker is away")
    assert (await world.send_to_all(Anna(), 7, None)).status is Status.RUNNING


@pytest.mark.parametrize(
    ("late", "end", "status"),
    [
        (timedelta(0), None, Status.RUNNING),
        (timedelta(minutes=59), None, Status.RUNNING),
        (timedelta(minutes=61), None, Status.EXPIRED),
        (timedelta(minutes=61), timedelta(minutes=62), Status.RUNNING),
        (timedelta(minutes=10), timedelta(minutes=10), Status.EXPIRED),
    ],
)
async def test_it_starts_by_itself_unless_it_is_too_late(late, end, status):
    world = World()
    start = START + HOUR
    made = await world.made(Status.SCHEDULED, start_at=start, end_at=end and start + end)
    await world.keep()
    assert await world.status(made.id) is Status.SCHEDULED
    world.time = start + late
    await world.keep()
    found = await world.table.find(made.id)
    assert found.status is status
    assert (found.reason is not None) == (found.started_at is None) == (status is Status.EXPIRED)
    assert world.news.woken == [("campaign", made.id)]


async def test_from_fan_out_to_the_end():
    world = World()
    world.contacts(7)
    made = await world.made()
    await world.steer.start(Anna(), made.id)
    found = await world.work(made.id)
    assert (found.total, found.fanned_out, found.life) == (7, True, None)
    chunks = [number for what, number in world.news.woken if what == "chunk"]
    assert len(chunks) == len(world.table.chunks) == 5
    await world.keep()
    assert await world.status(made.id) is Status.RUNNING
    for number, message in world.table.messages.items():
        world.table.messages[number] = replace(message, status=MessageStatus.SENT)
    for row in world.table.chunks.values():
        row.done = True
    await world.keep()
    found = await world.table.find(made.id)
    assert (found.status, found.finished_at) == (Status.FINISHED, START)


async def test_an_end_that_comes_first_ends_what_was_not_begun():
    world = World()
    world.contacts(5)
    made = await world.made(end_at=START + HOUR)
    await world.steer.start(Anna(), made.id)
    await world.work(made.id)
    first = world.table.chunks[1]
    first.chunk = replace(first.chunk, mark=1)
    world.time = START + HOUR
    await world.keep()
    assert await world.status(made.id) is Status.EXPIRED
    found = await world.work(made.id)
    assert found.closed
    assert world.abandoned == [1]
    statuses = [one.status for one in world.table.messages.values()]
    assert statuses == [MessageStatus.PENDING] + [MessageStatus.EXPIRED] * 4


async def test_a_pause_is_seen_between_two_steps():
    world = World()
    world.contacts(9)
    made = await world.made()
    await world.steer.start(Anna(), made.id)
    fan_out, steps = world.table.fan_out, []

    async def interrupted(campaign, limit):
        steps.append(limit)
        found = await fan_out(campaign, limit)
        if len(steps) == 1:
            await world.steer.pause(Anna(), made.id)
        return found

    world.table.fan_out = interrupted
    found = await world.work(made.id)
    assert (found.total, found.status, found.life) == (3, Status.PAUSED, None)
    assert await world.work(made.id) == found
    await world.steer.resume(Anna(), made.id)
    found = await world.work(made.id)
    assert (found.total, found.fanned_out) == (9, True)


async def test_an_error_of_ours_leaves_nothing_in_hand():
    world = World()
    made = await world.made()
    await world.steer.start(Anna(), made.id)

    async def broken(campaign, limit):
        raise ZeroDivisionError

    world.table.fan_out = broken
    found = await world.work(made.id)
    assert found.life is None
    assert world.table.wake_at[made.id] == START + timedelta(seconds=20)


@pytest.mark.parametrize(
    ("facts", "permit"),
    [
        ({}, True),
        ({"status": Status.FINISHED}, True),
        ({"status": Status.CANCELLED}, False),
        ({"status": Status.PAUSED}, Later(START + timedelta(seconds=30), "its campaign is paused")),
        ({"window": SendWindow(time(9), time(21), "UTC")}, True),
        (
            {"window": SendWindow(time(13), time(21), "UTC")},
            Later(START + HOUR, "waits for the send window of its campaign"),
        ),
    ],
)
async def test_a_message_that_goes_on_by_itself_heeds_its_campaign(facts: dict[str, Any], permit):
    world = World()
    made = await world.made(Status.RUNNING)
    await world.table.save(replace(await world.table.find(made.id), **facts))
    permits = CampaignPermits(world.table, world.now)
    message = Notification(
        id=1, owner_id=1, recipient=Recipient("5"), message=Message("hi"), created_at=START, campaign_id=made.id
    )
    assert await permits.permit(message) == permit
    assert await permits.permit(replace(message, campaign_id=None)) is True
    assert await permits.permit(replace(message, campaign_id=made.id + 1)) is False


async def test_what_is_known_of_a_campaign_is_read_again_after_a_second():
    world = World()
    made = await world.made(Status.RUNNING)
    ticks = 0.0
    permits = CampaignPermits(world.table, world.now, monotonic=lambda: ticks)
    message = Notification(
        id=1, owner_id=1, recipient=Recipient("5"), message=Message("hi"), created_at=START, campaign_id=made.id
    )
    assert await permits.permit(message) is True
    await world.steer.cancel(Anna(), made.id)
    assert await permits.permit(message) is True
    ticks = 1.0
    assert await permits.permit(message) is False


def test_only_the_moves_of_the_table_are_made():
    made = Campaign(
        id=1,
        owner_id=1,
        name="",
        content=Content(text=""),
        audience=EVERYBODY,
        created_at=START,
        updated_at=START,
        status=Status.FINISHED,
    )
    for status in Status:
        with pytest.raises(Conflict, match="nothing else"):
            made.moved(status, START)
