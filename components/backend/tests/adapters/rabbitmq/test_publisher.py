"""Publishing to a broker that takes nothing."""

import asyncio
import time
from urllib.parse import urlsplit

import pytest
from pamqp.commands import Basic

from foreign import broker  # noqa: F401 - a fixture
from gonets.adapters.rabbitmq.publisher import Outgoing, Publisher
from gonets.core.shared.errors import Unavailable
from proxy import Proxy


def _message(number):
    return Outgoing("a queue", b"{}", Basic.Properties(message_id=str(number)), mandatory=False)


async def _seconds(publisher, number):
    since = time.monotonic()
    with pytest.raises(Unavailable):
        await publisher.publish(_message(number))
    return time.monotonic() - since


async def test_nobody_waits_for_long_for_a_broker_that_takes_nothing(broker):  # noqa: F811
    where = urlsplit(broker.url)
    async with Proxy(where.hostname, where.port) as proxy:
        publisher = Publisher(broker.url.replace(f":{where.port}/", f":{proxy.port}/"), timeout=1)
        await publisher.publish(_message(0))
        proxy.freeze()
        requests = []
        for number in range(1, 60):
            requests.append(asyncio.create_task(_seconds(publisher, number)))
            await asyncio.sleep(0.05)
        took = await asyncio.gather(*requests)
        assert max(took) < 1.5
        # Now that it is known to be away, only those that try it have to wait.
        assert sum(seconds < 0.1 for seconds in took[25:]) > 25

        proxy.thaw()
        async with asyncio.timeout(10):
            while True:
                try:
                    await publisher.publish(_message(99))
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
        await publisher.close()
