"""Bodies as providers read them: JSON, or a form."""

import json
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web


def json_object(body: bytes) -> dict[str, Any] | None:
    """None where it is no JSON object."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def form(body: bytes) -> dict[str, str]:
    """The last value of each name."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def any_form(request: web.Request, body: bytes) -> dict[str, Any]:
    """The query, and over it a body of either kind."""
    found: dict[str, Any] = dict(request.query)
    return found | (json_object(body) or {} if request.content_type == "application/json" else form(body))


def text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
