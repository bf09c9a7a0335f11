"""Who gets through the doors, and with what."""

from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends

from fakes.identity import FakeAuthenticate
from gonets.adapters.http import health
from gonets.adapters.http.app import create_app
from gonets.adapters.http.security import Security
from gonets.core.identity.model import Principal, Role, Scope

HOLDERS = {
    "admin": Principal(1, Role.ADMIN, session_id=1),
    "member": Principal(2, Role.MEMBER, session_id=2),
    "gnz_contacts": Principal(1, Role.ADMIN, frozenset({Scope.CONTACTS}), api_key_id=1),
    "gnz_tasks": Principal(2, Role.MEMBER, frozenset({Scope.TASKS}), api_key_id=2),
}
BEARER = [{"Authorization": f"Bearer {holder}"} for holder in HOLDERS]


def _router(security, guards):
    router = APIRouter(dependencies=guards)

    @router.get("/door")
    async def door() -> str:
        return "open"

    @router.get("/letters", dependencies=security.dead_letters())
    async def letters() -> str:
        return "open"

    @router.get("/scoped")
    async def scoped(who: Annotated[Principal, Depends(security.principal(Scope.CONTACTS))]) -> int:
        return who.user_id

    @router.get("/person")
    async def person(who: Annotated[Principal, Depends(security.person)]) -> int:
        return who.user_id

    @router.get("/admin")
    async def admin(who: Annotated[Principal, Depends(security.admin)]) -> int:
        return who.user_id

    @router.get("/anyone")
    async def anyone(who: Annotated[Principal | None, Depends(security.anyone)]) -> int | None:
        return who.user_id if who else None

    return router


@pytest.fixture
def make_http():
    def make(*, tasks_open=True):
        security = Security(FakeAuthenticate(HOLDERS), tasks_open=tasks_open)
        router = _router(security, security.tasks())
        app = create_app([router], health.router({}, {}), documentation=True)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gonets/api/v1")

    return make


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/door", [200, 200, 200, 200]),
        ("/scoped", [200, 200, 200, 403]),
        ("/person", [200, 200, 403, 403]),
        ("/admin", [200, 403, 403, 403]),
        ("/anyone", [200, 200, 403, 403]),
    ],
)
async def test_each_door_opens_to_its_own(make_http, path, statuses):
    async with make_http() as http:
        assert [(await http.get(path, headers=headers)).status_code for headers in BEARER] == statuses


async def test_a_key_goes_into_either_header(make_http):
    async with make_http() as http:
        for headers in ({"X-API-Key": "gnz_contacts"}, {"x-api-key": "gnz_contacts"}, BEARER[2]):
            assert (await http.get("/scoped", headers=headers)).json() == 1


async def test_the_door_of_tasks_asks_for_the_scope_where_it_is_closed(make_http):
    async with make_http() as http:
        assert (await http.get("/door")).status_code == 200
    async with make_http(tasks_open=False) as http:
        assert (await http.get("/door")).status_code == 401
        assert [(await http.get("/door", headers=headers)).status_code for headers in BEARER] == [200, 200, 403, 200]


async def test_the_door_of_dead_letters_asks_for_an_admin_where_it_is_closed(make_http):
    async with make_http() as http:
        assert (await http.get("/letters")).status_code == 200
    async with make_http(tasks_open=False) as http:
        assert (await http.get("/letters")).status_code == 401
        assert [(await http.get("/letters", headers=headers)).status_code for headers in BEARER] == [200, 403, 403, 403]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer forged"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic bWVtYmVyOm1lbWJlcg=="},
        {"Authorization": "member"},
        {"Authorization": b"Bearer \xd0\xba\xd0\xbb\xd1\x8e\xd1\x87"},
        {"X-API-Key": ""},
        {"X-API-Key": "gnz_forged"},
    ],
)
@pytest.mark.parametrize("path", ["/scoped", "/person", "/admin"])
async def test_who_is_not_known_is_told_how_to_be(make_http, path, headers):
    async with make_http() as http:
        answer = await http.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="gonets"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["category"] == "unauthenticated"


async def test_wrong_credentials_are_refused_also_where_none_would_do(make_http):
    async with make_http() as http:
        assert (await http.get("/anyone")).json() is None
        assert (await http.get("/anyone", headers={"Authorization": "Bearer forged"})).status_code == 401


async def test_the_document_says_which_credentials_go(make_http):
    async with make_http() as http:
        document = (await http.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"].keys() == {"bearer", "apiKey"}
    asked = {path.rsplit("/", 1)[1]: one["get"].get("security") for path, one in document["paths"].items()}
    assert asked["door"] is None
    assert asked["scoped"] == [{"bearer": []}, {"apiKey": []}]
    assert asked["person"] == [{"bearer": []}]
