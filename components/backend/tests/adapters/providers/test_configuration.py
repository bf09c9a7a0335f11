"""Configurations: what is refused and how it is named, and what a form is told."""

from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, model_validator

from gonets.adapters.providers.configuration import (
    Configuration,
    Configured,
    Destination,
    Like,
    Number,
    Secret,
    SecretMap,
    Text,
    wrong,
)
from gonets.core.shared.errors import InvalidFields


class Example(Configuration):
    """A service."""

    api_key: Annotated[Secret, Field(description="From its console")]
    port: Annotated[int, Field(ge=1, le=65535), Number, Destination] = 587
    timeout: Annotated[float, Field(gt=0), Number] = 30
    sender: Annotated[Annotated[Text, Like(r"[a-z]+|\d", "must be small letters, or a digit")] | None, Field()] = None
    headers: SecretMap = Field(default_factory=dict)
    method: Literal["POST", "PUT"] = "POST"
    use_tls: Annotated[bool, Destination] = True

    @model_validator(mode="after")
    def _no_both(self) -> Self:
        if self.sender == "tls" and self.use_tls:
            raise wrong("useTls", "must be false")
        return self


KIND = Configured(Example)
WHOLE = {"apiKey": "k", "port": 587, "timeout": 30.0, "headers": {}, "method": "POST", "useTls": True}


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"apiKey": " k\n"}, {}),
        ({"port": "25"}, {"port": 25}),
        ({"port": " 25 "}, {"port": 25}),
        ({"timeout": "1.5"}, {"timeout": 1.5}),
        ({"timeout": 5}, {"timeout": 5}),
        ({"sender": None, "port": None, "useTls": None}, {}),
        ({"sender": "abc"}, {"sender": "abc"}),
        ({"sender": "7"}, {"sender": "7"}),
        ({"headers": {"ё": "я"}}, {"headers": {"ё": "я"}}),
    ],
)
def test_what_is_taken(given: dict[str, Any], changed: dict[str, Any]) -> None:
    assert KIND.check({"apiKey": "k", **given}) == WHOLE | changed


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"apiKey": None}, ["apiKey"]),
        ({"apiKey": ""}, ["apiKey"]),
        ({"apiKey": 7}, ["apiKey"]),
        ({"apiKey": "a\x00b"}, ["apiKey"]),
        ({"apiKey": "a\ud800"}, ["apiKey"]),
        ({"api_key": "k"}, ["api_key"]),
        ({"APIKEY": "k"}, ["APIKEY"]),
        ({"port": 0}, ["port"]),
        ({"port": "65536"}, ["port"]),
        ({"port": 1.5}, ["port"]),
        ({"port": "1.5"}, ["port"]),
        ({"port": "x"}, ["port"]),
        ({"port": True}, ["port"]),
        ({"port": []}, ["port"]),
        ({"timeout": "nan"}, ["timeout"]),
        ({"timeout": "-1"}, ["timeout"]),
        ({"sender": "A"}, ["sender"]),
        ({"sender": "ab\n7"}, ["sender"]),
        ({"headers": {"a": 1, "b": None}}, ["headers.a", "headers.b"]),
        ({"headers": []}, ["headers"]),
        ({"method": "GET"}, ["method"]),
        ({"useTls": "true"}, ["useTls"]),
        ({"useTls": 1}, ["useTls"]),
        ({"sender": "tls"}, ["useTls"]),
        ({"port": 0, "colour": "red", "method": 1}, ["port", "method", "colour"]),
    ],
)
def test_what_is_refused(given: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(InvalidFields) as caught:
        KIND.check({"apiKey": "k", **given})
    assert [field for field, _ in caught.value.wrong] == [f"configuration.{field}" for field in fields]


def test_what_is_said_helps_and_holds_no_value() -> None:
    with pytest.raises(InvalidFields) as caught:
        KIND.check({"sender": "SECRET-1", "color": "SECRET-2", "port": "SECRET-3"})
    assert dict(caught.value.wrong) == {
        "configuration.apiKey": "must be given",
        "configuration.sender": "must be small letters, or a digit",
        "configuration.port": "must be a whole number",
        "configuration.color": "is not known here; known are apiKey, port, timeout, sender, headers, method, useTls",
    }
    assert "SECRET" not in str(caught.value)


def test_the_schema() -> None:
    properties: Any = KIND.schema["properties"]
    assert KIND.schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (KIND.schema["additionalProperties"], KIND.schema["required"]) == (False, ["apiKey"])
    assert KIND.secrets == {"apiKey", "headers"}
    assert KIND.destinations == {"port", "useTls"}
    assert properties["apiKey"] == {
        "description": "From its console",
        "maxLength": 1000,
        "minLength": 1,
        "title": "Api key",
        "type": "string",
        "writeOnly": True,
    }
    assert properties["port"] == {"default": 587, "maximum": 65535, "minimum": 1, "title": "Port", "type": "integer"}
    assert (properties["sender"]["type"], "default" in properties["sender"]) == ("string", False)
    assert properties["sender"]["pattern"] == r"^(?:[a-z]+|\d)$"
    assert properties["method"]["enum"] == ["POST", "PUT"]


def test_a_checked_configuration_can_be_checked_again() -> None:
    checked = KIND.check({"apiKey": " k ", "port": "25"})
    assert KIND.check(checked) == checked
    assert KIND.read(checked).port == 25
