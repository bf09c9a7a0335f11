"""What a store of contacts must do, in memory and in PostgreSQL."""

import asyncio

import pytest

from fakes.contacts import FakeContacts
from gonets.adapters.postgres.contacts import PostgresContacts
from gonets.adapters.postgres.identity import PostgresUsers
from gonets.core.contacts.model import Field
from gonets.core.shared.errors import Invalid

EVERYTHING = {
    Field.NAME: "Анна Смирнова",
    Field.PHONE: "+79161234567",
    Field.EMAIL: "anna@example.com",
    Field.TELEGRAM_CHAT_ID: "-1001234567890",
}


@pytest.fixture
def in_memory():
    return FakeContacts(), 1, 2


@pytest.fixture
async def in_postgres(pool):
    users = PostgresUsers(pool)
    owner, other = [(await users.add(f"{name}@example.com", "hash", None)).id for name in "ab"]
    return PostgresContacts(pool), owner, other


@pytest.fixture(params=["in_memory", "in_postgres"])
def sides(request):
    """The store, an owner and somebody else."""
    return request.getfixturevalue(request.param)


async def test_a_contact_is_found_as_it_was_added(sides):
    store, owner, _ = sides
    contact = await store.add(owner, EVERYTHING)
    assert (contact.name, contact.phone, contact.email, contact.telegram_chat_id) == tuple(EVERYTHING.values())
    assert contact.created_at == contact.updated_at
    assert await store.get(owner, contact.id) == contact
    bare = await store.add(owner, {Field.NAME: "Ё"})
    assert (bare.phone, bare.email, bare.telegram_chat_id) == (None, None, None)


async def test_a_change_leaves_what_it_does_not_speak_of(sides):
    store, owner, _ = sides
    contact = await store.add(owner, EVERYTHING)
    changed = await store.change(owner, contact.id, {Field.PHONE: None, Field.NAME: "Б"})
    assert (changed.name, changed.phone, changed.email) == ("Б", None, contact.email)
    assert changed.created_at == contact.created_at
    assert changed.updated_at > contact.updated_at
    assert await store.get(owner, contact.id) == changed
    assert (await store.change(owner, contact.id, {})).name == "Б"


async def test_two_who_change_it_at_one_moment_do_not_undo_one_another(sides):
    store, owner, _ = sides
    contact = await store.add(owner, {Field.NAME: "A"})
    await asyncio.gather(*(store.change(owner, contact.id, {field: EVERYTHING[field]}) for field in Field))
    found = await store.get(owner, contact.id)
    assert (found.name, found.phone, found.email, found.telegram_chat_id) == tuple(EVERYTHING.values())


async def test_another_owners_contact_is_not_there(sides):
    store, owner, other = sides
    contact = await store.add(owner, EVERYTHING)
    assert await store.get(other, contact.id) is None
    assert await store.change(other, contact.id, {Field.NAME: "stolen"}) is None
    assert not await store.delete(other, contact.id)
    assert (await store.page(other, cursor=None, limit=10)).contacts == []
    assert await store.get(owner, contact.id) == contact


async def test_a_deleted_contact_is_gone(sides):
    store, owner, _ = sides
    contact = await store.add(owner, EVERYTHING)
    assert await store.delete(owner, contact.id)
    assert not await store.delete(owner, contact.id)
    assert await store.get(owner, contact.id) is None
    assert await store.change(owner, contact.id, {Field.NAME: "x"}) is None


async def test_contacts_are_listed_latest_first_in_pages(sides):
    store, owner, other = sides
    made = [await store.add(owner, {Field.NAME: str(n)}) for n in range(5)]
    await store.add(other, {Field.NAME: "hidden"})
    first = await store.page(owner, cursor=None, limit=3)
    second = await store.page(owner, cursor=first.next_cursor, limit=3)
    assert [*first.contacts, *second.contacts] == made[::-1]
    assert second.next_cursor is None
    whole = await store.page(owner, cursor=None, limit=5)
    assert (len(whole.contacts), whole.next_cursor) == (5, None)
    with pytest.raises(Invalid):
        await store.page(owner, cursor="nonsense", limit=3)
