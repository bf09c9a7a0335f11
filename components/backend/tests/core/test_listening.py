"""Which sessions a worker opens to hear of what was sent before."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from gonets.core.channels.model import Channel, ChannelType
from gonets.core.notifications.listening import ListenForReceipts
from gonets.core.shared.errors import NotFound, Unavailable

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def smpp(number: int, owner: int | None = 1) -> Channel:
    return Channel(
        id=number,
        owner_id=owner,
        name="sms",
        type=ChannelType.SMS_SMPP,
        configuration={},
        created_at=AT,
        updated_at=AT,
    )


@dataclass
class World:
    """The store, the channels and the SMS centres in one. What is in `broken` cannot be listened to."""

    waiting: list[tuple[int, int]]
    own: dict[int, Channel] = field(default_factory=dict)
    operators: list[Channel] = field(default_factory=list)
    broken: dict[int, Exception] = field(default_factory=dict)
    heard: list[int] = field(default_factory=list)
    type: ChannelType = ChannelType.SMS_SMPP

    async def awaited(self, channel_type):
        return self.waiting if channel_type is self.type else []

    async def get(self, owner_id, channel_id):
        channel = self.own.get(channel_id)
        if channel is None or channel.owner_id != owner_id:
            raise NotFound("no such channel")
        return channel

    async def usable(self, owner_id):
        return self.operators if owner_id != 1 else []

    async def listen(self, channel):
        if channel.id in self.broken:
            raise self.broken[channel.id]
        self.heard.append(channel.id)


async def listened(**facts) -> list[int]:
    world = World(**facts)
    await ListenForReceipts(world, world, world)()
    return world.heard


async def test_each_channel_once():
    operators = smpp(0, None)
    waiting = [(1, 0), (1, 7), (2, 0), (2, 8), (3, 0)]
    assert await listened(waiting=waiting, own={7: smpp(7), 8: smpp(8, 2)}, operators=[operators]) == [7, 0, 8]


async def test_what_is_off_or_gone_is_left_alone():
    assert await listened(waiting=[(1, 0), (1, 6), (1, 7)], own={7: replace(smpp(7), enabled=False)}) == []


async def test_one_that_fails_holds_no_other_up():
    own = {7: smpp(7), 8: smpp(8)}
    assert await listened(waiting=[(1, 7), (1, 8)], own=own, broken={7: ValueError("unreadable")}) == [8]


async def test_without_the_database_it_is_tried_again():
    with pytest.raises(Unavailable):
        await listened(waiting=[(1, 7)], own={7: smpp(7)}, broken={7: Unavailable("away")})
