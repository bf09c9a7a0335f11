"""What a store of questions about contacts must do, in memory and in PostgreSQL."""

from datetime import timedelta

import pytest

from fakes.contacts import FakeContacts, FakeEnrichment
from gonets.adapters.postgres.contacts import PostgresContacts
from gonets.adapters.postgres.enrichment import PostgresEnrichment
from gonets.adapters.postgres.identity import PostgresUsers
from gonets.core.contacts.enrichment import Enrichment, EnrichmentStatus, PhoneFacts
from gonets.core.contacts.model import Field

FACTS = PhoneFacts(timezone="UTC+3", operator="МТС", quality_code=0)


@pytest.fixture
def in_memory():
    contacts = FakeContacts()
    store = FakeEnrichment(contacts)

    async def pass_time(time):
        store.now += time

    return contacts, store, pass_time, 1, 2


@pytest.fixture
async def in_postgres(pool):
    users = PostgresUsers(pool)
    owner, other = [(await users.add(f"{name}@example.com", "hash", None)).id for name in "ab"]

    async def pass_time(time):
        await pool.fetch("UPDATE contact_question SET due_at = due_at - $1::interval", time)

    return PostgresContacts(pool), PostgresEnrichment(pool), pass_time, owner, other


@pytest.fixture(params=["in_memory", "in_postgres"])
def sides(request):
    """Contacts, questions about them, a way to pass time, an owner and somebody else."""
    return request.getfixturevalue(request.param)


async def _added(contacts, owner, **fields):
    return await contacts.add(owner, {Field.NAME: "x"} | {Field(name): value for name, value in fields.items()})


async def test_one_question_is_under_way_for_each_phone(sides):
    contacts, store, _, owner, other = sides
    one = await _added(contacts, owner, phone="+79161234567", timezone="Asia/Omsk")
    two = await _added(contacts, owner, phone="+79161234568")
    bare = await _added(contacts, owner)
    assert await store.get(owner, one.id) == Enrichment()
    assert await store.get(other, one.id) is None
    assert await store.ask(other, [one.id]) == 0
    assert await store.ask(owner, [one.id, two.id, bare.id]) == 2
    assert await store.ask(owner, [one.id, two.id, bare.id]) == 0
    first, second = await store.due(10)
    assert (first.contact_id, first.phone, first.timezone, first.looks) == (one.id, one.phone, "Asia/Omsk", 0)
    assert second.contact_id == two.id
    assert len({first.task_id, second.task_id}) == 2
    assert all(2**52 <= question.task_id < 2**53 for question in (first, second))
    assert await store.get(owner, one.id) == Enrichment(EnrichmentStatus.ASKED, first.task_id)
    assert await store.due(1) == [first]
    await contacts.change(owner, one.id, {Field.PHONE: "+79161234569"})
    assert await store.ask(owner, [one.id]) == 1
    assert (await store.get(owner, one.id)).task_id != first.task_id


async def test_a_question_is_looked_at_later_each_time(sides):
    contacts, store, pass_time, owner, _ = sides
    contact = await _added(contacts, owner, phone="+79161234567")
    await store.ask(owner, [contact.id])
    [question] = await store.due(10)
    await store.later([(question, timedelta(seconds=100))])
    assert await store.due(10) == []
    await pass_time(timedelta(seconds=101))
    [again] = await store.due(10)
    assert (again.task_id, again.looks) == (question.task_id, 1)


async def test_an_answer_lands_on_its_contact_once(sides):
    contacts, store, _, owner, _ = sides
    contact = await _added(contacts, owner, phone="+79161234567", timezone="Asia/Omsk", operatorCode="916")
    await store.ask(owner, [contact.id])
    [question] = await store.due(10)
    await store.answered([(question, "Europe/Moscow", FACTS)])
    found = await contacts.get(owner, contact.id)
    assert (found.timezone, found.operator, found.quality_code) == ("Europe/Moscow", "МТС", 0)
    assert found.operator_code == "916"
    assert await store.get(owner, contact.id) == Enrichment(EnrichmentStatus.DONE, question.task_id)
    assert await store.due(10) == []
    await store.answered([(question, "Asia/Tokyo", FACTS)])
    await store.failed([(question, "too late")])
    await store.later([(question, timedelta(0))])
    assert (await contacts.get(owner, contact.id)).timezone == "Europe/Moscow"
    assert await store.get(owner, contact.id) == Enrichment(EnrichmentStatus.DONE, question.task_id)


async def test_an_answer_about_another_phone_lands_nowhere(sides):
    contacts, store, _, owner, _ = sides
    contact = await _added(contacts, owner, phone="+79161234567", timezone="Asia/Omsk")
    await store.ask(owner, [contact.id])
    [question] = await store.due(10)
    await contacts.change(owner, contact.id, {Field.PHONE: "+79161234569"})
    await store.answered([(question, "Europe/Moscow", FACTS)])
    found = await contacts.get(owner, contact.id)
    assert (found.timezone, found.operator, found.quality_code) == ("Asia/Omsk", None, None)
    assert await store.due(10) == []


async def test_a_failure_is_told_and_can_be_asked_again(sides):
    contacts, store, _, owner, _ = sides
    contact = await _added(contacts, owner, phone="+79161234567")
    await store.ask(owner, [contact.id])
    [question] = await store.due(10)
    await store.failed([(question, "no money")])
    assert await store.get(owner, contact.id) == Enrichment(EnrichmentStatus.FAILED, question.task_id, "no money")
    assert await store.ask(owner, [contact.id]) == 1
    [again] = await store.due(10)
    assert again.task_id != question.task_id


async def test_with_the_contact_its_question_goes(sides):
    contacts, store, _, owner, _ = sides
    contact = await _added(contacts, owner, phone="+79161234567")
    await store.ask(owner, [contact.id])
    [question] = await store.due(10)
    await contacts.delete(owner, contact.id)
    assert await store.due(10) == []
    await store.answered([(question, None, FACTS)])
    assert await store.get(owner, contact.id) is None


async def test_of_many_each_has_its_own_end(sides):
    contacts, store, pass_time, owner, _ = sides
    ids = [(await _added(contacts, owner, phone=f"+7916123456{number}")).id for number in range(6)]
    await store.ask(owner, ids)
    one, two, three, four, five, six = await store.due(10)
    await store.answered([(two, None, FACTS), (one, "Asia/Omsk", PhoneFacts(None, None, None))])
    await store.failed([(four, "no money"), (three, "no such number")])
    await store.later([(six, timedelta(seconds=50)), (five, timedelta(seconds=100))])
    first, second = [await contacts.get(owner, number) for number in ids[:2]]
    assert (first.timezone, first.operator, first.quality_code) == ("Asia/Omsk", None, None)
    assert (second.timezone, second.operator, second.quality_code) == (None, "МТС", 0)
    assert [(await store.get(owner, number)).reason for number in ids[2:4]] == ["no such number", "no money"]
    assert await store.due(10) == []
    await pass_time(timedelta(seconds=60))
    assert [question.contact_id for question in await store.due(10)] == [ids[5]]
