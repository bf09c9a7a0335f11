"""Audiences: which of an owner's contacts are meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gonets.core.shared.errors import InvalidFields
from gonets.core.shared.json import JSON

MOST_VALUES = 100
"""In one list of an audience."""
LONGEST_TAG = 100
LONGEST_AUDIENCE_NAME = 200
_TAGS = {"any": "tags_any", "all": "tags_all", "none": "tags_none"}
_LISTS = {"operatorCodes": "operator_codes", "timezones": "timezones"}


@dataclass(frozen=True, slots=True)
class Audience:
    """Who has any of these tags, all of those and none of the others, and one of the operator codes, and one of the
    time zones. What is empty asks for nothing, so an empty audience is everybody."""

    tags_any: tuple[str, ...] = ()
    tags_all: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    operator_codes: tuple[str, ...] = ()
    timezones: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """As it is written on the wire and in tables; `audience_of` reads it."""
        return {
            "tags": {"any": list(self.tags_any), "all": list(self.tags_all), "none": list(self.tags_none)},
            "operatorCodes": list(self.operator_codes),
            "timezones": list(self.timezones),
        }


EVERYBODY = Audience()


def audience_of(value: JSON, field: str = "audience") -> Audience:
    """The audience that JSON describes; what is left out, or null, asks for nothing. Raises InvalidFields, with the
    path of each part that is wrong."""
    wrong: list[tuple[str, str]] = []
    found = EVERYBODY
    for path, name, part in _parts(value, field, wrong):
        if isinstance(part, list) and len(part) <= MOST_VALUES and all(_is_value(one) for one in part):
            # Sorted and once each: two ways to write one audience are one value.
            found = replace(found, **{name: tuple(sorted({str(one).strip() for one in part}))})
        else:
            wrong.append((path, f"must be a list of at most {MOST_VALUES} texts of 1 to {LONGEST_TAG} characters"))
    if wrong:
        raise InvalidFields(wrong)
    return found


def _parts(value: JSON, field: str, wrong: list[tuple[str, str]]) -> Sequence[tuple[str, str, JSON]]:
    """Each list that is there: where it is, its name in Audience, and what it holds."""
    outer = _object(value, field, {"tags", *_LISTS}, wrong)
    tags = _object(outer.get("tags"), f"{field}.tags", set(_TAGS), wrong)
    parts = [(f"{field}.tags.{key}", name, tags.get(key)) for key, name in _TAGS.items()]
    parts += [(f"{field}.{key}", name, outer.get(key)) for key, name in _LISTS.items()]
    return [part for part in parts if part[2] is not None]


def _object(value: JSON, path: str, known: set[str], wrong: list[tuple[str, str]]) -> Mapping[str, JSON]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        wrong.append((path, f"must be an object with any of {', '.join(sorted(known))}"))
        return {}
    wrong += [(f"{path}.{key}", f"is not known; known are {', '.join(sorted(known))}") for key in value.keys() - known]
    return value


def _is_value(value: JSON) -> bool:
    return isinstance(value, str) and 1 <= len(value.strip()) <= LONGEST_TAG and value.isprintable()


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedAudience:
    """An audience with a name. It is asked anew each time: whoever gets its tags later is in it."""

    id: int
    name: str
    filter: Audience
    created_at: datetime
    updated_at: datetime
