"""Errors that cross the edge of the core: data and a category, nothing of any transport."""

from collections.abc import Sequence
from enum import StrEnum


class Category(StrEnum):
    """What kind of failure it is. Each edge maps these once: HTTP to problem documents, AMQP to ack or dead letter."""

    INVALID = "invalid"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNAUTHENTICATED = "unauthenticated"
    """Nobody knows who asks: no credentials, or wrong or outdated ones."""
    FORBIDDEN = "forbidden"
    """Whoever asks may not do this."""
    UNAVAILABLE = "unavailable"
    """It certainly was not done, and may work later."""
    QUOTA_EXHAUSTED = "quota_exhausted"
    """It certainly was not done: too much was asked at once."""
    THROTTLED = "throttled"
    """It certainly was not done: whoever asks has asked us too often, and has to wait."""
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


class InvalidFields(GonetsError):
    """Several values break rules: pairs of a field and what would be right for it."""

    category = Category.INVALID

    def __init__(self, wrong: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {reason}" for field, reason in wrong))
        self.wrong = wrong


class Unauthenticated(GonetsError):
    """Nobody knows who asks."""

    category = Category.UNAUTHENTICATED


class Forbidden(GonetsError):
    """Whoever asks may not do this."""

    category = Category.FORBIDDEN


class NotFound(GonetsError):
    """Nothing is known under this id."""

    category = Category.NOT_FOUND


class Conflict(GonetsError):
    """It contradicts what was taken before."""

    category = Category.CONFLICT


class Taken(Conflict):
    """Another of the owner's objects has this value already: `field` names it, `holder` is the other's id."""

    def __init__(self, field: str, holder: int) -> None:
        super().__init__(f"{field}: {holder} has it already")
        self.field = field
        self.holder = holder


class Unavailable(GonetsError):
    """The database or the broker cannot do it now, or did not say if it did: only idempotent steps are repeated."""

    category = Category.UNAVAILABLE


class Throttled(GonetsError):
    """Whoever asks has to wait; `retry_after` says how many seconds."""

    category = Category.THROTTLED

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Unexplained(Unavailable):
    """The database refused it for a reason that no table of ours knows. Only a person can tell if it is one item's
    fault or everybody's; what is in hand is kept until somebody has mended it."""
