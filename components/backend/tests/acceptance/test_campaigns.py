"""One message to many, as its owner sees it: real processes, real servers, and the sandbox's inbox."""

import asyncio
import contextlib
import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import asyncpg
import pytest

from acceptance.clients import until
from acceptance.test_notifications import Service

QUEUES = ("CampaignDispatchQueue", "NotificationDispatchQueue")
FAST = {"NOTIFICATIONS_RATES": "TELEGRAM=5000"}


@pytest.fixture
async def service(installation):
    service = await asyncio.to_thread(Service, installation, **FAST)
    await service.sign_up()
    yield service
    await service.close()


async def _ask(installation, statement, *values):
    connection = await asyncpg.connect(installation.servers.database.dsn)
    try:
        return await connection.fetch(statement, *values)
    finally:
        await connection.close()


async def _contacts(installation, count):
    """So many, each with a chat of their own: its number is the contact's place."""
    await _ask(
        installation,
        "INSERT INTO contact (owner_id, name, telegram_chat_id)"
        " SELECT (SELECT max(id) FROM users), 'Anna ' || n, (1000000 + n)::text FROM generate_series(1, $1) n",
        count,
    )


def _purge(installation):
    vhost = quote(installation.servers.rabbit.vhost, safe="")
    for queue in QUEUES:
        installation.servers.manage("DELETE", f"queues/{vhost}/{queue}/contents")


async def _campaign(service, number):
    answer = await service.http.get(f"/api/v1/campaigns/{number}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _when(service, number, condition, what, *, timeout=120.0):
    last = None

    async def look():
        nonlocal last
        last = await _campaign(service, number)
        return last if condition(last) else None

    try:
        return await until(look, what, timeout=timeout)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last}") from error


@contextlib.asynccontextmanager
async def _after_the_first_step(installation):
    """Whoever makes messages makes some, and no more before this is over."""
    gate = await asyncpg.connect(installation.servers.database.dsn)
    try:
        await gate.execute("SELECT pg_advisory_lock(1)")
        await gate.execute(
            "CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF EXISTS (SELECT FROM campaign_chunk) THEN PERFORM pg_advisory_xact_lock(1); END IF;"
            " RETURN NULL; END $$"
        )
        await gate.execute(
            "CREATE TRIGGER gate BEFORE INSERT ON campaign_chunk FOR EACH STATEMENT EXECUTE FUNCTION wait_at_the_gate()"
        )
        yield
    finally:
        await gate.close()


async def _create(service, **facts):
    return await service.post("/campaigns", {"name": "Весна", "text": "Скидки!"} | facts, status=201)


def _shut():
    """A window that opens in hours."""
    hour = (datetime.now(UTC).hour + 12) % 24
    return {"from": f"{hour:02}:00", "to": f"{(hour + 1) % 24:02}:00"}


async def test_from_a_draft_to_every_inbox_once(service, installation):
    await _contacts(installation, 1200)
    await service.post("/suppressions", {"address": "1000007", "kind": "telegramChatId"}, status=201)
    draft = await _create(service)
    assert (draft["status"], draft["counts"]) == ("draft", {})
    estimate = await service.post(f"/campaigns/{draft['id']}/dry-run", status=200)
    assert (estimate["now"], estimate["later"], estimate["suppressed"]) == (1199, 0, 1)
    await service.post(f"/campaigns/{draft['id']}/start")
    async with service.http.stream("GET", f"/api/v1/campaigns/{draft['id']}/events", timeout=120) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in stream.aiter_lines()]
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert events.pop() == {}
    assert (events[-1]["status"], events[-1]["total"], events[-1]["progress"]) == ("finished", 1200, 1.0)
    assert events[-1]["counts"] == {"sent": 1199, "suppressed": 1}
    sent = Counter(message["to"] for message in await service.inbox(provider="telegram"))
    assert sent == Counter(str(1000000 + n) for n in range(1, 1201) if n != 7)

    answer = await service.http.get(f"/api/v1/campaigns/{draft['id']}/messages", params={"status": "suppressed"})
    [message] = answer.json()["messages"]
    assert message["recipient"]["telegramChatId"] == "1000007"
    answer = await service.http.get(f"/api/v1/campaigns/{draft['id']}/messages/export")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert Counter(row["status"] for row in rows) == {"sent": 1199, "suppressed": 1}


async def test_to_all_my_contacts_at_once_is_once_for_one_key(service, installation):
    await _contacts(installation, 3)
    body = {"name": "hello", "body": "Hello, {{name}}!"}
    template = (await service.post("/templates", body, status=201))["id"]
    headers = {"Idempotency-Key": "monday"}
    answers = [await service.post(f"/send-notification/{template}", **headers) for _ in range(2)]
    assert answers[0]["id"] == answers[1]["id"]
    await _when(service, answers[0]["id"], lambda one: one["status"] == "finished", "the end")
    texts = sorted(message["text"] for message in await service.inbox(provider="telegram"))
    assert texts == ["Hello, Anna 1!", "Hello, Anna 2!", "Hello, Anna 3!"]
    again = await service.post(f"/send-notification/{template}")
    assert again["id"] != answers[0]["id"]
    await service.post("/send-notification/999999", status=404)


async def test_it_starts_by_itself_and_nothing_leaves_after_its_end(service, installation):
    await _contacts(installation, 400)
    now = datetime.now(UTC)
    start, end = now + timedelta(seconds=8), now + timedelta(seconds=20)
    made = await _create(service, startAt=start.isoformat(), endAt=end.isoformat(), rate=10)
    assert made["status"] == "scheduled"
    found = await _when(service, made["id"], lambda one: one["status"] == "expired", "its end")
    assert datetime.fromisoformat(found["startedAt"]) >= start
    found = await _when(
        service, made["id"], lambda one: one["counts"].keys() == {"sent", "expired"}, "the rest to expire"
    )
    counts = found["counts"]
    assert sum(counts.values()) == 400
    rows = await _ask(installation, "SELECT max(started_at) AS at, count(*) AS n FROM attempt")
    assert rows[0]["at"] < end
    assert rows[0]["n"] == counts["sent"] == len(await service.inbox(provider="telegram"))


async def test_a_start_that_was_missed_is_not_made_up_for(installation):
    common = {"CAMPAIGNS_LATEST_START": 60} | FAST
    service = await asyncio.to_thread(Service, installation, **common)
    await service.sign_up()
    await _contacts(installation, 2)
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    late, ended = await _create(service, startAt=soon), await _create(service, startAt=soon)
    past = datetime.now(UTC) - timedelta(minutes=2)
    # Everything was down meanwhile. One statement: the scheduler that is running must not see half of it.
    await _ask(
        installation,
        "UPDATE campaign SET start_at = $1, wake_at = $1, end_at = CASE id WHEN $3 THEN $2::timestamptz END",
        past,
        past + timedelta(minutes=1),
        ended["id"],
    )
    for made, why in ((late, "too late"), (ended, "its end came before it could be started")):
        found = await _when(service, made["id"], lambda one: one["status"] == "expired", "not to be started")
        assert why in found["reason"]
        assert (found["startedAt"], found["total"]) == (None, 0)
    assert await service.inbox(provider="telegram") == []
    await service.close()


async def test_lost_wake_ups_are_sent_again(service, installation):
    await _contacts(installation, 6000)
    made = await _create(service, rate=600)
    await service.post(f"/campaigns/{made['id']}/start")
    await _when(service, made["id"], lambda one: one["counts"].get("sent", 0) > 300, "some to be sent")
    await asyncio.to_thread(_purge, installation)
    found = await _when(service, made["id"], lambda one: one["status"] == "finished", "the end", timeout=180)
    assert found["counts"] == {"sent": 6000}
    assert len({message["to"] for message in await service.inbox(provider="telegram")}) == 6000


async def test_the_wake_up_of_a_campaign_is_sent_again(installation):
    service = await asyncio.to_thread(Service, installation, **FAST)
    await service.sign_up()
    await _contacts(installation, 10)
    worker = service.workers[0]
    await asyncio.to_thread(worker.terminate)
    await asyncio.to_thread(worker.exit_code)
    made = await _create(service)
    await service.post(f"/campaigns/{made['id']}/start")
    await asyncio.to_thread(_purge, installation)
    installation.launch("worker", **worker.environment)
    found = await _when(service, made["id"], lambda one: one["status"] == "finished", "the end")
    assert found["counts"] == {"sent": 10}
    await service.close()


async def test_a_worker_killed_in_the_middle_of_a_fan_out_costs_nothing(installation):
    service = await asyncio.to_thread(Service, installation, workers=2, **FAST)
    await service.sign_up()
    people = 120_000
    await _contacts(installation, people)
    made = await _create(service, sendWindow=_shut())

    async def midway():
        [row] = await _ask(installation, "SELECT total, life, fanned_out_at FROM campaign")
        assert row["fanned_out_at"] is None, "it was through before anybody could be killed"
        return row if row["total"] else None

    async with _after_the_first_step(installation):
        await service.post(f"/campaigns/{made['id']}/start")
        row = await until(midway, "some messages")
        [held] = await _ask(installation, "SELECT worker FROM worker_life WHERE id = $1", row["life"])
        [killed] = [one for one in service.workers if held["worker"].endswith(f":{one.pid}")]
        killed.kill()
    found = await _when(service, made["id"], lambda one: one["fannedOut"], "all messages", timeout=180)
    assert (found["total"], found["counts"]) == (people, {"pending": people})
    [count] = await _ask(
        installation,
        "SELECT count(*) AS n, count(DISTINCT contact_id) AS contacts,"
        " count(*) FILTER (WHERE k.id IS NULL) AS without FROM notification n"
        " LEFT JOIN campaign_chunk k ON n.id BETWEEN k.first_id AND k.last_id",
    )
    assert tuple(count) == (people, people, 0)
    cancelled = await service.post(f"/campaigns/{made['id']}/cancel", status=200)
    assert cancelled["status"] == "cancelled"
    found = await _when(service, made["id"], lambda one: not one["counts"].get("pending"), "the rest to be cancelled")
    assert found["counts"] == {"cancelled": people}
    assert await service.inbox(provider="telegram") == []
    await service.close()


async def test_what_is_paused_stands_still_until_it_is_resumed(service, installation):
    await _contacts(installation, 2000)
    made = await _create(service, rate=100)
    await service.post(f"/campaigns/{made['id']}/start")
    await _when(service, made["id"], lambda one: one["counts"].get("sent", 0) > 50, "some to be sent")
    await service.post(f"/campaigns/{made['id']}/pause", status=200)

    async def still():
        """Neither grows any more, and nothing that left is still to be counted."""
        before, left = (await _campaign(service, made["id"]))["counts"], len(await service.inbox(provider="telegram"))
        await asyncio.sleep(1)
        after = (await _campaign(service, made["id"]))["counts"]
        return before if before == after and before["sent"] == left else None

    counts = await until(still, "nothing to leave any more")
    assert counts["pending"] > 0
    await service.http.patch(f"/api/v1/campaigns/{made['id']}", json={"rate": 2000.0})
    await service.post(f"/campaigns/{made['id']}/resume")
    found = await _when(service, made["id"], lambda one: one["status"] == "finished", "the end")
    assert found["counts"] == {"sent": 2000}
