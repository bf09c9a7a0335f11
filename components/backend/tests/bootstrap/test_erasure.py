"""A person is erased, by the door as bootstrap puts it together: no table names them any more, and the counts stay."""

import json

import pytest

from gonets.adapters.postgres.erasure import PostgresErasures
from gonets.adapters.postgres.tables import metadata
from gonets.adapters.postgres.wakes import PostgresTaskWakes
from gonets.bootstrap.erasure import erase
from gonets.bootstrap.retention import remove_expired
from gonets.bootstrap.scheduler import SchedulerContainer
from gonets.settings import Retention

PHONE, EMAIL, CHAT, NAME = "+79161234567", "anna.s@example.com", "987654321", "Анна Смирнова"
ADDRESSES = {"phone": PHONE, "email": EMAIL, "telegramChatId": CHAT}
TEXT = "Уважаемая Анна, ваш код 4711"
WORDS = f"mailbox {EMAIL} is full"
ATTEMPT = """
INSERT INTO attempt (notification_id, number, round, reference, channel_id, channel_type, channel_name, "to", why,
                     state, started_at, provider_id, parts, refusal, code, reason, hint, asked, held, events)
VALUES ($1, 1, 1, 'reference', 0, 'EMAIL', 'mail', $2, 'it is first', 'rejected', clock_timestamp(), 'x1', 1,
        'permanent', '552', $3, $3, 0, false, $4::text::jsonb)
"""


@pytest.fixture(autouse=True)
def one_pool(container, pool):
    container.operator_pool.override(pool)


@pytest.fixture
async def contact(http):
    made = await http.post("/api/v1/contacts", json={"name": NAME} | ADDRESSES)
    assert made.is_success, made.text
    return made.json()["id"]


async def notify(http, **body):
    made = await http.post("/api/v1/notifications", json={"message": TEXT, "send": False} | body)
    assert made.is_success, made.text
    return made.json()["id"]


async def ended(pool, number):
    await pool.fetch(
        "UPDATE notification SET status = 'failed', reason = $2, attempts = 1, held = false,"
        " finished_at = clock_timestamp() WHERE id = $1",
        number,
        WORDS,
    )
    events = [{"at": "2026-01-31T12:00:00+00:00", "what": "rejected", "code": "552", "reason": WORDS}]
    await pool.fetch(ATTEMPT, number, EMAIL, WORDS, json.dumps(events))


async def where(pool, *words):
    """The tables with any of these words in any column."""
    found = set()
    for table in metadata.tables:
        rows = await pool.fetch(f'SELECT t::text AS row FROM "{table}" t')
        if any(word in row["row"] for row in rows for word in words):
            found.add(table)
    return found


async def statuses(http, *numbers):
    return [(await http.get(f"/api/v1/notifications/{number}")).json()["status"] for number in numbers]


async def test_nothing_names_the_person_any_more(http, pool, contact):
    failed = await notify(http, contactId=contact, subject="для Анны", event={"user": EMAIL})
    await ended(pool, failed)
    waits, bare = await notify(http, contactId=contact), await notify(http, recipient={"phone": "8 916 123-45-67"})
    assert await where(pool, PHONE, EMAIL, CHAT, NAME, "код") == {"contact", "notification", "attempt"}
    answer = await http.post(f"/api/v1/contacts/{contact}/erase")
    assert (answer.status_code, answer.json()) == (200, {"messages": 3, "cancelled": 2})
    assert await where(pool, PHONE, EMAIL, CHAT, NAME, "Анн", "код") == set()
    assert await statuses(http, failed, waits, bare) == ["failed", "cancelled", "cancelled"]
    assert (await http.get(f"/api/v1/contacts/{contact}")).status_code == 404
    [attempt] = (await http.get(f"/api/v1/notifications/{failed}")).json()["attempts"]
    assert (attempt["state"], attempt["code"], attempt["channelName"], attempt["providerId"]) == (
        ("rejected", "552", "mail", "x1")
    )
    assert attempt["events"] == [{"at": "2026-01-31T12:00:00Z", "what": "rejected", "code": "552", "reason": None}]
    [entry] = await pool.fetch("SELECT * FROM audit_entry WHERE object = 'contact' AND action = 'erased'")
    assert (entry["object_id"], json.loads(entry["detail"])) == (contact, {"messages": 3, "cancelled": 2})


async def test_others_keep_what_is_theirs(http, pool, contact):
    other = (await http.post("/api/v1/contacts", json={"name": "Борис", "email": "b@example.com"})).json()["id"]
    kept = [await notify(http, contactId=other), await notify(http, recipient={"email": "c@example.com"})]
    await http.post(f"/api/v1/contacts/{contact}/erase")
    for number in kept:
        found = (await http.get(f"/api/v1/notifications/{number}")).json()
        assert (found["status"], found["message"]) == ("pending", TEXT)


async def test_what_was_erased_is_never_sent_again(http, pool, contact):
    number = await notify(http, contactId=contact)
    await http.post(f"/api/v1/contacts/{contact}/erase")
    answer = await http.post(f"/api/v1/notifications/{number}/retry")
    assert (answer.status_code, "erased" in answer.json()["detail"]) == (409, True)


async def test_a_contact_that_was_deleted_before_can_be_erased_and_again(http, pool, contact):
    await notify(http, contactId=contact)
    await http.delete(f"/api/v1/contacts/{contact}")
    assert await where(pool, PHONE) == {"notification"}
    answers = [await http.post(f"/api/v1/contacts/{contact}/erase") for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"messages": 1, "cancelled": 1}, {"messages": 0, "cancelled": 0}]
    assert await where(pool, PHONE) == set()


async def test_nobody_elses_and_no_contact_is_erased(http, contact):
    absent = await http.post("/api/v1/contacts/999999/erase")
    assert absent.status_code == 404


async def test_that_nobody_may_write_to_them_stays_known_and_not_why(http, pool, contact):
    added = await http.post("/api/v1/suppressions", json={"address": PHONE, "reason": f"{NAME} rang us"})
    assert added.is_success, added.text
    await http.post(f"/api/v1/contacts/{contact}/erase")
    [row] = await pool.fetch("SELECT * FROM suppression")
    assert (row["kind"], row["address"], row["reason"]) == ("phone", PHONE, None)


async def test_rows_that_an_import_rejected_go_where_they_name_an_address(http, pool, contact):
    await pool.fetch(
        "INSERT INTO contact_import (owner_id, file_name, file_key, size, options, status, checking)"
        " SELECT id, 'f', 'k', 1, '{}', 'done', false FROM users"
    )
    values = ["8 (916) 123-45-67", EMAIL.upper(), "+7 916 000-00-00", "no phone"]
    for row, value in enumerate(values):
        await pool.fetch(
            "INSERT INTO contact_import_reject SELECT id, $1, 'phone', $2, 'c', 'r' FROM contact_import", row, value
        )
    await http.post(f"/api/v1/contacts/{contact}/erase")
    rows = await pool.fetch("SELECT value FROM contact_import_reject ORDER BY row")
    assert [row["value"] for row in rows] == values[2:]


async def test_what_was_asked_about_their_phone_goes_as_soon_as_it_has_ended(http, pool, contact, container):
    for task_id, status in ((1, "done"), (2, "processing")):
        await pool.fetch(
            "WITH r AS (INSERT INTO integration_service (data, task_type)"
            " VALUES (jsonb_build_object('source', $2::text), 'phone') RETURNING id)"
            " INSERT INTO task (task_id, task_type, data, status, result_id)"
            " SELECT $1, 'phone', $2, $3::task_status, id FROM r",
            task_id,
            PHONE,
            status,
        )
    await pool.fetch("DELETE FROM contact_question")
    await pool.fetch("INSERT INTO contact_question (contact_id, task_id, phone) VALUES ($1, 1, $2)", contact, PHONE)
    await pool.fetch("UPDATE contact_question SET task_id = 1")
    await http.post(f"/api/v1/contacts/{contact}/erase")
    [asked] = await pool.fetch("SELECT * FROM task WHERE task_id = 1")
    assert (asked["data"], asked["status"]) == ("(erased)", "done")
    [result] = await pool.fetch("SELECT data FROM integration_service WHERE id = $1", asked["result_id"])
    assert json.loads(result["data"]) == {}
    # The other one was asked by somebody else.
    assert await where(pool, PHONE) == {"task", "integration_service"}


@pytest.mark.parametrize("status", ["done", "failed"])
async def test_a_task_that_was_erased_is_still_a_task(http, pool, contact, status):
    await pool.fetch(
        "INSERT INTO task (task_id, task_type, data, status, error_category, error_reason, wake_at)"
        " VALUES (1, 'phone', $1, $2::task_status, 'refused', 'r', clock_timestamp())",
        PHONE,
        status,
    )
    await pool.fetch("DELETE FROM contact_question")
    await pool.fetch("INSERT INTO contact_question (contact_id, task_id, phone) VALUES ($1, 1, $2)", contact, PHONE)
    await http.post(f"/api/v1/contacts/{contact}/erase")
    listed = await http.get("/api/v1/tasks")
    assert listed.status_code == 200, listed.text
    assert [(task["task_id"], task["data"]) for task in listed.json()["tasks"]] == [(1, "(erased)")]
    # Nobody asks about it again by mistake, and its end is told all the same.
    assert (await http.get("/api/v1/failed/tasks")).json()["tasks"] == []
    again = await http.post("/api/v1/failed/tasks/replay", json={"ids": [1]})
    if status == "failed":
        assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
        assert "was erased" in again.json()["detail"]
    else:
        assert again.json()["count"] == 0
    assert [wake.task.task_id for wake in await PostgresTaskWakes(pool).due(limit=10)] == [1]


async def test_words_that_come_later_are_erased_by_the_scheduler(http, pool, contact, container):
    number = await notify(http, contactId=contact)
    await http.post(f"/api/v1/contacts/{contact}/erase")
    await ended(pool, number)
    late = erase(pool, container.publisher())
    await late.again()
    assert await where(pool, EMAIL) == set()
    await pool.fetch("UPDATE erasure SET asked_at = asked_at - interval '8 days'")
    await pool.fetch("UPDATE attempt SET reason = $1", WORDS)
    await late.again()
    assert await where(pool, EMAIL) == {"attempt"}


async def test_thousands_of_messages_go_in_batches(http, pool, contact, container):
    count = 2500
    await pool.fetch(
        "INSERT INTO notification (owner_id, recipient, contact_id, text, status, finished_at)"
        " SELECT u.id, jsonb_build_object('telegramChatId', null, 'email', null, 'phone', $2::text),"
        "  CASE WHEN n % 2 = 0 THEN $1::bigint END, $3, 'delivered', clock_timestamp()"
        " FROM users u, generate_series(1, $4::int) n",
        contact,
        PHONE,
        TEXT,
        count,
    )
    answer = await http.post(f"/api/v1/contacts/{contact}/erase")
    assert answer.json() == {"messages": count, "cancelled": 0}
    assert await where(pool, PHONE, "код") == set()
    rows = await pool.fetch("SELECT id FROM notification WHERE status = 'delivered'")
    assert len(rows) == count


def test_every_kind_that_has_a_time_is_walked(pool):
    named = [one.kind for one in remove_expired(pool, Retention(), lambda kind, count: None).kept]
    assert named == ["attempts", "notifications", "tasks"]
    named = [one.kind for one in remove_expired(pool, Retention(results=9, attempts=0), lambda kind, count: None).kept]
    assert named == ["notifications", "results"]


async def test_the_scheduler_takes_up_what_was_broken_off(http, pool, contact):
    number = await notify(http, contactId=contact)
    await PostgresErasures(pool).begin((await pool.fetch("SELECT id FROM users"))[0]["id"], contact)
    scheduler = SchedulerContainer()
    scheduler.retention_pool.override(pool)
    await scheduler.erase_contact().again()
    assert await where(pool, PHONE, NAME, "код") == set()
    assert await statuses(http, number) == ["cancelled"]
    await scheduler.remove_expired()(lambda: True)
