"""Errors as problem documents (RFC 9457): the one table from categories to statuses."""

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from gonets import wording
from gonets.core.shared.errors import (
    Category,
    GonetsError,
    Invalid,
    InvalidFields,
    Taken,
    Throttled,
    Unauthenticated,
    Unavailable,
    Unexplained,
)
from gonets.wording import keys, merged, place

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 1  # seconds
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
ASKED = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
"""What whoever asks for something may be told."""
OWN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, *ASKED)
"""And where it is somebody's own."""
ONE = (HTTPStatus.NOT_FOUND, *OWN)
"""And where it is one of them."""

_STATUS: Mapping[Category, HTTPStatus] = {
    Category.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Category.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Category.CONFLICT: HTTPStatus.CONFLICT,
    Category.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Category.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Category.THROTTLED: HTTPStatus.TOO_MANY_REQUESTS,
    Category.UNAVAILABLE: HTTPStatus.BAD_GATEWAY,
    Category.QUOTA_EXHAUSTED: HTTPStatus.BAD_GATEWAY,
    Category.REFUSED: HTTPStatus.BAD_GATEWAY,
    Category.POISON: HTTPStatus.BAD_GATEWAY,
    Category.MISCONFIGURED: HTTPStatus.BAD_GATEWAY,
    Category.OUTCOME_UNKNOWN: HTTPStatus.GATEWAY_TIMEOUT,
}


class FieldError(BaseModel):
    """One thing that is wrong with the request."""

    field: Annotated[str, Field(description="Where, with dots between the levels", examples=["task_id"])]
    reason: Annotated[str, Field(description="What would be right")]
    id: Annotated[int | None, Field(description="Of the object that has this value already")] = None


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: Annotated[str, Field(examples=["urn:gonets:problem:invalid"])]
    title: str
    status: int
    detail: Annotated[str, Field(description="A sentence for a person")]
    category: Annotated[str, Field(examples=["invalid"])]
    errors: list[FieldError] | None = None


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI document of a route."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    documented: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        documented[int(status)] = {"description": status.phrase, "content": content}
        if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            documented[int(status)]["headers"] = {
                "Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}
            }
    return documented


def guarded(guards: Sequence[object]) -> dict[int | str, dict[str, Any]]:
    """What a router's guards answer."""
    return responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) if guards else {}


def install(app: FastAPI) -> None:
    """Every error of the application leaves as a problem document."""
    app.add_exception_handler(GonetsError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)


def problem(
    status: HTTPStatus, category: str, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] = {}
) -> JSONResponse:
    document = Problem(
        type=f"urn:gonets:problem:{category}",
        title=status.phrase,
        status=status,
        detail=detail,
        category=category,
        errors=list(errors) or None,
    )
    return JSONResponse(document.model_dump(exclude_none=True), status, headers=dict(headers), media_type=MEDIA_TYPE)


async def _on_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GonetsError)  # noqa: S101 - what it is registered for
    return of(error)


def of(error: GonetsError) -> JSONResponse:
    if isinstance(error, Unavailable):  # ours, not a provider's
        if isinstance(error, Unexplained):
            log.error("the database refused", extra={"reason": error.reason}, exc_info=error)
        headers = {"Retry-After": str(RETRY_AFTER)}
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, error.category, error.reason, headers=headers)
    headers = {}
    if isinstance(error, Throttled):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="gonets"'
    detail = f"{error.field}: {error.reason}" if isinstance(error, Invalid) else error.reason
    return problem(_STATUS[error.category], error.category, detail, _fields(error), headers)


def _fields(error: GonetsError) -> Sequence[FieldError]:
    match error:
        case Invalid(field=field, reason=reason):
            return [FieldError(field=field, reason=reason)]
        case InvalidFields(wrong=wrong):
            return [FieldError(field=field, reason=reason) for field, reason in wrong]
        case Taken(field=field, holder=holder):
            return [FieldError(field=field, reason=f"must be nobody else's: {holder} has it", id=holder)]
    return []


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    body = _body(request)
    # The input itself is not repeated: it may hold what no answer can carry, lone surrogates for one.
    wrong = merged((_field(place(detail)), _reason(detail, body)) for detail in error.errors())
    errors = [FieldError(field=field, reason=reason) for field, reason in wrong]
    detail = "; ".join(f"{one.field}: {one.reason}" for one in errors)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, Category.INVALID, detail, errors)


def _field(location: Sequence[int | str]) -> str:
    parts = [str(part) for part in location]
    return ".".join(parts[1:] if len(parts) > 1 and parts[1] and not parts[1].isdecimal() else parts[:1])


def _body(request: Request) -> type[BaseModel] | None:
    """The model of the route's body."""
    field = getattr(request.scope.get("route"), "body_field", None)
    types = () if field is None else (field.field_info.annotation, *get_args(field.field_info.annotation))
    return next((one for one in types if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _reason(detail: Mapping[str, Any], body: type[BaseModel] | None) -> str:
    if isinstance(detail.get("input"), bytes):
        # The framework's word for a body that it did not even try to read.
        return "must be sent with Content-Type: application/json"
    where = place(detail)
    return wording.reason(detail, keys(body, where[1:-1]) if where[0] == "body" else ())


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    category = Category.NOT_FOUND if status is HTTPStatus.NOT_FOUND else Category.INVALID
    return problem(status, category, str(error.detail), headers=headers)


def _methods(request: Request) -> set[str]:
    """All that this path takes; Starlette names those of the first route only."""
    asked = {method: dict(request.scope) | {"method": method} for method in _METHODS}
    return {
        method
        for method, scope in asked.items()
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    }


async def _on_bug(_: Request, __: Exception) -> JSONResponse:
    # Starlette raises it again for the log, after this answer.
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "an error of ours; it is in the log")
