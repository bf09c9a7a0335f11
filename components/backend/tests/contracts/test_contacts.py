"""What a store of contacts must do, in memory and in PostgreSQL."""

import asyncio
import base64
from datetime import UTC, datetime

import pytest

from fakes.contacts import FakeAudiences, FakeContacts, is_meant, place_of
from gonets.adapters.postgres import contact_pages
from gonets.adapters.postgres.audiences import PostgresAudiences
from gonets.adapters.postgres.contacts import PostgresContactCrowd, PostgresContacts
from gonets.adapters.postgres.identity import PostgresUsers
from gonets.core.contacts.audience import EVERYBODY, Audience
from gonets.core.contacts.model import Field
from gonets.core.contacts.ports import Search
from gonets.core.shared.errors import Conflict, Invalid, Taken

EVERYTHING = {
    Field.NAME: "Анна Смирнова",
    Field.PHONE: "+79161234567",
    Field.EMAIL: "anna@example.com",
    Field.TELEGRAM_CHAT_ID: "-1001234567890",
    Field.TAGS: ("vip", "москва"),
    Field.TIMEZONE: "Europe/Moscow",
    Field.OPERATOR_CODE: "916",
    Field.ATTRIBUTES: {"city": "Омск", "orders": 3, "share": 0.5, "gold": True},
    Field.CONSENT: True,
    Field.CONSENT_AT: datetime(2026, 1, 31, 12, tzinfo=UTC),
}


def _values(contact):
    names = "name phone email telegram_chat_id tags timezone operator_code attributes consent consent_at"
    return tuple(getattr(contact, name) for name in names.split())


async def _all(store, owner, audience=EVERYBODY, search=None, limit=3):
    found, cursor = [], None
    while True:
        page = await store.page(owner, audience, search, cursor=cursor, limit=limit)
        assert len(page.contacts) <= limit
        found += page.contacts
        cursor = page.next_cursor
        if cursor is None:
            return found


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
    assert _values(contact) == tuple(EVERYTHING.values())
    assert (contact.operator, contact.quality_code) == (None, None)
    assert contact.created_at <= contact.updated_at
    assert await store.get(owner, contact.id) == contact
    bare = await store.add(owner, {Field.NAME: "Ё"})
    assert _values(bare) == ("Ё", None, None, None, (), None, None, {}, None, None)


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
    assert _values(found) == tuple(EVERYTHING.values())


async def test_another_owners_contact_is_not_there(sides):
    store, owner, other = sides
    contact = await store.add(owner, EVERYTHING)
    assert await store.get(other, contact.id) is None
    assert await store.change(other, contact.id, {Field.NAME: "stolen"}) is None
    assert not await store.delete(other, contact.id)
    assert await _all(store, other) == []
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
    first = await store.page(owner, EVERYBODY, None, cursor=None, limit=3)
    second = await store.page(owner, EVERYBODY, None, cursor=first.next_cursor, limit=3)
    assert [*first.contacts, *second.contacts] == made[::-1]
    assert second.next_cursor is None
    whole = await store.page(owner, EVERYBODY, None, cursor=None, limit=5)
    assert (len(whole.contacts), whole.next_cursor) == (5, None)
    for search in (None, Search("a")):
        for cursor in ("nonsense", base64.urlsafe_b64encode(rb'[0, "\ud800", 1]').decode()):
            with pytest.raises(Invalid):
                await store.page(owner, EVERYBODY, search, cursor=cursor, limit=3)


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [(Field.PHONE, "+79161234567", "+79161234567"), (Field.EMAIL, "Anna@Example.com", "anna@example.COM")],
)
async def test_no_two_contacts_of_one_owner_have_one_address(sides, field, value, same):
    store, owner, other = sides
    first = await store.add(owner, {Field.NAME: "first", field: value})
    second = await store.add(owner, {Field.NAME: "second"})
    for write in (
        store.add(owner, {Field.NAME: "third", field: same}),
        store.change(owner, second.id, {field: same}),
    ):
        with pytest.raises(Taken) as caught:
            await write
        assert (caught.value.field, caught.value.holder) == (field, first.id)
    assert await store.get(owner, second.id) == second
    assert len(await _all(store, owner)) == 2
    await store.add(other, {Field.NAME: "theirs", field: same})
    await store.change(owner, first.id, {field: same})
    await store.delete(owner, first.id)
    await store.change(owner, second.id, {field: same})


async def _crowd(store, owner):
    """Some of each kind, with tags that meet in all ways."""
    for number in range(40):
        tags = tuple(tag for place, tag in enumerate(("a", "b", "c", "ё")) if number >> place & 1)
        await store.add(
            owner,
            {
                Field.NAME: ("Анна", "анна", "7", "")[number % 4] + f" {number}",
                Field.PHONE: (None, f"+7916{number:07}", f"+7926{number:07}")[number % 3],
                Field.EMAIL: (None, None, f"7{number}@example.com", f"A{number}@example.com", None)[number % 5],
                Field.TAGS: tags,
                Field.OPERATOR_CODE: (None, "916", "495", "812")[number % 4],
                Field.TIMEZONE: (None, "Europe/Moscow", "Asia/Omsk")[number % 3],
            },
        )


AUDIENCES = [
    Audience(),
    Audience(tags_any=("a",)),
    Audience(tags_any=("a", "ё", "nobody's")),
    Audience(tags_all=("b", "c")),
    Audience(tags_none=("a", "c")),
    Audience(tags_any=("a", "b"), tags_all=("ё",), tags_none=("c",)),
    Audience(operator_codes=("916", "495")),
    Audience(timezones=("Asia/Omsk",)),
    Audience(tags_any=("b", "c"), operator_codes=("812",), timezones=("Europe/Moscow", "Asia/Omsk")),
    Audience(tags_all=("nobody's",), operator_codes=("916",)),
]


@pytest.mark.parametrize("audience", AUDIENCES)
@pytest.mark.parametrize("farthest", [3, 10_000])
async def test_who_is_meant_is_listed_counted_and_exported(sides, audience, farthest, monkeypatch):
    monkeypatch.setattr(contact_pages, "FARTHEST", farthest)
    store, owner, other = sides
    crowd = store if isinstance(store, FakeContacts) else PostgresContactCrowd(store._pool, portion=7)
    await _crowd(store, owner)
    await _crowd(store, other)
    meant = [contact for contact in await _all(store, owner, limit=100) if is_meant(contact, audience)]
    assert audience != EVERYBODY or len(meant) == 40
    assert await _all(store, owner, audience) == meant
    assert await crowd.count(owner, audience) == len(meant)
    ids = [contact.id for contact in reversed(meant)]
    assert await crowd.ids(owner, audience, after=0, limit=100) == ids
    assert await crowd.ids(owner, audience, after=ids[1] if ids else 0, limit=3) == ids[2:5]
    async with crowd.export(owner, audience) as exported:
        assert exported.attributes == []
        assert [contact async for portion in exported.portions for contact in portion] == meant[::-1]


SEARCHES = [
    Search("а"),
    Search("a"),
    Search("7", ("+7",)),
    Search("8926", ("+8926", "+7926")),
    Search("nobody"),
]


@pytest.mark.parametrize("audience", AUDIENCES)
@pytest.mark.parametrize("farthest", [1, 3, 10_000])
async def test_a_search_passes_by_those_who_are_not_meant(sides, audience, farthest, monkeypatch):
    monkeypatch.setattr(contact_pages, "FARTHEST", farthest)
    store, owner, other = sides
    await _crowd(store, owner)
    await _crowd(store, other)
    everybody = await _all(store, owner, limit=100)
    for search in SEARCHES:
        found = [contact for contact in everybody if is_meant(contact, audience) and place_of(contact, search)]
        for limit in (1, 3, 100):
            listed = await _all(store, owner, audience, search, limit)
            assert listed == sorted(found, key=lambda contact: place_of(contact, search))


async def test_a_search_finds_by_phone_then_by_address_then_by_name(sides):
    store, owner, other = sides
    made = {}
    for name, phone, email, tags in (
        ("Анна", "+79161234567", "b@example.com", ()),
        ("анна Ёлкина", "+79161234568", None, ("vip",)),
        ("АННА", None, "anna@example.com", ()),
        ("Anna_Bell", None, "zoe@example.com", ()),
        ("annaXbell", None, "Anna_bell@example.com", ()),
        ("Борис", "+79261234567", "boris@example.com", ()),
        ("+7916", None, None, ()),
    ):
        fields = {Field.NAME: name, Field.PHONE: phone, Field.EMAIL: email, Field.TAGS: tags}
        made[name] = await store.add(owner, fields)
        await store.add(other, fields)

    async def found(text, *phones, audience=EVERYBODY):
        pages = [await _all(store, owner, audience, Search(text, phones), limit) for limit in (1, 2, 100)]
        assert pages[0] == pages[1] == pages[2]
        return [contact.name for contact in pages[0]]

    assert await found("анна") == ["Анна", "АННА", "анна Ёлкина"]
    assert await found("anna_") == ["annaXbell", "Anna_Bell"]
    assert await found("anna") == ["АННА", "annaXbell", "Anna_Bell"]
    assert await found("8916", "+8916", "+7916") == ["Анна", "анна Ёлкина"]
    assert await found("+7916", "+7916") == ["Анна", "анна Ёлкина", "+7916"]
    assert await found("анна", audience=Audience(tags_any=("vip",))) == ["анна Ёлкина"]
    assert await found("%") == await found("nobody") == []


async def test_tags_of_many_are_added_and_removed_once(sides):
    store, owner, other = sides
    first = await store.add(owner, {Field.NAME: "1", Field.TAGS: ("new", "b")})
    second = await store.add(owner, {Field.NAME: "2"})
    full = await store.add(owner, {Field.NAME: "3", Field.TAGS: tuple(map(str, range(50)))})
    theirs = await store.add(other, {Field.NAME: "4"})
    ids = [first.id, second.id, full.id, theirs.id, 10**12]
    assert sorted(await store.tag(owner, ids, ["vip", "b"], ["new"])) == [first.id, second.id]
    assert (await store.get(owner, first.id)).tags == ("b", "vip")
    assert (await store.get(owner, second.id)).tags == ("vip", "b")
    assert await store.get(owner, full.id) == full
    assert await store.get(other, theirs.id) == theirs
    assert await store.tag(owner, ids, ["vip", "b"], ["new"]) == []
    assert [contact.id for contact in await _all(store, owner, Audience(tags_all=("vip",)))] == [second.id, first.id]
    assert await _all(store, owner, Audience(tags_any=("new",))) == []
    await store.change(owner, first.id, {Field.TAGS: ("other",)})
    await store.delete(owner, second.id)
    assert await _all(store, owner, Audience(tags_any=("vip", "b"))) == []
    assert [contact.id for contact in await _all(store, owner, Audience(tags_any=("other",)))] == [first.id]


async def test_nothing_is_left_of_the_tags_of_contacts_that_are_gone(in_postgres):
    store, owner, _ = in_postgres
    await _crowd(store, owner)
    kept = await store.add(owner, {Field.NAME: "kept", Field.TAGS: ("a", "a", "b")})
    await store._pool.fetch("DELETE FROM contact WHERE id <> $1", kept.id)
    rows = await store._pool.fetch("SELECT tag, contact_id FROM contact_tag ORDER BY tag")
    assert [tuple(row) for row in rows] == [("a", kept.id), ("b", kept.id)]
    await store._pool.fetch("DELETE FROM contact")
    assert await store._pool.fetch("SELECT FROM contact_tag") == []


async def test_the_same_phone_keeps_what_a_provider_said_of_it(in_postgres):
    store, owner, _ = in_postgres
    contact = await store.add(owner, EVERYTHING)
    await store._pool.fetch("UPDATE contact SET operator = 'МТС', quality_code = 0")
    same = await store.change(owner, contact.id, {Field.NAME: "Б", Field.PHONE: contact.phone})
    assert (same.operator, same.quality_code) == ("МТС", 0)
    other = await store.change(owner, contact.id, {Field.PHONE: "+79161234568"})
    assert (other.operator, other.quality_code) == (None, None)


@pytest.fixture(params=["in_memory", "in_postgres"])
def audiences(request):
    store, owner, other = request.getfixturevalue(request.param)
    return FakeAudiences() if isinstance(store, FakeContacts) else PostgresAudiences(store._pool), owner, other


async def test_an_audience_is_saved_changed_and_deleted_by_its_owner_alone(audiences):
    store, owner, other = audiences
    wanted = Audience(tags_any=("a", "ё"), tags_none=("c",), operator_codes=("916",), timezones=("Asia/Omsk",))
    made = await store.add(owner, "one", wanted)
    assert (made.name, made.filter) == ("one", wanted)
    assert made.created_at <= made.updated_at
    assert await store.get(owner, made.id) == made
    assert await store.get(other, made.id) is None
    assert await store.change(other, made.id, "stolen", None) is None
    assert not await store.delete(other, made.id)
    with pytest.raises(Taken):
        await store.add(owner, "one", EVERYBODY)
    await store.add(other, "one", EVERYBODY)
    second = await store.add(owner, "two", EVERYBODY)
    with pytest.raises(Taken) as caught:
        await store.change(owner, second.id, "one", None)
    assert (caught.value.field, caught.value.holder) == ("name", made.id)
    changed = await store.change(owner, second.id, None, wanted)
    assert (changed.name, changed.filter) == ("two", wanted)
    assert changed.updated_at > second.updated_at
    assert await store.all(owner) == [changed, made]
    assert await store.delete(owner, second.id)
    assert not await store.delete(owner, second.id)
    assert await store.all(owner) == [made]


async def _campaign(store, owner, audience_id, status):
    """Its id."""
    if isinstance(store, FakeAudiences):
        store.campaigns = {audience_id: 7} if status == "draft" else {}
        return 7
    [row] = await store._pool.fetch(
        "INSERT INTO campaign (id, owner_id, name, text, variables, audience, audience_id, status)"
        " OVERRIDING SYSTEM VALUE VALUES (7, $1, '', '', false, '{}', $2, $3)"
        " ON CONFLICT (id) DO UPDATE SET status = excluded.status RETURNING id",
        owner,
        audience_id,
        status,
    )
    return row["id"]


async def test_an_audience_stays_as_long_as_a_campaign_waits_for_it(audiences):
    store, owner, other = audiences
    made = await store.add(owner, "one", EVERYBODY)
    campaign = await _campaign(store, owner, made.id, "draft")
    with pytest.raises(Conflict, match=str(campaign)):
        await store.delete(owner, made.id)
    assert not await store.delete(other, made.id)
    assert await store.get(owner, made.id) == made
    await _campaign(store, owner, made.id, "running")
    assert await store.delete(owner, made.id)
