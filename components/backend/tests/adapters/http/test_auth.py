"""The JSON of accounts, sessions and keys, over fakes."""

from datetime import timedelta

import httpx
import pytest

from fakes import Clock
from fakes.identity import (
    FakeAccounts,
    FakeApiKeys,
    FakeAuditLog,
    FakePasswords,
    FakeResets,
    FakeSessions,
    FakeThrottle,
    FakeUsers,
)
from gonets.adapters.credentials.access_tokens import JwtAccessTokens
from gonets.adapters.http import api_keys, auth, health, users
from gonets.adapters.http.app import create_app
from gonets.adapters.http.security import Security
from gonets.core.identity.administration import ManageApiKeys, ManageUsers, ReadAudit
from gonets.core.identity.model import Scope
from gonets.core.identity.standings import Standings
from gonets.core.identity.use_cases import Authenticate, OwnAccount, SessionPolicy, SignIn

ANNA = {"email": "anna@example.com", "password": "correct horse"}
NEW = "battery staple"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_http(clock):
    def make(**policy):
        accounts, standings = FakeAccounts(), Standings()
        people, sessions, keys = FakeUsers(accounts), FakeSessions(accounts), FakeApiKeys(accounts)
        resets, throttle, audit = FakeResets(accounts), FakeThrottle(accounts), FakeAuditLog(accounts)
        passwords, tokens = FakePasswords(), JwtAccessTokens("k" * 32)

        def now():
            return clock.now

        security = Security(Authenticate(sessions, keys, tokens, standings, now))
        shared = (audit, standings)
        sign_in = SignIn(people, sessions, passwords, tokens, throttle, *shared, SessionPolicy(**policy), now)
        routers = [
            auth.router(sign_in, OwnAccount(people, resets, passwords, throttle, *shared, now), security),
            api_keys.router(ManageApiKeys(keys, *shared, now), security),
            users.router(ManageUsers(people, resets, passwords, *shared, now), ReadAudit(audit), security),
        ]
        app = create_app(routers, health.router({}, {}), documentation=True)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gonets/api/v1")

    return make


@pytest.fixture
async def http(make_http):
    async with make_http() as client:
        yield client


async def _sign_up(http, **different):
    answer = await http.post("/auth/signup", json=ANNA | different)
    assert answer.status_code == 201, answer.text
    return answer.json()


def _as(session):
    return {"Authorization": f"Bearer {session['accessToken']}"}


@pytest.fixture
async def admin(http):
    return _as(await _sign_up(http))


def _fields(answer):
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.json()["errors"]]


# --- sign-up, login, refresh, logout ---


async def test_sign_up_login_and_refresh_answer_alike(http):
    signed_up = await _sign_up(http)
    assert signed_up["user"] == {"id": 1, "email": "anna@example.com", "creationTime": "2026-01-01T00:00:00.000001Z"}
    logged_in = await http.post("/auth/login", json=ANNA)
    refreshed = await http.post("/auth/refresh", json={"refreshToken": signed_up["refreshToken"]})
    for answer in (logged_in, refreshed):
        assert answer.status_code == 200
        assert list(answer.json()) == list(signed_up) == ["user", "accessToken", "refreshToken"]
        assert answer.json()["user"] == signed_up["user"]
    assert (await http.get("/auth/profile", headers=_as(refreshed.json()))).json() == signed_up["user"] | {
        "role": "admin"
    }


async def test_what_else_a_form_sends_gives_nobody_more(http):
    await _sign_up(http)
    bob = await _sign_up(http, email="bob@example.com", role="admin", id=1, name="Bob")
    assert (await http.get("/auth/profile", headers=_as(bob))).json()["role"] == "member"


async def test_a_known_address_is_a_conflict_in_capitals_too(http):
    await _sign_up(http)
    answer = await http.post("/auth/signup", json=ANNA | {"email": "ANNA@example.com"})
    assert (answer.status_code, answer.json()["category"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["email", "password"]),
        (ANNA | {"email": "anna"}, ["email"]),
        (ANNA | {"password": "short"}, ["password"]),
        (ANNA | {"email": 1}, ["email"]),
        (ANNA | {"password": None}, ["password"]),
    ],
)
async def test_what_is_wrong_with_a_sign_up_is_named(http, body, fields):
    assert _fields(await http.post("/auth/signup", json=body)) == fields


async def test_closed_sign_up_is_403(make_http):
    async with make_http(sign_up_open=False) as http:
        assert (await http.post("/auth/signup", json=ANNA)).status_code == 403


async def test_too_many_accounts_from_one_address_are_429_with_the_time_to_wait(http):
    await _sign_up(http)
    answers = [await http.post("/auth/signup", json=ANNA) for _ in range(30)]
    assert [answer.status_code for answer in answers] == [409] * 29 + [429]
    assert answers[-1].headers["Retry-After"] == "10"


async def test_a_wrong_password_is_401_and_too_many_are_429_with_the_time_to_wait(http, clock):
    await _sign_up(http)
    answers = [await http.post("/auth/login", json=ANNA | {"password": "wrong"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert answers[-1].headers["Retry-After"] == "10"
    assert answers[-1].json()["category"] == "throttled"
    clock.advance(timedelta(seconds=8.5))
    assert (await http.post("/auth/login", json=ANNA)).headers["Retry-After"] == "2"
    clock.advance(timedelta(seconds=1.5))
    assert (await http.post("/auth/login", json=ANNA)).status_code == 200


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_tries_are_counted_by_subscriber(host, counted):
    assert auth.network(host) == counted


async def test_an_access_token_ends_and_is_refreshed(http, clock):
    session = await _sign_up(http)
    clock.advance(timedelta(minutes=15))
    answer = await http.get("/auth/profile", headers=_as(session))
    assert answer.status_code == 401
    assert "refresh" in answer.json()["detail"]
    fresh = await http.post("/auth/refresh", json={"refreshToken": session["refreshToken"]})
    assert (await http.get("/auth/profile", headers=_as(fresh.json()))).status_code == 200


async def test_a_refresh_token_used_twice_is_401_and_so_is_its_successor(http):
    session = await _sign_up(http)
    fresh = (await http.post("/auth/refresh", json={"refreshToken": session["refreshToken"]})).json()
    for token in (session["refreshToken"], fresh["refreshToken"], "forged"):
        assert (await http.post("/auth/refresh", json={"refreshToken": token})).status_code == 401
    assert (await http.get("/auth/profile", headers=_as(fresh))).status_code == 401


@pytest.mark.parametrize("by", ["access", "access without a body", "refresh", "both"])
async def test_logging_out_ends_the_session(http, by):
    session = await _sign_up(http)
    headers = {} if by == "refresh" else _as(session)
    if by == "access without a body":
        headers["Content-Type"] = "application/json"
    body = {"refreshToken": session["refreshToken"]} if by in ("refresh", "both") else None
    answer = await http.post("/auth/logout", headers=headers, json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await http.get("/auth/profile", headers=_as(session))).status_code == 401
    assert (await http.post("/auth/refresh", json={"refreshToken": session["refreshToken"]})).status_code == 401
    assert (await http.post("/auth/logout", headers=_as(session))).status_code == 401


async def test_logging_out_needs_a_token(http):
    assert (await http.post("/auth/logout")).status_code == 401


# --- passwords ---


async def test_a_password_is_changed_by_who_knows_it(http):
    session = await _sign_up(http)
    wrong = {"currentPassword": "wrong", "newPassword": NEW}
    assert _fields(await http.post("/auth/password", headers=_as(session), json=wrong)) == ["currentPassword"]
    right = {"currentPassword": ANNA["password"], "newPassword": NEW}
    assert _fields(await http.post("/auth/password", headers=_as(session), json=right | {"newPassword": "x"})) == [
        "newPassword"
    ]
    assert (await http.post("/auth/password", headers=_as(session), json=right)).status_code == 204
    assert (await http.post("/auth/login", json=ANNA)).status_code == 401
    assert (await http.post("/auth/login", json=ANNA | {"password": NEW})).status_code == 200


async def test_an_admin_issues_a_reset_by_which_a_user_sets_a_password(http, admin):
    await _sign_up(http, email="bob@example.com")
    issued = await http.post("/users/3/password-reset", headers=admin)
    assert issued.status_code == 201
    assert issued.json().keys() == {"token", "expiresAt"}
    assert issued.json()["expiresAt"] == "2026-01-02T00:00:00Z"
    reset = {"token": issued.json()["token"], "newPassword": NEW}
    assert (await http.post("/auth/password/reset", json=reset)).status_code == 204
    assert _fields(await http.post("/auth/password/reset", json=reset)) == ["token"]
    assert (await http.post("/auth/login", json={"email": "bob@example.com", "password": NEW})).status_code == 200


# --- users ---


async def test_admins_make_list_change_and_disable_users(http, admin):
    made = await http.post("/users", headers=admin, json={"email": "bob@example.com", "password": NEW})
    assert made.status_code == 201
    bob = made.json()
    assert bob.keys() == {"id", "email", "role", "disabled", "creationTime"}
    assert (bob["role"], bob["disabled"]) == ("member", False)
    path = f"/users/{bob['id']}"
    listed = (await http.get("/users", headers=admin)).json()
    assert (listed["users"][0], len(listed["users"]), listed["nextCursor"]) == (bob, 2, None)
    session = (await http.post("/auth/login", json={"email": "bob@example.com", "password": NEW})).json()
    changed = await http.patch(path, headers=admin, json={"role": "admin", "disabled": True})
    assert changed.json() == bob | {"role": "admin", "disabled": True}
    assert (await http.get(path, headers=admin)).json() == changed.json()
    assert (await http.get("/auth/profile", headers=_as(session))).status_code == 401
    refused = await http.post("/auth/login", json={"email": "bob@example.com", "password": NEW})
    assert refused.status_code == 403
    assert (await http.patch(path, headers=admin, json={"disabled": False})).json()["disabled"] is False
    assert (await http.post("/auth/login", json={"email": "bob@example.com", "password": NEW})).status_code == 200


async def test_the_last_admin_stays_one(http, admin):
    for change in ({"role": "member"}, {"disabled": True}):
        assert (await http.patch("/users/1", headers=admin, json=change)).status_code == 409


@pytest.mark.parametrize(
    ("body", "field"), [({"role": "boss"}, "role"), ({"disabled": "yes"}, "disabled"), ({"rôle": 1}, "rôle")]
)
async def test_what_is_wrong_with_a_change_is_named(http, admin, body, field):
    assert _fields(await http.patch("/users/1", headers=admin, json=body)) == [field]


# --- API keys ---


async def test_a_key_is_shown_once(http, admin):
    made = await http.post("/api-keys", headers=admin, json={"name": "shop", "scopes": ["tasks", "contacts"]})
    assert made.status_code == 201
    key = made.json().pop("key")
    shown = {name: value for name, value in made.json().items() if name != "key"}
    assert shown["scopes"] == ["contacts", "tasks"]
    assert shown["hint"] == key[-4:]
    listed = await http.get("/api-keys", headers=admin)
    assert listed.json() == {"apiKeys": [shown], "nextCursor": None}
    assert key not in listed.text
    assert (await http.get(f"/api-keys/{shown['id']}", headers=admin)).json() == shown
    assert (await http.delete(f"/api-keys/{shown['id']}", headers=admin)).status_code == 204
    assert (await http.get(f"/api-keys/{shown['id']}", headers=admin)).json()["revokedAt"] == "2026-01-01T00:00:00Z"
    assert (await http.delete("/api-keys/99", headers=admin)).status_code == 404


async def test_a_key_makes_no_keys_and_changes_no_password(http, admin):
    made = await http.post("/api-keys", headers=admin, json={"name": "shop", "scopes": list(Scope)})
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    for method, path in (("GET", "/api-keys"), ("GET", "/auth/profile"), ("GET", "/users"), ("POST", "/auth/logout")):
        assert (await http.request(method, path, headers=headers)).status_code == 403, path


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["tasks"]}, "name"),
        ({"name": " ", "scopes": ["tasks"]}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["everything"]}, "scopes.0"),
        ({"name": "x", "scopes": ["tasks"], "scope": "tasks"}, "scope"),
    ],
)
async def test_what_is_wrong_with_a_key_is_named(http, admin, body, field):
    assert _fields(await http.post("/api-keys", headers=admin, json=body)) == [field]


# --- audit ---


async def test_admins_read_who_changed_what(http, admin):
    made = await http.post("/api-keys", headers=admin, json={"name": "shop", "scopes": ["tasks"]})
    await http.delete(f"/api-keys/{made.json()['id']}", headers=admin)
    page = (await http.get("/audit", headers=admin, params={"object": "api key", "limit": 1, "userId": 1})).json()
    [entry] = page["entries"]
    assert entry.pop("at").endswith("Z")
    assert entry == {
        "id": 3,
        "userId": 1,
        "apiKeyId": None,
        "action": "revoked",
        "object": "api key",
        "objectId": made.json()["id"],
        "detail": {},
    }
    older = await http.get("/audit", headers=admin, params={"object": "api key", "cursor": page["nextCursor"]})
    assert [one["detail"] for one in older.json()["entries"]] == [{"scopes": ["tasks"]}]
    assert (await http.get("/audit", headers=admin, params={"userId": 2})).json()["entries"] == []
