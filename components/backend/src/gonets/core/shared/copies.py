"""Copies of frozen values, where there are many."""

from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["copied"]

Value = TypeVar("Value")

_set = object.__setattr__

if TYPE_CHECKING:
    # mypy knows this one, and looks at the names and the types of the fields.
    from dataclasses import replace as copied
else:

    def copied(value: Value, /, **facts: Any) -> Value:
        """As `dataclasses.replace`, for a dataclass with slots and without a base, in half the time: its `__init__`,
        which only sets each field, is not called. Raises AttributeError for a field that it does not have."""
        copy = object.__new__(type(value))
        for name in type(value).__slots__:
            if name not in facts:
                _set(copy, name, getattr(value, name))
        for name, fact in facts.items():
            _set(copy, name, fact)
        return copy
