"""JSON that PostgreSQL can hold."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonets.adapters.postgres.jsonb import rows_to_jsonb, storable, to_jsonb
from gonets.core.shared.errors import Invalid

ANY_TEXT = st.text(st.sampled_from('\0\ud83d\ude00\udfffaя😀\\"u0\n'))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
)


def _strings(value):
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _strings(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from _strings(item)


@settings(max_examples=60)
@given(ANY_JSON)
def test_whatever_comes_out_is_utf_8_without_nul(value):
    text = to_jsonb(value)
    text.encode()
    assert not any("\0" in string for string in _strings(json.loads(text)))


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), ANY_JSON)))
def test_rows_are_what_they_are_as_any_value(rows):
    assert json.loads(rows_to_jsonb(rows)) == json.loads(to_jsonb(rows))


def test_times_of_rows_are_times():
    at = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)
    [row] = json.loads(rows_to_jsonb([{"at": at, "events": [{"at": at}], "to": "\0"}]))
    assert [datetime.fromisoformat(text) for text in (row["at"], row["events"][0]["at"])] == [at, at]
    assert row["to"] == "\ufffd"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_what_can_be_stored_is_left_as_it_is(text):
    assert storable(text) == text
    assert json.loads(to_jsonb({text: [text]})) == {text: [text]}


@pytest.mark.parametrize(
    ("text", "stored"),
    [("\0", "\ufffd"), ("a\ud800b", "a\ufffdb"), ("\udc00\ud800", "\ufffd\ufffd"), ("\ud83d\ude00", "😀")],
)
def test_what_cannot_is_replaced_and_nothing_else(text, stored):
    assert storable(text) == stored
    assert json.loads(to_jsonb([text])) == [stored]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_is_no_json_is_invalid(value):
    with pytest.raises(Invalid):
        to_jsonb(value)
