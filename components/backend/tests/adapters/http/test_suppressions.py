"""The JSON of addresses that must not be written to, over fakes."""

import pytest

from fakes.identity import FakeAuditLog, FakeAuthenticate
from fakes.suppressions import FakeSuppressions
from gonets.adapters.http import health, suppression
from gonets.adapters.http.app import create_app
from gonets.adapters.http.security import Security
from gonets.adapters.phones import PhoneNumbers
from gonets.bootstrap.identity import AuditOf
from gonets.core.contacts.suppression import ManageSuppressions
from gonets.core.identity.model import Principal, Role, Scope

URL = "/api/v1/suppressions"
HOLDERS = {
    "anna": Principal(1, Role.MEMBER, session_id=1),
    "bob": Principal(2, Role.ADMIN, session_id=2),
    "gnz_key": Principal(1, Role.MEMBER, frozenset({Scope.NOTIFICATIONS}), api_key_id=7),
}


@pytest.fixture
def app():
    manage = ManageSuppressions(FakeSuppressions(), PhoneNumbers("RU"), AuditOf(FakeAuditLog(), "suppression"))
    router = suppression.router(manage, Security(FakeAuthenticate(HOLDERS)).principal(Scope.CONTACTS))
    limits = suppression.body_limits(3_000_000)
    return create_app([router], health.router({}, {}), documentation=True, longer=limits)


@pytest.fixture
async def http(make_http):
    async with make_http("anna") as client:
        yield client


async def test_one_and_many(http):
    answer = await http.post(URL, json={"address": "8 916 123-45-67", "reason": "asked by phone"})
    assert answer.status_code == 201
    [one] = answer.json()["suppressions"]
    assert (one["kind"], one["address"], one["reason"], one["source"]) == (
        "phone",
        "+79161234567",
        "asked by phone",
        "manual",
    )
    answer = await http.post(URL, json={"addresses": ["+79161234567", "Anna@Example.com", "@channel"]})
    assert (answer.json()["added"], answer.json()["known"]) == (2, 1)
    assert (await http.get(f"{URL}/{one['id']}")).json() == one
    assert len((await http.get(URL)).json()["suppressions"]) == 3
    assert (await http.get(URL, params={"address": "8(916)1234567"})).json() == {
        "suppressions": [one],
        "nextCursor": None,
    }
    assert (await http.delete(f"{URL}/{one['id']}")).status_code == 204
    assert (await http.get(f"{URL}/{one['id']}")).status_code == 404
    chat = (await http.post(URL, json={"address": 123456789, "kind": "telegramChatId"})).json()["suppressions"]
    assert chat[0]["address"] == "123456789"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "address"),
        ({"address": "12"}, "address"),
        ({"address": "+79161234567", "addresses": ["a@example.com"]}, "address"),
        ({"addresses": []}, "address"),
        ({"addresses": ["+79161234567", "12"]}, "addresses.1"),
        ({"addresses": ["x"] * 1001}, "addresses"),
        ({"address": "+79161234567", "kind": "fax"}, "kind"),
        ({"address": "+79161234567", "kind": "email"}, "address"),
        ({"address": "+79161234567", "reason": "x" * 501}, "reason"),
        ({"adress": "+79161234567"}, "adress"),
    ],
)
async def test_what_is_wrong_is_named(http, body, field):
    answer = await http.post(URL, json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await http.get(URL)).json()["suppressions"] == []


async def test_an_import(http):
    lines = "\ufeffphone\r\n8 916 123-45-67\r\nanna@example.com\r\n???\r\n"
    answer = await http.post(f"{URL}/import", content=lines.encode(), headers={"Content-Type": "text/csv"})
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert (done["read"], done["added"], done["known"], done["refused"]) == (3, 2, 0, 1)
    assert [(one["line"], one["column"]) for one in done["wrong"]] == [(4, 1)]
    again = (await http.post(f"{URL}/import", content=lines.encode())).json()
    assert (again["added"], again["known"]) == (0, 2)
    assert {one["source"] for one in (await http.get(URL)).json()["suppressions"]} == {"import"}
    assert (await http.post(f"{URL}/import", content=b"")).json()["read"] == 0


async def test_an_import_is_read_while_it_comes_in(http):
    whole = "\ufeff" + "".join(f"user{n}@example.com\r\nmore{n}@example.com\r" for n in range(30_000))

    async def pieces(of):
        for start in range(0, len(of), 65_537):
            yield of[start : start + 65_537]

    done = (await http.post(f"{URL}/import", content=pieces(whole.encode()))).json()
    assert (done["read"], done["added"], done["refused"]) == (60_000, 60_000, 0)
    assert (await http.post(f"{URL}/import", content=pieces(b"x" * 3_000_001))).status_code == 413


async def test_a_line_without_end_is_one_that_is_wrong(http):
    async def pieces():
        yield b"a@example.com\n"
        for _ in range(20):
            yield "ж".encode() * 50_000
        yield b"\nb@example.com"

    done = (await http.post(f"{URL}/import", content=pieces())).json()
    assert (done["read"], done["added"]) == (3, 2)
    assert [(one["line"], one["column"]) for one in done["wrong"]] == [(2, 1)]


async def test_what_is_no_text_is_named_by_its_place(http):
    answer = await http.post(f"{URL}/import", content="a@example.com\nжж".encode() + b"\xffb@example.com\n")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["body"]
    assert "line 2, column 3" in answer.text
    utf16 = await http.post(f"{URL}/import", content="a@example.com\n".encode("utf-16"))
    assert "line 1, column 1" in utf16.text


async def test_another_owners_list_is_not_there(http, make_http):
    [one] = (await http.post(URL, json={"address": "a@example.com"})).json()["suppressions"]
    async with make_http("bob") as bob:
        assert (await bob.get(f"{URL}/{one['id']}")).status_code == 404
        assert (await bob.delete(f"{URL}/{one['id']}")).status_code == 404
        assert (await bob.get(URL)).json()["suppressions"] == []
    async with make_http("gnz_key") as program:
        assert (await program.get(URL)).status_code == 403
