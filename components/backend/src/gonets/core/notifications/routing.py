"""What to do next about a notification: one pure decision, of its attempts, its channels and the clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gonets.core.channels.model import Address, Channel, ChannelType, Recipient, Refusal
from gonets.core.notifications.model import Attempt, AttemptState, ChannelKey, Notification, Status

DEFAULT_ORDER: Sequence[frozenset[ChannelType]] = (
    frozenset({ChannelType.TELEGRAM}),
    frozenset({ChannelType.EMAIL}),
    frozenset({ChannelType.SMS_TWILIO, ChannelType.SMS_SMSAERO}),
    frozenset({ChannelType.SMS_EMAIL_GATEWAY}),
    frozenset({ChannelType.SMS_SMPP}),
)
"""Where the sender names no route: Telegram, then email, then SMS by an API, by an SMTP gateway, by SMPP."""


class OfUnknown(StrEnum):
    """What to do when nobody could tell in time whether a message was taken."""

    HOLD = "hold"
    """Leave it: better not at all than twice."""
    RESEND = "resend"
    """Send again: better twice than not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPolicy:
    """How stubborn we are.

    The n-th delay within a channel is `first_delay * 2**(n-1)`, at most `longest_delay`, less up to half of it by
    jitter, and never less than the provider asked for; a try for which it named a time is none of `max_attempts`.
    `grace`: how long an unknown outcome may still become known; it is never shorter than the channel's longest send. A
    provider that can be asked is asked after `first_inquiry`, and then after twice as long each time, at most
    `longest_inquiry`; for a receipt that it is to send by itself first after `first_reminder`. `receipt_patience`:
    after this time without a delivery receipt none is expected any more.
    """

    max_attempts: int = 3
    first_delay: timedelta = timedelta(seconds=2)
    longest_delay: timedelta = timedelta(minutes=5)
    grace: timedelta = timedelta(minutes=2)
    of_unknown: OfUnknown = OfUnknown.HOLD
    first_inquiry: timedelta = timedelta(seconds=5)
    first_reminder: timedelta = timedelta(minutes=10)
    longest_inquiry: timedelta = timedelta(hours=1)
    receipt_patience: timedelta = timedelta(hours=72)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A channel as a step of a route. `obstacle`: why it cannot carry this message, None: it can. `receipts`: whether
    deliveries are reported; `can_ask`: whether its provider can be asked; `polled`: nothing is heard of a delivery
    unless it is asked; `longest_send`: see ChannelKind; `suppressed`: the address must not be written to, which is an
    obstacle, too."""

    key: ChannelKey
    name: str
    to: str | None
    obstacle: str | None = None
    suppressed: bool = False
    receipts: bool = False
    can_ask: bool = False
    polled: bool = False
    longest_send: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class SendOn:
    """Send by this channel, now."""

    candidate: Candidate
    why: str


@dataclass(frozen=True, slots=True)
class Inquire:
    """Ask this channel's provider, now, what became of the attempt."""

    reference: str
    channel: ChannelKey
    why: str


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing can be done before this time, unless something is heard."""

    at: datetime | None
    """None: whatever time it takes."""
    status: Status
    why: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more is done by itself. `channel`: the one that the end is about, where it is about one."""

    status: Status
    why: str
    channel: ChannelKey | None = None


Decision = SendOn | Inquire | WaitUntil | Finish


def order(route: Sequence[int], recipient: Recipient, channels: Sequence[Channel]) -> Sequence[Channel]:
    """The channels to try, in order: those that the route names, else the default order, else the default channel.

    Of several channels for one step the default one comes first, then the oldest. Channels for which the recipient has
    no address are left out of the default order.
    """
    if route:
        by_id = {channel.id: channel for channel in channels}
        return [by_id[number] for number in route if number in by_id]
    ranked = sorted(channels, key=lambda one: (not one.is_default, one.id))
    steps = [
        channel
        for types in DEFAULT_ORDER
        for channel in ranked
        if channel.type in types and recipient.at(ADDRESS[channel.type]) is not None
    ]
    return steps or [channel for channel in channels if channel.is_default][:1]


ADDRESS = {
    ChannelType.TELEGRAM: Address.TELEGRAM_CHAT_ID,
    ChannelType.EMAIL: Address.EMAIL,
    ChannelType.SMS_TWILIO: Address.PHONE,
    ChannelType.SMS_SMSAERO: Address.PHONE,
    ChannelType.SMS_EMAIL_GATEWAY: Address.PHONE,
    ChannelType.SMS_SMPP: Address.PHONE,
}
"""What the default order needs of a recipient."""


def decide(notification: Notification, route: Sequence[Candidate], now: datetime, policy: RoutingPolicy) -> Decision:
    """The next step. The same arguments always give the same answer; time alone moves it on."""
    return _Decider(notification, route, now, policy).decide()


def status_of(notification: Notification, decision: Decision) -> Status:
    """What the notification's status is under this decision."""
    match decision:
        case WaitUntil(status=status) | Finish(status=status):
            return status
        case Inquire() | SendOn():
            return _so_far(notification.current)


def _so_far(attempts: Sequence[Attempt]) -> Status:
    states = {attempt.state for attempt in attempts}
    if AttemptState.ACCEPTED in states:
        return Status.SENT
    if AttemptState.UNKNOWN in states:
        return Status.UNKNOWN
    return Status.SENDING if states else Status.PENDING


@dataclass(frozen=True, slots=True)
class _Decider:
    notification: Notification
    route: Sequence[Candidate]
    now: datetime
    policy: RoutingPolicy

    def decide(self) -> Decision:
        attempts = self.notification.current
        for attempt in self.notification.attempts:
            if attempt.state is AttemptState.DELIVERED:
                return Finish(Status.DELIVERED, f"delivered by {attempt.channel_name}", attempt.channel)
        for attempt in attempts:
            if attempt.state is AttemptState.STARTED:
                at = attempt.started_at + self._grace(attempt)
                return WaitUntil(at, _so_far(attempts), f"a send by {attempt.channel_name} is under way")
        for attempt in attempts:
            if attempt.state is AttemptState.UNKNOWN and (step := self._resolve(attempt)):
                return step
        if self.notification.held:
            return WaitUntil(None, Status.PENDING, "waits to be released")
        accepted = [attempt for attempt in attempts if attempt.state is AttemptState.ACCEPTED]
        if accepted and (step := self._await_receipt(accepted[-1])):
            return step
        return self._next(accepted)

    def _candidate(self, key: ChannelKey) -> Candidate | None:
        return next((candidate for candidate in self.route if candidate.key == key), None)

    def _grace(self, attempt: Attempt) -> timedelta:
        candidate = self._candidate(attempt.channel)
        return max(self.policy.grace, candidate.longest_send if candidate else timedelta(0))

    def _resolve(self, attempt: Attempt) -> Decision | None:
        """Of an unknown outcome; None: the policy is to send again."""
        over = attempt.started_at + self._grace(attempt)
        candidate = self._candidate(attempt.channel)
        unclear = f"nobody knows whether {attempt.channel_name} took it: {attempt.reason}"
        at = over
        # Asked once more when the time is over: after it nothing of the send can still be under way.
        asked_after = attempt.asked_at is not None and attempt.asked_at >= over
        if candidate is not None and candidate.can_ask and not asked_after:
            ask_at = min(self._ask_at(attempt, self.policy.first_inquiry), over)
            if self.now >= ask_at:
                return Inquire(attempt.reference, attempt.channel, f"{unclear}; the provider is asked")
            at = ask_at
        if self.now < at:
            return WaitUntil(at, Status.UNKNOWN, f"{unclear}; it may still be heard of")
        if self.policy.of_unknown is OfUnknown.RESEND and not self.notification.cancelled:
            return None
        return Finish(Status.UNKNOWN, f"{unclear}; it is not sent again, for it might come twice", attempt.channel)

    def _ask_at(self, attempt: Attempt, first: timedelta) -> datetime:
        if attempt.asked_at is None:
            return (attempt.ended_at or attempt.started_at) + first
        wait = first.total_seconds() * 2.0 ** min(attempt.asked, 64)
        return attempt.asked_at + timedelta(seconds=min(wait, self.policy.longest_inquiry.total_seconds()))

    def _await_receipt(self, attempt: Attempt) -> Decision | None:
        """For a message that was taken; None: its receipt is missing for too long, and another channel is to try."""
        candidate = self._candidate(attempt.channel)
        taken = f"taken by {attempt.channel_name}"
        if candidate is None or not candidate.receipts:
            return Finish(Status.SENT, f"{taken}, which reports no deliveries", attempt.channel)
        since = attempt.counted_from or attempt.ended_at or attempt.started_at
        until = since + self.policy.receipt_patience
        falls_back = self._falls_back(attempt, since)
        if falls_back is not None and falls_back <= self.now:
            return None
        if until <= self.now:
            return Finish(Status.SENT, f"{taken}; no delivery receipt came in {_words(until - since)}", attempt.channel)
        times = [until] if falls_back is None else [until, falls_back]
        if candidate.can_ask:
            first = self.policy.first_inquiry if candidate.polled else self.policy.first_reminder
            ask_at = self._ask_at(attempt, first)
            if ask_at <= self.now:
                return Inquire(attempt.reference, attempt.channel, f"{taken}; the provider is asked for its receipt")
            times.append(ask_at)
        return WaitUntil(min(times), Status.SENT, f"{taken}; its delivery receipt is awaited")

    def _falls_back(self, attempt: Attempt, since: datetime) -> datetime | None:
        """When another channel is to try because no receipt came; None: never, or there is none left to try."""
        wanted = self.notification.fallback_after
        if wanted is None or attempt.held or self.notification.cancelled:
            return None
        if self._expired(max(since + wanted, self.now)):
            return None
        return since + wanted if self._step() is not None else None

    def _expired(self, at: datetime) -> bool:
        return self.notification.deadline is not None and at >= self.notification.deadline

    def _next(self, accepted: Sequence[Attempt]) -> Decision:
        attempts = self.notification.current
        if self.notification.cancelled:
            return self._end(Status.CANCELLED, "cancelled")
        step = self._step()
        deadline = self.notification.deadline
        if deadline is not None and self.now >= deadline:
            return self._end(Status.EXPIRED, "its deadline came first")
        if step is None:
            return self._give_up()
        candidate, at, why = step
        if at <= self.now:
            return SendOn(candidate, why)
        return WaitUntil(min(at, deadline or at), _so_far(attempts) if not accepted else Status.SENT, why)

    def _end(self, status: Status, why: str) -> Finish:
        attempts = [one for one in self.notification.current if one.state is AttemptState.UNDELIVERED]
        return Finish(status, why, attempts[-1].channel if attempts else None)

    def _step(self) -> tuple[Candidate, datetime, str] | None:
        """The first channel of the route that may still be tried, from when on, and why it is its turn. Channels that
        have taken it are passed over."""
        passed: list[str] = []
        for candidate in self.route:
            tries = [one for one in self.notification.current if one.channel == candidate.key]
            if candidate.obstacle is not None and not any(one.state is AttemptState.ACCEPTED for one in tries):
                passed.append(f"{candidate.name} is passed over: {candidate.obstacle}")
                continue
            if not tries:
                return candidate, self.now, "; ".join([*passed, self._whose_turn(passed, candidate)])
            last = tries[-1]
            if last.state in {AttemptState.ACCEPTED, AttemptState.STARTED, AttemptState.DELIVERED}:
                passed.append(f"no delivery receipt came from {candidate.name} in time")
            elif not self._tries_again(last):
                passed.append(f"{candidate.name} cannot deliver it: {last.reason}")
            elif self._counted(tries) >= self.policy.max_attempts or len(tries) >= _MOST_TRIES:
                passed.append(f"{candidate.name} was tried {len(tries)} times: {last.reason}")
            else:
                again = f"try {len(tries) + 1} by {candidate.name} after: {last.reason}"
                return candidate, self._again_at(last, len(tries)), "; ".join([*passed, again])
        return None

    def _whose_turn(self, passed: Sequence[str], candidate: Candidate) -> str:
        first = not passed and not self.notification.current
        return f"{candidate.name} is {'first' if first else 'next'} on the route"

    def _tries_again(self, attempt: Attempt) -> bool:
        return attempt.state is AttemptState.UNKNOWN or attempt.refusal is Refusal.TEMPORARY

    def _counted(self, tries: Sequence[Attempt]) -> int:
        """Being told when to come back is no failure of the message: a busy hour must not use up its tries."""
        return sum(attempt.retry_after is None for attempt in tries)

    def _again_at(self, attempt: Attempt, tries: int) -> datetime:
        # In seconds, as floats, for no number of tries to overflow.
        seconds = self.policy.first_delay.total_seconds() * 2.0 ** min(tries - 1, 64)
        seconds = min(seconds, self.policy.longest_delay.total_seconds()) * (1 - attempt.jitter / 2)
        asked_for = min(attempt.retry_after or 0.0, _LONGEST_WAIT)
        return (attempt.ended_at or attempt.started_at) + timedelta(seconds=max(seconds, asked_for))

    def _give_up(self) -> Finish:
        attempts = self.notification.current
        suppressed = [one for one in self.route if one.suppressed]
        if not attempts:
            obstacles = [f"{one.name}: {one.obstacle}" for one in self.route if one.obstacle]
            status = Status.SUPPRESSED if suppressed else Status.FAILED
            return Finish(status, "; ".join(obstacles) or "no channel can reach this recipient")
        states = {attempt.state for attempt in attempts}
        # What was sent to the person counts for more than what was not.
        status = Status.SUPPRESSED if suppressed else Status.FAILED
        if AttemptState.UNDELIVERED in states:
            status = Status.UNDELIVERED
        if AttemptState.UNKNOWN in states:
            status = Status.UNKNOWN
        reasons = {attempt.channel_name: attempt.reason for attempt in attempts}
        reasons |= {one.name: one.obstacle for one in suppressed}
        return Finish(status, "; ".join(f"{name}: {reason}" for name, reason in reasons.items()), attempts[-1].channel)


_MOST_TRIES = 50
"""By one channel, those that a provider put off included."""

_LONGEST_WAIT = 86_400.0
"""Seconds. No provider puts a message off for longer, whatever it asks for."""


def _words(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return f"{hours:g} hours" if hours >= 1 else f"{time.total_seconds():g} seconds"
