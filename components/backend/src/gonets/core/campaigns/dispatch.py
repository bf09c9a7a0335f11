"""The worker's part of a campaign: send what is in a chunk.

The mark is advanced, durably, before a step of sends; what it has not passed was certainly not sent. What a message
needs beyond its first try is left to its own row, which goes on as that of any notification.
"""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from gonets.core.campaigns.model import Campaign, Chunk, Outcome, Waiting
from gonets.core.campaigns.ports import CampaignNews, ChunkLine, Chunks, EarlyReceipts, Turns
from gonets.core.campaigns.windows import next_opening
from gonets.core.channels.model import (
    Accepted,
    Address,
    Channel,
    ChannelType,
    Message,
    Recipient,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Unknown,
)
from gonets.core.notifications.dispatch import FindRoute, Route, new_stamp
from gonets.core.notifications.model import Attempt, AttemptState, ChannelKey, Notification, Status
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
from gonets.core.shared.errors import Invalid, Unavailable
from gonets.core.shared.patience import until_available
from gonets.core.templates import rendering

log = logging.getLogger(__name__)

_READ = 1000
"""Messages read at one time."""
_ENOUGH = 250
"""Outcomes worth a statement of their own; fewer wait a moment for others."""
_MOST = 1000
_ANY = 10**9
_MOMENT = 0.1
"""Seconds."""
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


class Lanes:
    """Runs what it is given, in order, so many at one time."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.stopping = False
        self._waiting: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._lanes: set[asyncio.Task[None]] = set()
        self._open = 0

    def add(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`work` MUST NOT raise."""
        self._waiting.append(work)
        if self._open < self.width:
            self._open += 1
            lane = asyncio.create_task(self._run())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._waiting.popleft()()
        finally:
            self._open -= 1

    def stop(self) -> None:
        """No further step is begun."""
        self.stopping = True


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
    records: "Records" = field(init=False)

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


@dataclass(slots=True)
class _Plan:
    """What is decided about all messages of one likeness: those whose recipients have the same kinds of addresses.
    `end`: they are not sent, and end so."""

    steps: Sequence[Candidate]
    candidate: Candidate | None = None
    channel: Channel | None = None
    why: str = ""
    end: Notification | None = None
    taken: dict[int, tuple[Notification, datetime]] = field(default_factory=dict)
    """By parts: what follows from being accepted."""


class _Run:
    """One claim of a chunk."""

    def __init__(self, use: SendChunk, chunk: Chunk, campaign: Campaign) -> None:
        self._use = use
        self._chunk = chunk
        self._campaign = campaign
        content = campaign.content
        self._message = Message(content.text, content.subject)
        self._text = rendering.compile(content.text) if content.variables else None
        self._subject = rendering.compile(content.subject, "subject") if content.variables and content.subject else None
        self._reference = reference_of(campaign)
        self._plans: dict[object, _Plan] = {}
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
        try:
            said = self._rendered(message)
        except Invalid:
            said = self._message
        plan = await self._plan(message, said, frozenset())
        candidate = plan.candidate or next((one for one in plan.steps if one.to is not None or one.suppressed), None)
        found = self._notification(message, said)
        if candidate is None:
            why = "a worker died that may have sent it, and the channel is gone"
            return Outcome(message.id, found.ended(Status.UNKNOWN, why, None, at))
        attempt = self._attempt(message, candidate, plan.why, self._chunk.marked_at or at)
        return self._outcome(message, self._settled(found, attempt.heard(_GONE, at), plan.steps, at), said)

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
        listed = await self._listed(step)
        planned = [self._as_before(message, listed) or await self._planned(message, listed) for message in step]
        # The next step is ready when half of the last one has left: nobody waits for the slowest.
        await self._until(size // 2, _MOST)
        if self._again_at is not None:
            return 0, _End.LATER
        rates = [rate for _, _, plan in planned if plan.channel and (rate := self._rate(plan.channel))]
        first: Turn | None = None
        if rates:
            planned = planned[: max(1, min(_FEW, int(min(rates) * _AT_ONCE)))]
            # Before anything is begun: where its turn is far away, all of them wait as they are.
            if (channel := planned[0][2].channel) is not None:
                turn = await self._turn(channel)
                if isinstance(turn, timedelta):
                    self._again_at = use.now() + turn
                    return 0, _End.LATER
                first = turn
        mark = planned[-1][0].id
        advanced = await until_available(lambda: use.chunks.advance(self._chunk, mark))
        if advanced is None:
            if first is not None:
                first.over()
            return 0, _End.SHUT
        self._chunk = advanced
        for place, (message, said, plan) in enumerate(planned):
            self._begin(message, said, plan, None if place else first)
        return len(planned), None

    def _begin(self, message: Waiting, said: Message, plan: _Plan, turn: Turn | None) -> None:
        if plan.end is not None:
            unwritten = said is self._message
            self._record(Outcome(message.id, plan.end) if unwritten else self._outcome(message, plan.end, said))
            return
        self._unsent += 1
        self._use.lanes.add(partial(self._send, message, said, plan, turn))

    async def _listed(self, step: Sequence[Waiting]) -> dict[str, frozenset[str]]:
        asked: dict[str, list[str]] = {}
        for message in step:
            recipient = message.recipient
            if recipient.phone is not None:
                asked.setdefault(Address.PHONE.value, []).append(recipient.phone)
            if recipient.email is not None:
                asked.setdefault(Address.EMAIL.value, []).append(recipient.email)
            if recipient.telegram_chat_id is not None:
                asked.setdefault(Address.TELEGRAM_CHAT_ID.value, []).append(recipient.telegram_chat_id)
        if not asked:
            return {}
        owner_id = self._campaign.owner_id
        return dict(await until_available(lambda: self._use.suppressions.among(owner_id, asked)))

    def _as_before(self, message: Waiting, listed: dict[str, frozenset[str]]) -> tuple[Waiting, Message, _Plan] | None:
        """Where nothing is its own: decided as it was for another one."""
        if self._text is not None or any(listed.values()):
            return None
        plan = self._plans.get(_likeness(message.recipient, _NOTHING))
        return (message, self._message, plan) if plan else None

    async def _planned(self, message: Waiting, listed: dict[str, frozenset[str]]) -> tuple[Waiting, Message, _Plan]:
        try:
            said = self._rendered(message)
        except Invalid as error:
            end = self._notification(message, self._message)
            why = f"{error.field} {error.reason}"
            return message, self._message, _Plan((), end=end.ended(Status.FAILED, why, None, self._use.now()))
        shut = (
            frozenset(kind for kind, addresses in listed.items() if message.recipient.at(Address(kind)) in addresses)
            if listed
            else frozenset()
        )
        return message, said, await self._plan(message, said, shut)

    def _rendered(self, message: Waiting) -> Message:
        """Raises Invalid, which names the variable that has no value."""
        if self._text is None:
            return self._message
        subject = self._subject.render(message.values) if self._subject else self._message.subject
        return Message(self._text.render(message.values), subject)

    async def _plan(self, message: Waiting, said: Message, shut: frozenset[str]) -> _Plan:
        """The same for all whose recipients have the same kinds of addresses, as long as their text can go by the
        channel that is chosen."""
        likeness = _likeness(message.recipient, shut)
        plan = self._plans.get(likeness)
        if plan is None:
            plan = self._plans[likeness] = await self._decided(message, said, shut)
        if self._text is None or (plan.channel and not self._use.route.kinds[plan.channel.type].problem(said.text)):
            return plan
        return await self._decided(message, said, shut)

    async def _decided(self, message: Waiting, said: Message, shut: frozenset[str]) -> _Plan:
        use, found = self._use, self._notification(message, said)
        route = await until_available(lambda: use.route(found))
        own = await self._own_listed(route)
        steps = [self._open(step, route.channels.get(step.key), shut, own) for step in route.steps]
        now = use.now()
        match decide(found, steps, now, use.policy):
            case SendOn(candidate=candidate, why=why):
                return _Plan(steps, candidate, route.channels[candidate.key], why)
            case Finish(status=status, why=why, channel=key):
                return _Plan(steps, end=found.ended(status, why, key, now))
            case WaitUntil(at=at, status=status, why=why):
                return _Plan(steps, end=found.waiting(at, status, why))
            case Inquire(why=why):
                return _Plan(steps, end=found.waiting(now, found.status, why))

    async def _own_listed(self, route: Route) -> frozenset[ChannelKey]:
        """Channels that would write to a destination of their own, which must not be written to."""
        places: dict[ChannelKey, tuple[str, str]] = {}
        for step in route.steps:
            channel = route.channels.get(step.key)
            kind = self._use.route.kinds.get(channel.type) if channel else None
            if channel is None or kind is None or kind.address is None or step.to is not None:
                continue
            if (to := kind.destination(channel.configuration)) is not None:
                places[step.key] = kind.address.value, to
        if not places:
            return frozenset()
        asked = {kind: [to for other, to in places.values() if other == kind] for kind, _ in places.values()}
        owner_id = self._campaign.owner_id
        listed = await until_available(lambda: self._use.suppressions.among(owner_id, asked))
        return frozenset(key for key, (kind, to) in places.items() if to in listed.get(kind, ()))

    def _open(
        self, step: Candidate, channel: Channel | None, shut: frozenset[str], own: frozenset[ChannelKey]
    ) -> Candidate:
        kind = self._use.route.kinds.get(channel.type) if channel else None
        if kind is None or kind.address is None or step.obstacle is not None:
            return step
        if step.key not in own and (step.to is None or kind.address.value not in shut):
            return step
        why = f"suppressed: the {kind.address.value} must not be written to"
        return replace(step, obstacle=why, suppressed=True)

    def _rate(self, channel: Channel) -> float:
        return self._use.turns.rate(self._campaign, channel)

    async def _turn(self, channel: Channel) -> Turn | timedelta:
        return await until_available(lambda: self._use.turns.turn(self._campaign, channel))

    async def _send(self, message: Waiting, said: Message, plan: _Plan, turn: Turn | None) -> None:
        about = {"notification_id": message.id, "contact_id": message.contact_id, "campaign_id": self._campaign.id}
        try:
            with concerning(**about):
                self._record(await self._sent_or_left(message, said, plan, turn))
        except Exception:
            self._failed = True
            log.exception("an error of ours while sending", extra={"notification_id": message.id})
        finally:
            self._unsent -= 1
            self._move()

    async def _sent_or_left(self, message: Waiting, said: Message, plan: _Plan, turn: Turn | None) -> Outcome:
        use, channel = self._use, plan.channel
        assert channel is not None  # noqa: S101 - it is to be sent
        if turn is None and self._rate(channel):
            found = await self._turn(channel)
            if isinstance(found, timedelta):
                self._again_at = use.now() + found
                why = f"waits for its turn: {channel.name} sends as much as it may"
                return self._left(message, said, self._again_at, why)
            turn = found
        try:
            return await self._sent_now(message, said, plan, channel)
        finally:
            if turn is not None:
                turn.over()

    async def _sent_now(self, message: Waiting, said: Message, plan: _Plan, channel: Channel) -> Outcome:
        use = self._use
        started = use.now()
        if self._shut(started):
            return self._left(message, said, started, "its time was over when its turn came")
        if not use.lifeline.surely_holds(self._chunk):
            return self._left(message, said, started, "the worker was out of touch when its turn came")
        address = use.route.kinds[channel.type].address
        to = None if address is None else message.recipient.at(address)
        reference = self._reference(message.id)
        send = Send(
            message=said,
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
        return self._heard(message, said, plan, outcome, to, reference, started, ended)

    def _shut(self, now: datetime) -> bool:
        end_at, closes_at = self._campaign.end_at, self._chunk.closes_at
        return (end_at is not None and end_at <= now) or (closes_at is not None and closes_at <= now)

    def _heard(
        self,
        message: Waiting,
        said: Message,
        plan: _Plan,
        outcome: SendOutcome,
        to: str | None,
        reference: str,
        started: datetime,
        ended: datetime,
    ) -> Outcome:
        candidate, channel, use = plan.candidate, plan.channel, self._use
        assert candidate is not None and channel is not None  # noqa: S101, PT018 - it was sent by it
        parts = outcome.parts if isinstance(outcome, Accepted) else 0
        known = plan.taken.get(parts) if parts else None
        if known is None:
            found = self._notification(message, said)
            attempt = self._attempt(message, candidate, plan.why, started).heard(outcome, ended)
            like = self._settled(found, attempt, plan.steps, ended)
            if parts:
                plan.taken[parts] = like, ended
        else:
            like = known[0]
        age = (ended - message.created_at).total_seconds()
        use.observer.sent(_FRESH, candidate.key, outcome, (ended - started).total_seconds(), age)
        if isinstance(outcome, Unknown):
            facts = {"notification_id": message.id, "channel_id": channel.id, "reason": outcome.reason}
            log.warning("nobody knows whether it was taken", extra=facts)
        text, subject = (said.text, said.subject) if self._text is not None else (None, None)
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

    def _left(self, message: Waiting, said: Message, at: datetime, why: str) -> Outcome:
        """It was begun and not sent: it goes on by itself."""
        like = self._notification(message, said).waiting(at, Status.PENDING, why)
        return self._outcome(message, like, said)

    def _outcome(self, message: Waiting, like: Notification, said: Message) -> Outcome:
        text, subject = (said.text, said.subject) if self._text is not None else (None, None)
        if not like.attempts:
            return Outcome(message.id, like, text=text, subject=subject)
        [attempt] = like.attempts
        return Outcome(
            message.id,
            like,
            attempt.to,
            attempt.reference,
            attempt.provider_id,
            attempt.started_at,
            attempt.ended_at,
            text,
            subject,
        )

    def _notification(self, message: Waiting, said: Message) -> Notification:
        campaign = self._campaign
        return Notification(
            id=message.id,
            owner_id=campaign.owner_id,
            recipient=message.recipient,
            contact_id=message.contact_id,
            message=said,
            route=campaign.route,
            deadline=campaign.end_at,
            fallback_after=campaign.fallback_after,
            created_at=message.created_at,
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


_NOTHING: frozenset[str] = frozenset()


def _likeness(recipient: Recipient, shut: frozenset[str]) -> object:
    return recipient.phone is not None, recipient.email is not None, recipient.telegram_chat_id is not None, shut


_FRESH = Notification(
    id=0, owner_id=0, recipient=Recipient(), message=Message(""), created_at=datetime.fromisoformat("2000-01-01T00:00Z")
)
"""What observers are shown of a message that was never sent before."""


class Records:
    """Writes outcomes of all chunks of a worker together: some hundreds at a time, none later than in a moment."""

    def __init__(self, chunks: Chunks, store: NotificationStore, early: EarlyReceipts, now: Clock) -> None:
        self._chunks = chunks
        self._store = store
        self._early = early
        self._now = now
        self._gathered: list[tuple[Outcome, Callable[[bool], None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, outcome: Outcome, recorded: Callable[[bool], None]) -> None:
        """`recorded` is called when it is committed; with False where an error of ours prevented it."""
        self._gathered.append((outcome, recorded))
        if len(self._gathered) >= _ENOUGH:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_MOMENT, self.flush)

    def flush(self) -> None:
        """Writes what has gathered, as far as two statements at a time may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Two statements at a time: one is planned and sent while the other waits for the disk.
        while self._gathered and len(self._tasks) < 2:
            batch, self._gathered = self._gathered[:_MOST], self._gathered[_MOST:]
            task = asyncio.create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if len(self._gathered) >= _ENOUGH or (self._gathered and self._timer is None):
            self.flush()

    async def _run(self, batch: Sequence[tuple[Outcome, Callable[[bool], None]]]) -> None:
        try:
            await self.write([outcome for outcome, _ in batch])
        except Exception:
            if len(batch) > 1:
                for one in batch:
                    await self._run([one])
                return
            log.exception("an outcome was not recorded", extra={"notification_id": batch[0][0].id})
            batch[0][1](False)
        else:
            for _, recorded in batch:
                recorded(True)

    async def write(self, outcomes: Sequence[Outcome]) -> int:
        """How many are written as they are; what somebody else changed meanwhile learns the truth by itself."""
        written = await until_available(lambda: self._chunks.record(outcomes))
        for outcome in outcomes:
            if outcome.id not in written and outcome.like.attempts:
                await self._enter(outcome)
        tried = [outcome for outcome in outcomes if outcome.like.attempts]
        named = [
            (outcome.like.attempts[0].channel.id, outcome.provider_id)
            for outcome in tried
            if outcome.provider_id and outcome.like.attempts[0].channel.type is ChannelType.SMS_SMPP
        ]
        if tried:
            await until_available(partial(self._early.settle, [outcome.reference for outcome in tried], named))
        return len(written)

    async def _enter(self, outcome: Outcome) -> None:
        attempt = _own(outcome)
        while found := await until_available(lambda: self._store.get(outcome.id)):
            known = found.attempt(attempt.reference)
            if known is None:
                entered = replace(attempt, number=len(found.attempts) + 1, round=found.round)
                after = replace(found, attempts=(*found.attempts, entered)).changed(entered)
            else:
                after = found.changed(known.heard(_said(attempt), attempt.ended_at or self._now()))
            if after == found:
                return
            changed = replace(after, due_at=self._now())
            save = partial(self._store.save, changed, new_stamp())
            if await until_available(save):
                return


def _own(outcome: Outcome) -> Attempt:
    """The attempt of this message."""
    [like] = outcome.like.attempts
    started_at = outcome.started_at or like.started_at
    ended_at = outcome.ended_at
    return replace(
        like,
        to=outcome.to,
        reference=outcome.reference,
        provider_id=outcome.provider_id,
        started_at=started_at,
        ended_at=ended_at,
        counted_from=ended_at if like.counted_from else None,
        events=tuple(replace(event, at=ended_at or event.at) for event in like.events),
    )


def _said(attempt: Attempt) -> SendOutcome:
    if attempt.state is AttemptState.ACCEPTED:
        return Accepted(attempt.provider_id, attempt.parts)
    if attempt.state is AttemptState.REJECTED:
        return Refused(
            attempt.refusal or Refusal.PERMANENT, attempt.reason or "", attempt.code, attempt.hint, attempt.retry_after
        )
    return Unknown(attempt.reason or "")
