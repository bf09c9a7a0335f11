"""What the outside can ask of channels."""

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gonets.core.channels import masks
from gonets.core.channels.model import (
    Accepted,
    Address,
    Channel,
    ChannelPage,
    ChannelType,
    Message,
    NewChannel,
    Refused,
    Send,
    SendOutcome,
    Step,
)
from gonets.core.channels.ports import ChannelKind, ChannelKinds, ChannelStore, Mailbox, OperatorChannels, Phone
from gonets.core.shared import addresses
from gonets.core.shared.audit import Actor, Audit
from gonets.core.shared.errors import Conflict, Invalid, InvalidFields, NotFound
from gonets.core.shared.json import JSON

log = logging.getLogger(__name__)

MOST_CHANNELS = 200
"""Of one owner: whoever sends reads all of them."""

_TRIES = 10  # against others who change the same channel at the same time
_TEST_SUBJECT = "Gonets: test"
_TEST_TEXT = "Тестовое сообщение / Test message. Gonets can reach you by this channel."


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be different; None stays. `configuration` is laid over the present one, key by key (see `masks`);
    `rate_per_second` and `self_test_every` 0: none any more."""

    name: str | None = None
    type: ChannelType | None = None
    configuration: Mapping[str, JSON] | None = field(default=None, repr=False)
    enabled: bool | None = None
    is_default: bool | None = None
    rate_per_second: float | None = None
    self_test_every: int | None = None

    @property
    def named(self) -> list[JSON]:
        """What it speaks of, keys of the configuration included; no values."""
        single = ("name", "enabled", "is_default", "rate_per_second", "self_test_every")
        present: list[JSON] = [name for name in single if getattr(self, name) is not None]
        return present + [f"configuration.{key}" for key in sorted(self.configuration or {})]


@dataclass(frozen=True, slots=True)
class ManageChannels:
    """An owner's channels: create, look, change, delete. Another owner's are not there."""

    store: ChannelStore
    kinds: ChannelKinds
    audit: Audit

    def kind(self, channel_type: ChannelType) -> ChannelKind:
        """Raises Invalid for a type that this installation has not."""
        if channel_type not in self.kinds:
            raise Invalid("type", f"must be one of {', '.join(self.kinds)}")
        return self.kinds[channel_type]

    def shown(self, channel: Channel) -> dict[str, JSON]:
        """The configuration as everybody may see it."""
        return masks.shown(channel.configuration, self.kind(channel.type).secrets)

    async def create(self, actor: Actor, new: NewChannel) -> Channel:
        """`new.configuration` is as the owner wrote it. Raises Invalid, InvalidFields; Conflict for one too many."""
        kind = self.kind(new.type)
        checked = replace(new, configuration=_checked(kind, {}, new.configuration))
        if await self.store.count(actor.user_id) >= MOST_CHANNELS:
            raise Conflict(f"an account can have {MOST_CHANNELS} channels; delete one first")
        channel = await self.store.add(actor.user_id, checked)
        await self.record(actor, "created", channel)
        return channel

    def wrong(self, channel_type: object, configuration: object) -> Sequence[tuple[str, str]]:
        """What is wrong in the configuration of a channel that is not taken anyway; nothing where nobody can say."""
        kind = next((kind for name, kind in self.kinds.items() if name == channel_type), None)
        return _wrong(kind, {}, configuration) if kind is not None else ()

    async def wrong_change(self, owner_id: int, channel_id: int, configuration: object) -> Sequence[tuple[str, str]]:
        """Likewise, of a change; nothing where there is no such channel."""
        old = await self.store.get(owner_id, channel_id)
        return _wrong(self.kind(old.type), old.configuration, configuration) if old is not None else ()

    async def one(self, owner_id: int, channel_id: int) -> Channel:
        """Raises NotFound."""
        channel = await self.store.get(owner_id, channel_id)
        if channel is None:
            raise NotFound(f"no channel has the id {channel_id}")
        return channel

    async def default(self, owner_id: int) -> Channel:
        """Raises NotFound."""
        channel = await self.store.default(owner_id)
        if channel is None:
            raise NotFound('no channel is the default: send {"isDefault": true} to one')
        return channel

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> ChannelPage:
        """Latest first. Raises Invalid for a cursor that is none of ours."""
        return await self.store.page(owner_id, cursor=cursor, limit=limit)

    async def update(self, actor: Actor, channel_id: int, change: Change) -> Channel:
        """Raises NotFound, Invalid, InvalidFields; Conflict where others keep changing it."""
        for _ in range(_TRIES):
            old = await self.one(actor.user_id, channel_id)
            written = await self.store.replace(old, self._changed(old, change))
            if written is not None:
                await self.record(actor, "changed", written, changed=change.named)
                return written
        raise Conflict("others keep changing this channel; try again")

    def _changed(self, old: Channel, change: Change) -> Channel:
        if change.type not in (None, old.type):
            raise Invalid("type", f"must stay {old.type}: make a new channel for another type")
        kind = self.kind(old.type)
        configuration = old.configuration
        if change.configuration is not None:
            configuration = _checked(kind, old.configuration, change.configuration)
        return replace(
            old,
            name=old.name if change.name is None else change.name,
            configuration=configuration,
            enabled=old.enabled if change.enabled is None else change.enabled,
            is_default=old.is_default if change.is_default is None else change.is_default,
            rate_per_second=old.rate_per_second if change.rate_per_second is None else change.rate_per_second or None,
            self_test_every=old.self_test_every if change.self_test_every is None else change.self_test_every or None,
        )

    async def delete(self, actor: Actor, channel_id: int) -> None:
        """Raises NotFound."""
        channel = await self.one(actor.user_id, channel_id)
        if not await self.store.delete(actor.user_id, channel_id):
            raise NotFound(f"no channel has the id {channel_id}")
        await self.record(actor, "deleted", channel)

    async def record(self, actor: Actor, action: str, channel: Channel, **facts: JSON) -> None:
        """In the log and in the audit."""
        who = {"user_id": actor.user_id, "api_key_id": actor.api_key_id}
        log.info("channel %s", action, extra={"channel_id": channel.id, "type": channel.type, **who, **facts})
        await self.audit.note(actor, action, channel.id, {"type": channel.type, "name": channel.name, **facts})


def _checked(kind: ChannelKind, old: Mapping[str, JSON], changes: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Raises Invalid, InvalidFields: masks that stand for nothing along with what else is wrong, and secrets that would
    be told to somebody else."""
    given, wrong = masks.merged(old, changes, kind.secrets)
    try:
        checked = kind.check(given)
    except (Invalid, InvalidFields) as error:
        if not wrong:
            raise
        masked = {field for field, _ in wrong}
        others = error.wrong if isinstance(error, InvalidFields) else [(error.field, error.reason)]
        wrong += [one for one in others if one[0] not in masked]
        raise InvalidFields(wrong) from None
    named = {field for field, _ in wrong}
    wrong += [one for one in _told_to_others(kind, old, changes, checked) if one[0] not in named]
    if wrong:
        raise InvalidFields(wrong)
    return checked


def _told_to_others(
    kind: ChannelKind, old: Mapping[str, JSON], changes: Mapping[str, JSON], checked: Mapping[str, JSON]
) -> Sequence[tuple[str, str]]:
    """The secrets that are kept although the channel leads elsewhere: whoever may change a channel need not know them,
    and must not learn them by having them sent to a place of their own."""
    moved = sorted(key for key in kind.destinations if checked.get(key) != old.get(key))
    if not old or not moved:
        return ()
    reason = f"must be given again, because {' and '.join(moved)} {'change' if len(moved) > 1 else 'changes'}"
    return [(field, reason) for field in masks.kept(old, changes, kind.secrets)]


def _wrong(kind: ChannelKind, old: Mapping[str, JSON], changes: object) -> Sequence[tuple[str, str]]:
    if not isinstance(changes, Mapping):
        return ()
    try:
        _checked(kind, old, changes)
    except Invalid as error:
        return [(error.field, error.reason)]
    except InvalidFields as error:
        return error.wrong
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is sent to see if a channel works. `to`: an address, where the channel's own destination is not meant."""

    message: str | None = None
    username: str | None = None
    to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """What came of it. `step` is where it failed; `reason` and `code` are the provider's words, secrets out; `hint`:
    what to try."""

    success: bool
    step: Step | None = None
    reason: str | None = None
    code: str | None = None
    hint: str | None = None
    provider_id: str | None = None


_MISSING: Mapping[Address, str] = {
    Address.TELEGRAM_CHAT_ID: 'Set "chatId" in the configuration, or name one in "to". The person must first have sent'
    " /start to the bot.",
    Address.EMAIL: 'Name an e-mail address in "to".',
    Address.PHONE: 'Name a phone number in "to", in the form +79161234567.',
}


@dataclass(frozen=True, slots=True)
class TryChannel:
    """Sends a message by one channel now, enabled or not, and says what came of it.

    Without `to` it goes to the channel's own destination; by e-mail else to the owner, by SMS else to `test_phone`.
    """

    channels: ManageChannels
    mailbox: Mailbox
    phone: Phone
    test_phone: str | None = None

    async def __call__(self, actor: Actor, channel_id: int, request: Trial, *, by_itself: bool = False) -> TrialReport:
        """Raises NotFound; Invalid where `to` makes no sense. What the provider refuses is in the report. `by_itself`:
        nobody asked for it, so the audit says nothing of it."""
        channel = await self.channels.one(actor.user_id, channel_id)
        kind = self.channels.kind(channel.type)
        report = await self._report(actor, channel, kind, request)
        await self.channels.store.tested(channel_id, ok=report.success, step=report.step, reason=report.reason)
        if by_itself:
            return report
        facts: Mapping[str, JSON] = {"success": report.success, "step": report.step, "reason": report.reason}
        await self.channels.record(actor, "tested", channel, **facts)
        return report

    async def _report(self, actor: Actor, channel: Channel, kind: ChannelKind, request: Trial) -> TrialReport:
        text = request.message or _TEST_TEXT
        if problem := kind.problem(text):
            return TrialReport(success=False, step=Step.MESSAGE, reason=problem, hint="Send another text.")
        to = None if request.to is None else self._address(kind, request.to)
        if to is None and kind.address is not None and kind.destination(channel.configuration) is None:
            to = await self._somebody(actor, kind.address)
            if to is None:
                reason = "the channel has no destination of its own, and the test names none"
                return TrialReport(success=False, step=Step.DESTINATION, reason=reason, hint=_MISSING[kind.address])
        message = Message(text, subject=_TEST_SUBJECT, username=request.username)
        outcome = await kind.send(channel, Send(message=message, to=to, reference=f"test-{uuid.uuid4().hex}"))
        return _reported(outcome, channel.configuration, kind.secrets)

    def _address(self, kind: ChannelKind, to: str) -> str:
        match kind.address:
            case Address.TELEGRAM_CHAT_ID:
                return addresses.telegram_chat_id("to", to)
            case Address.EMAIL:
                return addresses.email("to", to)
            case Address.PHONE:
                return self.phone("to", to)
        raise Invalid("to", f"must be left out: {kind.type} has its own destination")

    async def _somebody(self, actor: Actor, address: Address) -> str | None:
        match address:
            case Address.EMAIL:
                return await self.mailbox.of(actor.user_id)
            case Address.PHONE:
                return self.test_phone
        return None


def _reported(outcome: SendOutcome, configuration: Mapping[str, JSON], secrets: Collection[str]) -> TrialReport:
    if isinstance(outcome, Accepted):
        return TrialReport(success=True, provider_id=outcome.provider_id)
    reason = masks.without(outcome.reason, configuration, secrets)
    if isinstance(outcome, Refused):
        hint = outcome.hint and masks.without(outcome.hint, configuration, secrets)
        return TrialReport(success=False, step=outcome.step, reason=reason, code=outcome.code, hint=hint)
    hint = "It may have arrived all the same: look there before you test again."
    return TrialReport(success=False, step=Step.SEND, reason=reason, hint=hint)


@dataclass(frozen=True, slots=True)
class UseChannels:
    """Implements ChannelsOf."""

    store: ChannelStore
    kinds: ChannelKinds
    operator: OperatorChannels

    async def usable(self, owner_id: int) -> Sequence[Channel]:
        own = await self.store.all(owner_id)
        has = {self._address(channel) for channel in own}
        enabled = [channel for channel in own if channel.enabled]
        return enabled + [channel for channel in self.operator.values() if self._address(channel) not in has]

    async def get(self, owner_id: int, channel_id: int) -> Channel:
        channel = await self.store.get(owner_id, channel_id)
        if channel is None:
            raise NotFound(f"no channel has the id {channel_id}")
        return channel

    def _address(self, channel: Channel) -> Address | None:
        return self.kinds[channel.type].address
