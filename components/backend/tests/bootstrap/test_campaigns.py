"""Campaigns at the REST door, on a real database. Nobody works here: what is started stays as it is."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

CAMPAIGNS = "/api/v1/campaigns"
BODY = {"name": " Весна ", "text": "Скидки!"}


def _in(**time):
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


async def _made(http, **facts):
    answer = await http.post(CAMPAIGNS, json=BODY | facts)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
async def campaigns(container, http):
    """The door, with somebody who has signed up."""
    yield http
    await container.publisher().close()


async def test_a_campaign_reads_as_it_was_written(campaigns):
    start, end = _in(hours=1), _in(hours=9)
    channel = {"name": "hook", "type": "WEBHOOK", "configuration": {"url": "https://127.0.0.1:9/hook"}}
    route = [(await campaigns.post("/api/v1/notifications/channels", json=channel)).json()["id"]]
    body = {
        "name": "Весна",
        "text": "Скидки!",
        "subject": "Для вас",
        "audience": {"tags": {"any": ["b", "a"], "none": ["c"]}, "operatorCodes": ["916"], "timezones": ["Asia/Tokyo"]},
        "route": route,
        "fallbackAfter": 300,
        "startAt": start,
        "endAt": end,
        "sendWindow": {"from": "09:00", "to": "21:30", "days": [7, 1], "timezone": "Europe/Moscow"},
        "rate": 12.5,
    }
    answer = await campaigns.post(CAMPAIGNS, json=body)
    made = answer.json()
    assert answer.status_code == 201, made
    assert answer.headers["Location"] == f"{CAMPAIGNS}/{made['id']}"
    assert (await campaigns.get(f"{CAMPAIGNS}/{made['id']}")).json() == made
    assert made["audience"] == {
        "tags": {"any": ["a", "b"], "all": [], "none": ["c"]},
        "operatorCodes": ["916"],
        "timezones": ["Asia/Tokyo"],
    }
    assert made["sendWindow"] == body["sendWindow"] | {"days": [1, 7]}
    assert [made[name] for name in ("name", "text", "subject", "route", "fallbackAfter", "rate")] == [
        body[name] for name in ("name", "text", "subject", "route", "fallbackAfter", "rate")
    ]
    assert [datetime.fromisoformat(made[name]) for name in ("startAt", "endAt")] == [
        datetime.fromisoformat(start),
        datetime.fromisoformat(end),
    ]
    assert (made["status"], made["progress"], made["counts"], made["total"]) == ("scheduled", 0, {}, 0)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"text": None}, "text"),
        ({"text": ""}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"templateId": 1}, "text"),
        ({"audience": {"tags": {"some": []}}}, "audience.tags.some"),
        ({"audience": {"tags": {"any": [""]}}}, "audience.tags.any"),
        ({"audience": {"audienceId": 1, "timezones": ["UTC"]}}, "audience"),
        ({"audience": {"audienceId": 1}}, "audience.audienceId"),
        ({"route": [1, 1]}, "route"),
        ({"route": [77]}, "route.0"),
        ({"startAt": "yesterday"}, "startAt"),
        ({"startAt": _in(hours=-2)}, "startAt"),
        ({"endAt": _in(hours=-2)}, "endAt"),
        ({"sendWindow": {"from": "9", "to": "21:00"}}, "sendWindow.from"),
        ({"sendWindow": {"from": "09:00", "to": "24:00"}}, "sendWindow.to"),
        ({"sendWindow": {"from": "09:00", "to": "21:00", "days": [0]}}, "sendWindow.days.0"),
        ({"sendWindow": {"from": "09:00", "to": "21:00", "days": []}}, "sendWindow.days"),
        ({"sendWindow": {"from": "09:00", "to": "21:00", "timezone": "Mars/Base"}}, "sendWindow.timezone"),
        ({"rate": 0}, "rate"),
        ({"rate": "5"}, "rate"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_is_wrong_is_named(campaigns, wrong, field):
    answer = await campaigns.post(CAMPAIGNS, json=BODY | wrong)
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]


async def test_a_change_says_what_may_still_change(campaigns):
    made = await _made(campaigns, startAt=_in(hours=1), rate=5)
    path = f"{CAMPAIGNS}/{made['id']}"
    changed = (await campaigns.patch(path, json={"startAt": None, "rate": None, "text": "Другое"})).json()
    assert (changed["status"], changed["rate"], changed["text"], changed["name"]) == ("draft", None, "Другое", "Весна")
    assert (await campaigns.post(f"{path}/start")).status_code == 202
    answer = await campaigns.patch(path, json={"text": "Третье", "rate": 7})
    assert answer.status_code == 409
    assert answer.json()["detail"] == "is running: name and rate may change now, and not text"
    assert (await campaigns.patch(path, json={"rate": 7})).json()["rate"] == 7
    assert (await campaigns.delete(path)).status_code == 409
    for step, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert (await campaigns.post(f"{path}/{step}")).json()["status"] == status
    answer = await campaigns.post(f"{path}/resume")
    assert (answer.status_code, answer.json()["category"]) == (409, "conflict")


async def test_a_list_has_the_latest_first_by_status(campaigns):
    made = [(await _made(campaigns))["id"] for _ in range(3)]
    await campaigns.post(f"{CAMPAIGNS}/{made[1]}/cancel")
    first = (await campaigns.get(CAMPAIGNS, params={"limit": 2})).json()
    rest = (await campaigns.get(CAMPAIGNS, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    assert [one["id"] for one in first["campaigns"] + rest["campaigns"]] == made[::-1]
    assert rest["nextCursor"] is None
    found = (await campaigns.get(CAMPAIGNS, params={"status": "cancelled"})).json()["campaigns"]
    assert [one["id"] for one in found] == [made[1]]


async def test_a_key_makes_one_campaign(campaigns):
    headers = {"Idempotency-Key": "monday"}
    answers = [await campaigns.post(CAMPAIGNS, json=BODY, headers=headers) for _ in range(2)]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    other = await campaigns.post(CAMPAIGNS, json=BODY | {"text": "Другое"}, headers=headers)
    assert other.status_code == 409


async def test_a_saved_audience_is_taken_as_it_is_at_the_start(campaigns):
    body = {"name": "vip", "filter": {"tags": {"all": ["vip"]}}}
    saved = (await campaigns.post("/api/v1/audiences", json=body)).json()
    made = await _made(campaigns, audience={"audienceId": saved["id"]})
    assert made["audience"] == {"audienceId": saved["id"]}
    path, audience = f"{CAMPAIGNS}/{made['id']}", f"/api/v1/audiences/{saved['id']}"
    assert (await campaigns.patch(path, json={"name": "Лето"})).json()["audience"] == made["audience"]
    refused = await campaigns.delete(audience)
    assert (refused.status_code, refused.json()["category"]) == (409, "conflict")
    assert str(made["id"]) in refused.json()["detail"]
    await campaigns.put(audience, json=body | {"filter": {"tags": {"all": ["gold"]}}})
    assert (await campaigns.post(f"{path}/start")).json()["audience"] == {
        "audienceId": saved["id"],
        "tags": {"any": [], "all": ["gold"], "none": []},
        "operatorCodes": [],
        "timezones": [],
    }
    assert (await campaigns.delete(audience)).status_code == 204


async def test_a_template_is_pinned_to_its_version(campaigns):
    body = {"name": "hello", "body": "Hello, {{name}}!", "subject": "Hi"}
    template = (await campaigns.post("/api/v1/templates", json=body)).json()["id"]
    made = await _made(campaigns, text=None, templateId=template)
    await campaigns.patch(f"/api/v1/templates/{template}", json={"body": "Bye, {{name}}!"})
    path = f"{CAMPAIGNS}/{made['id']}"
    found = (await campaigns.get(path)).json()
    assert (found["text"], found["subject"], found["templateId"], found["templateVersion"]) == (None, "Hi", template, 1)
    newer = (await campaigns.patch(path, json={"templateId": template})).json()
    assert newer["templateVersion"] == 2


async def test_messages_are_exported_so_that_no_spreadsheet_runs_them(campaigns, pool):
    made = await _made(campaigns)
    await pool.fetch(
        "INSERT INTO notification (owner_id, recipient, contact_id, text, status, reason, campaign_id)"
        """ SELECT 1, '{"telegramChatId": null, "email": "=cmd()@x.yz", "phone": null}', n, '', 'failed', '@SUM(1)',"""
        " $1 FROM generate_series(1, 1500) n",
        made["id"],
    )
    answer = await campaigns.get(f"{CAMPAIGNS}/{made['id']}/messages/export")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [int(row["contactId"]) for row in rows] == list(range(1, 1501))
    assert {(row["email"], row["reason"], row["phone"]) for row in rows} == {("'=cmd()@x.yz", "'@SUM(1)", "")}
    found = (await campaigns.get(f"{CAMPAIGNS}/{made['id']}")).json()
    assert found["counts"] == {"failed": 1500}


async def test_messages_outlive_their_campaign(campaigns, pool):
    made = await _made(campaigns)
    [message] = await pool.fetch(
        "INSERT INTO notification (owner_id, recipient, contact_id, text, status, finished_at, campaign_id)"
        """ SELECT owner_id, '{"telegramChatId": null, "email": null, "phone": null}', 1, 'Скидки!', 'delivered',"""
        " clock_timestamp(), id FROM campaign RETURNING id"
    )
    await pool.fetch("UPDATE campaign SET status = 'finished'")
    assert (await campaigns.delete(f"{CAMPAIGNS}/{made['id']}")).status_code == 204
    assert (await campaigns.get(f"{CAMPAIGNS}/{made['id']}")).status_code == 404
    found = (await campaigns.get(f"/api/v1/notifications/{message['id']}")).json()
    assert found["status"] == "delivered"
    assert message["id"] in [
        one["id"] for one in (await campaigns.get("/api/v1/notifications")).json()["notifications"]
    ]


async def test_progress_is_told_until_it_is_over(campaigns):
    made = await _made(campaigns)
    await campaigns.post(f"{CAMPAIGNS}/{made['id']}/cancel")
    answer = await campaigns.get(f"{CAMPAIGNS}/{made['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    [progress, end] = [dict(line.split(": ", 1) for line in one.splitlines()) for one in answer.text.split("\n\n")[:2]]
    assert (progress["event"], end["event"]) == ("progress", "end")
    assert json.loads(progress["data"])["status"] == "cancelled"


async def test_progress_ends_when_the_process_leaves(campaigns, container):
    made = await _made(campaigns)
    container.closing().set()
    answer = await campaigns.get(f"{CAMPAIGNS}/{made['id']}/events")
    assert answer.text == "event: end\ndata: {}\n\n"
