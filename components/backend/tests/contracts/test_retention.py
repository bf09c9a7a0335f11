"""What is removed from the tables after its time, and what stays however old it is."""

import asyncio
from datetime import timedelta

import pytest

from gonets.adapters.postgres.campaigns import PostgresCampaigns
from gonets.adapters.postgres.identity import PostgresUsers
from gonets.adapters.postgres.retention import PostgresExpiring
from gonets.core.identity.model import Role
from gonets.core.shared.retention import Removed

AGE = timedelta(days=30)

_NOTIFICATION = """
INSERT INTO notification (owner_id, recipient, text, status, created_at, finished_at, due_at, life, attempts,
                          campaign_id, contact_id)
SELECT 1, '{"telegramChatId": null, "email": null, "phone": null}', 'hi', $1, clock_timestamp() - $2::interval,
       clock_timestamp() - $3::interval, $4::timestamptz, $5, 1, $6, $7
RETURNING id
"""
_ATTEMPT = """
INSERT INTO attempt (notification_id, number, round, reference, channel_id, channel_type, channel_name, why, state,
                     started_at, parts, asked, held, events)
VALUES ($1, 1, 1, 'r', 1, 'EMAIL', 'mail', 'first', 'delivered', clock_timestamp(), 1, 0, false, '[]')
"""
_TASK = """
WITH result AS (INSERT INTO integration_service (data, task_type) VALUES ('{}', 'phone') RETURNING id)
INSERT INTO task (task_id, task_type, data, status, result_id, created_at, updated_at, dropped_at)
SELECT $1, 'phone', '8', $2::task_status, id, clock_timestamp() - $3::interval, clock_timestamp() - $4::interval,
       clock_timestamp() - $5::interval
FROM result
"""


def days(number):
    return None if number is None else timedelta(days=number)


@pytest.fixture
def make(pool):
    async def notification(made, ended, *, status="delivered", due_at=None, life=None, campaign=None, contact=None):
        values = (status, days(made), days(ended), due_at, life, campaign, contact)
        [row] = await pool.fetch(_NOTIFICATION, *values)
        await pool.fetch(_ATTEMPT, row["id"])
        return row["id"]

    return notification


async def ids(pool, table="notification", column="id"):
    return [row[0] for row in await pool.fetch(f"SELECT {column} FROM {table} ORDER BY 1")]


async def walk(things, limit=2):
    """How many went; each batch is small, so that a handful takes several."""
    total, place = 0, None
    while True:
        removed = await things.remove(AGE, place, limit)
        total, place = total + removed.count, removed.next
        if place is None:
            return total


async def test_notifications_go_with_their_attempts_when_their_end_is_long_ago(pool, make):
    old = [await make(90, 60) for _ in range(5)]
    stays = [await make(90, 20), await make(20, 20)]
    assert await walk(PostgresExpiring(pool, "notifications")) == len(old)
    assert await ids(pool) == stays
    assert await ids(pool, "attempt", "notification_id") == stays


async def test_what_has_not_ended_stays_however_old_and_holds_up_nobody(pool, make):
    stays = [
        await make(90, None, status="pending"),
        await make(90, None, status="sent"),
        await make(90, 60, due_at=await now(pool)),
        await make(90, 60, life=1),
    ]
    behind = await make(90, 60)
    for kind in ("attempts", "notifications"):
        assert await walk(PostgresExpiring(pool, kind)) == 1, kind
    assert await ids(pool) == stays
    assert behind not in await ids(pool, "attempt", "notification_id")


async def now(pool):
    [row] = await pool.fetch("SELECT clock_timestamp() AS at")
    return row["at"]


async def test_a_campaign_that_is_not_over_keeps_its_messages(pool, make):
    campaigns = [await campaign(pool, "paused", None), await campaign(pool, "finished", await now(pool))]
    kept, _ = [await make(90, 60, campaign=number, contact=1) for number in campaigns]
    assert await walk(PostgresExpiring(pool, "notifications")) == 1
    assert await ids(pool) == [kept]


async def campaign(pool, status, finished_at):
    owner = await PostgresUsers(pool).add(f"{status}@example.com", "hash", Role.MEMBER)
    [row] = await pool.fetch(
        "INSERT INTO campaign (owner_id, name, text, variables, audience, status, finished_at)"
        " VALUES ($1, 'c', 't', false, '{}', $2, $3::timestamptz) RETURNING id",
        owner.id,
        status,
        finished_at,
    )
    return row["id"]


async def counts(pool, number):
    rows = await pool.fetch("SELECT status, n FROM campaign_count WHERE campaign_id = $1 ORDER BY status", number)
    return [tuple(row) for row in rows]


async def test_a_campaign_keeps_its_counts(pool, make):
    number = await campaign(pool, "finished", await now(pool))
    for contact, status in enumerate(["delivered", "delivered", "failed"]):
        await make(90, 60, status=status, campaign=number, contact=contact)
    before = await counts(pool, number)
    assert before == [("delivered", 2), ("failed", 1)]
    assert await walk(PostgresExpiring(pool, "attempts")) == 3
    assert await walk(PostgresExpiring(pool, "notifications")) == 3
    assert await counts(pool, number) == before


async def test_what_reports_counted_after_a_campaign_was_deleted_goes_with_its_messages(pool, make):
    number = await campaign(pool, "finished", await now(pool))
    other = await campaign(pool, "cancelled", await now(pool))
    for contact in range(3):
        await make(90, 60, status="sent", campaign=number, contact=contact)
    await make(90, 60, campaign=other, contact=1)
    store = PostgresCampaigns(pool)
    assert await store.delete(await store.find(number))
    await pool.fetch("UPDATE notification SET status = 'delivered' WHERE campaign_id = $1", number)
    assert await counts(pool, number)
    assert await walk(PostgresExpiring(pool, "notifications")) == 4
    assert await counts(pool, number) == []
    assert await counts(pool, other) == [("delivered", 1)]


async def test_attempts_may_go_first(pool, make):
    old, young = await make(90, 60), await make(90, 20)
    [before] = await pool.fetch("SELECT version FROM notification WHERE id = $1", old)
    assert await walk(PostgresExpiring(pool, "attempts")) == 1
    assert await ids(pool, "attempt", "notification_id") == [young]
    [row] = await pool.fetch("SELECT attempts, version, status FROM notification WHERE id = $1", old)
    assert (row["attempts"], row["status"]) == (0, "delivered")
    assert row["version"] > before["version"]


async def test_a_key_does_not_outlive_what_it_names(pool, make):
    old, young = await make(90, 60), await make(20, 20)
    for number, age in ((old, 90), (young, 20)):
        await pool.fetch(
            "INSERT INTO notification_key VALUES (1, $1, 'd', $2, clock_timestamp() - $3::interval)",
            f"key {number}",
            number,
            days(age),
        )
    await walk(PostgresExpiring(pool, "notifications"))
    assert await ids(pool, "notification_key", "notification_id") == [young]


async def test_two_at_one_moment_remove_each_thing_once(pool, make):
    for _ in range(20):
        await make(90, 60)
    counts = await asyncio.gather(*(walk(PostgresExpiring(pool, "notifications"), 3) for _ in range(4)))
    assert sum(counts) == 20 - len(await ids(pool))
    assert await walk(PostgresExpiring(pool, "notifications")) == 20 - sum(counts)
    assert await ids(pool) == []


async def tasks(pool):
    rows = [
        (1, "done", 90, 60, None),
        (2, "failed", 90, 60, None),  # waits for a person
        (3, "failed", 90, 60, 60),
        (4, "failed", 90, 60, 20),
        (5, "parked", 90, 60, None),
        (6, "done", 90, 20, None),
        (7, "done", 90, 60, None),
        (8, "done", 20, 20, None),
    ]
    for task_id, status, made, changed, dropped in rows:
        await pool.fetch(_TASK, task_id, status, days(made), days(changed), days(dropped))
        await pool.fetch(
            "INSERT INTO task_attempt (task_id, number, category, reason) VALUES ($1, 1, 'refused', 'no')", task_id
        )


async def test_tasks_go_when_they_are_done_or_dropped_and_leave_their_results(pool):
    await tasks(pool)
    assert await walk(PostgresExpiring(pool, "tasks")) == 3
    assert await ids(pool, "task", "task_id") == [2, 4, 5, 6, 8]
    assert await ids(pool, "task_attempt", "task_id") == [2, 4, 5, 6, 8]
    assert len(await ids(pool, "integration_service")) == 8


async def test_results_go_with_their_tasks_where_that_is_wanted(pool):
    await tasks(pool)
    assert await walk(PostgresExpiring(pool, "results")) == 3
    kept = {row["result_id"] for row in await pool.fetch("SELECT result_id FROM task")}
    assert set(await ids(pool, "integration_service")) == kept


async def test_the_audit_is_forgotten_by_age(pool):
    for age in (90, 60, 20):
        await pool.fetch(
            "INSERT INTO audit_entry (at, action, object) VALUES (clock_timestamp() - $1::interval, 'made', 'x')",
            days(age),
        )
    assert await walk(PostgresExpiring(pool, "audit")) == 2
    assert await ids(pool, "audit_entry") == [3]


@pytest.mark.parametrize("kind", ["notifications", "attempts", "tasks", "results", "audit"])
async def test_an_empty_table_is_no_news(pool, kind):
    assert await PostgresExpiring(pool, kind).remove(AGE, None, 10) == Removed(0, None)
