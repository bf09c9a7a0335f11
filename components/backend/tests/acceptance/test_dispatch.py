"""Campaigns on their way out: each message once, whoever dies, and nobody waits for somebody else's million."""

import asyncio
from collections import Counter

import httpx
import pytest

from acceptance.clients import until
from acceptance.test_campaigns import _ask, _campaign, _create, _when
from acceptance.test_notifications import Service

FAST = {"NOTIFICATIONS_RATES": "", "CAMPAIGNS_CONCURRENCY": "20"}


@pytest.fixture
async def service(installation):
    service = await asyncio.to_thread(Service, installation, workers=2, **FAST)
    await service.sign_up()
    yield service
    await service.close()


async def _phones(installation, count, first=1):
    """So many contacts of whoever signed up last: the number on the phone is the contact's place."""
    await _ask(
        installation,
        "INSERT INTO contact (owner_id, name, phone)"
        " SELECT (SELECT max(id) FROM users), '', '+7916' || lpad(n::text, 7, '0')"
        " FROM generate_series($1::int, $2::int) n",
        first,
        first + count - 1,
    )


def _expected(count, first=1):
    return Counter(f"+7916{n:07d}" for n in range(first, first + count))


async def _sent_to(service):
    return Counter(message["to"] for message in await service.inbox(provider="twilio"))


async def _all_delivered(service, campaign, count, *, timeout=240.0):
    found = await _when(
        service, campaign["id"], lambda one: one["counts"].get("delivered") == count, "deliveries", timeout=timeout
    )
    assert found["counts"] == {"delivered": count}


async def test_each_message_is_reported_delivered_though_reports_overtake_our_commit(service, installation):
    async with service.sandbox as sandbox:
        await sandbox.put("/control/settings/twilio", json={"step_ms": 0})
        await _phones(installation, 700)
        campaign = await _create(service)
        await service.post(f"/campaigns/{campaign['id']}/start")
        await _all_delivered(service, campaign, 700)
        assert await _sent_to(service) == _expected(700)

    async def all_heeded():
        return await _ask(installation, "SELECT id FROM early_receipt") == []

    await until(all_heeded, "no receipt to be kept that somebody has heeded")


async def test_a_worker_killed_in_the_middle_costs_time_and_nothing_else(service, installation):
    await _phones(installation, 700)
    campaign = await _create(service, rate=150)
    await service.post(f"/campaigns/{campaign['id']}/start")
    await _when(service, campaign["id"], lambda one: one["counts"].get("pending", 700) < 550, "its first messages")
    service.workers[0].kill()
    await _all_delivered(service, campaign, 700)
    assert await _sent_to(service) == _expected(700)


async def test_one_code_passes_a_running_campaign_by(service, installation):
    await _phones(installation, 1200)
    campaign = await _create(service, rate=40)
    await service.post(f"/campaigns/{campaign['id']}/start")
    await _when(service, campaign["id"], lambda one: one["counts"].get("pending", 1200) < 1190, "its first messages")
    await service.post("/notifications", {"recipient": {"phone": "+79990000000"}, "message": "4711"})
    await until(lambda: _came(service, "+79990000000"), "the code")
    left = (await _campaign(service, campaign["id"]))["counts"].get("pending", 0)
    assert left > 100


async def _came(service, phone):
    return (await _sent_to(service))[phone] or None


async def test_a_small_campaign_does_not_wait_for_somebody_elses_large_one(service, installation):
    await _phones(installation, 30_000)
    large = await _create(service)
    await service.post(f"/campaigns/{large['id']}/start")
    await _when(service, large["id"], lambda one: one["counts"].get("pending", 0) > 6000, "many messages")
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as other:
        account = {"email": "boris@example.com", "password": "correct horse battery"}
        token = (await other.post("/api/v1/auth/signup", json=account)).json()["accessToken"]
        other.headers["Authorization"] = f"Bearer {token}"
        await _phones(installation, 20, first=5_000_001)
        answer = await other.post("/api/v1/campaigns", json={"name": "small", "text": "Hi"})
        number = answer.json()["id"]
        await other.post(f"/api/v1/campaigns/{number}/start")

        async def through():
            found = (await other.get(f"/api/v1/campaigns/{number}")).json()
            return found["status"] == "finished" or None

        await until(through, "the small one", timeout=60)
    still = await _campaign(service, large["id"])
    assert still["counts"].get("pending", 0) > 0, still
    await service.post(f"/campaigns/{large['id']}/cancel", status=200)
