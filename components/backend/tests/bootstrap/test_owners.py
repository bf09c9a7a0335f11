"""Every route of the OpenAPI document, walked with an object that exists: by its owner, by strangers, by nobody.

A new resource is a line in MADE, how its owner makes one, and a line in BODIES for each operation that has a body. A
route that is in none of the tables is walked all the same, and asked for credentials.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from gonets.adapters.http.security import Security
from gonets.core.channels.linking import Heard
from gonets.core.identity.model import Scope

ABSENT = 2**62
MARK = "mark-of-the-owner"
PASSWORD = "correct horse battery"

Make = Callable[["Client"], Awaitable[dict[str, Any]]]
"""Makes an object and returns the parameters of its path."""


class Client(httpx.AsyncClient):
    """Somebody with credentials, or without."""

    async def made(self, path: str, body: Mapping[str, Any]) -> int:
        answer = await self.post(path, json=body)
        assert answer.is_success, answer.text
        made: int = answer.json()["id"]
        return made


def makes(parameter: str, path: str, body: Mapping[str, Any]) -> Make:
    async def make(client: Client) -> dict[str, Any]:
        return {parameter: await client.made(path, body)}

    return make


_WEBHOOK = {"name": MARK, "type": "WEBHOOK", "configuration": {"url": "https://127.0.0.1:9/hook"}, "isDefault": True}
_NOTIFICATION = {"recipient": {"email": "anna@example.com"}, "message": MARK, "send": False}
_CONTACT = {"name": MARK}
_TEMPLATE = {"name": "mine", "body": f"{MARK}, {{{{ name | default('x') }}}}"}
_FILE = b"phone\n+79161234567\n"
_USER = {"email": "made@example.com", "password": PASSWORD}


_numbers = itertools.count(1)


async def _user(client: Client) -> dict[str, Any]:
    return {"user_id": await client.made("/api/v1/users", _USER | {"email": f"made{next(_numbers)}@example.com"})}


async def _suppression(client: Client) -> dict[str, Any]:
    answer = await client.post("/api/v1/suppressions", json={"address": f"{MARK}{next(_numbers)}@example.com"})
    return {"suppression_id": answer.json()["suppressions"][0]["id"]}


async def _template(client: Client) -> dict[str, Any]:
    return {"template_id": await client.made("/api/v1/templates", _TEMPLATE | {"name": f"{MARK} {next(_numbers)}"})}


async def _cancelled(client: Client) -> dict[str, Any]:
    made = await client.made("/api/v1/notifications", _NOTIFICATION)
    assert (await client.post(f"/api/v1/notifications/{made}/cancel")).is_success
    return {"notification_id": made}


async def _import(client: Client) -> dict[str, Any]:
    path, headers = f"/api/v1/contacts/imports?fileName={MARK}", {"Content-Type": "text/csv"}
    answer = await client.post(path, content=_FILE, headers=headers)
    assert answer.is_success, answer.text
    return {"import_id": answer.json()["id"]}


_notification = makes("notification_id", "/api/v1/notifications", _NOTIFICATION)


async def _contact(client: Client) -> dict[str, Any]:
    # No two contacts of one owner's have one phone.
    phone = f"8 916 823 {next(_numbers):04}"
    return {"contact_id": await client.made("/api/v1/contacts", _CONTACT | {"phone": phone})}


async def _audience(client: Client) -> dict[str, Any]:
    body = {"name": f"{MARK} {next(_numbers)}", "filter": {}}
    return {"audience_id": await client.made("/api/v1/audiences", body)}


_CAMPAIGN = {"name": MARK, "text": MARK}


def _campaign(*steps: str) -> Make:
    """One that its owner has taken so far."""

    async def make(client: Client) -> dict[str, Any]:
        made = await client.made("/api/v1/campaigns", _CAMPAIGN)
        for step in steps:
            assert (await client.post(f"/api/v1/campaigns/{made}/{step}")).is_success
        return {"campaign_id": made}

    return make


MADE: Mapping[str, Make] = {
    "/api/v1/contacts": _contact,
    "/api/v1/audiences": _audience,
    "/api/v1/contacts/imports": _import,
    "/api/v1/api-keys": makes("key_id", "/api/v1/api-keys", {"name": MARK, "scopes": ["tasks"]}),
    "/api/v1/users": _user,
    "/api/v1/notifications/channels": makes("channel_id", "/api/v1/notifications/channels", _WEBHOOK),
    "/api/v1/notifications": _notification,
    "/api/v1/notifications/{notification_id}/retry": _cancelled,
    "/api/v1/campaigns": _campaign(),
    "/api/v1/campaigns/{campaign_id}/pause": _campaign("start"),
    "/api/v1/campaigns/{campaign_id}/resume": _campaign("start", "pause"),
    "/api/v1/campaigns/{campaign_id}/events": _campaign("cancel"),
    "/api/v1/send-notification": _template,
    "/api/v1/templates": _template,
    "/api/v1/suppressions": _suppression,
}
"""By the beginning of the path; the longest counts."""

BODIES: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "POST /api/v1/tasks": lambda _: {"task_id": 1, "task_type": "phone", "data": "8 916 823 34 54"},
    "POST /api/v1/failed/tasks/replay": lambda _: {"all": True},
    "POST /api/v1/failed/tasks/drop": lambda _: {"all": True},
    "POST /api/v1/failed/messages/replay": lambda _: {"all": True},
    "POST /api/v1/failed/messages/drop": lambda _: {"all": True},
    "POST /api/v1/auth/password": lambda _: {"currentPassword": PASSWORD, "newPassword": PASSWORD},
    "POST /api/v1/users": lambda _: _USER | {"email": "another@example.com"},
    "PATCH /api/v1/users/{user_id}": lambda _: {"disabled": True},
    "POST /api/v1/api-keys": lambda _: {"name": "mine", "scopes": ["contacts"]},
    "POST /api/v1/contacts": lambda _: {"name": "mine"},
    "PUT /api/v1/contacts/{contact_id}": lambda _: {"name": "changed"},
    "PATCH /api/v1/contacts/{contact_id}": lambda _: {"name": "changed"},
    "POST /api/v1/contacts/tags": lambda made: {"ids": [made["contact_id"]], "add": ["stolen"]},
    "POST /api/v1/contacts/enrich": lambda made: {"ids": [made["contact_id"]]},
    "POST /api/v1/audiences": lambda _: {"name": "mine", "filter": {}},
    "PUT /api/v1/audiences/{audience_id}": lambda _: {"name": "changed", "filter": {}},
    "POST /api/v1/audiences/count": lambda _: {"audience": {}},
    "POST /api/v1/contacts/imports": lambda _: _FILE,
    "POST /api/v1/contacts/imports/preview": lambda _: _FILE,
    "POST /api/v1/notifications/channels": lambda _: _WEBHOOK | {"name": "mine"},
    "PUT /api/v1/notifications/channels/{channel_id}": lambda _: {"name": "changed"},
    "PATCH /api/v1/notifications/channels/{channel_id}": lambda _: {"name": "changed"},
    "POST /api/v1/notifications": lambda _: _NOTIFICATION | {"message": "mine"},
    "POST /api/v1/notifications/send": lambda made: {"ids": [made["notification_id"]]},
    "POST /api/v1/campaigns": lambda _: {"name": "mine", "text": "mine"},
    "PATCH /api/v1/campaigns/{campaign_id}": lambda _: {"name": "changed"},
    "POST /api/v1/templates": lambda _: {"name": "mine", "body": "mine"},
    "PUT /api/v1/templates/{template_id}": lambda _: {"name": "changed", "body": "changed"},
    "PATCH /api/v1/templates/{template_id}": lambda _: {"body": "changed"},
    "POST /api/v1/templates/{template_id}/preview": lambda _: {},
    "POST /api/v1/suppressions": lambda _: {"address": "mine@example.com"},
}

PUBLIC = {
    "POST /api/v1/auth/signup": "makes the first credentials",
    "POST /api/v1/auth/login": "the password is the credential",
    "POST /api/v1/auth/refresh": "the refresh token is the credential",
    "POST /api/v1/auth/password/reset": "the reset token is the credential",
    "POST /api/v1/callbacks/twilio/{reference}": "the provider's signature is the credential",
    "POST /api/v1/callbacks/twilio/{channel_id}/incoming": "the provider's signature is the credential",
    "GET /health/live": "says nothing of anybody",
    "GET /health/ready": "says nothing of anybody",
}
"""Why each may be asked by anybody."""

ADMINS = ("/api/v1/users", "/api/v1/audit", "/api/v1/failed/messages")
TASKS = ("/api/v1/tasks", "/api/v1/failed")
"""One shared namespace: whoever has the scope has all of it."""

ABSENT_TO_ALL = {
    "GET /api/v1/tasks/{task_id}",
    "GET /api/v1/failed/tasks/{task_id}",
    "GET /api/v1/failed/messages/{message_id}",
}
"""Objects that only a worker can bring about: 404 is as good as 200 where credentials are concerned."""


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.method} {self.path}")

    @property
    def make(self) -> Make | None:
        found = [start for start in MADE if f"{self.path}/".startswith(f"{start}/")]
        return MADE[max(found, key=len)] if found else None

    def body(self, parameters: dict[str, Any]) -> Any:
        return BODIES[self.name](parameters) if self.name in BODIES else None

    async def ask(self, client: Client, parameters: dict[str, Any]) -> httpx.Response:
        known = {"task_id": ABSENT, "message_id": "m0123456789abcdef", "version": 1}
        path = self.path.format(**(known | parameters))
        body, headers = self.body(parameters), {"Prefer": "respond-async"}
        if isinstance(body, bytes):
            return await client.request(self.method, path, content=body, headers=headers | {"Content-Type": "text/csv"})
        return await client.request(self.method, path, json=body, headers=headers)


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        yield from (Operation(method.upper(), path) for method in methods)


@dataclass
class People:
    """Who walks. None of them but the admin is one."""

    admin: Client
    owner: Client
    stranger: Client
    nobody: Client
    forger: Client
    with_scope: Client
    without_scope: Client
    newcomer: Callable[[], Awaitable[Client]]
    """For routes that end one's sessions."""


class FakeBots:
    """Implements Bots: Telegram is not asked here."""

    async def name(self, token: str) -> str:
        return "some_bot"

    async def hear(self, token: str, place: int) -> Heard:
        return Heard((), place)


@pytest.fixture
async def walk(container: Any) -> AsyncIterator[tuple[Any, People]]:
    """The application as in production, where tasks ask for credentials too."""
    container.security.override(Security(container.people().authenticate, tasks_open=False))
    container.senders().bots = FakeBots()
    app = container.app()
    await container.operator_pool().open()
    clients: list[Client] = []

    def client(**headers: str) -> Client:
        clients.append(Client(transport=httpx.ASGITransport(app), base_url="http://gonets", headers=headers))
        return clients[-1]

    async def signed_up(name: str) -> Client:
        credentials = {"email": f"{name}@example.com", "password": PASSWORD}
        answer = await client().post("/api/v1/auth/signup", json=credentials)
        return client(Authorization=f"Bearer {answer.json()['accessToken']}")

    async def newcomer() -> Client:
        return await signed_up(f"newcomer{len(clients)}")

    async def key(owner: Client, *scopes: Scope) -> Client:
        answer = await owner.post("/api/v1/api-keys", json={"name": "walk", "scopes": scopes})
        return client(**{"X-API-Key": answer.json()["key"]})

    admin, owner, stranger = [await signed_up(name) for name in ("admin", "owner", "stranger")]
    yield (
        app,
        People(
            admin=admin,
            owner=owner,
            stranger=stranger,
            nobody=client(),
            forger=client(Authorization="Bearer forged"),
            with_scope=await key(owner, *Scope),
            without_scope=await key(admin, Scope.CONTACTS),
            newcomer=newcomer,
        ),
    )
    for each in clients:
        await each.aclose()
    await container.publisher().close()
    await container.queues().close()
    await container.operator_pool().close()


async def test_every_route_knows_its_owner_from_strangers_and_from_nobody(walk: tuple[Any, People]) -> None:
    app, people = walk
    document = app.openapi()
    walked = [one for one in operations(document) if one.name not in PUBLIC]
    assert len(walked) > 30
    wrong: list[str] = []
    for operation in walked:
        wrong += [f"{operation.name}: {words}" for words in await _walk(operation, document["paths"], people)]
    assert not wrong, "\n".join(wrong)


async def _walk(operation: Operation, paths: Mapping[str, Any], people: People) -> list[str]:
    owner = people.admin if operation.path.startswith(ADMINS) else people.owner
    parameters = await operation.make(owner) if operation.make else {}
    if operation.path.startswith("/api/v1/auth/"):
        owner = await people.newcomer()
    wrong = []
    for client in (people.nobody, people.forger):
        answer = await operation.ask(client, parameters)
        if answer.status_code != 401 or answer.headers.get("WWW-Authenticate") != 'Bearer realm="gonets"':
            wrong.append(f"answers {answer.status_code} without credentials that are good")
    if operation.path.startswith(ADMINS):
        answer = await operation.ask(people.stranger, parameters)
        wrong += [f"answers {answer.status_code} to a member"] if answer.status_code != 403 else []
    elif operation.path.startswith(TASKS):
        answer = await operation.ask(people.without_scope, parameters)
        wrong += [f"answers {answer.status_code} to a key without the scope"] if answer.status_code != 403 else []
        owner = people.with_scope
    elif parameters:
        named = f"{{{next(iter(parameters))}}}"
        [itself] = [Operation("GET", path) for path, ways in paths.items() if path.endswith(named) and "get" in ways]
        before = (await itself.ask(owner, parameters)).text
        for stranger in (people.stranger, people.admin):
            wrong += await _as_if_absent(operation, stranger, parameters)
        if before != (await itself.ask(owner, parameters)).text:
            wrong.append("lets a stranger change it")
    answer = await operation.ask(owner, parameters)
    if not answer.is_success and not (operation.name in ABSENT_TO_ALL and answer.status_code == 404):
        wrong.append(f"answers {answer.status_code} to its owner: {answer.text}")
    return wrong


async def _as_if_absent(operation: Operation, stranger: Client, parameters: dict[str, Any]) -> list[str]:
    """What a stranger is told of the object is what is told of one that nobody has."""
    told = await operation.ask(stranger, parameters)
    nowhere = dict.fromkeys(parameters, ABSENT)
    absent = await operation.ask(stranger, nowhere)
    wrong = ["shows the object to a stranger"] if MARK in told.text else []
    if "{" in operation.path and told.status_code != 404:
        wrong.append(f"answers {told.status_code} to a stranger")
    if "{" in operation.path or operation.body(parameters) != operation.body(nowhere):
        [number] = parameters.values()
        if (told.status_code, _without(told, number)) != (absent.status_code, _without(absent, ABSENT)):
            wrong.append(f"tells a stranger that it is there: {told.text} {absent.text}")
    return wrong


def _without(answer: httpx.Response, number: int) -> tuple[str, Any]:
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return answer.text.replace(str(number), "…"), headers


async def test_the_tables_speak_of_routes_that_are_there(container: Any) -> None:
    known = {operation.name for operation in operations(container.app().openapi())}
    assert (BODIES.keys() | PUBLIC.keys() | ABSENT_TO_ALL) <= known
