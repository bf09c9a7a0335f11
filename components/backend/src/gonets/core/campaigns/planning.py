"""What each message of a campaign says, and by which channel it goes first.

Most messages are alike: their recipients have the same kinds of addresses, so one decision holds for all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gonets.core.campaigns.model import Campaign, Waiting
from gonets.core.channels.model import Address, Channel, Message, Recipient
from gonets.core.notifications.dispatch import FindRoute, Route
from gonets.core.notifications.model import ChannelKey, Notification, Status
from gonets.core.notifications.ports import Clock, Suppressions
from gonets.core.notifications.routing import Candidate, Finish, Inquire, RoutingPolicy, SendOn, WaitUntil, decide
from gonets.core.shared.errors import Invalid
from gonets.core.shared.patience import until_available
from gonets.core.templates import rendering


@dataclass(slots=True)
class Plan:
    """What is decided about all messages of one likeness. `end`: they are not sent, and end so."""

    steps: Sequence[Candidate]
    candidate: Candidate | None = None
    channel: Channel | None = None
    why: str = ""
    end: Notification | None = None
    taken: dict[int, Notification] = field(default_factory=dict)
    """By parts: what follows from being accepted."""


class Planned(NamedTuple):
    """A message, what it says, and what is decided about it."""

    message: Waiting
    said: Message
    plan: Plan


class Planner:
    """Plans the messages of one campaign; what is decided once stays so for as long as a chunk is held.

    `route` asks about no suppressions: they are asked for many messages at one time.
    """

    def __init__(
        self, campaign: Campaign, *, route: FindRoute, suppressions: Suppressions, policy: RoutingPolicy, now: Clock
    ) -> None:
        self._campaign = campaign
        self._route = route
        self._suppressions = suppressions
        self._policy = policy
        self._now = now
        content = campaign.content
        self._message = Message(content.text, content.subject)
        self._text = rendering.compile(content.text) if content.variables else None
        self._subject = rendering.compile(content.subject, "subject") if content.variables and content.subject else None
        self._plans: dict[object, Plan] = {}

    async def plan(self, messages: Sequence[Waiting]) -> Sequence[Planned]:
        """Waits while the database is away."""
        listed = await self._listed(messages)
        return [self._as_before(message, listed) or await self._planned(message, listed) for message in messages]

    async def plan_again(self, message: Waiting) -> Planned:
        """As it was planned by a worker that died."""
        try:
            said = self._rendered(message)
        except Invalid:
            said = self._message
        return Planned(message, said, await self._plan(message, said, _NOTHING))

    def notification(self, message: Waiting, said: Message) -> Notification:
        """The message as a notification that nothing was done about."""
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

    def own_words(self, said: Message) -> tuple[str | None, str | None]:
        """Text and subject, where they are not those of all."""
        return (None, None) if said is self._message else (said.text, said.subject)

    async def _listed(self, messages: Sequence[Waiting]) -> Mapping[str, frozenset[str]]:
        asked: dict[str, list[str]] = {}
        for message in messages:
            recipient = message.recipient
            if recipient.phone is not None:
                asked.setdefault(Address.PHONE.value, []).append(recipient.phone)
            if recipient.email is not None:
                asked.setdefault(Address.EMAIL.value, []).append(recipient.email)
            if recipient.telegram_chat_id is not None:
                asked.setdefault(Address.TELEGRAM_CHAT_ID.value, []).append(recipient.telegram_chat_id)
        if not asked:
            return {}
        return await until_available(lambda: self._suppressions.among(self._campaign.owner_id, asked))

    def _as_before(self, message: Waiting, listed: Mapping[str, frozenset[str]]) -> Planned | None:
        """Where nothing is its own: decided as it was for another one."""
        if self._text is not None or any(listed.values()):
            return None
        plan = self._plans.get(_likeness(message.recipient, _NOTHING))
        return Planned(message, self._message, plan) if plan else None

    async def _planned(self, message: Waiting, listed: Mapping[str, frozenset[str]]) -> Planned:
        try:
            said = self._rendered(message)
        except Invalid as error:
            end = self.notification(message, self._message)
            why = f"{error.field} {error.reason}"
            return Planned(message, self._message, Plan((), end=end.ended(Status.FAILED, why, None, self._now())))
        shut = (
            frozenset(kind for kind, addresses in listed.items() if message.recipient.at(Address(kind)) in addresses)
            if listed
            else _NOTHING
        )
        return Planned(message, said, await self._plan(message, said, shut))

    def _rendered(self, message: Waiting) -> Message:
        """Raises Invalid, which names the variable that has no value."""
        if self._text is None:
            return self._message
        subject = self._subject.render(message.values) if self._subject else self._message.subject
        return Message(self._text.render(message.values), subject)

    async def _plan(self, message: Waiting, said: Message, shut: frozenset[str]) -> Plan:
        """The same for all of one likeness, as long as their text can go by the channel that is chosen."""
        likeness = _likeness(message.recipient, shut)
        plan = self._plans.get(likeness)
        if plan is None:
            plan = self._plans[likeness] = await self._decided(message, said, shut)
        if self._text is None or (plan.channel and not self._route.kinds[plan.channel.type].problem(said.text)):
            return plan
        return await self._decided(message, said, shut)

    async def _decided(self, message: Waiting, said: Message, shut: frozenset[str]) -> Plan:
        found = self.notification(message, said)
        route = await until_available(lambda: self._route(found))
        own = await self._own_listed(route)
        steps = [self._open(step, route.channels.get(step.key), shut, own) for step in route.steps]
        now = self._now()
        match decide(found, steps, now, self._policy):
            case SendOn(candidate=candidate, why=why):
                return Plan(steps, candidate, route.channels[candidate.key], why)
            case Finish(status=status, why=why, channel=key):
                return Plan(steps, end=found.ended(status, why, key, now))
            case WaitUntil(at=at, status=status, why=why):
                return Plan(steps, end=found.waiting(at, status, why))
            case Inquire(why=why):
                return Plan(steps, end=found.waiting(now, found.status, why))

    async def _own_listed(self, route: Route) -> frozenset[ChannelKey]:
        """Channels that would write to a destination of their own, which must not be written to."""
        places: dict[ChannelKey, tuple[str, str]] = {}
        for step in route.steps:
            channel = route.channels.get(step.key)
            kind = self._route.kinds.get(channel.type) if channel else None
            if channel is None or kind is None or kind.address is None or step.to is not None:
                continue
            if (to := kind.destination(channel.configuration)) is not None:
                places[step.key] = kind.address.value, to
        if not places:
            return frozenset()
        asked = {kind: [to for other, to in places.values() if other == kind] for kind, _ in places.values()}
        listed = await until_available(lambda: self._suppressions.among(self._campaign.owner_id, asked))
        return frozenset(key for key, (kind, to) in places.items() if to in listed.get(kind, ()))

    def _open(
        self, step: Candidate, channel: Channel | None, shut: frozenset[str], own: frozenset[ChannelKey]
    ) -> Candidate:
        kind = self._route.kinds.get(channel.type) if channel else None
        if kind is None or kind.address is None or step.obstacle is not None:
            return step
        if step.key not in own and (step.to is None or kind.address.value not in shut):
            return step
        why = f"suppressed: the {kind.address.value} must not be written to"
        return replace(step, obstacle=why, suppressed=True)


_NOTHING: frozenset[str] = frozenset()


def _likeness(recipient: Recipient, shut: frozenset[str]) -> object:
    return recipient.phone is not None, recipient.email is not None, recipient.telegram_chat_id is not None, shut
