"""Errors that cross the edge of the core: data and a category, nothing of any transport."""

from enum import StrEnum


class Category(StrEnum):
    """What kind of failure it is. Each edge maps these once: HTTP to problem documents, AMQP to ack or dead letter."""

    INVALID = "invalid"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNAVAILABLE = "unavailable"
    """It certainly was not done, and may work later."""
    QUOTA_EXHAUSTED = "quota_exhausted"
    """It certainly was not done: too much was asked at once."""
    REFUSED = "refused"
    """It certainly was not done, and never will be for this input."""
    MISCONFIGURED = "misconfigured"
    """Nothing will work until an operator acts: credentials, money, addresses."""
    POISON = "poison"
    """It ends the process that works on it."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """It may or may not have been done: the answer never came, or came broken."""


class GonetsError(Exception):
    """Something the outside has to be told. The reason is a sentence for a person and holds no secret."""

    category: Category

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Invalid(GonetsError):
    """A value breaks a rule; `field` says where, the reason what would be right."""

    category = Category.INVALID

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class NotFound(GonetsError):
    """Nothing is known under this id."""

    category = Category.NOT_FOUND


class Conflict(GonetsError):
    """It contradicts what was taken before."""

    category = Category.CONFLICT


class Unavailable(GonetsError):
    """The database or the broker cannot do it now, or did not say if it did: only idempotent steps are repeated."""

    category = Category.UNAVAILABLE
