"""What happened to one thing, by its id: the door and the tables behind it."""

import json

import pytest

ATTEMPT = """
INSERT INTO attempt (notification_id, number, round, reference, channel_id, channel_type, channel_name, "to", why,
                     state, started_at, parts, asked, held, events)
VALUES ($1, 1, 1, 'r', 7, 'EMAIL', 'mail', 'a@example.com', 'it is first', 'delivered', '2026-01-31T12:00:01Z', 1, 0,
        false, $2::text::jsonb)
"""
EVENTS = [
    {"at": "2026-01-31T12:00:02+00:00", "what": "accepted", "code": None, "reason": None},
    {"at": "2026-01-31T12:00:02+00:00", "what": "receipt: sent", "code": "250", "reason": None},
    {"at": "2026-01-31T12:00:09+00:00", "what": "delivered", "code": None, "reason": "read"},
]


@pytest.fixture
async def owner(http, pool):
    [row] = await pool.fetch("SELECT id FROM users")
    return row["id"]


@pytest.fixture
async def contact(http):
    made = await http.post("/api/v1/contacts", json={"name": "Анна", "email": "a@example.com"})
    return made.json()["id"]


async def message(pool, owner, contact, *, campaign=None):
    [row] = await pool.fetch(
        "INSERT INTO notification (owner_id, recipient, contact_id, text, status, reason, channel_type, created_at,"
        " sent_at, finished_at, campaign_id, attempts)"
        """ VALUES ($1, '{"telegramChatId": null, "email": null, "phone": null}', $2, 'hi', 'delivered', 'by mail',"""
        " 'EMAIL', '2026-01-31T12:00:00Z', '2026-01-31T12:00:02Z', '2026-01-31T12:00:09Z', $3, 1) RETURNING id",
        owner,
        contact,
        campaign,
    )
    await pool.fetch(ATTEMPT, row["id"], json.dumps(EVENTS))
    return row["id"]


async def campaign(pool, owner):
    [row] = await pool.fetch(
        "INSERT INTO campaign (owner_id, name, text, variables, audience, status, reason, total, started_at,"
        " fanned_out_at, finished_at) VALUES ($1, 'c', 't', false, '{}', 'cancelled', 'by its owner', 3,"
        " '2026-01-31T12:00:00Z', '2026-01-31T12:00:01Z', '2026-01-31T12:00:05Z') RETURNING id",
        owner,
    )
    for action in ("created", "started", "cancelled"):
        await pool.fetch(
            "INSERT INTO audit_entry (at, user_id, api_key_id, action, object, object_id)"
            " VALUES ('2026-01-31T12:00:04Z', $1, 9, $2, 'campaign', $3)",
            owner,
            action,
            row["id"],
        )
    return row["id"]


async def history(http, path, **query):
    answer = await http.get(f"/api/v1/{path}/history", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def said(found):
    return [(entry["kind"], entry["what"]) for entry in found["entries"]]


async def test_of_a_contact_who_changed_it_and_what_was_sent(http, pool, owner, contact):
    number = await message(pool, owner, contact, campaign=5)
    await http.patch(f"/api/v1/contacts/{contact}", json={"name": "Б"})
    found = await history(http, f"contacts/{contact}")
    assert said(found) == [
        ("change", "changed"),
        ("change", "created"),
        ("notification", "delivered"),
        ("notification", "sent"),
        ("notification", "created"),
    ]
    changed, _, delivered, *_ = found["entries"]
    assert changed["by"] == {"userId": owner, "apiKeyId": None}
    assert changed["detail"]["fields"] == ["name"]
    assert (delivered["at"], delivered["by"]) == ("2026-01-31T12:00:09Z", None)
    assert delivered["detail"] == {
        "notificationId": number,
        "campaignId": 5,
        "reason": "by mail",
        "channelType": "EMAIL",
    }


async def test_of_a_contact_that_is_gone_too(http, pool, owner, contact):
    await http.delete(f"/api/v1/contacts/{contact}")
    assert said(await history(http, f"contacts/{contact}")) == [("change", "deleted"), ("change", "created")]


async def test_of_a_campaign_what_was_done_and_where_it_came_to_stand(http, pool, owner):
    found = await history(http, f"campaigns/{await campaign(pool, owner)}")
    assert said(found) == [
        ("status", "cancelled"),
        ("change", "cancelled"),
        ("change", "started"),
        ("change", "created"),
        ("status", "all messages made"),
        ("status", "running"),
    ]
    assert found["entries"][0]["detail"] == {"reason": "by its owner"}
    assert found["entries"][1]["by"] == {"userId": owner, "apiKeyId": 9}
    assert found["entries"][4]["detail"] == {"messages": 3}


async def test_of_a_notification_every_try_and_what_was_learnt(http, pool, owner, contact):
    found = await history(http, f"notifications/{await message(pool, owner, contact)}")
    assert said(found) == [
        ("attempt", "delivered"),
        ("status", "delivered"),
        ("attempt", "receipt: sent"),
        ("attempt", "accepted"),
        ("attempt", "started"),
        ("status", "created"),
    ]
    known = {"attempt": 1, "channelId": 7, "channelType": "EMAIL"}
    assert found["entries"][0]["detail"] == known | {"reason": "read"}
    assert found["entries"][4]["detail"] == known | {"channelName": "mail", "why": "it is first"}
    assert found["entries"][5]["detail"] == {"contactId": contact}


async def test_of_a_notification_who_steered_it(http, owner):
    taken = await http.post(
        "/api/v1/notifications", json={"recipient": {"email": "a@example.com"}, "message": "hi", "send": False}
    )
    number = taken.json()["id"]
    assert (await http.post("/api/v1/notifications/send", json={"ids": [number]})).json()["released"] == [number]
    for done in ("cancel", "retry", "cancel"):
        assert (await http.post(f"/api/v1/notifications/{number}/{done}")).is_success
    changes = [one for one in (await history(http, f"notifications/{number}"))["entries"] if one["kind"] == "change"]
    assert [one["what"] for one in changes] == ["cancelled", "retried", "cancelled", "released"]
    assert {one["by"]["userId"] for one in changes} == {owner}


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_pages_show_everything_once(http, pool, owner, contact, limit):
    numbers = [await message(pool, owner, contact) for _ in range(3)]
    for path in (f"contacts/{contact}", f"notifications/{numbers[0]}", f"campaigns/{await campaign(pool, owner)}"):
        whole = (await history(http, path, limit=500))["entries"]
        seen, cursor = [], {}
        while True:
            page = await history(http, path, limit=limit, **cursor)
            seen += page["entries"]
            if page["nextCursor"] is None:
                break
            assert len(page["entries"]) == limit
            cursor = {"cursor": page["nextCursor"]}
        assert seen == whole


@pytest.mark.parametrize("path", ["contacts", "campaigns", "notifications"])
async def test_what_nobody_has_or_somebody_else_is_not_there(http, pool, owner, path):
    stranger = owner + 1
    theirs = await campaign(pool, owner) if path == "campaigns" else await message(pool, owner, 77)
    await pool.fetch("UPDATE notification SET owner_id = $1", stranger)
    await pool.fetch("UPDATE audit_entry SET user_id = $1", stranger)
    await pool.fetch("INSERT INTO users (email, email_key, password_hash, role) VALUES ('b', 'b', 'h', 'member')")
    await pool.fetch("UPDATE campaign SET owner_id = (SELECT max(id) FROM users)")
    for number in (77 if path == "contacts" else theirs, 10**15):
        answer = await http.get(f"/api/v1/{path}/{number}/history")
        assert answer.status_code == 404, answer.text


async def test_a_cursor_of_somebody_elses_is_refused(http, contact):
    answer = await http.get(f"/api/v1/contacts/{contact}/history", params={"cursor": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")
