from dataclasses import FrozenInstanceError, dataclass

import pytest

from gonets.core.shared.copies import copied


@dataclass(frozen=True)
class Value:
    number: int
    words: tuple[str, ...] = ()


def test_a_copy_has_what_was_given_and_all_else_as_it_was():
    value = Value(1, ("a",))
    copy = copied(value, number=2)
    assert (copy, value) == (Value(2, ("a",)), Value(1, ("a",)))
    with pytest.raises(FrozenInstanceError):
        copy.number = 3  # type: ignore[misc]


def test_a_field_that_it_does_not_have_is_refused():
    with pytest.raises(AttributeError, match="Value has no name"):
        copied(Value(1), name="x")
