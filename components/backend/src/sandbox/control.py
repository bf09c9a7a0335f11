"""The control API under /control: faults, switches, the journal, the inbox, reset."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.faults import GRPC_TO_HTTP, SMPP_STATUSES, Fault
from sandbox.provider import Desk, Provider, to_json

FILTERS = ("provider", "operation", "input", "outcome")
INBOX_FILTERS = ("provider", "to")


class InvalidError(Exception):
    """What was sent to the control API cannot be used."""

    def __init__(self, *errors: tuple[str, str], status: int = 422) -> None:
        super().__init__(errors)
        self.answer = web.Response(
            body=to_json({"errors": [{"field": field, "message": message} for field, message in errors]}),
            status=status,
            content_type="application/json",
        )


class Reply(BaseModel):
    """The body of `POST /control/replies/{provider}`: what a person writes back, from which number."""

    model_config = ConfigDict(extra="forbid")

    sender: str
    text: str


class Control:
    def __init__(self, desk: Desk, providers: Sequence[Provider[Any]]) -> None:
        self._desk = desk
        self._providers = {provider.name: provider for provider in providers}

    def routes(self) -> Sequence[web.RouteDef]:
        return (
            web.get("/control/faults", _json(self._faults)),
            web.delete("/control/faults", _json(self._clear_faults)),
            web.put("/control/faults/{provider}", _json(self._set_fault)),
            web.get("/control/settings", _json(self._settings)),
            web.put("/control/settings/{provider}", _json(self._set_settings)),
            web.get("/control/journal", _json(self._journal)),
            web.get("/control/journal/count", _json(self._count)),
            web.delete("/control/journal", _json(self._clear_journal)),
            web.get("/control/inbox", _json(self._inbox)),
            web.delete("/control/inbox", _json(self._clear_inbox)),
            web.post("/control/replies/{provider}", _json(self._reply)),
            web.post("/control/reset", _json(self._reset)),
        )

    def _faults(self, _request: web.Request, _body: Any) -> Any:
        return self._desk.faults.describe()

    def _set_fault(self, request: web.Request, body: Any) -> Any:
        provider = self._provider(request)
        fault = _validated(Fault.model_validate, body)
        if fault.kind in GRPC_TO_HTTP and not provider.speaks_grpc:
            raise InvalidError(("kind", f"{provider.name} does not speak gRPC"))
        if fault.kind in SMPP_STATUSES and not provider.speaks_smpp:
            raise InvalidError(("kind", f"{provider.name} does not speak SMPP"))
        if fault.operation not in (None, *provider.operations):
            raise InvalidError(("operation", f"{fault.operation!r} is none of {', '.join(provider.operations)}"))
        return self._desk.faults.set(provider.name, fault).describe()

    def _clear_faults(self, _request: web.Request, _body: Any) -> Any:
        self._desk.faults.clear()
        return self._desk.faults.describe()

    def _settings(self, _request: web.Request, _body: Any) -> Any:
        return {name: provider.settings.model_dump() for name, provider in self._providers.items()}

    def _set_settings(self, request: web.Request, body: Any) -> Any:
        provider = self._provider(request)
        _validated(provider.configure, body)
        return provider.settings.model_dump()

    def _journal(self, request: web.Request, _body: Any) -> Any:
        limit = _number(request, "limit", 100)
        return self._desk.journal.listing(limit, **self._filters(request))

    def _count(self, request: web.Request, _body: Any) -> Any:
        return self._desk.journal.counts(**self._filters(request))

    def _clear_journal(self, _request: web.Request, _body: Any) -> Any:
        self._desk.journal.clear()
        return {"cleared": True}

    def _inbox(self, request: web.Request, _body: Any) -> Any:
        limit = _number(request, "limit", 100)
        return self._desk.inbox.listing(limit, **self._filters(request, INBOX_FILTERS))

    def _clear_inbox(self, _request: web.Request, _body: Any) -> Any:
        self._desk.inbox.clear()
        return {"cleared": True}

    def _reply(self, request: web.Request, body: Any) -> Any:
        provider, reply = self._provider(request), _validated(Reply.model_validate, body)
        if not provider.reply(reply.sender, reply.text):
            raise InvalidError(("provider", f"{provider.name} does not know whom to bring it to"))
        return {"replied": True}

    def _reset(self, _request: web.Request, _body: Any) -> Any:
        self._desk.faults.clear()
        self._desk.journal.clear()
        self._desk.inbox.clear()
        for provider in self._providers.values():
            provider.reset()
        return {"reset": True}

    def _provider(self, request: web.Request) -> Provider[Any]:
        return self._known(request.match_info["provider"], 404)

    def _known(self, name: str, status: int) -> Provider[Any]:
        if name not in self._providers:
            raise InvalidError(("provider", f"{name!r} is none of {', '.join(self._providers)}"), status=status)
        return self._providers[name]

    def _filters(self, request: web.Request, known: Sequence[str] = FILTERS) -> dict[str, str | int | None]:
        unknown = sorted(set(request.query) - {*known, "since", "limit"})
        if unknown:
            raise InvalidError(*((name, "no such filter") for name in unknown))
        if "provider" in request.query:
            self._known(request.query["provider"], 422)
        return {"since": _number(request, "since", 0), **{name: request.query.get(name) for name in known}}


def _json(answering: Callable[[web.Request, Any], Any]) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        try:
            body = _validated(json.loads, await request.read() or b"null")
            return web.Response(body=to_json(answering(request, body)), content_type="application/json")
        except InvalidError as error:
            return error.answer

    return handle


def _validated(function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except ValidationError as error:
        raise InvalidError(*map(_field_and_message, error.errors())) from error
    except (ValueError, RecursionError) as error:
        raise InvalidError(("body", f"not JSON: {error}"), status=400) from error


def _field_and_message(error: Any) -> tuple[str, str]:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["loc"]:
        return str(error["loc"][0]), message
    field, colon, rest = message.partition(": ")  # what concerns two fields names the one to change
    return (field, rest) if colon else ("body", message)


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise InvalidError((name, f"{text!r} is not a whole number"))
    return int(text)
