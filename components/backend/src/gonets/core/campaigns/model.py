"""One message to many: its life, its parts, and what is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from gonets.core.campaigns.windows import SendWindow
from gonets.core.channels.model import Address, Recipient
from gonets.core.contacts.audience import Audience
from gonets.core.notifications.model import Notification
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.shared.errors import Conflict
from gonets.core.templates.rendering import Value


class Status(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"
    """May be changed in everything; nobody has started it."""
    SCHEDULED = "scheduled"
    """Starts by itself when its time comes."""
    RUNNING = "running"
    PAUSED = "paused"
    """Nothing leaves; it may go on."""
    FINISHED = "finished"
    """Every message has left, or ended for a reason of its own. Receipts may still come."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its end came first. What was not sent by then never is."""


NOT_STARTED = frozenset({Status.DRAFT, Status.SCHEDULED})
OVER = frozenset({Status.FINISHED, Status.CANCELLED, Status.EXPIRED})

_MOVES: Mapping[Status, frozenset[Status]] = {
    Status.DRAFT: frozenset({Status.SCHEDULED, Status.RUNNING, Status.CANCELLED}),
    Status.SCHEDULED: frozenset({Status.DRAFT, Status.RUNNING, Status.CANCELLED, Status.EXPIRED}),
    Status.RUNNING: frozenset({Status.PAUSED, Status.FINISHED, Status.CANCELLED, Status.EXPIRED}),
    Status.PAUSED: frozenset({Status.RUNNING, Status.CANCELLED, Status.EXPIRED}),
    Status.FINISHED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.EXPIRED: frozenset(),
}

PENDING = frozenset({MessageStatus.PENDING, MessageStatus.SENDING})
"""Statuses of messages that may still leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is said. `template_id` and `template_version`: where the text is from; `variables`: whether it is another
    one for each recipient, rendered when it is sent."""

    text: str
    subject: str | None = None
    template_id: int | None = None
    template_version: int | None = None
    variables: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One message to many. `route` and `fallback_after` as of each notification; `rate`: messages a second, None: as
    fast as its channels may. Nothing leaves at or after `end_at`. `version` grows with each change.

    `audience_id`: a saved audience, which is taken as it is when it starts; until then `audience` is what it was when
    the campaign was written.

    `total`: messages made so far; `fanned_out`: all are made. `closed`: it ended early, and so did its messages that
    were not begun. A worker holds it by its `life`, with a `stamp` of its own.
    """

    id: int
    owner_id: int
    name: str
    content: Content
    audience: Audience
    audience_id: int | None = None
    route: Sequence[int] = ()
    fallback_after: timedelta | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    window: SendWindow | None = None
    rate: float | None = None
    status: Status = Status.DRAFT
    reason: str | None = None
    total: int = 0
    fanned_out: bool = False
    closed: bool = False
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    version: int = 0
    life: int | None = None
    stamp: int | None = None

    def moved(self, to: Status, at: datetime, reason: str | None = None) -> "Campaign":
        """Raises Conflict, which says what may be done instead."""
        if to not in _MOVES[self.status]:
            allowed = ", ".join(sorted(_MOVES[self.status])) or "nothing else: it is over"
            raise Conflict(f"is {self.status.value}, and from there it can become {allowed}")
        return replace(
            self,
            status=to,
            reason=reason,
            started_at=at if to is Status.RUNNING and self.started_at is None else self.started_at,
            finished_at=at if to in OVER else None,
        )


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many people of an audience with one time zone, who have these kinds of addresses; of them are `suppressed`."""

    zone: str | None
    has: frozenset[Address]
    suppressed: frozenset[Address]
    people: int


Counts = Mapping[MessageStatus, int]
"""How many messages of a campaign have each status; what is missing is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A range of a campaign's notifications that share their time: ids from `first_id` to `last_id`, where ids of
    others may lie between. A worker holds it by its `life`.

    `mark`: the last id whose sending was begun, at `marked_at`; what lies beyond it was certainly not sent. `zone`: the
    IANA time zone of its recipients, None where the campaign has no window; it may be sent until `closes_at`.
    """

    id: int
    campaign_id: int
    first_id: int
    last_id: int
    mark: int
    marked_at: datetime | None
    zone: str | None
    closes_at: datetime | None
    life: int
    stamp: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message of a chunk that has no outcome: what dispatch needs of it. `values`: what its contact offers a
    template; empty where the text has no variables."""

    id: int
    contact_id: int | None
    recipient: Recipient
    created_at: datetime
    values: Mapping[str, Value] = field(default_factory=dict)


class Outcome(NamedTuple):
    """What became of one message at its first try: the same as of `like`, but for what is its own.

    `like` has one attempt, or none where nothing was sent; its times are those of that attempt, and what is due later
    is due as much later for each. `text`, `subject`: as they were rendered, None where they are the campaign's.
    """

    id: int
    like: Notification
    to: str | None = None
    reference: str = ""
    provider_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    text: str | None = None
    subject: str | None = None
