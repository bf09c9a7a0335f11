"""What a list of addresses that must not be written to must do, in memory and in PostgreSQL."""

import asyncio

import pytest

from fakes.suppressions import FakeSuppressions
from gonets.adapters.postgres.identity import PostgresUsers
from gonets.adapters.postgres.suppression import PostgresSuppressions
from gonets.core.contacts.suppression import LIFTED_BY_START, Entry, Kind, Source
from gonets.core.shared.errors import Invalid

PHONE = Entry(Kind.PHONE, "+79161234567", "asked for it")
EMAIL = Entry(Kind.EMAIL, "anna@example.com")
CHAT = Entry(Kind.TELEGRAM_CHAT_ID, "@anna")


@pytest.fixture
def in_memory():
    return FakeSuppressions(), 1, 2


@pytest.fixture
async def in_postgres(pool):
    users = PostgresUsers(pool)
    owner, other = [(await users.add(f"{name}@example.com", "hash", None)).id for name in "ab"]
    return PostgresSuppressions(pool), owner, other


@pytest.fixture(params=["in_memory", "in_postgres"])
def sides(request):
    """The store, an owner and somebody else."""
    return request.getfixturevalue(request.param)


async def test_what_is_added_is_found(sides):
    store, owner, _ = sides
    [(phone, new), (email, _)] = await store.add(owner, [PHONE, EMAIL], Source.MANUAL)
    assert new
    assert (phone.kind, phone.address, phone.reason, phone.source) == (
        Kind.PHONE,
        "+79161234567",
        "asked for it",
        Source.MANUAL,
    )
    assert (email.kind, email.reason) == (Kind.EMAIL, None)
    assert await store.get(owner, phone.id) == phone


async def test_what_was_there_stays_as_it_was(sides):
    store, owner, _ = sides
    [(first, _)] = await store.add(owner, [PHONE], Source.STOP_REPLY)
    again = await store.add(owner, [CHAT, Entry(Kind.PHONE, PHONE.address, "other words")], Source.IMPORT)
    assert [new for _, new in again] == [True, False]
    assert again[1][0] == first


async def test_those_who_add_the_same_at_one_moment_do_not_hinder_one_another(sides):
    store, owner, _ = sides
    entries = [Entry(Kind.PHONE, f"+7916{n:07}") for n in range(50)]
    added = await asyncio.gather(
        *(store.add(owner, some, Source.IMPORT) for some in (entries, entries[::-1], entries[20:]))
    )
    assert sum(new for several in added for _, new in several) == 50
    assert [one.address for one, _ in added[1]] == [entry.address for entry in entries[::-1]]


async def test_many_are_asked_for_at_one_time(sides):
    store, owner, other = sides
    await store.add(owner, [PHONE, EMAIL, CHAT], Source.MANUAL)
    await store.add(other, [Entry(Kind.PHONE, "+79160000000")], Source.MANUAL)
    asked = {
        "phone": ["+79161234567", "+79160000000"],
        "email": ["Anna@Example.com", "bob@example.com"],
        "telegramChatId": ["@Anna", "55"],
    }
    found = await store.among(owner, asked)
    assert {kind: set(several) for kind, several in found.items()} == {
        "phone": {"+79161234567"},
        "email": {"Anna@Example.com"},
        "telegramChatId": {"@Anna"},
    }
    assert not any((await store.among(owner, {"phone": [], "email": ["bob@example.com"]})).values())
    assert await store.among(owner, {}) == {}


async def test_questions_of_several_at_one_time_are_told_apart(sides):
    store, owner, other = sides
    await store.add(owner, [PHONE], Source.MANUAL)
    asked = {"phone": [PHONE.address]}
    mine, theirs, neither = await asyncio.gather(
        store.among(owner, asked), store.among(other, asked), store.among(owner, {"email": [PHONE.address]})
    )
    assert mine["phone"] == frozenset(asked["phone"])
    assert not any([*theirs.values(), *neither.values()])


async def test_a_start_lifts_what_the_person_brought_about(sides):
    store, owner, other = sides
    for source, lifted in ((Source.STOP_REPLY, True), (Source.PROVIDER, True), (Source.MANUAL, False)):
        await store.add(owner, [PHONE], source)
        assert not await store.lift(other, Kind.PHONE, PHONE.address, LIFTED_BY_START)
        assert await store.lift(owner, Kind.PHONE, PHONE.address, LIFTED_BY_START) is lifted
        assert bool((await store.among(owner, {"phone": [PHONE.address]})).get("phone")) is not lifted


async def test_another_owners_list_is_not_there(sides):
    store, owner, other = sides
    [(mine, _)] = await store.add(owner, [PHONE], Source.MANUAL)
    assert await store.get(other, mine.id) is None
    assert not await store.delete(other, mine.id)
    assert list((await store.page(other, None, cursor=None, limit=10)).suppressions) == []
    assert await store.delete(owner, mine.id)
    assert not await store.delete(owner, mine.id)
    assert await store.get(owner, mine.id) is None


async def test_they_are_listed_latest_first_in_pages(sides):
    store, owner, _ = sides
    made = [(await store.add(owner, [Entry(Kind.PHONE, f"+7916000000{n}")], Source.MANUAL))[0][0] for n in range(5)]
    first = await store.page(owner, None, cursor=None, limit=3)
    second = await store.page(owner, None, cursor=first.next_cursor, limit=3)
    assert [*first.suppressions, *second.suppressions] == made[::-1]
    assert second.next_cursor is None
    wanted = [(Kind.PHONE, "+79160000002"), (Kind.EMAIL, "+79160000003"), (Kind.PHONE, "+7")]
    assert list((await store.page(owner, wanted, cursor=None, limit=3)).suppressions) == [made[2]]
    assert list((await store.page(owner, [], cursor=None, limit=3)).suppressions) == []
    with pytest.raises(Invalid):
        await store.page(owner, None, cursor="nonsense", limit=3)
