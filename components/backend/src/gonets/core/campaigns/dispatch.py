"""The worker's part of a campaign: send what is in a chunk.

The mark is advanced, durably, before a step of sends; what it has not passed was certainly not sent. What a message
needs beyond its first try is left to its own row, which goes on as that of any notification.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from gonets.core.campaigns.lanes import Lanes
from gonets.core.campaigns.model import Campaign, Chunk, Outcome, Waiting
from gonets.core.campaigns.planning import Planned, Planner
from gonets.core.campaigns.ports import CampaignNews, ChunkLine, Chunks, EarlyReceipts, Turns
from gonets.core.campaigns.records import Records
from gonets.core.campaigns.windows import next_opening
from gonets.core.channels.model import (
    Accepted,
    Channel,
    Message,
    Recipient,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Unknown,
)
from gonets.core.notifications.dispatch import FindRoute
from gonets.core.notifications.model import Attempt, AttemptState, Notification, Status
from gonets.core.notifications.ports import Clock, Lifeline, NotificationStore, Observer, Suppressions, Turn
from gonets.core.notifications.routing import (
    Candidate,
    Finish,
    Inquire,
    RoutingPolicy,
    SendOn,
    WaitUntil,
    decide,
    status_of,
)
from gonets.core.shared.concerning import concerning
from gonets.core.shared.errors import Unavailable
from gonets.core.shared.patience import until_available

log = logging.getLogger(__name__)

_READ = 1000
"""Messages read at one time."""
_MOST = 1000
"""Outcomes that may wait to be written while further messages are sent."""
_ANY = 10**9
_AT_ONCE = 0.1
"""Seconds of a limited rate in one step: what is begun waits for its turn that long."""
_FEW = 10
"""Messages that wait for their turns in one step, so that those of nobody's campaign get theirs."""
_LONGEST_PAUSE = 86_400.0

_GONE = Unknown("the worker died, or lost the database, with the send under way")


def reference_of(campaign: Campaign) -> Callable[[int], str]:
    """Names the first attempt of each message: always alike, so that a report proves the send although the worker that
    made it died before it could say so."""
    mark = hashlib.blake2b(f"{campaign.id} {campaign.created_at.timestamp()}".encode(), digest_size=6)

    def reference(notification_id: int) -> str:
        own = mark.copy()
        own.update(b" %d" % notification_id)
        return f"{notification_id}-1-{own.hexdigest()}"

    return reference


@dataclass(frozen=True, slots=True)
class SendChunk:
    """Send a claimed chunk, as far as may be, and give it back.

    `route` asks about no suppressions: they are asked for a whole step at one time.
    """

    chunks: Chunks
    line: ChunkLine
    news: CampaignNews
    suppressions: Suppressions
    store: NotificationStore
    early: EarlyReceipts
    route: FindRoute
    lifeline: Lifeline
    turns: Turns
    observer: Observer
    policy: RoutingPolicy
    now: Clock
    lanes: Lanes
    records: Records = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", Records(self.chunks, self.store, self.early, self.now))

    async def __call__(self, chunk: Chunk, campaign: Campaign) -> None:
        """Never raises for what a provider, the database or the broker does."""
        await _Run(self, chunk, campaign).run()

    async def abandon(self, campaign: Campaign, chunk: Chunk) -> None:
        """Implements Abandon."""
        await _Run(self, chunk, campaign).take_over()


class _End(StrEnum):
    """Why no further step is begun."""

    DONE = "done"
    SHUT = "shut"
    """The gate did not open."""
    LATER = "later"


class _Run:
    """One claim of a chunk."""

    def __init__(self, use: SendChunk, chunk: Chunk, campaign: Campaign) -> None:
        self._use = use
        self._chunk = chunk
        self._campaign = campaign
        self._planner = Planner(
            campaign, route=use.route, suppressions=use.suppressions, policy=use.policy, now=use.now
        )
        self._reference = reference_of(campaign)
        self._unsent = 0
        self._unrecorded = 0
        self._moved = asyncio.Event()
        self._wanted = 0, 0
        self._again_at: datetime | None = None
        self._sent = 0
        self._failed = False
        """Something has no outcome that should have one: it counts as begun, and whoever takes the chunk next asks."""

    async def run(self) -> None:
        use, chunk = self._use, self._chunk
        await self.take_over()
        end = await self._send_all()
        # Nothing else will come of this chunk to wait for.
        await self._until(0, _ANY)
        use.records.flush()
        await self._until(0, 0)
        if self._failed and end is _End.DONE:
            end = _End.LATER
        facts = {"campaign_id": chunk.campaign_id, "chunk_id": chunk.id, "sent": self._sent, "end": end.value}
        log.info("chunk left", extra=facts)
        at, closes_at = self._next_time(end)
        await until_available(lambda: use.chunks.release(self._chunk, at, closes_at))
        await self._wake_next()

    async def _wake_next(self) -> None:
        try:
            for chunk_id in await self._use.line.next(self._campaign.id):
                await self._use.news.wake_chunk(chunk_id)
        except Unavailable as error:
            facts = {"campaign_id": self._campaign.id, "reason": error.reason}
            log.warning("the next chunk is woken later", extra=facts)

    def _next_time(self, end: _End) -> tuple[datetime | None, datetime | None]:
        now, chunk, window = self._use.now(), self._chunk, self._campaign.window
        if end is _End.DONE:
            return None, None
        if end is _End.SHUT and window is not None and chunk.closes_at is not None and chunk.closes_at <= now:
            opening = next_opening(window, chunk.zone or window.zone, now)
            return opening.opens_at, opening.closes_at
        return self._again_at or now, chunk.closes_at

    async def take_over(self) -> None:
        """Of what a dead worker began and left without an outcome nobody knows whether it was sent."""
        use, chunk = self._use, self._chunk
        if chunk.mark < chunk.first_id:
            return
        while left := await until_available(lambda: use.chunks.begun(chunk, _READ)):
            at = use.now()
            outcomes = [await self._abandoned(message, at) for message in left]
            if not await use.records.write(outcomes):
                return
            facts = {"campaign_id": chunk.campaign_id, "chunk_id": chunk.id, "messages": len(left)}
            log.warning("a worker died while it sent these", extra=facts)

    async def _abandoned(self, message: Waiting, at: datetime) -> Outcome:
        one = await self._planner.plan_again(message)
        plan = one.plan
        candidate = plan.candidate or next(
            (step for step in plan.steps if step.to is not None or step.suppressed), None
        )
        found = self._planner.notification(message, one.said)
        if candidate is None:
            why = "a worker died that may have sent it, and the channel is gone"
            return Outcome(message.id, found.ended(Status.UNKNOWN, why, None, at))
        attempt = self._attempt(message, candidate, plan.why, self._chunk.marked_at or at)
        return self._outcome(one, self._settled(found, attempt.heard(_GONE, at), plan.steps, at))

    async def _send_all(self) -> _End:
        use, beyond = self._use, self._chunk.mark
        while not use.lanes.stopping:
            after = beyond
            found = await until_available(lambda: use.chunks.waiting(self._chunk, after, _READ))  # noqa: B023
            if not found:
                return _End.DONE
            while found:
                if use.lanes.stopping:
                    return _End.LATER
                begun, end = await self._step(found)
                if end is not None:
                    return end
                beyond, found = found[begun - 1].id, found[begun:]
        return _End.LATER

    async def _step(self, found: Sequence[Waiting]) -> tuple[int, _End | None]:
        """How many were begun; why nothing follows."""
        use = self._use
        size = (use.lanes.width + 1) // 2
        step = found[:size]
        planned = await self._planner.plan(step)
        # The next step is ready when half of the last one has left: nobody waits for the slowest.
        await self._until(size // 2, _MOST)
        if self._again_at is not None:
            return 0, _End.LATER
        rates = [rate for one in planned if one.plan.channel and (rate := self._rate(one.plan.channel))]
        first: Turn | None = None
        if rates:
            planned = planned[: max(1, min(_FEW, int(min(rates) * _AT_ONCE)))]
            # Before anything is begun: where its turn is far away, all of them wait as they are.
            if (channel := planned[0].plan.channel) is not None:
                turn = await self._turn(channel)
                if isinstance(turn, timedelta):
                    self._again_at = use.now() + turn
                    return 0, _End.LATER
                first = turn
        mark = planned[-1].message.id
        advanced = await until_available(lambda: use.chunks.advance(self._chunk, mark))
        if advanced is None:
            if first is not None:
                first.over()
            return 0, _End.SHUT
        self._chunk = advanced
        for place, one in enumerate(planned):
            self._begin(one, None if place else first)
        return len(planned), None

    def _begin(self, one: Planned, turn: Turn | None) -> None:
        if one.plan.end is not None:
            self._record(self._outcome(one, one.plan.end))
            return
        self._unsent += 1
        self._use.lanes.add(partial(self._send, one, turn))

    def _rate(self, channel: Channel) -> float:
        return self._use.turns.rate(self._campaign, channel)

    async def _turn(self, channel: Channel) -> Turn | timedelta:
        return await until_available(lambda: self._use.turns.turn(self._campaign, channel))

    async def _send(self, one: Planned, turn: Turn | None) -> None:
        message = one.message
        about = {"notification_id": message.id, "contact_id": message.contact_id, "campaign_id": self._campaign.id}
        try:
            with concerning(**about):
                self._record(await self._sent_or_left(one, turn))
        except Exception:
            self._failed = True
            log.exception("an error of ours while sending", extra={"notification_id": message.id})
        finally:
            self._unsent -= 1
            self._move()

    async def _sent_or_left(self, one: Planned, turn: Turn | None) -> Outcome:
        use, channel = self._use, one.plan.channel
        assert channel is not None  # noqa: S101 - it is to be sent
        if turn is None and self._rate(channel):
            found = await self._turn(channel)
            if isinstance(found, timedelta):
                self._again_at = use.now() + found
                why = f"waits for its turn: {channel.name} sends as much as it may"
                return self._left(one, self._again_at, why)
            turn = found
        try:
            return await self._sent_now(one, channel)
        finally:
            if turn is not None:
                turn.over()

    async def _sent_now(self, one: Planned, channel: Channel) -> Outcome:
        use, message = self._use, one.message
        started = use.now()
        if self._shut(started):
            return self._left(one, started, "its time was over when its turn came")
        if not use.lifeline.surely_holds(self._chunk):
            return self._left(one, started, "the worker was out of touch when its turn came")
        address = use.route.kinds[channel.type].address
        to = None if address is None else message.recipient.at(address)
        reference = self._reference(message.id)
        send = Send(
            message=one.said,
            to=to,
            reference=reference,
            callback_url=use.route.callback_url(channel.type, reference),
            started_at=started,
        )
        try:
            outcome = await use.route.kinds[channel.type].send(channel, send)
        except Exception:
            log.exception(
                "an error of ours while sending", extra={"notification_id": message.id, "channel_id": channel.id}
            )
            outcome = Unknown("an error of ours while it was sent; it is in the log")
        ended = use.now()
        self._sent += 1
        if isinstance(outcome, Refused):
            await self._refused(message, channel, to, outcome)
        return self._heard(one, outcome, to, reference, started, ended)

    def _shut(self, now: datetime) -> bool:
        end_at, closes_at = self._campaign.end_at, self._chunk.closes_at
        return (end_at is not None and end_at <= now) or (closes_at is not None and closes_at <= now)

    def _heard(
        self,
        one: Planned,
        outcome: SendOutcome,
        to: str | None,
        reference: str,
        started: datetime,
        ended: datetime,
    ) -> Outcome:
        message, said, plan = one
        candidate, channel, use = plan.candidate, plan.channel, self._use
        assert candidate is not None and channel is not None  # noqa: S101, PT018 - it was sent by it
        parts = outcome.parts if isinstance(outcome, Accepted) else 0
        like = plan.taken.get(parts) if parts else None
        if like is None:
            found = self._planner.notification(message, said)
            attempt = self._attempt(message, candidate, plan.why, started).heard(outcome, ended)
            like = self._settled(found, attempt, plan.steps, ended)
            if parts:
                plan.taken[parts] = like
        age = (ended - message.created_at).total_seconds()
        use.observer.sent(_FRESH, candidate.key, outcome, (ended - started).total_seconds(), age)
        if isinstance(outcome, Unknown):
            facts = {"notification_id": message.id, "channel_id": channel.id, "reason": outcome.reason}
            log.warning("nobody knows whether it was taken", extra=facts)
        text, subject = self._planner.own_words(said)
        provider_id = outcome.provider_id if isinstance(outcome, Accepted) else None
        return Outcome(message.id, like, to, reference, provider_id, started, ended, text, subject)

    async def _refused(self, message: Waiting, channel: Channel, to: str | None, refused: Refused) -> None:
        facts = {
            "notification_id": message.id,
            "channel_id": channel.id,
            "reason": refused.reason,
            "code": refused.code,
        }
        if refused.refusal is Refusal.CONFIGURATION:
            log.error("channel needs its owner", extra=facts | {"hint": refused.hint})
        else:
            log.warning("message refused", extra=facts | {"refusal": refused.refusal.value})
        address = self._use.route.kinds[channel.type].address
        if refused.opted_out and address is not None and to is not None:
            owner_id, reason = self._campaign.owner_id, refused.reason
            suppress = partial(self._use.suppressions.opted_out, owner_id, address.value, to, reason)
            await until_available(suppress)
        if refused.refusal is Refusal.TEMPORARY and refused.retry_after:
            lasting = timedelta(seconds=min(refused.retry_after, _LONGEST_PAUSE))
            self._again_at = self._use.now() + lasting
            try:
                await self._use.turns.pause(channel, lasting)
            except Unavailable as error:
                log.warning("pause not shared", extra={"channel_id": channel.id, "reason": error.reason})

    def _settled(self, found: Notification, attempt: Attempt, steps: Sequence[Candidate], at: datetime) -> Notification:
        """What follows from an attempt that is known: the rest is left to the message's own row."""
        after = replace(found, attempts=(attempt,)).changed(attempt)
        match decision := decide(after, steps, at, self._use.policy):
            case WaitUntil(at=until, status=status, why=why):
                return after.waiting(until, status, why)
            case Finish(status=status, why=why, channel=key):
                return after.ended(status, why, key, at)
            case SendOn(why=why) | Inquire(why=why):
                return after.waiting(at, status_of(after, decision), why)

    def _left(self, one: Planned, at: datetime, why: str) -> Outcome:
        """It was begun and not sent: it goes on by itself."""
        found = self._planner.notification(one.message, one.said)
        return self._outcome(one, found.waiting(at, Status.PENDING, why))

    def _outcome(self, one: Planned, like: Notification) -> Outcome:
        text, subject = self._planner.own_words(one.said)
        if not like.attempts:
            return Outcome(one.message.id, like, text=text, subject=subject)
        [attempt] = like.attempts
        return Outcome(
            one.message.id,
            like,
            attempt.to,
            attempt.reference,
            attempt.provider_id,
            attempt.started_at,
            attempt.ended_at,
            text,
            subject,
        )

    def _attempt(self, message: Waiting, candidate: Candidate, why: str, at: datetime) -> Attempt:
        kind = self._use.route.kinds.get(candidate.key.type)
        return Attempt(
            number=1,
            round=1,
            reference=self._reference(message.id),
            channel=candidate.key,
            channel_name=candidate.name,
            to=message.recipient.at(kind.address) if kind and kind.address else None,
            why=why,
            state=AttemptState.STARTED,
            started_at=at,
        )

    def _record(self, outcome: Outcome) -> None:
        if outcome.like.finished:
            self._use.observer.ended(outcome.like)
        self._unrecorded += 1
        self._use.records.add(outcome, self._recorded)

    def _recorded(self, written: bool) -> None:
        self._unrecorded -= 1
        self._failed |= not written
        self._move()

    async def _until(self, unsent: int, unrecorded: int) -> None:
        """Returns when there are no more of each than so many."""
        self._wanted = unsent, unrecorded
        while self._waits():
            self._moved.clear()
            await self._moved.wait()

    def _waits(self) -> bool:
        return self._unsent > self._wanted[0] or self._unrecorded > self._wanted[1]

    def _move(self) -> None:
        if not self._waits():
            self._moved.set()


_FRESH = Notification(
    id=0, owner_id=0, recipient=Recipient(), message=Message(""), created_at=datetime.fromisoformat("2000-01-01T00:00Z")
)
"""What observers are shown of a message that was never sent before."""
