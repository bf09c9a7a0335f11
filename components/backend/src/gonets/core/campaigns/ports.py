"""What campaigns need from the outside. One contract suite runs on each implementation.

All raise Unavailable where the database or the broker is away. `limit` is how many are wanted at most, and an owner is
a user's id.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gonets.core.campaigns.model import Campaign, Chunk, Content, Counts, Crowd, Outcome, Status, Waiting
from gonets.core.channels.model import Channel
from gonets.core.contacts.audience import Audience
from gonets.core.notifications.model import Notification
from gonets.core.notifications.model import Status as MessageStatus
from gonets.core.notifications.ports import Turn


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """One page of a list with the counts of each, latest first; `next_cursor` is None on the last page."""

    campaigns: Sequence[tuple[Campaign, Counts]] = ()
    next_cursor: str | None = None


class CampaignStore(Protocol):
    """The campaigns of all owners. A method that takes an owner MUST see that one's and no others."""

    async def add(self, campaign: Campaign, key: str | None) -> tuple[Campaign, bool]:
        """Keeps it, and returns it with the id and the times of creation and change that are given here, and True. A
        `key` that this owner used in the last seven days: the campaign of then, and False; then nothing is kept."""

    async def known(self, owner_id: int, key: str) -> Campaign | None:
        """The campaign that the owner made with this key in the last seven days."""

    async def get(self, owner_id: int, campaign_id: int) -> Campaign | None:
        """None: the owner has no such campaign."""

    async def page(self, owner_id: int, *, status: Status | None, cursor: str | None, limit: int) -> CampaignPage:
        """Of this status, None: of any. `cursor`: of the page before. Raises Invalid for one that is none of ours."""

    async def save(self, campaign: Campaign) -> Campaign | None:
        """Writes it, and returns it with its new version. What workers note (`total`, `fanned_out`, `closed`, who holds
        it) MUST stay as it is. None where somebody else saved it since it was read: then nothing is written. What has
        to be done about the new state (fan out, send on, close) MUST be found by the scheduler if nobody is woken."""

    async def delete(self, campaign: Campaign) -> bool:
        """Removes it with its counts; its messages stay. False where somebody else saved it since it was read, or a
        worker holds it: then nothing is removed."""

    async def counts(self, campaign_id: int) -> Counts:
        """Whoever it belongs to; empty where it has no messages. MUST take the same time however many it has."""


class Standings(Protocol):
    """How campaigns stand, whoever they belong to."""

    async def find(self, campaign_id: int) -> Campaign | None:
        """None: there is no such campaign."""


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
        """In the order of their contacts' ids, without attempts. Of this status, None: of any. `cursor`: of the page
        before. Raises Invalid for one that is none of ours. MUST answer in bounded time however many there are."""


class CampaignWork(Protocol):
    """The worker's side: making a campaign's messages, and ending those that will not be sent. A call that raised
    Unavailable may have been heeded, and is made again: that MUST do no harm."""

    async def claim(self, campaign_id: int, stamp: int) -> Campaign | None:
        """MUST hand it to one caller at a time, and only where messages are to be made or ended; else None. The claim
        hangs on this worker's life. `stamp` is the caller's mark for it: a call repeated with it MUST get the same
        claim."""

    async def fan_out(self, campaign: Campaign, limit: int) -> Campaign | None:
        """Makes a message for each of the next `limit` contacts of its audience, and chunks of them, and returns it
        with its new `total` and `fanned_out`. MUST note how far it came in the same transaction, so that a crash
        repeats and loses nothing; no contact gets two. The scheduler MUST find the chunks when their time comes. None:
        the claim is lost, it no longer runs, or all are made; then nothing is made."""

    async def left(self, campaign: Campaign, limit: int) -> Sequence[Chunk]:
        """Chunks of a campaign that ended early which are not done, and in nobody's hands, in the order of id."""

    async def close(self, campaign: Campaign, chunks: Sequence[Chunk]) -> int:
        """Ends their messages beyond the mark with the campaign's status, and with them the chunks are done. Returns
        how many messages it ended. A message that was begun, or is in somebody's hands, MUST stay as it is, and so MUST
        a chunk that somebody holds."""

    async def hasten(self, campaign: Campaign, after: int, limit: int) -> int | None:
        """Of the next `limit` messages, in the order of their contacts' ids and beyond the contact `after`: those that
        wait to be tried again MUST be due now, for at its next try each hears that the campaign ended. Returns the last
        contact looked at; None: there are no more."""

    async def closed(self, campaign: Campaign) -> bool:
        """Notes that nothing is left to be ended. False: some chunk is not done, for somebody still holds it; then
        nothing is noted."""

    async def release(self, campaign: Campaign, after: timedelta = timedelta()) -> None:
        """Gives the claim back; one that is lost stays lost. Where something is left to be done about it, it MUST be
        due after this time."""


class Chunks(Protocol):
    """The worker's side: sending what is in a chunk. Time is by the database's clock. A call that raised Unavailable
    may have been heeded, and is made again: that MUST do no harm."""

    async def claim(self, chunk_id: int, stamp: int) -> tuple[Chunk, Campaign] | None:
        """MUST hand it to one caller at a time, and only while its campaign is running and its time has come; else
        None. The claim hangs on this worker's life. `stamp` is the caller's mark for it: a call repeated with it MUST
        get the same claim."""

    async def begun(self, chunk: Chunk, limit: int) -> Sequence[Waiting]:
        """Messages up to the mark that have no outcome, in the order of id. Whoever began them is gone, and nobody
        knows whether they were sent."""

    async def waiting(self, chunk: Chunk, beyond: int, limit: int) -> Sequence[Waiting]:
        """The next messages beyond the id `beyond` that have no outcome, in the order of id. Beyond the mark they were
        certainly not sent."""

    async def advance(self, chunk: Chunk, mark: int) -> Chunk | None:
        """The one gate before a send: what lies up to `mark` counts as begun from then on. MUST move the mark, durably,
        only while the claim holds, the campaign is running, and it is before the campaign's end and before the window
        closes; the mark never goes back. None: it did not move, and nothing may be sent. Whoever ends what lies beyond
        the mark MUST find the chunk in nobody's hands, and lock it, in the same transaction."""

    async def record(self, outcomes: Sequence[Outcome]) -> Collection[int]:
        """Writes what became of first tries. Returns the ids of those that are written, by this call or an earlier one
        with the same; a message that somebody else has changed meanwhile MUST stay as it is."""

    async def release(self, chunk: Chunk, at: datetime | None, closes_at: datetime | None) -> None:
        """Gives the claim back; one that is lost stays lost. At `at` it is to be sent on, until `closes_at` (None:
        without a window); `at` None: it is done."""


OUTSTANDING = 8
"""Chunks of one campaign that are on their way at one time: in a queue, or in a worker's hands. What else is due waits
in the table, so that a small campaign that comes later stands behind a few of them."""


class ChunkLine(Protocol):
    """Whose turn it is among the chunks of a campaign."""

    async def next(self, campaign_id: int) -> Sequence[int]:
        """The ids of chunks to be woken now, so that OUTSTANDING are on their way; each MUST be due, of a campaign that
        runs. They count as woken: what nobody takes is due again within 30 s."""


class Turns(Protocol):
    """How fast messages of a campaign may leave by a channel, over all workers: by the channel's rate, and by the
    campaign's own."""

    def rate(self, campaign: Campaign, channel: Channel) -> float:
        """The lower of the two, in messages a second; 0: no limit."""

    async def turn(self, campaign: Campaign, channel: Channel) -> Turn | timedelta:
        """Waits for the next free moment of both, and returns at that moment. Where the moment is far away: for how
        long to set the message aside."""

    async def pause(self, channel: Channel, lasting: timedelta) -> None:
        """The provider asked to be left in peace for so long, by every worker."""


class EarlyReceipts(Protocol):
    """Receipts that came before the commit that knows their attempt."""

    async def settle(self, references: Sequence[str], named: Sequence[tuple[int, str]]) -> None:
        """Enters what was kept for the attempts of these references, which are committed. `named`: the channel's and
        the provider's id of each that is reported by a connection of ours."""


class CampaignWakes(Protocol):
    """The scheduler's side. Time is by the database's clock."""

    async def orphans(self) -> int:
        """Takes campaigns and chunks from lives that are not known: something is due about them at once. Returns how
        many there were."""

    async def starting(self, limit: int) -> Sequence[Campaign]:
        """Scheduled ones whose time has come."""

    async def ending(self, limit: int) -> Sequence[Campaign]:
        """Those that run or are paused and whose end has come."""

    async def through(self, limit: int) -> Sequence[Campaign]:
        """Running ones of which all messages are made, and none is left to be sent or waits to be tried again."""

    async def due(self, limit: int) -> tuple[Sequence[int], Sequence[int]]:
        """The ids of campaigns, and of chunks, about which something is due, up to `limit` of either; of each campaign
        that runs no more chunks than leave OUTSTANDING on their way."""

    async def woken(self, campaigns: Sequence[int], chunks: Sequence[int]) -> None:
        """The wake-ups are with the broker: what nobody takes is due again within 30 s."""


class CampaignNews(Protocol):
    """Telling workers, by `CampaignDispatchQueue`. Each call MUST return only when the broker has taken the message;
    telling twice does no harm."""

    async def wake_campaign(self, campaign_id: int) -> None:
        """Have a worker look at this campaign."""

    async def wake_chunk(self, chunk_id: int) -> None:
        """Have a worker look at this chunk."""


class Abandon(Protocol):
    """Dispatch, as seen by whoever ends what was not begun."""

    async def __call__(self, campaign: Campaign, chunk: Chunk) -> None:
        """A worker that died left messages up to the mark without an outcome, and nobody knows whether they were sent:
        MUST note that on each, as it is noted where a chunk is sent on."""


class Templates(Protocol):
    """The texts that an owner keeps."""

    async def content(self, owner_id: int, template_id: int, version: int | None) -> Content | None:
        """Of this version; `version` None: of the latest. None: the owner has no such template, or no such version."""


class Audiences(Protocol):
    """The filters that an owner keeps."""

    async def get(self, owner_id: int, audience_id: int) -> Audience | None:
        """None: the owner has no such audience."""


class Crowds(Protocol):
    """An audience by what matters to a campaign."""

    async def count(self, owner_id: int, audience: Audience) -> Sequence[Crowd]:
        """As it is now. Each person of it MUST be in one crowd and no more."""
