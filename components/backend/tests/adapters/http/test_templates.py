"""The JSON of templates, over fakes."""

import pytest

from fakes.identity import FakeAuditLog, FakeAuthenticate
from fakes.templates import FakeTemplates
from gonets.adapters.http import health, templates
from gonets.adapters.http.app import create_app
from gonets.adapters.http.security import Security
from gonets.bootstrap.identity import AuditOf
from gonets.bootstrap.templates import prices, sms
from gonets.core.identity.model import Principal, Role, Scope
from gonets.core.templates.rendering import of_contact
from gonets.core.templates.use_cases import ManageTemplates, PreviewTemplate, RenderTemplate
from gonets.settings import Sms

URL = "/api/v1/templates"
HELLO = {"name": "welcome", "body": 'Привет, {{ name | default("друг") }}: {{ code }}', "subject": "Код {{ code }}"}
HOLDERS = {
    "anna": Principal(1, Role.MEMBER, session_id=1),
    "bob": Principal(2, Role.ADMIN, session_id=2),
    "gnz_key": Principal(1, Role.MEMBER, frozenset({Scope.CONTACTS}), api_key_id=7),
}


class Contacts:
    async def values(self, owner_id, contact_id):
        if (owner_id, contact_id) != (1, 5):
            return None
        return of_contact({"code": 4711}, name="Анна", phone=None, email=None, timezone=None)


@pytest.fixture
def app():
    store = FakeTemplates()
    manage = ManageTemplates(store, AuditOf(FakeAuditLog(), "template"))
    preview = PreviewTemplate(manage, RenderTemplate(store, Contacts()), sms, prices(Sms(prices="SMS_TWILIO=6.5")))
    security = Security(FakeAuthenticate(HOLDERS))
    router = templates.router(manage, preview, "RUB", security.principal(Scope.NOTIFICATIONS))
    return create_app([router], health.router({}, {}), documentation=True)


@pytest.fixture
async def http(make_http):
    async with make_http("anna") as client:
        yield client


async def _create(http, **different):
    answer = await http.post(URL, json=HELLO | different)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def _problem(answer, status, *fields):
    assert answer.status_code == status, answer.text
    assert [error["field"] for error in answer.json().get("errors", ())] == list(fields), answer.text
    return answer.json()


async def test_a_template_says_what_it_needs(http):
    answer = await http.post(URL, json=HELLO)
    made = answer.json()
    assert answer.headers["Location"] == f"{URL}/{made['id']}"
    assert made["variables"] == [{"name": "code", "required": True}, {"name": "name", "required": False}]
    assert (made["version"], made["body"], made["subject"]) == (1, HELLO["body"], HELLO["subject"])
    assert (await http.get(f"{URL}/{made['id']}")).json() == made
    assert (await http.get(URL)).json() == {"templates": [made], "nextCursor": None}


async def test_what_is_wrong_is_named(http):
    await _problem(
        await http.post(URL, json={"name": "", "body": "{{ x", "subject": "{{ 1 }}"}), 422, "name", "body", "subject"
    )
    await _problem(await http.post(URL, json={"name": "x"}), 422, "body")
    await _problem(await http.post(URL, json={"name": "x", "body": 5}), 422, "body")
    await _problem(await http.post(URL, json=HELLO | {"id": 5}), 422, "id")
    await _create(http)
    assert (await http.post(URL, json=HELLO)).status_code == 409


async def test_versions_stay_readable(http):
    made = await _create(http)
    at = f"{URL}/{made['id']}"
    assert (await http.patch(at, json={"name": "hello"})).json()["version"] == 1
    assert (await http.patch(at, json={"subject": None})).json()["version"] == 2
    assert (await http.put(at, json={"name": "hello", "body": "Hi"})).json()["version"] == 3
    found = (await http.get(f"{at}/versions")).json()
    assert [(one["version"], one["subject"]) for one in found["versions"]] == [
        (3, None),
        (2, None),
        (1, "Код {{ code }}"),
    ]
    assert found["nextBefore"] is None
    page = (await http.get(f"{at}/versions?limit=2")).json()
    assert ([one["version"] for one in page["versions"]], page["nextBefore"]) == ([3, 2], 2)
    last = (await http.get(f"{at}/versions?limit=2&before=2")).json()
    assert ([one["version"] for one in last["versions"]], last["nextBefore"]) == ([1], None)
    assert (await http.get(f"{at}/versions/1")).json()["body"] == HELLO["body"]
    await _problem(await http.get(f"{at}/versions/4"), 404)
    await _problem(await http.get(f"{at}/versions/99999999999"), 422, "version")
    await _problem(await http.patch(at, json={"body": "{{"}), 422, "body")
    assert (await http.delete(at)).status_code == 204
    await _problem(await http.get(f"{at}/versions/1"), 404)


async def test_a_preview(http):
    made = await _create(http)
    at = f"{URL}/{made['id']}/preview"
    shown = (await http.post(at, json={"contactId": 5, "variables": {"name": "Яна"}})).json()
    assert (shown["text"], shown["subject"], shown["version"]) == ("Привет, Яна: 4711", "Код 4711", 1)
    assert shown["sms"] == {"encoding": "ucs2", "segments": 1, "characters": 17}
    assert shown["estimates"][0] == {
        "channelType": "SMS_TWILIO",
        "segments": 1,
        "pricePerSegment": 6.5,
        "total": 6.5,
        "currency": "RUB",
        "note": None,
    }
    assert shown["estimates"][1]["total"] is None
    assert "not known" in shown["estimates"][1]["note"]
    problem = await _problem(await http.post(at, json={}), 422, "variables.code")
    assert "{{ code }}" in problem["errors"][0]["reason"]
    await _problem(await http.post(at, json={"contactId": 6}), 422, "contactId")
    await _problem(await http.post(at, json={"version": 2, "variables": {"code": 1}}), 404)
    for wrong in ({"code": ["x"]}, {"code": "\0"}, {"n" * 61: "x"}):
        assert (await http.post(at, json={"variables": wrong})).status_code == 422


async def test_another_owners_template_is_not_there(http, make_http):
    made = await _create(http)
    at = f"{URL}/{made['id']}"
    async with make_http("bob") as bob:
        for answer in (
            await bob.get(at),
            await bob.patch(at, json={"name": "x"}),
            await bob.put(at, json=HELLO),
            await bob.delete(at),
            await bob.get(f"{at}/versions"),
            await bob.get(f"{at}/versions/1"),
            await bob.post(f"{at}/preview", json={"variables": {"code": 1}}),
        ):
            await _problem(answer, 404)
        assert (await bob.get(URL)).json()["templates"] == []
    async with make_http("gnz_key") as program:
        await _problem(await program.get(at), 403)
