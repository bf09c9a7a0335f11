"""The routes of channels, on fakes."""

import logging

import httpx
import pytest

from fakes.channels import FakeAudit, FakeChannelStore, FakeKind, FakeMailbox
from gonets.adapters.http import channels, health
from gonets.adapters.http.app import create_app
from gonets.core.channels.model import Accepted, Address, ChannelType, Refusal, Refused, Step, Unknown
from gonets.core.channels.use_cases import MOST_CHANNELS, ManageChannels, TryChannel
from gonets.core.identity.model import Principal, Role
from gonets.core.shared.errors import Invalid

URL = "/api/v1/notifications/channels"
KEY = "12345:the-key-of-the-bot-wxyz"
BOT = {"name": "Alarm", "type": "TELEGRAM", "configuration": {"key": KEY, "to": "-100"}}


@pytest.fixture
def store():
    return FakeChannelStore()


@pytest.fixture
def telegram():
    return FakeKind()


@pytest.fixture
def kinds(telegram):
    return {
        ChannelType.TELEGRAM: telegram,
        ChannelType.EMAIL: FakeKind(ChannelType.EMAIL, Address.EMAIL),
        ChannelType.SMS_TWILIO: FakeKind(ChannelType.SMS_TWILIO, Address.PHONE, receipts=True),
        ChannelType.WEBHOOK: FakeKind(ChannelType.WEBHOOK, None),
    }


@pytest.fixture
def audit():
    return FakeAudit()


@pytest.fixture
def who():
    """Who asks; a test may change it."""
    return [Principal(1, Role.MEMBER)]


@pytest.fixture
def manage(store, kinds, audit):
    return ManageChannels(store, kinds, audit)


def _phone(field, text):
    digits = "".join(character for character in text if character.isdigit())
    if len(digits) < 10:
        raise Invalid(field, "must be a phone number")
    return f"+7{digits[-10:]}"


@pytest.fixture
async def http(manage, who):
    async def authenticated() -> Principal:
        return who[0]

    trial = TryChannel(manage, FakeMailbox({1: "anna@example.com"}), _phone, test_phone="+15005550006")
    app = create_app([channels.router(manage, trial, authenticated)], health.router({}, {}), documentation=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gonets") as client:
        yield client


async def _create(http, **different):
    answer = await http.post(URL, json=BOT | different)
    assert answer.status_code == 201, answer.text
    return answer.json()


def _fields(answer):
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.json()["errors"]]


# --- create, read ---


async def test_the_last_test_is_shown_and_a_self_test_is_set_and_taken_away(http):
    created = await _create(http, selfTestEvery=60)
    assert (created["selfTestEvery"], created["lastTest"]) == (60, None)
    path = f"{URL}/{created['id']}"
    await http.post(f"{path}/test", json={})
    shown = (await http.get(path)).json()
    assert {**shown["lastTest"], "at": None} == {"at": None, "ok": True, "step": None, "reason": None}
    back = await http.put(path, json=shown)
    assert (back.status_code, back.json()["selfTestEvery"]) == (200, 60), "an answer may be sent back as it is"
    assert (await http.patch(path, json={"selfTestEvery": None})).json()["selfTestEvery"] is None
    assert _fields(await http.patch(path, json={"selfTestEvery": 59})) == ["selfTestEvery"]


async def test_what_is_wrong_around_the_configuration_hides_nothing_that_is_wrong_in_it(http, store):
    answer = await http.post(URL, json=BOT | {"isdefault": True, "name": 5, "configuration": {"colour": "red"}})
    assert answer.status_code == 422
    assert {error["field"]: error["reason"] for error in answer.json()["errors"]} == {
        "name": "must be a text",
        "isdefault": "is not known here; near is isDefault",
        "configuration.colour": "is not known here",
        "configuration.key": "must be given",
    }
    for body in (BOT | {"more": 1, "configuration": 5}, BOT | {"more": 1, "type": ["EMAIL"]}, BOT | {"more": 1}):
        assert "configuration.key" not in _fields(await http.post(URL, json=body))
    assert _fields(await http.post(URL, json=[])) == ["body"]
    assert not store.rows


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_nor_does_it_in_a_change(http, who, method):
    path = f"{URL}/{(await _create(http))['id']}"
    inside = {"colour": "red", "key": None, "to": "••••"}
    answer = await http.request(method, path, json={"bogus": 1, "name": 5, "configuration": inside})
    there = {"bogus", "name", "configuration.colour", "configuration.key"}
    assert set(_fields(answer)) == there
    for body in ({"bogus": 1}, {"bogus": 1, "configuration": 5}, {"bogus": 1, "configuration": {"to": "6"}}):
        wrong = [field for field in _fields(await http.request(method, path, json=body)) if field != "configuration"]
        assert wrong == ["bogus"]
    for absent in (f"{URL}/4711", f"{URL}/{2**63}"):
        body = {"bogus": 1, "configuration": inside}
        assert "configuration.colour" not in _fields(await http.request(method, absent, json=body))
    who[0] = Principal(2, Role.MEMBER)
    stranger = await http.request(method, path, json={"bogus": 1, "configuration": inside})
    assert _fields(stranger) == ["bogus"], "as of a channel that is not there"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_mask_of_nothing_hides_nothing_else(http, method):
    path = f"{URL}/{(await _create(http))['id']}"
    inside = {"key": "••••zzzz", "colour": "red"}
    wrong = ["configuration.key", "configuration.colour"]
    assert _fields(await http.request(method, path, json={"configuration": inside})) == wrong
    assert _fields(await http.post(URL, json=BOT | {"configuration": inside})) == wrong


async def test_a_channel_is_created_with_defaults_and_its_secret_is_masked(http):
    answer = await http.post(URL, json=BOT)
    assert answer.status_code == 201
    created = answer.json()
    assert list(created) == [
        "id",
        "name",
        "type",
        "configuration",
        "enabled",
        "isDefault",
        "ratePerSecond",
        "selfTestEvery",
        "lastTest",
        "createdAt",
        "updatedAt",
    ]
    assert created["configuration"] == {"port": 25, "key": "••••wxyz", "to": "-100"}
    assert (created["enabled"], created["isDefault"], created["ratePerSecond"]) == (True, False, None)
    assert created["createdAt"].endswith("Z")
    assert answer.headers["location"] == f"{URL}/{created['id']}"
    assert (await http.get(answer.headers["location"])).json() == created
    assert (await http.get(URL)).json() == {"channels": [created], "nextCursor": None}


async def test_no_answer_holds_the_secret(http):
    channel = (await _create(http))["id"]
    for answer in (
        await http.get(URL),
        await http.get(f"{URL}/{channel}"),
        await http.patch(f"{URL}/{channel}", json={"isDefault": True}),
        await http.get(f"{URL}/default"),
        await http.post(f"{URL}/{channel}/test"),
        await http.patch(f"{URL}/{channel}", json={"configuration": {"port": "x"}}),
    ):
        assert KEY[:-4] not in answer.text
    assert "••••wxyz" in (await http.get(f"{URL}/default")).text


async def test_a_short_secret_shows_nothing_of_itself(http):
    created = await _create(http, configuration={"key": "12345678901", "headers": {"A": "Bearer abcdefgh", "B": ""}})
    assert created["configuration"]["key"] == "••••"
    assert created["configuration"]["headers"] == {"A": "••••efgh", "B": ""}


@pytest.mark.parametrize(
    ("different", "fields"),
    [
        ({"name": ""}, ["name"]),
        ({"name": " \t "}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"name": "a\0b"}, ["name"]),
        ({"name": 5}, ["name"]),
        ({"name": None}, ["name"]),
        ({"name": "x" * 201}, ["name"]),
        ({"type": "PIGEON"}, ["type"]),
        ({"type": "SLACK"}, ["type"]),
        ({"enabled": "yes"}, ["enabled"]),
        ({"enabled": 1}, ["enabled"]),
        ({"isDefault": None}, ["isDefault"]),
        ({"is_default": True}, ["is_default"]),
        ({"ratePerSecond": 0}, ["ratePerSecond"]),
        ({"ratePerSecond": -1}, ["ratePerSecond"]),
        ({"ratePerSecond": 1001}, ["ratePerSecond"]),
        ({"ratePerSecond": "20"}, ["ratePerSecond"]),
        ({"ratePerSecond": True}, ["ratePerSecond"]),
        ({"colour": "red"}, ["colour"]),
        ({"configuration": []}, ["configuration"]),
        ({"configuration": {}}, ["configuration.key"]),
        ({"configuration": {"key": KEY, "port": "x"}}, ["configuration.port"]),
        ({"configuration": {"key": KEY, "colour": 1}}, ["configuration.colour"]),
        ({"configuration": {"key": "••••wxyz"}}, ["configuration.key"]),
        ({"configuration": {"key": KEY, "headers": {"X": "••••"}}}, ["configuration.headers.X"]),
    ],
)
async def test_what_is_wrong_is_named(http, store, different, fields):
    assert _fields(await http.post(URL, json=BOT | different)) == fields
    assert store.rows == {}


async def test_what_is_missing_is_named(http):
    assert _fields(await http.post(URL, json={})) == ["name", "type"]


async def test_there_are_only_so_many(http):
    for _ in range(MOST_CHANNELS):
        await _create(http)
    answer = await http.post(URL, json=BOT)
    assert answer.status_code == 409
    assert str(MOST_CHANNELS) in answer.json()["detail"]


async def test_they_are_listed_page_by_page(http):
    ids = [(await _create(http))["id"] for _ in range(3)]
    first = (await http.get(URL, params={"limit": 2})).json()
    rest = (await http.get(URL, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    assert [one["id"] for one in first["channels"] + rest["channels"]] == ids[::-1]
    assert rest["nextCursor"] is None
    assert _fields(await http.get(URL, params={"cursor": "nonsense"})) == ["cursor"]


async def test_the_types_are_described(http):
    types = (await http.get(f"{URL}/types")).json()["types"]
    assert types[0] == {
        "type": "TELEGRAM",
        "address": "telegramChatId",
        "receipts": False,
        "schema": {"type": "object"},
    }
    assert [(one["type"], one["receipts"]) for one in types][2] == ("SMS_TWILIO", True)
    assert types[3]["address"] is None


# --- whose ---


async def test_another_s_channel_is_as_one_that_is_not_there(http, who, store):
    channel = (await _create(http, isDefault=True))["id"]
    before = dict(store.rows)
    who[0] = Principal(2, Role.ADMIN)
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", {"name": "x"}),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/test", None),
    ):
        theirs = await http.request(method, f"{URL}/{channel}{path}", json=body)
        absent = await http.request(method, f"{URL}/{channel + 1}{path}", json=body)
        assert theirs.status_code == absent.status_code == 404
        assert theirs.text.replace(str(channel), "?") == absent.text.replace(str(channel + 1), "?")
    assert (await http.get(URL)).json()["channels"] == []
    assert (await http.get(f"{URL}/default")).status_code == 404
    assert store.rows == before


# --- change ---


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_what_is_left_out_stays(http, method):
    created = await _create(http)
    answer = await http.request(method, f"{URL}/{created['id']}", json={"name": "New", "configuration": {"to": "5"}})
    assert answer.status_code == 200
    changed = answer.json()
    assert changed["name"] == "New"
    assert changed["configuration"] == {"port": 25, "key": "••••wxyz", "to": "5"}
    assert {key: changed[key] for key in ("id", "type", "enabled", "createdAt")} == {
        key: created[key] for key in ("id", "type", "enabled", "createdAt")
    }
    assert changed["updatedAt"] > created["updatedAt"]


async def test_an_answer_can_be_sent_back_and_keeps_the_secrets(http, store):
    created = await _create(http, configuration={"key": KEY, "headers": {"A": "Bearer abcdefgh", "B": "short"}})
    answer = await http.put(f"{URL}/{created['id']}", json=created | {"name": "New"})
    assert answer.status_code == 200, answer.text
    assert store.rows[created["id"]].configuration == {
        "port": 25,
        "key": KEY,
        "headers": {"A": "Bearer abcdefgh", "B": "short"},
    }


async def test_headers_are_replaced_as_a_whole_and_masks_among_them_keep(http, store):
    created = await _create(http, configuration={"key": KEY, "headers": {"A": "Bearer abcdefgh", "B": "short"}})
    change = {"configuration": {"headers": {"A": "••••efgh", "C": "new"}}}
    assert (await http.patch(f"{URL}/{created['id']}", json=change)).status_code == 200
    assert store.rows[created["id"]].configuration["headers"] == {"A": "Bearer abcdefgh", "C": "new"}


async def test_null_takes_a_key_away(http, store):
    created = await _create(http)
    await http.patch(f"{URL}/{created['id']}", json={"configuration": {"to": None, "key": "another-key-0123"}})
    assert store.rows[created["id"]].configuration == {"port": 25, "key": "another-key-0123"}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"type": "EMAIL"}, ["type"]),
        ({"id": 77}, ["id"]),
        ({"name": None}, ["name"]),
        ({"enabled": None}, ["enabled"]),
        ({"configuration": None}, ["configuration"]),
        ({"configuration": {"key": None}}, ["configuration.key"]),
        ({"configuration": {"key": "••••abcd"}}, ["configuration.key"]),
        ({"configuration": {"port": "x"}}, ["configuration.port"]),
        ({"is_default": True}, ["is_default"]),
        ({"ratePerSecond": 0}, ["ratePerSecond"]),
    ],
)
async def test_a_wrong_change_changes_nothing(http, store, change, fields):
    created = await _create(http)
    before = dict(store.rows)
    assert _fields(await http.patch(f"{URL}/{created['id']}", json=change)) == fields
    assert store.rows == before


LOCKED = {"key": KEY, "headers": {"A": "Bearer abcdefgh", "B": ""}}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, ["configuration.headers", "configuration.key"]),
        ({"key": "••••wxyz", "headers": {"A": "••••efgh"}}, ["configuration.headers.A", "configuration.key"]),
        ({"key": "••••zzzz", "headers": {}}, ["configuration.key"]),
        ({"key": "another-key-0123"}, ["configuration.headers"]),
        ({"headers": None}, ["configuration.key"]),
        ({"key": "another-key-0123", "headers": {"A": "new", "B": "••••efgh"}}, ["configuration.headers.B"]),
    ],
)
async def test_a_secret_is_not_told_to_another_place_by_whoever_does_not_know_it(http, store, method, change, fields):
    url = f"{URL}/{(await _create(http, configuration=LOCKED))['id']}"
    before = dict(store.rows)
    for more in ({}, {"bogus": 1}):
        body = {"configuration": {"port": 26} | change} | more
        answer = await http.request(method, url, json=body)
        assert sorted(_fields(answer)) == sorted([*fields, *more])
    assert store.rows == before


async def test_what_is_to_be_given_again_is_told_along_with_why(http):
    url = f"{URL}/{(await _create(http))['id']}"
    answer = await http.patch(url, json={"configuration": {"port": 26}})
    assert answer.json()["errors"] == [
        {"field": "configuration.key", "reason": "must be given again, because port changes"}
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"port": 26, "key": KEY, "headers": {"A": "new", "B": ""}},
        {"port": 26, "key": "another-key-0123", "headers": None},
        {"port": 25},
        {"port": None},
        {"port": 25, "key": "••••wxyz", "headers": {"A": "••••efgh", "B": ""}},
        {"to": "6"},
    ],
)
async def test_with_its_secrets_or_to_the_same_place_it_goes(http, change):
    url = f"{URL}/{(await _create(http, configuration=LOCKED))['id']}"
    answer = await http.patch(url, json={"configuration": change})
    assert answer.status_code == 200, answer.text


async def test_its_own_rate_is_set_stays_and_is_taken_away_by_null(http):
    created = await _create(http, ratePerSecond=20)
    url = f"{URL}/{created['id']}"
    assert created["ratePerSecond"] == 20
    assert (await http.patch(url, json={"ratePerSecond": 0.5})).json()["ratePerSecond"] == 0.5
    assert (await http.patch(url, json={"name": "New"})).json()["ratePerSecond"] == 0.5
    assert (await http.patch(url, json={"ratePerSecond": None})).json()["ratePerSecond"] is None


async def test_the_same_type_may_come_along(http):
    created = await _create(http)
    assert (await http.patch(f"{URL}/{created['id']}", json={"type": "TELEGRAM"})).status_code == 200


async def test_the_default_moves(http):
    assert (await http.get(f"{URL}/default")).status_code == 404
    first, second = await _create(http, isDefault=True), await _create(http)
    assert (await http.get(f"{URL}/default")).json()["id"] == first["id"]
    assert (await http.put(f"{URL}/{second['id']}", json={"isDefault": True})).json()["isDefault"]
    assert (await http.get(f"{URL}/default")).json()["id"] == second["id"]
    assert not (await http.get(f"{URL}/{first['id']}")).json()["isDefault"]


async def test_a_deleted_channel_is_gone(http):
    channel = (await _create(http, isDefault=True))["id"]
    answer = await http.delete(f"{URL}/{channel}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await http.delete(f"{URL}/{channel}")).status_code == 404
    assert (await http.get(f"{URL}/{channel}")).status_code == 404
    assert (await http.get(f"{URL}/default")).status_code == 404


# --- test ---


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": b"", "headers": {"Content-Type": "application/json"}},
        {"json": {}},
        {"json": None},
        {"json": {"message": None, "username": None}},
    ],
)
async def test_a_test_needs_no_body(http, telegram, body):
    channel = (await _create(http))["id"]
    answer = await http.post(f"{URL}/{channel}/test", **body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "success": True,
        "step": None,
        "reason": None,
        "code": None,
        "hint": None,
        "providerId": "p-1",
    }
    [(used, send)] = telegram.sent
    assert used.configuration["key"] == KEY
    assert send.to is None, "its own destination"
    assert send.message.text


async def test_a_test_sends_what_it_is_told(http, telegram):
    channel = (await _create(http, enabled=False))["id"]
    await http.post(f"{URL}/{channel}/test", json={"message": "Привет", "username": "ivan", "to": "77"})
    [(_, send)] = telegram.sent
    assert (send.message.text, send.message.username, send.to) == ("Привет", "ivan", "77")


async def test_each_test_is_a_message_of_its_own(http, telegram):
    channel = (await _create(http))["id"]
    for _ in range(2):
        await http.post(f"{URL}/{channel}/test")
    assert len({send.reference for _, send in telegram.sent}) == 2


@pytest.mark.parametrize(
    ("outcome", "report"),
    [
        (
            Refused(Refusal.CONFIGURATION, f"bad token {KEY}", "401", f"not {KEY}", step=Step.LOGIN),
            {"step": "login", "reason": "bad token ••••", "code": "401", "hint": "not ••••"},
        ),
        (Refused(Refusal.PERMANENT, "chat not found"), {"step": "send", "reason": "chat not found", "hint": None}),
        (Unknown(f"no answer in time from /{KEY}/"), {"step": "send", "reason": "no answer in time from /••••/"}),
    ],
)
async def test_a_test_that_fails_says_where_why_and_what_to_try(http, telegram, outcome, report):
    channel = (await _create(http))["id"]
    telegram.outcome = outcome
    answer = await http.post(f"{URL}/{channel}/test")
    assert answer.status_code == 200
    assert not answer.json()["success"]
    assert report.items() <= answer.json().items()


async def test_what_cannot_go_by_the_channel_is_not_sent(http, telegram):
    channel = (await _create(http))["id"]
    answer = (await http.post(f"{URL}/{channel}/test", json={"message": "x" * 1001})).json()
    assert (answer["success"], answer["step"], answer["reason"]) == (False, "message", "is too long")
    assert telegram.sent == []


async def test_without_a_destination_the_report_says_how_to_give_one(http, telegram):
    channel = (await _create(http, configuration={"key": KEY}))["id"]
    answer = (await http.post(f"{URL}/{channel}/test")).json()
    assert (answer["success"], answer["step"]) == (False, "destination")
    assert "chatId" in answer["hint"]
    assert telegram.sent == []


@pytest.mark.parametrize(
    ("channel_type", "to"),
    [(ChannelType.EMAIL, "anna@example.com"), (ChannelType.SMS_TWILIO, "+15005550006"), (ChannelType.WEBHOOK, None)],
)
async def test_a_test_without_a_destination_finds_one(http, kinds, channel_type, to):
    channel = (await _create(http, type=channel_type, configuration={"key": KEY}))["id"]
    assert (await http.post(f"{URL}/{channel}/test")).json()["success"]
    [(_, send)] = kinds[channel_type].sent
    assert send.to == to


async def test_a_number_as_a_person_types_it_is_taken(http, kinds):
    channel = (await _create(http, type="SMS_TWILIO", configuration={"key": KEY}))["id"]
    assert (await http.post(f"{URL}/{channel}/test", json={"to": "8 912 345-67-89"})).json()["success"]
    [(_, send)] = kinds[ChannelType.SMS_TWILIO].sent
    assert send.to == "+79123456789"


@pytest.mark.parametrize(
    ("channel_type", "body", "field"),
    [
        ("WEBHOOK", {"to": "x"}, "to"),
        ("SMS_TWILIO", {"to": "abc"}, "to"),
        ("EMAIL", {"to": "no address"}, "to"),
        ("TELEGRAM", {"to": "not a chat"}, "to"),
        ("TELEGRAM", {"message": 5}, "message"),
        ("TELEGRAM", {"message": ""}, "message"),
        ("TELEGRAM", {"colour": 5}, "colour"),
    ],
)
async def test_a_test_that_makes_no_sense_is_refused(http, channel_type, body, field):
    channel = (await _create(http, type=channel_type, configuration={"key": KEY}))["id"]
    assert _fields(await http.post(f"{URL}/{channel}/test", json=body)) == [field]


async def test_broken_json_is_refused(http):
    channel = (await _create(http))["id"]
    headers = {"Content-Type": "application/json"}
    assert (await http.post(f"{URL}/{channel}/test", content=b"{", headers=headers)).status_code == 422


# --- who did it ---


async def test_everything_is_logged_and_audited_with_its_actor_and_without_secrets(http, who, audit, caplog):
    who[0] = Principal(1, Role.MEMBER, api_key_id=9)
    with caplog.at_level(logging.INFO, logger="gonets"):
        channel = (await _create(http))["id"]
        await http.patch(f"{URL}/{channel}", json={"name": "New", "configuration": {"key": "another-key-0123"}})
        await http.post(f"{URL}/{channel}/test")
        await http.delete(f"{URL}/{channel}")
    logged = [record for record in caplog.records if record.name.startswith("gonets.core.channels")]
    assert [record.getMessage() for record in logged] == [
        "channel created",
        "channel changed",
        "channel tested",
        "channel deleted",
    ]
    assert {(record.user_id, record.api_key_id, record.channel_id, record.type) for record in logged} == {
        (1, 9, channel, "TELEGRAM")
    }
    assert [(actor.user_id, action, number) for actor, action, number, _ in audit.notes] == [
        (1, "created", channel),
        (1, "changed", channel),
        (1, "tested", channel),
        (1, "deleted", channel),
    ]
    assert audit.notes[1][3]["changed"] == ["name", "configuration.key"]
    told = repr([vars(record) for record in logged]) + repr(audit.notes)
    assert KEY not in told
    assert "another-key" not in told


async def test_what_was_refused_is_not_audited(http, audit):
    await http.post(URL, json=BOT | {"configuration": {}})
    await http.delete(f"{URL}/77")
    assert audit.notes == []


async def test_a_success_is_told_as_the_provider_named_it(http, telegram):
    channel = (await _create(http))["id"]
    telegram.outcome = Accepted(None)
    assert (await http.post(f"{URL}/{channel}/test")).json()["providerId"] is None
