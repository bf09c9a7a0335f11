"""What campaigns need from the outside. One contract suite runs on each implementation. All raise Unavailable."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gonets.core.campaigns.model import Campaign, Chunk, Content, Counts, Crowd, Outcome, Status, Waiting
from gonets.core.channels.model import Channel
from gonets.core.contacts.audience import Audience
from gonets.core.notifications.model import Notification
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.notifications.ports import Turn
from gonets.core.shared.json import JSON


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """One page of a list with the counts of each, latest first; `next_cursor` is None on the last page."""

    campaigns: Sequence[tuple[Campaign, Counts]] = ()
    next_cursor: str | None = None


class CampaignStore(Protocol):
    """The campaigns of all owners; each method that takes an owner sees that one's and no others."""

    async def add(self, campaign: Campaign, key: str | None) -> tuple[Campaign, bool]:
        """Its id and times are given here. A key that this owner used in the last seven days: the campaign
        of then, and False."""

    async def get(self, owner_id: int, campaign_id: int) -> Campaign | None: ...

    async def page(self, owner_id: int, *, status: Status | None, cursor: str | None, limit: int) -> CampaignPage:
        """Raises Invalid for a cursor that is none of ours."""

    async def save(self, campaign: Campaign) -> Campaign | None:
        """None where somebody else changed it since it was read: then nothing is. What has to be done about the new
        state (fan out, send on, close) MUST be found by the scheduler if nobody is woken."""

    async def delete(self, campaign: Campaign) -> bool:
        """False where somebody else changed it since it was read, or works on it."""

    async def counts(self, campaign_id: int) -> Counts:
        """MUST take the same time whatever the size."""


class Standings(Protocol):
    """How campaigns stand, whoever they belong to."""

    async def find(self, campaign_id: int) -> Campaign | None: ...


@dataclass(frozen=True, slots=True)
class MessagePage:
    """One page of a campaign's messages; `next_cursor` is None on the last. A page may be shorter than asked for, and
    even empty, where few of many are meant."""

    messages: Sequence[Notification] = ()
    next_cursor: str | None = None


class CampaignMessages(Protocol):
    """The readers' side of a campaign's messages."""

    async def page(
        self, campaign_id: int, *, status: MessageStatus | None, cursor: str | None, limit: int
    ) -> MessagePage:
        """In the order of contacts, without attempts. Raises Invalid for a cursor that is none of ours. MUST answer in
        bounded time whatever the size."""


class CampaignWork(Protocol):
    """The worker's side: making a campaign's messages, and ending those that will not be sent."""

    async def claim(self, campaign_id: int, stamp: int) -> Campaign | None:
        """MUST hand it to one caller at a time, and only where messages are to be made or ended. The claim hangs on
        this worker's life; a call repeated with its stamp MUST get the same claim."""

    async def fan_out(self, campaign: Campaign, limit: int) -> Campaign | None:
        """Makes messages for the next `limit` contacts, and their chunks, in one transaction with how far it came, so
        that a crash repeats and loses nothing; the scheduler MUST find the chunks when their time comes. None: the
        claim is lost, or it no longer runs."""

    async def left(self, campaign: Campaign, limit: int) -> Sequence[Chunk]:
        """Chunks of a campaign that ended which are not done, and in nobody's hands."""

    async def close(self, campaign: Campaign, chunks: Sequence[Chunk]) -> int:
        """Ends their messages beyond the mark as the campaign ended, and the chunks with them. How many messages. One
        that was begun, or is in somebody's hands, MUST stay as it is."""

    async def hasten(self, campaign: Campaign, after: int, limit: int) -> int | None:
        """Of the next `limit` messages by their contacts, beyond the contact `after`: those that wait to be tried again
        are due now, and heed that the campaign ended. The last contact; None: there are no more."""

    async def closed(self, campaign: Campaign) -> bool:
        """Notes that nothing is left to be ended; False: some chunk is still in somebody's hands."""

    async def release(self, campaign: Campaign, after: timedelta = timedelta()) -> None:
        """It is in nobody's hands. Where something is left to be done about it, it is due after this time."""


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

    async def record(self, outcomes: Sequence[Outcome]) -> Collection[int]:
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


class Turns(Protocol):
    """How fast messages of a campaign may leave by a channel, over all workers. Raises Unavailable."""

    def rate(self, campaign: Campaign, channel: Channel) -> float:
        """Messages a second; 0: no limit."""

    async def turn(self, campaign: Campaign, channel: Channel) -> Turn | timedelta:
        """Waits for the next free moment of both, and returns at that moment. Where the moment is far away: for how
        long to set the message aside."""

    async def pause(self, channel: Channel, lasting: timedelta) -> None:
        """The provider asked to be left in peace for so long."""


class EarlyReceipts(Protocol):
    """Receipts that came before the commit that knows their attempt."""

    async def settle(self, references: Sequence[str], named: Sequence[tuple[int, str]]) -> None:
        """Enters what was kept for these attempts, which are committed. `named`: by channel and provider's id, those
        that are reported by a connection of ours."""


class CampaignWakes(Protocol):
    """The scheduler's side. By the database's clock."""

    async def orphans(self) -> int:
        """Takes campaigns and chunks from lives that are not known: something is due about them at once."""

    async def starting(self, limit: int) -> Sequence[Campaign]:
        """Scheduled ones whose time has come."""

    async def ending(self, limit: int) -> Sequence[Campaign]:
        """Those that run or are paused and whose end has come."""

    async def through(self, limit: int) -> Sequence[Campaign]:
        """Running ones of which nothing is left to be sent."""

    async def due(self, limit: int) -> tuple[Sequence[int], Sequence[int]]:
        """Ids of campaigns, and of chunks, about which something is due; of each campaign that runs no more chunks than
        leave OUTSTANDING on their way."""

    async def woken(self, campaigns: Sequence[int], chunks: Sequence[int]) -> None:
        """The wake-ups are with the broker: what nobody takes is due again within 30 s."""


class CampaignNews(Protocol):
    """Telling workers, by `CampaignDispatchQueue`. Each call MUST return only when the broker has taken the message."""

    async def wake_campaign(self, campaign_id: int) -> None: ...

    async def wake_chunk(self, chunk_id: int) -> None: ...


class Abandon(Protocol):
    """Dispatch, as seen by whoever ends what was not begun."""

    async def __call__(self, campaign: Campaign, chunk: Chunk) -> None:
        """Of messages up to the mark that have no outcome, left by a worker that died, nobody knows whether they were
        sent: MUST note that, as it is noted where the chunk is sent on."""


class Templates(Protocol):
    """The texts that an owner keeps. Raises Unavailable."""

    async def content(self, owner_id: int, template_id: int, version: int | None) -> Content | None:
        """Of this version, None: of the latest. None: the owner has no such template, or no such version."""


class Audiences(Protocol):
    """The filters that an owner keeps. Raises Unavailable."""

    async def get(self, owner_id: int, audience_id: int) -> Audience | None: ...


class Crowds(Protocol):
    """An audience by what matters to a campaign."""

    async def count(self, owner_id: int, audience: Audience) -> Sequence[Crowd]:
        """As it is now: each person is in one crowd."""


class Actor(Protocol):
    """Who does it: the user, and the API key where a program does it in their name."""

    @property
    def user_id(self) -> int: ...

    @property
    def api_key_id(self) -> int | None: ...


class Audit(Protocol):
    """Who changed what, for admins to read."""

    async def note(self, actor: Actor, action: str, campaign_id: int, detail: Mapping[str, JSON]) -> None:
        """To be called when it is done, before it is answered. `detail` holds no secret."""
