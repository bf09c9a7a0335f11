"""What happened to one thing, latest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gonets.core.shared.errors import NotFound
from gonets.core.shared.json import JSON


class Subject(StrEnum):
    """What a history is of."""

    CONTACT = "contact"
    CAMPAIGN = "campaign"
    NOTIFICATION = "notification"


class Kind(StrEnum):
    """Of an entry: what happened."""

    CHANGE = "change"
    """Somebody did something; `what` says it in a word: created, changed, paused."""
    STATUS = "status"
    """It came to stand there; `what` is the status."""
    NOTIFICATION = "notification"
    """A message to this person was handed in, taken by a provider, or came to this end."""
    ATTEMPT = "attempt"
    """A try was begun, or something was learnt of it."""


@dataclass(frozen=True, slots=True)
class By:
    """Who did it: the user, and the API key where a program did it in their name."""

    user_id: int
    api_key_id: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `by` is None where it happened by itself, or an operator did it at the command line."""

    at: datetime
    kind: Kind
    what: str
    by: By | None = None
    detail: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """One page, latest first; `next_cursor` is None on the last page."""

    entries: Sequence[Entry] = ()
    next_cursor: str | None = None


class Histories(Protocol):
    """The past of all owners' things. Raises Unavailable."""

    async def page(
        self, owner_id: int, subject: Subject, subject_id: int, *, cursor: str | None, limit: int
    ) -> HistoryPage | None:
        """None where this owner never had such a thing; of one that was deleted MUST still be told what is known.
        Raises Invalid for a cursor that is none of ours."""


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """Follow one thing by its id. Another owner's is not there."""

    histories: Histories
    subject: Subject

    async def __call__(self, owner_id: int, subject_id: int, *, cursor: str | None, limit: int) -> HistoryPage:
        """Raises NotFound, and Invalid for a cursor that is none of ours."""
        found = await self.histories.page(owner_id, self.subject, subject_id, cursor=cursor, limit=limit)
        if found is None:
            raise NotFound(f"no {self.subject.value} has the id {subject_id}")
        return found
