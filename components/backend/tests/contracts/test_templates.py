"""What a store of templates must do, in memory and in PostgreSQL."""

import asyncio

import pytest

from fakes.templates import FakeTemplates
from gonets.adapters.postgres.identity import PostgresUsers
from gonets.adapters.postgres.templates import PostgresTemplates
from gonets.core.shared.errors import Conflict, Invalid
from gonets.core.templates.model import Content

HELLO = Content("Hello, {{ name }}", "Hi")
BYE = Content("Bye, {{ name }}")


@pytest.fixture
def in_memory():
    return FakeTemplates(), 1, 2


@pytest.fixture
async def in_postgres(pool):
    users = PostgresUsers(pool)
    owner, other = [(await users.add(f"{name}@example.com", "hash", None)).id for name in "ab"]
    return PostgresTemplates(pool), owner, other


@pytest.fixture(params=["in_memory", "in_postgres"])
def sides(request):
    """The store, an owner and somebody else."""
    return request.getfixturevalue(request.param)


async def test_a_template_is_found_as_it_was_added(sides):
    store, owner, _ = sides
    template = await store.add(owner, "welcome", HELLO)
    assert (template.name, template.version, template.content) == ("welcome", 1, HELLO)
    assert await store.get(owner, template.id) == await store.named(owner, "welcome") == template
    assert (await store.version(owner, template.id, 1)).content == HELLO


async def test_another_text_is_a_new_version_and_the_old_one_stays(sides):
    store, owner, _ = sides
    template = await store.add(owner, "welcome", HELLO)
    changed = await store.change(owner, template, "welcome", BYE)
    assert (changed.version, changed.content) == (2, BYE)
    assert changed.updated_at > template.updated_at
    assert changed.created_at == template.created_at
    assert await store.get(owner, template.id) == changed
    found = await store.versions(owner, template.id, below=None, limit=10)
    assert [(one.number, one.content) for one in found] == [(2, BYE), (1, HELLO)]
    assert [one.number for one in await store.versions(owner, template.id, below=None, limit=1)] == [2]
    assert [one.number for one in await store.versions(owner, template.id, below=2, limit=10)] == [1]
    assert await store.version(owner, template.id, 3) is None


async def test_another_name_is_no_new_version(sides):
    store, owner, _ = sides
    template = await store.add(owner, "welcome", HELLO)
    renamed = await store.change(owner, template, "hello", HELLO)
    assert (renamed.name, renamed.version) == ("hello", 1)
    assert len(await store.versions(owner, template.id, below=None, limit=10)) == 1
    assert await store.named(owner, "welcome") is None


async def test_of_two_who_change_it_at_one_moment_one_has_to_look_again(sides):
    store, owner, _ = sides
    template = await store.add(owner, "welcome", HELLO)
    changed = await asyncio.gather(*(store.change(owner, template, "welcome", Content(f"{n}")) for n in range(4)))
    assert [one.version for one in changed if one] == [2]
    assert len(await store.versions(owner, template.id, below=None, limit=10)) == 2


async def test_a_name_is_taken_once_by_each_owner(sides):
    store, owner, other = sides
    await store.add(owner, "welcome", HELLO)
    with pytest.raises(Conflict):
        await store.add(owner, "welcome", BYE)
    second = await store.add(owner, "second", BYE)
    with pytest.raises(Conflict):
        await store.change(owner, second, "welcome", BYE)
    assert (await store.add(other, "welcome", BYE)).name == "welcome"


async def test_another_owners_template_is_not_there(sides):
    store, owner, other = sides
    template = await store.add(owner, "welcome", HELLO)
    assert await store.get(other, template.id) is None
    assert await store.named(other, "welcome") is None
    assert await store.change(other, template, "stolen", BYE) is None
    assert await store.version(other, template.id, 1) is None
    assert list(await store.versions(other, template.id, below=None, limit=10)) == []
    assert not await store.delete(other, template.id)
    assert (await store.page(other, cursor=None, limit=10)).templates == []
    assert await store.get(owner, template.id) == template


async def test_a_deleted_template_is_gone_with_its_versions(sides):
    store, owner, _ = sides
    template = await store.add(owner, "welcome", HELLO)
    assert await store.delete(owner, template.id)
    assert not await store.delete(owner, template.id)
    assert await store.get(owner, template.id) is None
    assert await store.version(owner, template.id, 1) is None
    assert await store.change(owner, template, "welcome", BYE) is None
    assert (await store.add(owner, "welcome", BYE)).version == 1


async def test_templates_are_listed_latest_first_in_pages(sides):
    store, owner, other = sides
    made = [await store.add(owner, str(n), HELLO) for n in range(5)]
    await store.add(other, "hidden", HELLO)
    first = await store.page(owner, cursor=None, limit=3)
    second = await store.page(owner, cursor=first.next_cursor, limit=3)
    assert [*first.templates, *second.templates] == made[::-1]
    assert second.next_cursor is None
    with pytest.raises(Invalid):
        await store.page(owner, cursor="nonsense", limit=3)
