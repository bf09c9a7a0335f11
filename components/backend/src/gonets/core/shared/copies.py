"""Copies of frozen values, where there are many."""

from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["copied"]

Value = TypeVar("Value")

if TYPE_CHECKING:
    # mypy knows this one, and looks at the names and the types of the fields.
    from dataclasses import replace as copied
else:

    def copied(value: Value, /, **facts: Any) -> Value:
        """As `dataclasses.replace`, for a dataclass without slots, in a fifth of the time: its `__init__`, which only
        sets each field, is not called. Raises AttributeError for a field that it does not have."""
        copy = object.__new__(type(value))
        fields = vars(copy)
        fields.update(vars(value))
        if not facts.keys() <= fields.keys():
            raise AttributeError(f"{type(value).__name__} has no {', '.join(facts.keys() - fields.keys())}")
        fields.update(facts)
        return copy
