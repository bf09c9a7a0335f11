"""Publishing to a broker that takes nothing."""

import asyncio
from urllib.parse import urlsplit

import pytest
from pamqp.commands import Basic

from eventually import eventually, own_clock
from foreign import broker  # noqa: F401 - a fixture
from gonets.adapters.rabbitmq.publisher import Outgoing, Publisher
from gonets.core.shared.errors import Unavailable
from proxy import Proxy


def _message(number):
    return Outgoing("a queue", b"{}", Basic.Properties(message_id=str(number)), mandatory=False)


async def _seconds(publisher, number, clock):
    since = clock()
    with pytest.raises(Unavailable):
        await publisher.publish(_message(number))
    return clock() - since


async def _published(publisher, number):
    try:
        await publisher.publish(_message(number))
    except Unavailable:
        return False
    return True


async def test_nobody_waits_for_long_for_a_broker_that_takes_nothing(broker):  # noqa: F811
    where = urlsplit(broker.url)
    async with Proxy(where.hostname, where.port) as proxy, own_clock() as clock:
        publisher = Publisher(broker.url.replace(f":{where.port}/", f":{proxy.port}/"), timeout=1)
        await eventually(lambda: _published(publisher, 0), "the broker takes one")
        proxy.freeze()
        requests = []
        for number in range(1, 60):
            requests.append(asyncio.create_task(_seconds(publisher, number, clock)))
            await asyncio.sleep(0.05)
        took = await asyncio.gather(*requests)
        assert max(took) < 1.5
        # Now that it is known to be away, only those that try it have to wait.
        assert sum(seconds < 0.1 for seconds in took[25:]) > 25

        proxy.thaw()
        await eventually(lambda: _published(publisher, 99), "it is spoken to again")
        await publisher.close()
