"""The JSON of contacts, over fakes."""

import csv
import io
from datetime import UTC, datetime

import openpyxl
import pytest

from fakes.contacts import FakeAudiences, FakeContacts, FakeEnrichment
from fakes.identity import FakeAuditLog, FakeAuthenticate
from gonets.adapters.files.sheets import CsvSheet, XlsxSheet, plain
from gonets.adapters.http import audiences, contacts, health
from gonets.adapters.http.app import create_app
from gonets.adapters.http.security import Security
from gonets.adapters.phones import PhoneNumbers, about
from gonets.bootstrap.identity import AuditOf
from gonets.core.contacts.crowds import ManageAudiences, TagContacts
from gonets.core.contacts.enrichment import EnrichContacts
from gonets.core.contacts.exports import ExportContacts, ExportFormat
from gonets.core.contacts.fields import CheckFields
from gonets.core.contacts.use_cases import ManageContacts
from gonets.core.identity.model import Principal, Role, Scope

URL = "/api/v1/contacts"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ANNA = {
    "name": "Анна Смирнова",
    "phone": "8 (916) 123-45-67",
    "email": "Anna@Example.com",
    "telegramChatId": "-1001234567890",
    "tags": ["vip", "moscow"],
    "timezone": "Asia/Omsk",
    "operatorCode": "495",
    "attributes": {"city": "Омск", "orders": 3, "share": 0.5, "gold": True},
    "consent": True,
    "consentAt": "2026-01-01T00:00:00Z",
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
    store, phone, of_contacts = FakeContacts(), PhoneNumbers("RU"), AuditOf(audit, "contact")
    manage = ManageContacts(store, CheckFields(phone, about, lambda: NOW), phone.beginnings, of_contacts)
    export = ExportContacts(store, {ExportFormat.CSV: CsvSheet, ExportFormat.XLSX: XlsxSheet})
    tag = TagContacts(store, store, of_contacts)
    enrich = EnrichContacts(FakeEnrichment(store), store, of_contacts)
    kept = ManageAudiences(FakeAudiences(), store, AuditOf(audit, "audience"))
    allowed = Security(FakeAuthenticate(HOLDERS)).principal(Scope.CONTACTS)
    routers = [contacts.router(manage, export, tag, enrich, allowed), audiences.router(kept, allowed)]
    return create_app(routers, health.router({}, {}), documentation=True)


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
    assert {"id", "createdAt", "updatedAt", "operator", "qualityCode"} == created.keys() - ANNA.keys()
    assert created | ANNA | {"phone": "+79161234567"} == created
    assert created["createdAt"].endswith("Z")
    assert answer.headers["location"] == f"{URL}/{created['id']}"
    assert (await http.get(answer.headers["location"])).json() == created
    assert (await http.get(URL)).json() == {"contacts": [created], "nextCursor": None}


async def test_a_name_may_be_missing_where_there_is_an_address(http):
    made = (await http.post(URL, json={"phone": "89161234567"})).json()
    assert made["name"] == ""
    path = f"{URL}/{made['id']}"
    assert (await http.put(path, json=made)).json()["name"] == ""
    assert (await http.patch(path, json={"name": "Ё"})).json()["name"] == "Ё"
    for nobody in (" ", None):
        assert (await http.patch(path, json={"name": nobody})).json()["name"] == ""
    for nobody in ({}, {"name": ""}, {"name": None, "tags": ["vip"]}):
        assert _fields(await http.post(URL, json=nobody)) == ["name"]
        assert _fields(await http.put(path, json=nobody)) == ["name"]
    assert (await http.get(path)).json()["phone"] == "+79161234567"


async def test_only_a_name_is_needed_and_a_chat_may_be_a_number(http):
    bare = (await http.post(URL, json={"name": " Ё "})).json()
    assert (bare["name"], bare["phone"], bare["email"], bare["telegramChatId"]) == ("Ё", None, None, None)
    assert (await _create(http, telegramChatId=123456789))["telegramChatId"] == "123456789"


@pytest.mark.parametrize(
    ("different", "fields"),
    [
        ({"name": "x" * 201}, ["name"]),
        ({"name": "a\0b"}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"name": 5}, ["name"]),
        ({"phone": "12345"}, ["phone"]),
        ({"phone": ""}, ["phone"]),
        ({"phone": 89161234567}, ["phone"]),
        ({"email": "anna"}, ["email"]),
        ({"telegramChatId": "anna"}, ["telegramChatId"]),
        ({"telegram_chat_id": "5"}, ["telegram_chat_id"]),
        ({"nmae": "x"}, ["nmae"]),
        ({"tags": ["ok", ""]}, ["tags"]),
        ({"tags": ["x" * 101]}, ["tags"]),
        ({"tags": [str(n) for n in range(51)]}, ["tags"]),
        ({"timezone": "Moscow"}, ["timezone"]),
        ({"timezone": "UTC+3"}, ["timezone"]),
        ({"operatorCode": "MTS"}, ["operatorCode"]),
        ({"attributes": {"1": "x"}}, ["attributes.1"]),
        ({"attributes": {"city": "x" * 1001}}, ["attributes.city"]),
        ({"attributes": {"city": "a\0"}}, ["attributes.city"]),
        ({"attributes": {"a b": 1}}, ["attributes.a b"]),
        ({"attributes": {f"a{n}": 1 for n in range(101)}}, ["attributes"]),
        ({"consentAt": "yesterday"}, ["consentAt"]),
        ({"consentAt": "2026-01-31T12:00:00"}, ["consentAt"]),
        (
            {"name": "a\nb", "phone": "5", "email": "x", "telegramChatId": 0},
            ["name", "phone", "email", "telegramChatId"],
        ),
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
    assert (await http.put(path, json={"phone": "89161234568"})).json()["name"] == ""


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
    made = [(await _create(http, name=str(number), phone=None, email=None))["id"] for number in range(5)]
    first = (await http.get(URL, params={"limit": 3})).json()
    second = (await http.get(URL, params={"limit": 3, "cursor": first["nextCursor"]})).json()
    assert [one["id"] for one in first["contacts"] + second["contacts"]] == made[::-1]
    assert second["nextCursor"] is None
    assert _fields(await http.get(URL, params={"cursor": "nonsense"})) == ["cursor"]


@pytest.mark.parametrize("wrong", ["0", "9223372036854775808"])
async def test_what_is_no_id_is_said_so(http, wrong):
    assert _fields(await http.get(f"{URL}/{wrong}")) == ["contact_id"]


@pytest.mark.parametrize("wrong", ["-1", "anna"])
async def test_a_word_is_no_route(http, wrong):
    assert (await http.get(f"{URL}/{wrong}")).status_code == 404


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


async def test_what_a_phone_says_is_proposed_and_what_is_given_counts(http):
    async def made(**fields):
        answer = await http.post(URL, json={"name": "x"} | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def patched(contact, **fields):
        return (await http.patch(f"{URL}/{contact['id']}", json=fields)).json()

    def said(contact):
        return contact["phone"], contact["operatorCode"], contact["timezone"]

    moscow = await made(phone="79161234567")
    assert said(moscow) == ("+79161234567", "916", "Europe/Moscow")
    assert said(await made(phone="8 423 212-34-56")) == ("+74232123456", "423", "Asia/Vladivostok")
    assert said(await made(phone="+44 20 7946 0958")) == ("+442079460958", None, "Europe/London")
    assert said(await made(phone="+77011234567", operatorCode="701")) == ("+77011234567", "701", "Asia/Almaty")
    given = await made(phone="89161234568", operatorCode="999", timezone="Asia/Omsk")
    assert said(given) == ("+79161234568", "999", "Asia/Omsk")
    assert said(await patched(moscow, phone="84232123457")) == ("+74232123457", "423", "Asia/Vladivostok")
    assert said(await patched(moscow, timezone=None)) == ("+74232123457", "423", None)
    assert said(await patched(given, phone="84232123458")) == ("+74232123458", "423", "Asia/Omsk")
    assert said(await patched(given, phone=None)) == (None, None, "Asia/Omsk")


async def test_consent_is_given_at_a_time(http):
    created = (await http.post(URL, json={"name": "x", "consent": False})).json()
    assert (created["consent"], created["consentAt"]) == (False, "2026-01-31T12:00:00Z")
    path = f"{URL}/{created['id']}"
    said = (await http.patch(path, json={"consent": True, "consentAt": "2025-05-01T03:00:00+03:00"})).json()
    assert (said["consent"], said["consentAt"]) == (True, "2025-05-01T00:00:00Z")
    assert (await http.patch(path, json={"name": "y"})).json()["consentAt"] == "2025-05-01T00:00:00Z"
    taken = (await http.patch(path, json={"consent": None})).json()
    assert (taken["consent"], taken["consentAt"]) == (None, None)


@pytest.mark.parametrize(("field", "same"), [("phone", "+7 916 123 45 67"), ("email", "ANNA@example.COM")])
async def test_a_conflict_names_the_field_and_the_contact_that_has_it(http, make_http, field, same):
    first = await _create(http)
    second = (await http.post(URL, json={"name": "second"})).json()
    for method, path in (("POST", URL), ("PUT", f"{URL}/{second['id']}"), ("PATCH", f"{URL}/{second['id']}")):
        answer = await http.request(method, path, json={"name": "x", field: same})
        assert answer.status_code == 409
        [error] = answer.json()["errors"]
        assert (error["field"], error["id"]) == (field, first["id"])
    async with make_http("bob") as bob:
        assert (await bob.post(URL, json={"name": "theirs", field: same})).status_code == 201


async def test_the_list_is_searched_and_filtered(http):
    async def made(name, **fields):
        await http.post(URL, json={"name": name} | fields)

    await made("Анна", phone="89161234567", tags=["a", "b"])
    await made("Борис", email="boris@example.com", tags=["b"], timezone="Asia/Omsk")
    await made("Вера", phone="89261234567")

    async def names(**params):
        answer = await http.get(URL, params=params)
        assert answer.status_code == 200, answer.text
        return "".join(contact["name"][0] for contact in answer.json()["contacts"])

    assert await names() == "ВБА"
    assert await names(tag="a") == "А"
    assert await names(tag=["a", "b"]) == "БА"
    assert await names(tagAll=["a", "b"]) == "А"
    assert await names(tagNone="a") == "ВБ"
    assert await names(operatorCode=["916", "926"]) == "ВА"
    assert await names(timezone="Europe/Moscow", tagNone="a") == "В"
    assert await names(search="8 (916)") == await names(search="+7916") == await names(search="916") == "А"
    assert await names(search="BORIS@") == "Б"
    assert await names(search=" вер") == "В"
    assert await names(search="вер", tag="a") == ""
    assert _fields(await http.get(URL, params={"search": " "})) == ["search"]
    assert _fields(await http.get(URL, params={"tag": "x" * 101})) == ["query.tags.any"]


async def test_many_are_tagged_by_id_or_by_audience(http, make_http):
    made = [(await http.post(URL, json={"name": str(n), "tags": ["new"]})).json()["id"] for n in range(3)]

    async def tagged(**body):
        answer = await http.post(f"{URL}/tags", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["changed"]

    assert await tagged(ids=made[:2], add=["vip"], remove=["new"]) == 2
    assert await tagged(ids=made[:2], add=["vip"], remove=["new"]) == 0
    assert await tagged(audience={"tags": {"any": ["new"]}}, add=["late"]) == 1
    assert await tagged(audience={}, add=["all"]) == 3
    assert (await http.get(f"{URL}/{made[0]}")).json()["tags"] == ["vip", "all"]
    assert (await http.get(f"{URL}/{made[2]}")).json()["tags"] == ["new", "late", "all"]
    for wrong, field in (
        ({"add": ["x"]}, "ids"),
        ({"ids": [1], "audience": {}, "add": ["x"]}, "ids"),
        ({"ids": [1]}, "add"),
        ({"ids": [1], "add": ["x"], "remove": ["x"]}, "remove"),
        ({"ids": [0], "add": ["x"]}, "ids"),
        ({"audience": {"tag": ["x"]}, "add": ["x"]}, "audience.tag"),
    ):
        assert _fields(await http.post(f"{URL}/tags", json=wrong)) == [field]
    async with make_http("bob") as bob:
        assert (await bob.post(f"{URL}/tags", json={"ids": made, "add": ["stolen"]})).json() == {"changed": 0}


async def test_an_audience_is_saved_and_counted(http, make_http):
    for number in range(3):
        await http.post(URL, json={"name": str(number), "tags": ["odd"] if number % 2 else []})
    wanted = {"tags": {"any": ["odd"], "all": [], "none": ["x"]}, "operatorCodes": [], "timezones": []}
    answer = await http.post(
        "/api/v1/audiences", json={"name": " Odd ", "filter": {"tags": {"any": ["odd"], "none": ["x"]}}}
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["name"], made["filter"]) == ("Odd", wanted)
    path = answer.headers["location"]
    assert (await http.get(path)).json() == made
    assert (await http.get("/api/v1/audiences")).json() == {"audiences": [made]}
    put = (await http.put(path, json=made | {"name": "odd ones"})).json()
    assert (put["name"], put["filter"]) == ("odd ones", wanted)
    assert (await http.post("/api/v1/audiences", json={"name": "odd ones", "filter": {}})).status_code == 409
    assert (await http.post("/api/v1/audiences/count", json={"audience": made["filter"]})).json() == {"count": 1}
    assert (await http.post("/api/v1/audiences/count", json={"audience": {}})).json() == {"count": 3}
    async with make_http("bob") as bob:
        assert (await bob.get(path)).status_code == (await bob.delete(path)).status_code == 404
        assert (await bob.post("/api/v1/audiences/count", json={"audience": {}})).json() == {"count": 0}
    wrong = {"name": "", "filter": {"tags": {"some": []}, "timezones": ["", 5]}}
    assert _fields(await http.post("/api/v1/audiences", json=wrong)) == ["name", "filter.tags.some", "filter.timezones"]
    assert (await http.delete(path)).status_code == 204
    assert (await http.get(path)).status_code == 404


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", "''@x", "it's", "'quoted'"]


@pytest.mark.parametrize("wanted", ["csv", "xlsx"])
async def test_an_export_holds_everything_and_no_formula(http, make_http, wanted):
    attributes = {f"a{n}": text for n, text in enumerate(FORMULAS)} | {"n": -5, "gold": True, "big": 10**18}
    await _create(http, name="=HYPERLINK(1)", attributes=attributes, tags=["-x", "b"])
    await http.post(URL, json={"name": 'Ё, "q"', "telegramChatId": "@anna_channel"})
    await http.post(URL, json={"name": "without"})
    async with make_http("bob") as bob:
        await bob.post(URL, json={"name": "hidden"})
    answer = await http.get(f"{URL}/export", params={"format": wanted})
    assert answer.status_code == 200
    assert f'filename="contacts.{wanted}"' in answer.headers["content-disposition"]
    rows = _csv_rows(answer.content) if wanted == "csv" else _xlsx_rows(answer.content)
    assert [row["name"] for row in rows] == ["=HYPERLINK(1)", 'Ё, "q"', "without"]
    first = rows[0]
    assert (first["phone"], first["telegramChatId"], first["tags"]) == ("+79161234567", "-1001234567890", "-x,b")
    assert [first[f"attributes.a{n}"] for n in range(len(FORMULAS))] == FORMULAS
    assert str(first["attributes.big"]) == str(10**18)
    assert rows[1]["telegramChatId"] == "@anna_channel"
    only = await http.get(f"{URL}/export", params={"format": wanted, "tag": "b"})
    assert len(_csv_rows(only.content) if wanted == "csv" else _xlsx_rows(only.content)) == 1


def _csv_rows(content):
    assert content.startswith(b"\xef\xbb\xbf")
    header, *rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert not [cell for row in [header, *rows] for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    return [dict(zip(header, map(plain, row), strict=True)) for row in rows]


def _xlsx_rows(content):
    book = openpyxl.load_workbook(io.BytesIO(content))
    cells = list(map(list, book.active.iter_rows()))
    assert not [cell for row in cells for cell in row if cell.data_type == "f"]
    assert all(cell.quotePrefix for row in cells for cell in row if cell.data_type == "s")
    header, *rows = [
        [plain(cell.value) if isinstance(cell.value, str) else cell.value for cell in row] for row in cells
    ]
    return [dict(zip(header, row, strict=True)) for row in rows]


async def test_only_known_formats_are_exported(http):
    assert _fields(await http.get(f"{URL}/export", params={"format": "exe"})) == ["format"]


async def test_a_provider_is_asked_about_one_or_many_phones(http, make_http):
    made = await _create(http)
    path = f"{URL}/{made['id']}/enrich"
    assert (await http.get(path)).json() == {"status": "none", "taskId": None, "reason": None}
    asked = await http.post(path)
    assert (asked.status_code, asked.json()["status"]) == (202, "asked")
    assert (await http.post(path)).json() == asked.json() == (await http.get(path)).json()
    bare = (await http.post(URL, json={"name": "bare"})).json()
    assert (await http.post(f"{URL}/{bare['id']}/enrich")).status_code == 409
    other = (await http.post(URL, json={"name": "x", "phone": "89161234568"})).json()
    many = await http.post(f"{URL}/enrich", json={"audience": {}})
    assert (many.status_code, many.json()) == (202, {"asked": 1})
    assert (await http.get(f"{URL}/{other['id']}/enrich")).json()["status"] == "asked"
    assert (await http.post(f"{URL}/enrich", json={"ids": [made["id"], bare["id"]]})).json() == {"asked": 0}
    async with make_http("bob") as bob:
        for method in ("GET", "POST"):
            assert (await bob.request(method, path)).status_code == 404
        assert (await bob.post(f"{URL}/enrich", json={"ids": [made["id"]]})).json() == {"asked": 0}
