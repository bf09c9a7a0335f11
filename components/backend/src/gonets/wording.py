"""What is wrong with a value, in words that say what would be right: of pydantic's errors, for every edge alike."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

Location = tuple[int | str, ...]

_TIME = "must be a time such as 2026-01-31T12:00:00Z"
_WORDS: Mapping[str, str] = {
    "missing": "must be given",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "timezone_aware": "must say its time zone, as in 2026-01-31T12:00:00Z",
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
}
"""By type of error (https://docs.pydantic.dev/latest/errors/validation_errors/)."""


def reason(detail: Mapping[str, Any], known: Sequence[str] = ()) -> str:
    """`detail`: as a ValidationError lists it. `known`: the keys that would be right beside this one."""
    kind, context = detail["type"], detail.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return _unknown(str(detail["loc"][-1]), known)
        case "json_invalid":
            return f"no valid JSON: {context.get('error', detail['msg'])}"
        case "too_short" | "too_long" if isinstance(detail.get("input"), str):
            # Of a text that was checked otherwise before, pydantic says "Value" and "items".
            few = kind == "too_short"
            count = context["min_length" if few else "max_length"]
            return f"must have at {'least' if few else 'most'} {count} character{'' if count == 1 else 's'}"
    words = _WORDS.get(kind) or detail["msg"].removeprefix("Value error, ")
    return re.sub(r"^\w+ should ", "must ", words)


def _unknown(key: str, known: Sequence[str]) -> str:
    if near := get_close_matches(key, known, n=2):
        return f"is not known here; near is {' or '.join(near)}"
    return f"is not known here; known are {', '.join(known)}" if known else "is not known here"


def place(detail: Mapping[str, Any]) -> Location:
    """Where it is, without the name of the type that was tried, where there are several."""
    where: Location = tuple(detail["loc"])
    return where[:-1] if detail["type"] in {"string_type", "int_type"} and where[-1:] in {("str",), ("int",)} else where


def keys(model: type[BaseModel] | None, where: Location) -> Sequence[str]:
    """What an object at this place may have, by the names on the wire; nothing where that is not known."""
    for part in where:
        if model is None:
            return ()
        if isinstance(part, str):
            model = _within(model, part)
    return [field.alias or name for name, field in model.model_fields.items()] if model else ()


def _within(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    found = next((field for name, field in model.model_fields.items() if key in (name, field.alias)), None)
    types = () if found is None else (found.annotation, *get_args(found.annotation))
    return next((one for one in types if isinstance(one, type) and issubclass(one, BaseModel)), None)


def merged(wrong: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Fields and reasons, each field once: of one that may be this or that, both are said."""
    reasons: dict[str, list[str]] = {}
    for field, why in wrong:
        reasons.setdefault(field, []).append(why)
    return [(field, " or ".join(dict.fromkeys(found))) for field, found in reasons.items()]
