"""The worker's part: see a claimed notification to its next state. No transaction is open while it sends."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from gonets.core.channels.model import (
    Accepted,
    Channel,
    ChannelType,
    Delivery,
    Receipt,
    Refusal,
    Refused,
    Send,
    SendOutcome,
    Unknown,
)
from gonets.core.channels.ports import ChannelKind, ChannelKinds, ChannelsOf, Inquiry, ReceiptSink
from gonets.core.notifications.model import (
    Attempt,
    AttemptState,
    ChannelKey,
    Notification,
)
from gonets.core.notifications.ports import (
    Clock,
    Later,
    Lifeline,
    NotificationClaims,
    NotificationNews,
    NotificationStore,
    Observer,
    Permits,
    Suppressions,
    Turns,
)
from gonets.core.notifications.routing import (
    Candidate,
    Finish,
    Inquire,
    RoutingPolicy,
    SendOn,
    WaitUntil,
    decide,
    order,
)
from gonets.core.shared.concerning import concerning
from gonets.core.shared.errors import NotFound, Unavailable
from gonets.core.shared.patience import until_available

log = logging.getLogger(__name__)

Fact = Callable[[Notification], Notification]
"""Something learnt about a notification, to be entered in whatever its row says by now."""

CallbackUrl = Callable[[ChannelType, str], str | None]
"""Where a provider of this type is to report on the attempt with this reference; None: it cannot reach us."""


def new_stamp() -> int:
    """A mark that no two changes share; it is no secret."""
    return random.getrandbits(63)


def new_reference(notification_id: int, number: int) -> str:
    """Names an attempt in callbacks, for ever, also where a database was made anew."""
    return f"{notification_id}-{number}-{random.getrandbits(48):012x}"


def notification_of(reference: str) -> int | None:
    """The notification that a reference belongs to; None: it is none of ours."""
    number = reference.partition("-")[0]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else None


@dataclass(frozen=True, slots=True)
class FindRoute:
    """A notification's channels, in the order in which they are tried."""

    channels: ChannelsOf
    kinds: ChannelKinds
    callback_url: CallbackUrl
    suppressions: Suppressions

    async def __call__(self, notification: Notification) -> "Route":
        """Raises Unavailable."""
        usable = {key_of(channel): channel for channel in await self.channels.usable(notification.owner_id)}
        tried = [attempt.channel for attempt in notification.current]
        for number in dict.fromkeys([*notification.route, *(key.id for key in tried)]):
            known = not number or any(key.id == number for key in usable)
            if not known and (channel := await self._off(notification.owner_id, number)) is not None:
                usable[key_of(channel)] = channel
        steps = order(notification.route, notification.recipient, list(usable.values()))
        missing = [number for number in notification.route if not any(channel.id == number for channel in steps)]
        on_route = [self._candidate(channel, notification) for channel in steps]
        # What was tried and is no longer on the route: its receipts and inquiries still count.
        others = [
            replace(self._candidate(usable[key], notification), obstacle="it is no longer on the route")
            for key in dict.fromkeys(tried)
            if key in usable and usable[key] not in steps
        ]
        gone = [
            Candidate(key=ChannelKey(number, _ANY), name=f"channel {number}", to=None, obstacle="it is gone")
            for number in missing
        ]
        return Route(await self._checked(notification.owner_id, on_route, usable) + [*others, *gone], usable)

    async def _checked(
        self, owner_id: int, steps: Sequence[Candidate], channels: Mapping[ChannelKey, Channel]
    ) -> list[Candidate]:
        """With what must not be written to."""
        places = [self._place(step, channels[step.key]) for step in steps]
        asked: dict[str, list[str]] = {}
        for kind, address in filter(None, places):
            asked.setdefault(kind, []).append(address)
        found = await self.suppressions.among(owner_id, asked)
        return [
            replace(step, obstacle=f"suppressed: the {place[0]} must not be written to", suppressed=True)
            if place is not None and place[1] in found.get(place[0], ())
            else step
            for step, place in zip(steps, places, strict=True)
        ]

    def _place(self, step: Candidate, channel: Channel) -> tuple[str, str] | None:
        """Where it would go, as a kind of address and an address; None: to nobody that could be on a list, or not at
        all."""
        kind = self.kinds.get(channel.type)
        if kind is None or kind.address is None or step.obstacle is not None:
            return None
        to = step.to or kind.destination(channel.configuration)
        return None if to is None else (kind.address.value, to)

    async def _off(self, owner_id: int, channel_id: int) -> Channel | None:
        try:
            return await self.channels.get(owner_id, channel_id)
        except NotFound:
            return None

    def _candidate(self, channel: Channel, notification: Notification) -> Candidate:
        kind = self.kinds.get(channel.type)
        key = key_of(channel)
        if kind is None:
            return Candidate(key=key, name=channel.name, to=None, obstacle="this installation has no such channels")
        to = None if kind.address is None else notification.recipient.at(kind.address)
        can_ask = hasattr(kind, "inquire")
        return Candidate(
            key=key,
            name=channel.name,
            to=to,
            obstacle=_obstacle(channel, kind, to, notification.message.text),
            receipts=kind.receipts,
            can_ask=can_ask,
            polled=can_ask and channel.type is not ChannelType.SMS_SMPP and self.callback_url(channel.type, "") is None,
            longest_send=timedelta(seconds=kind.longest_send + _TURN),
        )


_ANY = ChannelType.WEBHOOK  # in place of a type that nobody knows
_TURN = 5.0
"""Seconds for which a send may wait for its turn, and the commit before it."""


def _obstacle(channel: Channel, kind: ChannelKind, to: str | None, text: str) -> str | None:
    if not channel.enabled:
        return "it is off"
    if kind.address is not None and to is None and kind.destination(channel.configuration) is None:
        return f"the recipient has no {kind.address.value}"
    return kind.problem(text)


def key_of(channel: Channel) -> ChannelKey:
    return ChannelKey(channel.id, channel.type)


@dataclass(frozen=True, slots=True)
class Route:
    """The steps, and the channels behind them."""

    steps: Sequence[Candidate]
    channels: Mapping[ChannelKey, Channel] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RunNotification:
    """Decide, send, decide again, until there is nothing to do for now."""

    store: NotificationStore
    claims: NotificationClaims
    route: FindRoute
    lifeline: Lifeline
    turns: Turns
    news: NotificationNews
    note: ReceiptSink
    suppressions: Suppressions
    permits: Permits
    observer: Observer
    policy: RoutingPolicy
    now: Clock

    async def __call__(self, claimed: Notification) -> None:
        """Never raises for what a provider, the database or the broker does."""
        with concerning(**claimed.ids):
            await _Run(self, claimed).run()


class _LostError(Exception):
    """The claim is somebody else's now."""


class _Run:
    """One claim, from its start to its release. `facts`: what was learnt and is not saved yet."""

    def __init__(self, use: RunNotification, claimed: Notification) -> None:
        self._use = use
        self._life = claimed.life or 0
        self._current = claimed
        self._facts: list[Fact] = []
        if left_behind := claimed.begun_sends:
            self._facts.append(lambda found: found.abandoned(left_behind, use.now()))
        self._named: list[tuple[int, str]] = []
        self._route: Route | None = None

    async def run(self) -> None:
        try:
            while not await self._step():
                pass
        except _LostError:
            log.warning("claim lost", extra={"notification_id": self._current.id})
            await self._leave_what_is_known()
        # After our commit, which is when whoever hands in a receipt finds the message by itself.
        for channel_id, provider_id in self._named:
            for receipt in await until_available(partial(self._use.store.strays, channel_id, provider_id)):
                await until_available(partial(self._use.note, channel_id, receipt))

    async def _step(self) -> bool:
        """True: nothing more is to be done for now."""
        found, now = self._known(self._current), self._use.now()
        if self._route is None:
            # Once for a claim, which is short: what its owner changes meanwhile is heeded by the next one.
            self._route = await until_available(lambda: self._use.route(found))
        route = self._route
        match decide(found, route.steps, now, self._use.policy):
            case SendOn(candidate=candidate, why=why):
                return await self._send(found, candidate, route.channels[candidate.key], why)
            case Inquire(reference=reference, channel=key):
                await self._inquire(found, reference, route, route.channels[key])
                return False
            case WaitUntil(at=at, status=status, why=why):
                return await self._save(found.waiting(at, status, why), release=True)
            case Finish(status=status, why=why, channel=key):
                already = self._current.finished and self._current.status is status
                if not await self._save(found.ended(status, why, key, now), release=True):
                    return False
                await self._tell(already=already)
        return True

    async def _send(self, found: Notification, candidate: Candidate, channel: Channel, why: str) -> bool:
        use = self._use
        if (permit := await until_available(lambda: use.permits.permit(found))) is not True:
            return await self._not_now(found, permit)
        number = len(found.attempts) + 1
        attempt = Attempt(
            number=number,
            round=found.round,
            reference=new_reference(found.id, number),
            channel=candidate.key,
            channel_name=candidate.name,
            to=candidate.to,
            why=why,
            state=AttemptState.STARTED,
            started_at=use.now(),
        )
        # The heartbeat is fresh for longer than a send waits for its turn.
        if not await use.lifeline.holds(_Hold(self._life)):
            raise _LostError
        if not await self._save(found.begun(attempt)):
            return False
        turn = await until_available(lambda: use.turns.turn(channel))
        if isinstance(turn, timedelta):
            self._facts.append(lambda now: now.withdrawn(attempt.reference))
            back = self._known(self._current).waiting(
                use.now() + turn, found.status, f"waits for its turn: {channel.name} sends as much as it may"
            )
            return await self._save(back, release=True)
        if not use.lifeline.surely_holds(_Hold(self._life)):
            # It stood still meanwhile; others took the send for lost, and may have sent it themselves.
            raise _LostError
        since = use.now()
        outcome = await self._call(channel, found, attempt)
        turn.over()
        at = use.now()
        took, age = (at - since).total_seconds(), (at - found.created_at).total_seconds()
        use.observer.sent(found, candidate.key, outcome, took, age)
        self._facts.append(lambda now: _heard(now, attempt.reference, outcome, at))
        _report(found, attempt, channel, outcome)
        if isinstance(outcome, Accepted) and outcome.provider_id and channel.type is ChannelType.SMS_SMPP:
            self._named.append((channel.id, outcome.provider_id))
        if isinstance(outcome, Refused) and outcome.refusal is Refusal.TEMPORARY and outcome.retry_after:
            await self._pause(channel, outcome.retry_after)
        if isinstance(outcome, Refused) and outcome.opted_out:
            await self._suppress(found, channel, candidate.to, outcome.reason)
        return False

    async def _suppress(self, found: Notification, channel: Channel, to: str | None, reason: str | None) -> None:
        """Before what was heard is saved: after a crash in between it is heard again."""
        address = self._use.route.kinds[channel.type].address
        if address is not None and to is not None:
            add = partial(self._use.suppressions.opted_out, found.owner_id, address.value, to, reason or channel.name)
            await until_available(add)
            # Other channels of the route may lead to the same address.
            self._route = None

    async def _not_now(self, found: Notification, permit: Later | Literal[False]) -> bool:
        if permit is False:
            self._facts.append(lambda now: replace(now, cancelled=True))
            return False
        at = min(permit.at, found.deadline or permit.at)
        return await self._save(found.waiting(at, found.status, permit.why), release=True)

    async def _call(self, channel: Channel, found: Notification, attempt: Attempt) -> SendOutcome:
        try:
            return await self._use.route.kinds[channel.type].send(channel, self._as_send(channel, found, attempt))
        except Exception:
            log.exception(
                "an error of ours while sending", extra={"notification_id": found.id, "channel_id": channel.id}
            )
            return Unknown("an error of ours while it was sent; it is in the log")

    def _as_send(self, channel: Channel, found: Notification, attempt: Attempt) -> Send:
        return Send(
            message=found.message,
            to=attempt.to,
            reference=attempt.reference,
            callback_url=self._use.route.callback_url(channel.type, attempt.reference),
            started_at=attempt.started_at,
            others=frozenset(one.provider_id for one in found.attempts if one is not attempt and one.provider_id),
        )

    async def _pause(self, channel: Channel, seconds: float) -> None:
        try:
            await self._use.turns.pause(channel, timedelta(seconds=min(seconds, 86_400)))
        except Unavailable as error:
            log.warning("pause not shared", extra={"channel_id": channel.id, "reason": error.reason})

    async def _inquire(self, found: Notification, reference: str, route: Route, channel: Channel) -> None:
        attempt = found.attempt(reference)
        kind: object = self._use.route.kinds[channel.type]
        assert attempt is not None  # noqa: S101 - it was decided about
        receipt = None
        try:
            inquiry: Inquiry = kind  # type: ignore[assignment]  # can_ask said so
            receipt = await inquiry.inquire(channel, self._as_send(channel, found, attempt), attempt.provider_id)
        except Exception:
            log.exception(
                "an error of ours while asking", extra={"notification_id": found.id, "channel_id": channel.id}
            )
        at = self._use.now()
        self._facts.append(lambda now: _asked(now, reference, at))
        under_way = any(
            step.key == attempt.channel and at < attempt.started_at + step.longest_send for step in route.steps
        )
        # While the send may still be under way, that the provider has no such message means nothing.
        if receipt is not None and not (under_way and receipt.delivery is Delivery.ABSENT):
            said = receipt
            if (learnt := attempt.reported(said, at)).state is not attempt.state:
                self._use.observer.reported(learnt)
            self._facts.append(lambda now: _reported(now, reference, said, at))
            if said.opted_out:
                await self._suppress(found, channel, attempt.to, said.reason)

    async def _tell(self, *, already: bool) -> None:
        """`already`: it had this very end before."""
        ended = self._current
        facts = {"notification_id": ended.id, "status": ended.status.value, "reason": ended.reason}
        if not already:
            log.info("notification ended", extra=facts)
            self._use.observer.ended(ended)
        if not ended.untold:
            return
        try:
            await self._use.news.end(ended)
            await self._use.claims.told(ended)
        except Unavailable as error:
            log.warning("the end of a notification is told later", extra=facts | {"reason": error.reason})

    def _known(self, found: Notification) -> Notification:
        for fact in self._facts:
            found = fact(found)
        return found

    async def _save(self, changed: Notification, *, release: bool = False) -> bool:
        """False: somebody else wrote in between, and it was read again."""
        stamp, known = new_stamp(), self._current.attempts
        saved = await until_available(lambda: self._use.store.save(changed, stamp, release=release, known=known))
        if saved is not None:
            self._current = saved
            self._facts.clear()
            return True
        fresh = await until_available(lambda: self._use.store.get(changed.id))
        if fresh is None or fresh.life != self._life:
            raise _LostError
        self._current = fresh
        return False

    async def _leave_what_is_known(self) -> None:
        """Truth is entered whoever holds the claim; what follows from it is the holder's to decide."""
        while fresh := await until_available(lambda: self._use.store.get(self._current.id)):
            after = self._known(fresh)
            if after == fresh:
                return
            save = partial(self._use.store.save, replace(after, due_at=self._use.now()), new_stamp())
            if await until_available(save):
                return


@dataclass(frozen=True, slots=True)
class _Hold:
    life: int


def _heard(found: Notification, reference: str, outcome: SendOutcome, at: datetime) -> Notification:
    attempt = found.attempt(reference)
    return found.changed(attempt.heard(outcome, at)) if attempt else found


def _asked(found: Notification, reference: str, at: datetime) -> Notification:
    attempt = found.attempt(reference)
    return found.changed(attempt.inquired(at)) if attempt else found


def _reported(found: Notification, reference: str, receipt: Receipt, at: datetime) -> Notification:
    attempt = found.attempt(reference)
    return found.changed(attempt.reported(receipt, at)) if attempt else found


def _report(found: Notification, attempt: Attempt, channel: Channel, outcome: SendOutcome) -> None:
    facts: dict[str, object] = {
        "notification_id": found.id,
        "attempt": attempt.number,
        "channel_id": channel.id,
        "type": channel.type.value,
    }
    match outcome:
        case Accepted():
            log.info("message taken", extra=facts)
        case Refused(refusal=Refusal.CONFIGURATION, reason=reason, code=code, hint=hint):
            log.error("channel needs its owner", extra=facts | {"reason": reason, "code": code, "hint": hint})
        case Refused(refusal=refusal, reason=reason, code=code):
            log.warning("message refused", extra=facts | {"refusal": refusal.value, "reason": reason, "code": code})
        case Unknown(reason=reason):
            log.warning("nobody knows whether it was taken", extra=facts | {"reason": reason})
