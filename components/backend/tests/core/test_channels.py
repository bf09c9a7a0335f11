"""Which channels messages of an owner may go by, and what is shown of secrets."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fakes.channels import FakeAudit, FakeChannelStore, FakeKind
from gonets.core.channels import masks
from gonets.core.channels.model import Address, Channel, ChannelType, NewChannel
from gonets.core.channels.use_cases import Change, ManageChannels, UseChannels
from gonets.core.identity.model import Principal, Role
from gonets.core.shared.errors import Conflict, NotFound

KINDS = {
    kind.type: kind
    for kind in (
        FakeKind(ChannelType.TELEGRAM, Address.TELEGRAM_CHAT_ID),
        FakeKind(ChannelType.EMAIL, Address.EMAIL),
        FakeKind(ChannelType.SMS_TWILIO, Address.PHONE),
        FakeKind(ChannelType.SMS_SMPP, Address.PHONE),
        FakeKind(ChannelType.WEBHOOK, None),
    )
}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANNA = Principal(1, Role.MEMBER)


def _new(channel_type, **different):
    return replace(NewChannel(name="x", type=channel_type, configuration={"key": "k"}), **different)


def _operator(*types):
    return {
        one: Channel(id=0, owner_id=None, name="operator", type=one, configuration={}, created_at=NOON, updated_at=NOON)
        for one in types
    }


@pytest.fixture
def store():
    return FakeChannelStore()


@pytest.fixture
def use(store):
    everything = _operator(ChannelType.TELEGRAM, ChannelType.EMAIL, ChannelType.SMS_TWILIO, ChannelType.SMS_SMPP)
    return UseChannels(store, KINDS, everything)


async def _usable(use, owner=1):
    return [(channel.id, channel.type) for channel in await use.usable(owner)]


async def test_who_has_made_nothing_has_the_operator_s(use):
    assert await _usable(use) == [
        (0, ChannelType.TELEGRAM),
        (0, ChannelType.EMAIL),
        (0, ChannelType.SMS_TWILIO),
        (0, ChannelType.SMS_SMPP),
    ]


async def test_an_own_channel_takes_the_place_of_all_the_operator_s_for_that_kind_of_address(use, store):
    await store.add(1, _new(ChannelType.SMS_SMPP))
    await store.add(1, _new(ChannelType.WEBHOOK))
    assert await _usable(use) == [
        (1, ChannelType.SMS_SMPP),
        (2, ChannelType.WEBHOOK),
        (0, ChannelType.TELEGRAM),
        (0, ChannelType.EMAIL),
    ]
    assert len(await _usable(use, owner=2)) == 4


async def test_off_is_off(use, store):
    await store.add(1, _new(ChannelType.EMAIL, enabled=False))
    assert ChannelType.EMAIL not in [channel_type for _, channel_type in await _usable(use)]


async def test_one_is_got_by_its_owner_only(use, store):
    added = await store.add(1, _new(ChannelType.EMAIL, enabled=False))
    assert await use.get(1, added.id) == added
    for owner, number in ((2, added.id), (1, 99), (1, 0)):
        with pytest.raises(NotFound):
            await use.get(owner, number)


# --- changes that meet ---


class BusyStore(FakeChannelStore):
    """Somebody else changes the channel between each look and each write, as often as it is told."""

    times = 0

    async def replace(self, old, new):
        if self.times:
            self.times -= 1
            await super().replace(old, replace(old, name=f"{old.name}!"))
        return await super().replace(old, new)


async def test_of_two_changes_at_once_neither_is_lost():
    store = BusyStore()
    added = await store.add(1, _new(ChannelType.EMAIL))
    store.times = 3
    manage = ManageChannels(store, KINDS, FakeAudit())
    changed = await manage.update(ANNA, added.id, Change(enabled=False))
    assert (changed.name, changed.enabled) == ("x!!!", False)


async def test_a_change_that_never_gets_through_says_so():
    store = BusyStore()
    added = await store.add(1, _new(ChannelType.EMAIL))
    store.times = 1000
    with pytest.raises(Conflict):
        await ManageChannels(store, KINDS, FakeAudit()).update(ANNA, added.id, Change(enabled=False))


# --- masks ---

SECRETS = {"key", "headers"}


@pytest.mark.parametrize(
    ("secret", "mask"),
    [("", ""), ("1", "••••"), ("12345678901", "••••"), ("123456789012", "••••9012"), ("пароль-из-многих", "••••огих")],
)
def test_only_long_secrets_show_their_end(secret, mask):
    assert masks.shown({"key": secret}, SECRETS) == {"key": mask}


def test_what_is_no_secret_is_shown_as_it_is():
    open_part = {"to": "5", "n": 1, "b": True, "l": [1], "o": {"a": "b"}, "none": None}
    assert masks.shown(open_part, SECRETS) == open_part


def test_what_was_shown_keeps_what_it_stands_for_and_nothing_else():
    old = {"key": "a-long-secret-wxyz", "headers": {"A": "another-long-one", "B": "short"}, "to": "5"}
    assert masks.merged(old, masks.shown(old, SECRETS), SECRETS) == (old, [])
    _, wrong = masks.merged(old, {"key": "••••long", "headers": {"A": "••••wxyz", "C": "••••"}}, SECRETS)
    assert [field for field, _ in wrong] == [
        "configuration.key",
        "configuration.headers.A",
        "configuration.headers.C",
    ]


def test_a_mask_where_no_secret_is_is_a_value_like_any_other():
    assert masks.merged({}, {"to": "••••"}, SECRETS) == ({"to": "••••"}, [])


def test_secrets_are_taken_out_of_what_a_provider_said():
    configuration = {"key": "abcdefgh", "headers": {"A": "abcdefgh-long", "B": "no"}, "to": "Anna"}
    said = "no token abcdefgh-long or abcdefgh for Anna"
    assert masks.without(said, configuration, SECRETS) == "no token •••• or •••• for Anna"
