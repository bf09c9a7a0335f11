"""Channels that test themselves."""

import logging

import pytest

from fakes.channels import FakeAudit, FakeChannelStore, FakeKind, FakeMailbox
from gonets.core.channels.model import ChannelType, NewChannel, Refusal, Refused, Step
from gonets.core.channels.self_tests import SelfTests
from gonets.core.channels.use_cases import ManageChannels, TryChannel
from gonets.core.shared.errors import Unavailable

KEY = "12345:the-key-of-the-bot-wxyz"
BOT = NewChannel(name="Alarm", type=ChannelType.TELEGRAM, configuration={"key": KEY, "to": "5"}, self_test_every=60)


class House:
    def __init__(self):
        self.store, self.kind, self.audit = FakeChannelStore(), FakeKind(), FakeAudit()
        self.counted = []
        manage = ManageChannels(self.store, {ChannelType.TELEGRAM: self.kind}, self.audit)
        trial = TryChannel(manage, FakeMailbox({}), lambda _, number: number)
        self.run = SelfTests(self.store, trial, self.count)

    def count(self, channel_id, channel_type, *, ok):
        self.counted.append((channel_id, channel_type, ok))


@pytest.fixture
def house():
    return House()


async def test_a_channel_that_is_due_sends_itself_a_message_and_keeps_what_came_of_it(house):
    channel = await house.store.add(1, BOT)
    assert await house.run() == 1
    assert await house.run() == 0
    [(_, sent)] = house.kind.sent
    assert "Gonets" in sent.message.text
    assert house.store.rows[channel.id].last_test.ok
    assert house.counted == [(channel.id, "TELEGRAM", True)]
    assert not house.audit.notes, "nobody did it"


async def test_a_failure_is_kept_counted_and_said_without_the_secret(house, caplog):
    channel = await house.store.add(1, BOT)
    house.kind.outcome = Refused(Refusal.CONFIGURATION, f"bot {KEY} is blocked", step=Step.LOGIN)
    await house.run()
    tested = house.store.rows[channel.id].last_test
    assert (tested.ok, tested.step) == (False, "login")
    assert KEY not in tested.reason
    assert house.counted == [(channel.id, "TELEGRAM", False)]
    [line] = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert (line.message, line.channel, line.step) == ("a channel's self-test failed", channel.id, "login")


async def test_a_channel_that_is_gone_or_cannot_be_read_does_not_end_the_others(house, monkeypatch):
    first, second = await house.store.add(1, BOT), await house.store.add(2, BOT)
    get = house.store.get

    async def broken(owner_id, channel_id):
        if channel_id == first.id:
            raise Unavailable("away")
        return await get(owner_id, channel_id)

    monkeypatch.setattr(house.store, "get", broken)
    assert await house.run() == 2
    assert house.counted == [(second.id, "TELEGRAM", True)]
