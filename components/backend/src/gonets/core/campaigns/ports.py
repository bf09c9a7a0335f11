"""What campaigns need from the outside. One contract suite runs on each implementation. All raise Unavailable."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gonets.core.campaigns.model import Campaign, Chunk, Counts, Outcome, Status, Waiting


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """One page of a list with the counts of each, latest first; `next_cursor` is None on the last page."""

    campaigns: Sequence[tuple[Campaign, Counts]] = ()
    next_cursor: str | None = None


class CampaignStore(Protocol):
    """The campaigns of all owners; each method that takes an owner sees that one's and no others."""

    async def add(self, campaign: Campaign, key: str | None) -> tuple[Campaign, bool]:
        """Its id and times are given here. A key that this owner used before: the campaign of then, and False."""

    async def get(self, owner_id: int, campaign_id: int) -> Campaign | None: ...

    async def page(
        self, owner_id: int, *, status: Status | None, cursor: str | None, limit: int
    ) -> CampaignPage:
        """Raises Invalid for a cursor that is none of ours."""

    async def save(self, campaign: Campaign) -> Campaign | None:
        """None where somebody else changed it since it was read: then nothing is. What has to be done about the new
        state (fan out, send on, close) MUST be found by the scheduler if nobody is woken."""

    async def delete(self, owner_id: int, campaign_id: int) -> bool: ...

    async def counts(self, campaign_id: int) -> Counts:
        """MUST take the same time whatever the size."""


class CampaignWork(Protocol):
    """The worker's side: making a campaign's messages, and ending those that will not be sent."""

    async def claim(self, campaign_id: int, stamp: int) -> Campaign | None:
        """MUST hand it to one caller at a time, and only where something is to be done about it."""

    async def fan_out(self, campaign: Campaign, limit: int) -> tuple[Campaign, Sequence[int]] | None:
        """Makes the next `limit` notifications and their chunks, in one transaction with how far it came, so that a
        crash repeats and loses nothing. The ids of chunks that may be sent now. None: the claim is lost, or it no
        longer runs."""

    async def close(self, campaign: Campaign, limit: int) -> int:
        """Ends up to `limit` messages that were not begun, as the campaign ended. How many were; 0: none is left."""

    async def release(self, campaign: Campaign, at: datetime | None) -> None:
        """It is in nobody's hands; something is due about it at `at`."""


class Chunks(Protocol):
    """The worker's side: sending what is in a chunk."""

    async def claim(self, chunk_id: int, stamp: int) -> tuple[Chunk, Campaign] | None:
        """MUST hand it to one caller at a time, and only while its campaign is running and its time has come. The claim
        hangs on this worker's life; a call repeated with its stamp MUST get the same claim."""

    async def begun(self, chunk: Chunk, limit: int) -> Sequence[Waiting]:
        """Messages up to the mark that have no outcome, in the order of id. Whoever began them is gone."""

    async def waiting(self, chunk: Chunk, beyond: int, limit: int) -> Sequence[Waiting]:
        """The next messages beyond this id that are to be sent, in the order of id."""

    async def advance(self, chunk: Chunk, mark: int) -> Chunk | None:
        """The one gate: MUST move the mark, durably, only while the claim holds, the campaign is running, and now is
        before its end and before the window closes, by the database's clock. None: nothing may be sent. Whoever ends
        what lies beyond the mark MUST take the chunk from its holder first, in the same transaction."""

    async def record(self, campaign: Campaign, outcomes: Sequence[Outcome]) -> Collection[int]:
        """Writes what became of first tries. The ids of those that are written, by this call or an earlier one with the
        same; one that somebody else has changed meanwhile is not. MUST be safe to repeat."""

    async def release(self, chunk: Chunk, at: datetime | None, closes_at: datetime | None) -> None:
        """Given back, if it is still held: to be sent on at `at`; None: it is done. The claim's own marks are gone."""


OUTSTANDING = 8
"""Chunks of one campaign that are on their way at one time: in a queue, or in a worker's hands. What else is due waits
in the table, so that a small campaign that comes later stands behind a few of them."""


class ChunkLine(Protocol):
    """Whose turn it is among the chunks of a campaign."""

    async def next(self, campaign_id: int) -> Sequence[int]:
        """Chunks to be woken now, so that OUTSTANDING are on their way; MUST be due, of a campaign that runs. Taken as
        woken: due again if nothing comes of it, later each time."""


class CampaignWakes(Protocol):
    """The scheduler's side."""

    async def orphans(self) -> int:
        """Takes campaigns and chunks from lives that are not known: something is due about them at once."""

    async def starting(self, limit: int) -> Sequence[Campaign]:
        """Scheduled ones whose time has come."""

    async def ending(self, limit: int) -> Sequence[Campaign]:
        """Those that run or are paused and whose end has come."""

    async def due(self, limit: int) -> tuple[Sequence[int], Sequence[int]]:
        """Ids of campaigns and of chunks about which something is due; of each campaign that runs no more chunks than
        leave OUTSTANDING on their way."""

    async def woken(self, campaigns: Sequence[int], chunks: Sequence[int]) -> None:
        """The wake-ups are with the broker: what does not change is due again, later each time, within 30 s first."""


class CampaignNews(Protocol):
    """Telling workers, by `CampaignDispatchQueue`. Each call MUST return only when the broker has taken the message."""

    async def wake_campaign(self, campaign_id: int) -> None: ...

    async def wake_chunk(self, chunk_id: int) -> None: ...


class Suppressed(Protocol):
    """Who must not be written to."""

    async def among(self, owner_id: int, addresses: Mapping[str, Sequence[str]]) -> Mapping[str, frozenset[str]]:
        """Of these addresses, by kind (phone, email, telegramChatId): those that are suppressed, in one question."""
