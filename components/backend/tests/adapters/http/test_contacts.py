"""The JSON of contacts, over fakes."""

import httpx
import pytest

from fakes.contacts import FakeContacts
from fakes.identity import FakeAuditLog, FakeAuthenticate
from gonets.adapters.http import contacts, health
from gonets.adapters.http.app import create_app
from gonets.adapters.http.security import Security
from gonets.adapters.phones import PhoneNumbers
from gonets.bootstrap.identity import AuditOf
from gonets.core.contacts.use_cases import ManageContacts
from gonets.core.identity.model import Principal, Role, Scope

URL = "/api/v1/contacts"
ANNA = {
    "name": "Анна Смирнова",
    "phone": "8 (916) 123-45-67",
    "email": "Anna@Example.com",
    "telegramChatId": "-1001234567890",
}
HOLDERS = {
    "anna": Principal(1, Role.MEMBER, session_id=1),
    "bob": Principal(2, Role.ADMIN, session_id=2),
    "gnz_key": Principal(1, Role.MEMBER, frozenset({Scope.CONTACTS}), api_key_id=7),
}


@pytest.fixture
def audit():
    return FakeAuditLog()


@pytest.fixture
def app(audit):
    manage = ManageContacts(FakeContacts(), PhoneNumbers("RU"), AuditOf(audit, "contact"))
    security = Security(FakeAuthenticate(HOLDERS))
    router = contacts.router(manage, security.principal(Scope.CONTACTS))
    return create_app([router], health.router({}, {}), documentation=True)


@pytest.fixture
async def make_http(app):
    def make(holder):
        headers = {"Authorization": f"Bearer {holder}"}
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gonets", headers=headers)

    return make


@pytest.fixture
async def http(make_http):
    async with make_http("anna") as client:
        yield client


async def _create(http, **different):
    answer = await http.post(URL, json=ANNA | different)
    assert answer.status_code == 201, answer.text
    return answer.json()


def _fields(answer):
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.json()["errors"]]


async def test_a_contact_is_created_and_found(http):
    answer = await http.post(URL, json=ANNA)
    assert answer.status_code == 201
    created = answer.json()
    assert list(created) == ["id", "name", "phone", "email", "telegramChatId", "createdAt", "updatedAt"]
    assert created | ANNA | {"phone": "+79161234567"} == created
    assert created["createdAt"].endswith("Z")
    assert answer.headers["location"] == f"{URL}/{created['id']}"
    assert (await http.get(answer.headers["location"])).json() == created
    assert (await http.get(URL)).json() == {"contacts": [created], "nextCursor": None}


async def test_only_a_name_is_needed_and_a_chat_may_be_a_number(http):
    bare = (await http.post(URL, json={"name": " Ё "})).json()
    assert (bare["name"], bare["phone"], bare["email"], bare["telegramChatId"]) == ("Ё", None, None, None)
    assert (await _create(http, telegramChatId=123456789))["telegramChatId"] == "123456789"


@pytest.mark.parametrize(
    ("different", "fields"),
    [
        ({"name": ""}, ["name"]),
        ({"name": " "}, ["name"]),
        ({"name": "x" * 201}, ["name"]),
        ({"name": "a\0b"}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"name": None}, ["name"]),
        ({"phone": "12345"}, ["phone"]),
        ({"phone": ""}, ["phone"]),
        ({"phone": 89161234567}, ["phone"]),
        ({"email": "anna"}, ["email"]),
        ({"telegramChatId": "anna"}, ["telegramChatId"]),
        ({"telegram_chat_id": "5"}, ["telegram_chat_id"]),
        ({"nmae": "x"}, ["nmae"]),
        ({"name": "", "phone": "5", "email": "x", "telegramChatId": 0}, ["name", "phone", "email", "telegramChatId"]),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_each_field_that_is_wrong_is_named(http, method, different, fields):
    path = URL if method == "POST" else f"{URL}/{(await _create(http))['id']}"
    assert _fields(await http.request(method, path, json=ANNA | different)) == fields


async def test_put_replaces_and_patch_changes(http):
    created = await _create(http)
    path = f"{URL}/{created['id']}"
    patched = (await http.patch(path, json={"email": "b@example.com"})).json()
    assert {name for name in created if created[name] != patched[name]} == {"email", "updatedAt"}
    assert (await http.patch(path, json={"phone": None})).json()["phone"] is None
    put = (await http.put(path, json={"name": "Б", "phone": "89161234568"})).json()
    assert (put["name"], put["phone"], put["email"], put["telegramChatId"]) == ("Б", "+79161234568", None, None)
    assert (await http.get(path)).json() == put
    assert _fields(await http.put(path, json={"phone": "89161234568"})) == ["name"]


async def test_what_was_answered_can_be_sent_back(http):
    created = await _create(http)
    path = f"{URL}/{created['id']}"
    for method in ("PUT", "PATCH"):
        answer = await http.request(method, path, json=created | {"id": 999})
        assert answer.status_code == 200
        assert answer.json() | {"updatedAt": created["updatedAt"]} == created


async def test_a_deleted_contact_is_gone(http):
    path = f"{URL}/{(await _create(http))['id']}"
    answer = await http.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert (await http.request(method, path)).status_code == 404


async def test_another_owners_contact_is_answered_as_one_that_is_not_there(http, make_http):
    created = await _create(http)
    async with make_http("bob") as bob:
        for method, body in (("GET", None), ("PUT", ANNA), ("PATCH", {"phone": "nonsense"}), ("DELETE", None)):
            told = await bob.request(method, f"{URL}/{created['id']}", json=body)
            absent = await bob.request(method, f"{URL}/{created['id'] + 1}", json=body)
            assert told.status_code == absent.status_code == 404, method
            assert told.text.replace(str(created["id"]), "") == absent.text.replace(str(created["id"] + 1), "")
        assert (await bob.get(URL)).json()["contacts"] == []
    assert (await http.get(f"{URL}/{created['id']}")).json() == created


async def test_contacts_are_listed_latest_first_in_pages(http):
    made = [(await _create(http, name=str(number)))["id"] for number in range(5)]
    first = (await http.get(URL, params={"limit": 3})).json()
    second = (await http.get(URL, params={"limit": 3, "cursor": first["nextCursor"]})).json()
    assert [one["id"] for one in first["contacts"] + second["contacts"]] == made[::-1]
    assert second["nextCursor"] is None
    assert _fields(await http.get(URL, params={"cursor": "nonsense"})) == ["cursor"]


@pytest.mark.parametrize("wrong", ["0", "-1", "9223372036854775808", "anna"])
async def test_what_is_no_id_is_said_so(http, wrong):
    assert _fields(await http.get(f"{URL}/{wrong}")) == ["contact_id"]


async def test_what_was_done_is_in_the_log_without_addresses(http, make_http, audit):
    path = f"{URL}/{(await _create(http))['id']}"
    async with make_http("gnz_key") as program:
        await program.patch(path, json={"phone": "89161234568", "name": "Б"})
        await program.delete(path)
    found = [(one.user_id, one.api_key_id, one.action, one.object, one.object_id, one.detail) for one in audit.entries]
    assert found == [
        (1, None, "created", "contact", 1, {}),
        (1, 7, "changed", "contact", 1, {"fields": ["name", "phone"]}),
        (1, 7, "deleted", "contact", 1, {}),
    ]
