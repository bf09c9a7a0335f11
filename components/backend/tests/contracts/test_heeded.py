"""What remembering the messages of people must do, in memory and in PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest

from fakes.suppressions import FakeHeeded
from gonets.adapters.postgres.heeded import PostgresHeeded


@pytest.fixture
def in_memory():
    return FakeHeeded()


@pytest.fixture
def in_postgres(pool):
    return PostgresHeeded(pool)


@pytest.fixture(params=["in_memory", "in_postgres"])
def heeded(request):
    return request.getfixturevalue(request.param)


async def test_what_was_heeded_is_known_for_its_channel(heeded):
    assert not await heeded.has(7, "SM1")
    await heeded.add(7, "SM1")
    assert await heeded.has(7, "SM1")
    assert not await heeded.has(7, "SM2")
    assert not await heeded.has(0, "SM1")


async def test_a_repetition_does_no_harm(heeded):
    await asyncio.gather(*(heeded.add(7, "SM1") for _ in range(10)))
    assert await heeded.has(7, "SM1")


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "ё" * 10_000])
async def test_any_name(heeded, name):
    await heeded.add(7, name)
    assert await heeded.has(7, name)


async def test_after_thirty_days_it_is_forgotten(in_postgres, pool):
    await in_postgres.add(7, "old")
    await in_postgres.add(7, "young")
    aged = "UPDATE heeded_message SET heeded_at = heeded_at - $2::interval WHERE provider_id = $1"
    await pool.fetch(aged, "old", timedelta(days=30, seconds=1))
    await pool.fetch(aged, "young", timedelta(days=29))
    await in_postgres.add(7, "new")
    assert [await in_postgres.has(7, name) for name in ("old", "young", "new")] == [False, True, True]
