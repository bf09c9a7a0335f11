"""Copies of frozen values."""

from dataclasses import dataclass, field, replace

import pytest

from gonets.core.shared.copies import copied


@dataclass(frozen=True, slots=True)
class _Value:
    name: str
    several: tuple[int, ...] = field(default=(1, 2), compare=False)


def test_a_copy_is_as_dataclasses_would_make_it():
    value = _Value("a", (3,))
    copy = copied(value, name="b")
    assert copy == replace(value, name="b")
    assert (type(copy), copy.several, value.name) == (_Value, (3,), "a")
    assert hash(copy) == hash(_Value("b"))


def test_what_it_does_not_have_is_refused():
    with pytest.raises(AttributeError):
        copied(_Value("a"), nam="b")
