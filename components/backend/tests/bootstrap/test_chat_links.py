"""From a link to a contact that knows its chat, with a bot that speaks Telegram's protocol."""

from datetime import timedelta

import pytest

from bootstrap.test_every_type import inbox  # noqa: F401 - a fixture
from gonets.adapters.postgres.chat_links import PostgresChatLinks
from gonets.bootstrap import channels
from gonets.core.channels.linking import FollowStarts

CONTACTS = "/api/v1/contacts"
OWN_TOKEN = "123456789:the-own-bot"
OPERATOR = "123456789:sandbox"


@pytest.fixture
def http(inbox, http):  # noqa: F811
    """The sandbox comes first: the door reads where it is."""
    return http


@pytest.fixture
async def contact(http):
    return (await http.post(CONTACTS, json={"name": "Иван"})).json()["id"]


@pytest.fixture
def follow(container, pool):
    """A look at what the bots were told, `after` the links were made."""

    async def look(after=timedelta(0)):
        made = channels.follow_starts(pool, container.senders(), container.settings())
        later = FollowStarts(made.channels, made.bots, PostgresChatLinks(pool), lambda: made.now() + after)
        return await later()

    return look


@pytest.fixture
def say(inbox):  # noqa: F811
    async def say(text, *, token=OPERATOR, chat="987654321"):
        body = {"token": token, "chatId": chat, "text": text, "firstName": "Ivan"}
        assert (await inbox.post("/control/telegram/messages", json=body)).is_success

    return say


async def _link(http, contact, **body):
    answer = await http.post(f"{CONTACTS}/{contact}/telegram-link", json=body or None)
    assert answer.status_code == 201, answer.text
    link = answer.json()["link"]
    assert link.startswith("https://t.me/sandbox_bot?start=")
    return link.partition("start=")[2]


async def _chat(http, contact):
    return (await http.get(f"{CONTACTS}/{contact}")).json()["telegramChatId"]


async def test_who_presses_start_is_known_by_their_chat(http, contact, follow, say):
    code = await _link(http, contact)
    assert await follow() == 0
    await say("hello")
    await say(f"/start {code}")
    assert await follow() == 1
    assert await _chat(http, contact) == "987654321"


async def test_an_own_bot_is_asked_where_there_is_one(http, contact, follow, say):
    made = await http.post(
        "/api/v1/notifications/channels",
        json={"name": "x", "type": "TELEGRAM", "configuration": {"botToken": OWN_TOKEN}},
    )
    code = await _link(http, contact, channelId=made.json()["id"])
    await say(f"/start {code}")
    assert await follow() == 0, "that was said to another bot"
    await say(f"/start@sandbox_bot {code}", token=OWN_TOKEN, chat="-100123")
    assert await follow() == 1
    assert await _chat(http, contact) == "-100123"


async def test_a_link_works_once(http, contact, follow, say):
    code = await _link(http, contact)
    for chat in ("1", "2"):
        await say(f"/start {code}", chat=chat)
    assert await follow() == 1
    await say(f"/start {code}", chat="3")
    assert await follow() == 0
    assert await _chat(http, contact) == "1"


async def test_a_new_link_takes_the_place_of_the_old_one(http, contact, follow, say):
    old, new = await _link(http, contact), await _link(http, contact)
    await say(f"/start {old}", chat="1")
    assert await follow() == 0
    await say(f"/start {new}", chat="2")
    assert await follow() == 1
    assert await _chat(http, contact) == "2"


async def test_a_link_lasts_an_hour(http, contact, follow, say):
    await say(f"/start {await _link(http, contact)}")
    assert await follow(after=timedelta(minutes=61)) == 0
    assert await _chat(http, contact) is None


async def test_two_people_are_told_apart(http, contact, follow, say):
    other = (await http.post(CONTACTS, json={"name": "Пётр"})).json()["id"]
    first, second = await _link(http, contact), await _link(http, other)
    await say(f"/start {second}", chat="2")
    await say(f"/start {first}", chat="1")
    assert await follow() == 2
    assert (await _chat(http, contact), await _chat(http, other)) == ("1", "2")


async def test_without_a_link_no_bot_is_listened_to(http, contact, follow, say, inbox):  # noqa: F811
    await say("/start")
    await follow()
    journal = (await inbox.get("/control/journal", params={"provider": "telegram"})).json()["entries"]
    assert journal == []


async def test_a_bot_that_does_not_answer_is_not_the_others_trouble(http, contact, follow, say, inbox):  # noqa: F811
    made = await http.post(
        "/api/v1/notifications/channels",
        json={"name": "x", "type": "TELEGRAM", "configuration": {"botToken": OWN_TOKEN}},
    )
    code = await _link(http, contact)
    await http.patch(
        f"/api/v1/notifications/channels/{made.json()['id']}", json={"configuration": {"botToken": "1:unknown"}}
    )
    await say(f"/start {code}", token=OWN_TOKEN)
    assert await follow() == 0


async def test_what_is_not_there_is_not_linked(http, contact):
    url = f"{CONTACTS}/{contact}/telegram-link"
    assert (await http.post(f"{CONTACTS}/{contact + 1}/telegram-link")).status_code == 404
    wrong = await http.post(url, json={"channelId": 77})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "channelId")
    webhook = {"name": "x", "type": "WEBHOOK", "configuration": {"url": "https://example.com/"}}
    made = (await http.post("/api/v1/notifications/channels", json=webhook)).json()["id"]
    assert (await http.post(url, json={"channelId": made})).status_code == 422


async def test_a_wrong_token_is_told_without_it(http, contact):
    bot = {"name": "x", "type": "TELEGRAM", "configuration": {"botToken": "1:unknown-secret"}}
    made = (await http.post("/api/v1/notifications/channels", json=bot)).json()["id"]
    answer = await http.post(f"{CONTACTS}/{contact}/telegram-link", json={"channelId": made})
    assert answer.status_code == 502
    assert "unknown-secret" not in answer.text
