"""What ChannelStore promises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from fakes.channels import FakeChannelStore
from gonets.adapters.crypto.vault import AesVault
from gonets.adapters.postgres.channels import PostgresChannels
from gonets.adapters.postgres.pool import Pool
from gonets.core.channels.model import ChannelType, NewChannel
from gonets.core.channels.ports import ChannelStore
from gonets.core.shared.errors import Invalid

BOT = NewChannel(
    name="Alarm — тревога",
    type=ChannelType.TELEGRAM,
    configuration={"botToken": "12345:secret-of-the-bot", "chatId": "-100", "headers": {"X": "y"}, "n": 2.5},
)
SECRETS = {one: frozenset({"botToken", "headers"}) for one in ChannelType}


@dataclass
class Channels:
    """A store and two users that exist."""

    store: ChannelStore
    an_hour_later: Callable[[], Awaitable[object]]
    """For self-tests."""
    anna: int = 1
    boris: int = 2


@pytest.fixture
async def fake_channels() -> Channels:
    store = FakeChannelStore()

    async def later() -> None:
        store.began = {channel: began - timedelta(hours=1) for channel, began in store.began.items()}

    return Channels(store, later)


@pytest.fixture
async def postgres_channels(pool: Pool) -> AsyncIterator[Channels]:
    for number in (1, 2):
        await pool.fetch(
            "INSERT INTO users (email, email_key, password_hash, role) VALUES ($1, $1, '', 'member')", f"{number}@test"
        )

    async def later() -> object:
        return await pool.fetch("UPDATE channel SET self_tested_at = self_tested_at - interval '1 hour' RETURNING id")

    return Channels(PostgresChannels(pool, AesVault({"k1": bytes(32)}), SECRETS), later)


@pytest.fixture(params=["fake_channels", "postgres_channels"])
def channels(request) -> Channels:
    return request.getfixturevalue(request.param)


async def _add(channels, owner=1, **different):
    return await channels.store.add(owner, replace(BOT, **different))


async def test_a_channel_is_read_as_it_was_written(channels):
    added = await _add(channels, enabled=False, is_default=True, rate_per_second=0.5)
    assert (added.owner_id, added.name, added.type) == (1, BOT.name, BOT.type)
    assert added.configuration == BOT.configuration
    assert (added.enabled, added.is_default, added.rate_per_second) == (False, True, 0.5)
    assert added.created_at == added.updated_at
    assert added.created_at.tzinfo is not None
    assert await channels.store.get(1, added.id) == added
    assert list(await channels.store.all(1)) == [added]


async def test_ids_are_never_used_again(channels):
    first = await _add(channels)
    await channels.store.delete(1, first.id)
    assert (await _add(channels)).id > first.id


async def test_another_owner_s_channel_is_not_there(channels):
    channel = await _add(channels, is_default=True)
    assert await channels.store.get(2, channel.id) is None
    assert await channels.store.default(2) is None
    assert list(await channels.store.all(2)) == []
    assert (await channels.store.page(2, cursor=None, limit=10)).channels == []
    assert await channels.store.count(2) == 0
    assert not await channels.store.delete(2, channel.id)
    stolen = replace(channel, owner_id=2)
    assert await channels.store.replace(stolen, replace(stolen, name="mine")) is None
    assert await channels.store.get(1, channel.id) == channel


async def test_one_that_is_not_there_is_nothing(channels):
    for number in (0, 99, 2**63 - 1):
        assert await channels.store.get(1, number) is None
        assert not await channels.store.delete(1, number)


async def test_pages_follow_one_another_latest_first(channels):
    ids = [(await _add(channels)).id for _ in range(5)]
    await _add(channels, owner=2)
    seen, cursor = [], None
    for _ in range(3):
        page = await channels.store.page(1, cursor=cursor, limit=2)
        seen += [channel.id for channel in page.channels]
        cursor = page.next_cursor
    assert seen == ids[::-1]
    assert cursor is None
    assert (await channels.store.page(1, cursor=None, limit=5)).next_cursor is None
    assert await channels.store.count(1) == 5


async def test_a_cursor_that_is_none_of_ours_is_invalid(channels):
    with pytest.raises(Invalid):
        await channels.store.page(1, cursor="nonsense", limit=1)


async def test_a_change_is_written_and_read(channels):
    old = await _add(channels)
    new = replace(
        old, name="other", configuration={"chatId": "5"}, enabled=False, is_default=True, rate_per_second=20.0
    )
    written = await channels.store.replace(old, new)
    assert written == replace(new, updated_at=written.updated_at)
    assert written.updated_at > old.updated_at
    assert await channels.store.get(1, old.id) == written


async def test_what_was_changed_since_it_was_read_is_left(channels):
    old = await _add(channels)
    first = await channels.store.replace(old, replace(old, name="first"))
    assert await channels.store.replace(old, replace(old, name="second", is_default=True)) is None
    assert await channels.store.get(1, old.id) == first
    await channels.store.delete(1, old.id)
    assert await channels.store.replace(first, first) is None
    assert await channels.store.get(1, old.id) is None


async def test_of_many_changes_at_once_each_is_kept_or_refused(channels):
    old = await _add(channels)
    written = await asyncio.gather(
        *(channels.store.replace(old, replace(old, name=f"name {number}")) for number in range(8))
    )
    [kept] = [one for one in written if one]
    assert await channels.store.get(1, old.id) == kept


async def test_the_default_moves(channels):
    first = await _add(channels, is_default=True)
    assert await channels.store.default(1) == first
    second = await _add(channels, is_default=True)
    assert await channels.store.default(1) == second
    first = await channels.store.get(1, first.id)
    assert not first.is_default
    await channels.store.replace(first, replace(first, is_default=True))
    assert (await channels.store.default(1)).id == first.id
    assert [one.is_default for one in await channels.store.all(1)] == [True, False]
    first = await channels.store.default(1)
    await channels.store.replace(first, replace(first, is_default=False))
    assert await channels.store.default(1) is None


async def test_each_owner_has_a_default_of_their_own(channels):
    anna = await _add(channels, is_default=True)
    await _add(channels, owner=2, is_default=True)
    assert await channels.store.default(1) == anna


async def test_a_deleted_default_leaves_none(channels):
    channel = await _add(channels, is_default=True)
    assert await channels.store.delete(1, channel.id)
    assert await channels.store.default(1) is None
    assert not await channels.store.delete(1, channel.id)


async def test_of_many_who_move_the_default_at_once_the_last_one_has_it(channels):
    existing = [await _add(channels, is_default=True) for _ in range(4)]
    moves = [channels.store.replace(one, replace(one, is_default=True)) for one in existing]
    written = await asyncio.gather(*moves, *(_add(channels, is_default=True) for _ in range(4)))
    assert all(one.is_default for one in written if one)
    assert sum(one.is_default for one in await channels.store.all(1)) == 1
    assert await channels.store.count(1) == 8


# --- tests ---


async def test_the_last_test_is_kept_and_changes_nothing_else(channels):
    added = await _add(channels)
    assert added.last_test is None
    await channels.store.tested(added.id, ok=False, step="login", reason="wrong password — неверно")
    found = await channels.store.get(1, added.id)
    tested = found.last_test
    assert (tested.ok, tested.step, tested.reason) == (False, "login", "wrong password — неверно")
    assert tested.at.utcoffset() == timedelta(0)
    assert found == replace(added, last_test=tested)
    changed = await channels.store.replace(added, replace(added, name="other"))
    assert changed.last_test == tested, "who read it before the test may change it all the same"
    await channels.store.tested(added.id, ok=True, step=None, reason=None)
    assert (await channels.store.get(1, added.id)).last_test.ok
    await channels.store.tested(10**6, ok=True, step=None, reason=None)


async def test_a_self_test_is_due_at_once_then_when_its_time_comes_and_to_one_alone(channels):
    anna = await _add(channels, self_test_every=3600)
    boris = await _add(channels, owner=2, self_test_every=7200)
    await _add(channels)
    await _add(channels, self_test_every=3600, enabled=False)
    assert anna.self_test_every == 3600
    begun = await asyncio.gather(*(channels.store.begin_self_tests(10) for _ in range(5)))
    assert sorted(one for some in begun for one in some) == [(1, anna.id), (2, boris.id)]
    await channels.an_hour_later()
    assert list(await channels.store.begin_self_tests(10)) == [(1, anna.id)]
    await channels.an_hour_later()
    assert list(await channels.store.begin_self_tests(1)) == [(2, boris.id)], "the longest waiting first"
    found = await channels.store.get(1, anna.id)
    await channels.store.replace(found, replace(found, self_test_every=None))
    for _ in range(2):
        await channels.an_hour_later()
    assert list(await channels.store.begin_self_tests(10)) == [(2, boris.id)]
