"""What is said of a wrong value."""

from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError
from pydantic.alias_generators import to_camel

from gonets.wording import keys, merged, place, reason


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    chat_id: StrictStr | StrictInt | None = None
    email: StrictStr | None = None


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    recipient: Inner | None = None
    others: list[Inner] = []
    text: Annotated[StrictStr, AfterValidator(str), Field(min_length=1, max_length=5)] = "x"
    urgent: StrictBool = False
    count: Annotated[StrictInt, Field(ge=1)] = 1
    needed: float


def _wrong(given, model=Outer):
    with pytest.raises(ValidationError) as raised:
        model.model_validate({"needed": 1} | given)
    details = raised.value.errors()
    return dict(merged((".".join(map(str, place(one))), reason(one, keys(model, place(one)[:-1]))) for one in details))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"count": "1"}, {"count": "must be a whole number"}),
        ({"count": 0}, {"count": "must be greater than or equal to 1"}),
        ({"urgent": "yes"}, {"urgent": "must be true or false"}),
        ({"text": ""}, {"text": "must have at least 1 character"}),
        ({"text": "123456"}, {"text": "must have at most 5 characters"}),
        ({"needed": None}, {"needed": "must be a number"}),
        ({"recipient": 5}, {"recipient": "must be an object"}),
        ({"others": {}}, {"others": "must be a list"}),
        ({"recipient": {"chatId": []}}, {"recipient.chatId": "must be a text or must be a whole number"}),
    ],
)
def test_it_says_what_would_be_right(given, expected):
    assert _wrong(given) == expected


def test_what_is_left_out_must_be_given():
    with pytest.raises(ValidationError) as raised:
        Outer.model_validate({})
    assert reason(raised.value.errors()[0]) == "must be given"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"recipint": {}}, {"recipint": "is not known here; near is recipient"}),
        ({"recipient": {"chat_id": "5"}}, {"recipient.chat_id": "is not known here; near is chatId"}),
        ({"others": [{}, {"emial": "x"}]}, {"others.1.emial": "is not known here; near is email"}),
        ({"recipient": {"phone": "5"}}, {"recipient.phone": "is not known here; known are chatId, email"}),
    ],
)
def test_a_key_that_nobody_knows_is_told_those_that_somebody_does(given, expected):
    assert _wrong(given) == expected


def test_where_the_keys_are_not_known_none_are_named():
    assert (keys(None, ("a",)), keys(Outer, ("text", "a", "b"))) == ((), ())
    assert reason({"type": "extra_forbidden", "loc": ("a",), "msg": ""}) == "is not known here"
