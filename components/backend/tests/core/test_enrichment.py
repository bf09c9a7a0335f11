"""Questions about contacts, brought to their end."""

from datetime import UTC, datetime, timedelta

import pytest

from fakes.contacts import FakeContacts, FakeEnrichment
from gonets.core.contacts.enrichment import EnrichmentStatus, FollowQuestions, NoFacts, PhoneFacts, zone_of
from gonets.core.contacts.model import Field
from gonets.core.shared.errors import Unavailable

JANUARY, JULY = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "likely", "now", "zone"),
    [
        ("UTC+3", ["Europe/Moscow"], JANUARY, "Europe/Moscow"),
        ("UTC+3", ["Europe/Simferopol", "Europe/Moscow"], JANUARY, "Europe/Simferopol"),
        ("UTC+7", ["Europe/Moscow", "Asia/Novosibirsk"], JANUARY, "Asia/Novosibirsk"),
        ("UTC+10", ["Europe/Moscow"], JANUARY, "Asia/Vladivostok"),
        ("UTC+10", [None, None], JANUARY, "Asia/Vladivostok"),
        ("UTC+0", ["Europe/London"], JANUARY, "Europe/London"),
        ("UTC+1", ["Europe/London"], JULY, "Europe/London"),
        ("UTC-5", ["America/New_York"], JANUARY, "America/New_York"),
        ("UTC-5", [], JANUARY, "Etc/GMT+5"),
        ("UTC+5:30", ["Asia/Kolkata"], JANUARY, "Asia/Kolkata"),
        ("UTC", [], JANUARY, "Etc/UTC"),
        ("UTC+3:17", ["Asia/Omsk"], JANUARY, "Asia/Omsk"),
        ("UTC+99", ["Asia/Omsk"], JANUARY, "Asia/Omsk"),
        ("Moscow", ["Asia/Omsk"], JANUARY, "Asia/Omsk"),
        (None, ["Asia/Omsk"], JANUARY, "Asia/Omsk"),
        (None, [None], JANUARY, None),
    ],
)
def test_an_offset_is_the_likely_zone_that_has_it(said, likely, now, zone):
    assert zone_of(said, likely, now) == zone


class FakeLookups:
    """Implements Lookups, with what the test says."""

    def __init__(self):
        self.asked = []
        self.answer = None

    async def look(self, questions):
        self.asked.append([(one.task_id, one.phone) for one in questions])
        if isinstance(self.answer, Exception):
            raise self.answer
        return {one.task_id: self.answer for one in questions if self.answer}


@pytest.fixture
async def world():
    contacts, lookups = FakeContacts(), FakeLookups()
    store = FakeEnrichment(contacts)
    contact = await contacts.add(1, {Field.NAME: "x", Field.PHONE: "+79161234567"})
    await store.ask(1, [contact.id])
    follow = FollowQuestions(store, lookups, lambda _: ("916", "Europe/Moscow"), lambda: JANUARY)
    return contacts, store, lookups, follow, contact


async def test_a_question_is_handed_on_and_looked_for_until_it_is_answered(world):
    contacts, store, lookups, follow, contact = world
    assert await follow() == 0
    assert await follow() == 0
    assert len(lookups.asked) == 1
    store.now += timedelta(seconds=1)
    assert await follow() == 0
    lookups.answer = PhoneFacts("UTC+3", "МТС", 0)
    store.now += timedelta(seconds=2)
    assert await follow() == 1
    assert lookups.asked == [lookups.asked[0]] * 3
    found = await contacts.get(1, contact.id)
    assert (found.timezone, found.operator, found.quality_code) == ("Europe/Moscow", "МТС", 0)
    assert await follow() == 0


async def test_many_are_looked_for_at_one_time(world):
    contacts, store, lookups, follow, contact = world
    others = [await contacts.add(1, {Field.NAME: "x", Field.PHONE: f"+7916123457{number}"}) for number in range(3)]
    await store.ask(1, [other.id for other in others])
    lookups.answer = PhoneFacts("UTC+3", "МТС", 0)
    assert await follow() == 4
    assert [len(asked) for asked in lookups.asked] == [4]
    assert {(await contacts.get(1, one.id)).operator for one in (contact, *others)} == {"МТС"}


async def test_what_will_not_be_answered_is_said_so(world):
    _, store, lookups, follow, contact = world
    lookups.answer = NoFacts("no money")
    assert await follow() == 1
    found = await store.get(1, contact.id)
    assert (found.status, found.reason) == (EnrichmentStatus.FAILED, "no money")


async def test_what_cannot_be_asked_now_stays_due(world):
    _, store, lookups, follow, _ = world
    lookups.answer = Unavailable("away")
    with pytest.raises(Unavailable):
        await follow()
    assert len(await store.due(10)) == 1
