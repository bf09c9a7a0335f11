"""Channels from the REST door to the table, nothing replaced but the provider."""

import json

import pytest

from fakes.channels import FakeKind
from gonets.core.channels.model import ChannelType

URL = "/api/v1/notifications/channels"
KEY = "12345:the-key-of-the-bot-wxyz"
BOT = {"name": "Alarm", "type": "WEBHOOK", "configuration": {"key": KEY, "to": "-100"}}


@pytest.fixture
def webhook(container):
    kind = FakeKind(ChannelType.WEBHOOK, None)
    container.senders().kinds = {ChannelType.WEBHOOK: kind}
    return kind


async def test_a_channel_is_created_listed_tested_and_audited(webhook, http, pool):
    created = await http.post(URL, json=BOT)
    assert created.status_code == 201, created.text
    listed = (await http.get(URL)).json()["channels"]
    assert listed == [created.json()]
    tested = await http.post(f"{URL}/{listed[0]['id']}/test", headers={"Content-Type": "application/json"})
    assert tested.json()["success"]
    [(channel, _)] = webhook.sent
    assert channel.configuration["key"] == KEY
    notes = await pool.fetch("SELECT * FROM audit_entry WHERE object = 'channel' ORDER BY id")
    assert [(note["user_id"], note["action"], note["object_id"]) for note in notes] == [
        (1, "created", 1),
        (1, "tested", 1),
    ]


async def test_no_table_holds_a_secret(webhook, http, pool):
    await http.post(URL, json=BOT)
    await http.patch(f"{URL}/1", json={"configuration": {"headers": {"X": "secret-of-a-header"}}})
    [row] = await pool.fetch("SELECT * FROM channel")
    assert json.loads(row["configuration"]) == {"port": 25, "to": "-100"}
    notes = await pool.fetch("SELECT * FROM audit_entry")
    stored = repr(dict(row)) + repr([dict(note) for note in notes])
    assert "the-key-of" not in stored
    assert "secret-of" not in stored


async def test_who_is_not_known_gets_nothing(webhook, http):
    del http.headers["Authorization"]
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/types"), ("GET", "/1"), ("POST", "/1/test")):
        assert (await http.request(method, URL + path)).status_code == 401
