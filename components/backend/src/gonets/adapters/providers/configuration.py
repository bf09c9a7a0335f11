"""Configurations of channels as pydantic models: checked, complete with defaults, and described by a JSON Schema.

A model lists its keys in snake_case; on the wire they are camelCase. What is not listed is refused. A key that is left
out and one that is null are the same.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gonets.core.shared.errors import InvalidFields
from gonets.core.shared.json import JSON
from gonets.wording import keys, merged, place, reason

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Configuration(BaseModel):
    """What all of them have in common: types are not bent, except where a field says so."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
        frozen=True,
        loc_by_alias=True,
        strict=True,
    )


class WriteOnly:
    """Marks a secret in the JSON Schema."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "writeOnly": True}


class Destination:
    """Marks a key that decides who is told the secrets, or who can listen; outermost in its annotation."""


@dataclass(frozen=True)
class Like:
    """To annotate a string that must match the whole pattern; `words` say so to a person."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise ValueError(self.words)
        return value


def _printable(value: str) -> str:
    if any(character < " " or character == "\x7f" for character in value):
        raise ValueError("must not contain control characters")
    return value


def _number(value: object) -> object:
    # A form sends what was typed into it.
    if isinstance(value, str):
        try:
            return int(value) if value.strip().isdecimal() else float(value)
        except ValueError:
            return value
    return value


# A pasted value often comes with a space or a newline.
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), AfterValidator(_printable)
]
Secret = Annotated[Text, WriteOnly]
SecretMap = Annotated[dict[str, str], WriteOnly]
Number = BeforeValidator(_number)
"""To annotate an int or a float that may come as a string, too; after its limits."""

M = TypeVar("M", bound=Configuration)


def wrong(field: str, reason: str) -> PydanticCustomError:
    """For validators of a whole model: which field, by its name on the wire, and what would be right."""
    return PydanticCustomError("field", "{reason}", {"field": field, "reason": reason})


class Configured(Generic[M]):
    """The part of a ChannelKind that a model of its configuration answers."""

    schema: Mapping[str, JSON]
    secrets: frozenset[str]
    destinations: frozenset[str]

    def __init__(self, model: type[M]) -> None:
        self._model = model
        self.schema = _schema(model)
        self.secrets = frozenset(
            name for name, about in _properties(self.schema).items() if isinstance(about, dict) and "writeOnly" in about
        )
        self.destinations = frozenset(
            about.alias or name for name, about in model.model_fields.items() if Destination in about.metadata
        )

    def check(self, configuration: Mapping[str, JSON]) -> dict[str, JSON]:
        checked: dict[str, JSON] = self.read(configuration).model_dump(mode="json", by_alias=True, exclude_none=True)
        return checked

    def destination(self, configuration: Mapping[str, JSON]) -> str | None:  # noqa: ARG002
        """None of its own: it goes to the recipient. Kinds that have one say so themselves."""
        return None

    def read(self, configuration: Mapping[str, JSON]) -> M:
        """Raises InvalidFields."""
        given = {name: value for name, value in configuration.items() if value is not None}
        try:
            return self._model.model_validate(given)
        except ValidationError as error:
            raise InvalidFields(merged(_wrong(detail, self._model) for detail in error.errors())) from None


def _wrong(detail: Any, model: type[Configuration]) -> tuple[str, str]:
    if detail["type"] == "field":
        return f"configuration.{detail['ctx']['field']}", detail["ctx"]["reason"]
    where = place(detail)
    return ".".join(["configuration", *map(str, where)]), reason(detail, keys(model, where[:-1]))


class _Plain(GenerateJsonSchema):
    """What may be left out is described as what it is when it is there: a form has no box for null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default", ...) is None:
            del described["default"]
        return described


def _schema(model: type[Configuration]) -> dict[str, JSON]:
    described = model.model_json_schema(by_alias=True, schema_generator=_Plain)
    plain: dict[str, JSON] = json.loads(json.dumps({"$schema": _DIALECT, **described}))
    return plain


def _properties(schema: Mapping[str, JSON]) -> Mapping[str, JSON]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}
