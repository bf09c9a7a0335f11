"""What a campaign would come to."""

import math
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from fakes.channels import FakeKind
from gonets.core.campaigns.estimate import Tariff, estimate
from gonets.core.campaigns.model import Campaign, Content, Crowd
from gonets.core.campaigns.windows import SendWindow
from gonets.core.channels.model import Address, Channel, ChannelType
from gonets.core.contacts.audience import EVERYBODY

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CHAT, EMAIL, PHONE = frozenset({Address.TELEGRAM_CHAT_ID}), frozenset({Address.EMAIL}), frozenset({Address.PHONE})
NOBODY: frozenset[Address] = frozenset()
CAMPAIGN = Campaign(
    id=1, owner_id=1, name="", content=Content(text="x"), audience=EVERYBODY, created_at=NOW, updated_at=NOW
)
KINDS = {
    ChannelType.TELEGRAM: FakeKind(type=ChannelType.TELEGRAM, address=Address.TELEGRAM_CHAT_ID),
    ChannelType.EMAIL: FakeKind(type=ChannelType.EMAIL, address=Address.EMAIL),
    ChannelType.SMS_SMPP: FakeKind(type=ChannelType.SMS_SMPP, address=Address.PHONE),
}
TARIFF = Tariff({ChannelType.TELEGRAM: 10}, {ChannelType.SMS_SMPP: 2.5}, "RUB")
FREE = Tariff({}, {}, "RUB")


def channel(number, channel_type):
    return Channel(id=number, owner_id=1, name="", type=channel_type, configuration={}, created_at=NOW, updated_at=NOW)


CHANNELS = [channel(1, ChannelType.TELEGRAM), channel(2, ChannelType.EMAIL), channel(3, ChannelType.SMS_SMPP)]


def crowd(people, has, suppressed=NOBODY, zone=None):
    return Crowd(zone, has, suppressed, people)


def tried(crowds, campaign=CAMPAIGN, tariff=TARIFF, channels=CHANNELS):
    return estimate(campaign, crowds, channels, KINDS, tariff, NOW)


def test_each_person_goes_the_first_way_that_is_open():
    found = tried(
        [
            crowd(1, CHAT | EMAIL | PHONE),
            crowd(20, CHAT | EMAIL, CHAT),
            crowd(300, EMAIL | PHONE, EMAIL),
            crowd(4000, EMAIL, EMAIL),
            crowd(50000, NOBODY),
        ]
    )
    assert found.by_type == {ChannelType.TELEGRAM: 1, ChannelType.EMAIL: 20, ChannelType.SMS_SMPP: 300}
    assert (found.now, found.later, found.suppressed, found.no_address) == (321, 0, 4000, 50000)


def test_a_route_leaves_out_who_is_not_on_it():
    found = tried([crowd(5, PHONE), crowd(7, CHAT)], replace(CAMPAIGN, route=(3, 9)))
    assert (found.now, found.no_address) == (5, 7)


@pytest.mark.parametrize(
    ("text", "people", "tariff", "cost"),
    [
        ("x", 4, TARIFF, 10.0),
        ("ы" * 71, 4, TARIFF, 20.0),
        ("x", 4, FREE, None),
        ("x", 0, FREE, 0.0),
    ],
)
def test_what_it_costs(text, people, tariff, cost):
    crowds = [crowd(people, PHONE)] if people else [crowd(9, EMAIL)]
    assert tried(crowds, replace(CAMPAIGN, content=Content(text=text)), tariff).cost == cost


@pytest.mark.parametrize(
    ("has", "rate", "seconds"), [(EMAIL, None, None), (EMAIL, 4, 25), (CHAT, None, 10), (CHAT, 4, 25), (CHAT, 50, 10)]
)
def test_when_the_last_one_leaves(has, rate, seconds):
    found = tried([crowd(100, has)], replace(CAMPAIGN, rate=rate))
    assert found.ends_at == (None if seconds is None else NOW + timedelta(seconds=seconds))


def test_nobody_takes_no_time():
    assert tried([], replace(CAMPAIGN, rate=5)).ends_at is None
    assert math.isclose(tried([]).cost, 0)


def test_who_sleeps_is_written_to_later():
    window = SendWindow(time(9), time(21), "Europe/Moscow")
    crowds = [crowd(60, EMAIL), crowd(5, EMAIL, zone="America/Los_Angeles"), crowd(7, EMAIL, zone="Nowhere/At_all")]
    found = tried(crowds, replace(CAMPAIGN, window=window, rate=1))
    assert (found.now, found.later) == (67, 5)
    assert found.ends_at == datetime(2026, 3, 2, 17, 0, 5, tzinfo=UTC)
    # From the start that is planned, not from now.
    found = tried(crowds, replace(CAMPAIGN, window=window, start_at=NOW + timedelta(hours=7)))
    assert (found.now, found.later) == (5, 67)


def test_what_does_not_fit_into_a_window_goes_into_the_next():
    window = SendWindow(time(12), time(13), "UTC")
    found = tried([crowd(3600 + 60, EMAIL)], replace(CAMPAIGN, window=window, rate=1))
    assert found.ends_at == NOW + timedelta(days=1, seconds=60)
