"""What is looked for every second is found by the index: rows that wait for later cost nothing."""

import pytest

from gonets.adapters.postgres import campaign_wakes, enrichment, imports, notification_wakes, wakes

LOOKS = {
    "tasks": (wakes._DUE, "wake_at"),
    "notifications": (notification_wakes._DUE, "wake_at"),
    "campaigns": (campaign_wakes._DUE, "wake_at"),
    "campaigns to start": (campaign_wakes._STARTING, "wake_at"),
    "campaigns to end": (campaign_wakes._ENDING, "end_at"),
    "imports": (imports._DUE, "wake_at"),
    "questions about contacts": (enrichment._DUE, "due_at"),
}


@pytest.mark.parametrize("what", LOOKS)
async def test_what_waits_for_later_is_not_read(what, pool):
    statement, column = LOOKS[what]
    async with pool.transaction() as connection:
        # Tables of tests are empty, and would be read whole.
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statement}", 10))

    assert f"Index Cond: ({column} <= " in plan, plan
