"""Ids that every log line written meanwhile carries."""

import asyncio

from gonets.core.shared.concerning import concerned, concerning


def test_within_it_and_no_longer():
    with concerning(notification_id=7, contact_id=None):
        assert concerned() == {"notification_id": 7}
    assert concerned() == {}


def test_within_another_one_both_hold_and_the_nearer_one_wins():
    with concerning(campaign_id=1, notification_id=2):
        with concerning(notification_id=3):
            assert concerned() == {"campaign_id": 1, "notification_id": 3}
        assert concerned() == {"campaign_id": 1, "notification_id": 2}


async def test_each_task_has_its_own():
    async def about(number):
        with concerning(contact_id=number):
            await asyncio.sleep(0)
            return dict(concerned())

    assert await asyncio.gather(about(1), about(2)) == [{"contact_id": 1}, {"contact_id": 2}]


async def test_what_outlives_it_is_about_nothing():
    over = asyncio.Event()

    async def kept():
        before = dict(concerned())
        await over.wait()
        return before, dict(concerned())

    with concerning(notification_id=7):
        task = asyncio.create_task(kept())
        await asyncio.sleep(0)
    over.set()
    assert await task == ({"notification_id": 7}, {})
