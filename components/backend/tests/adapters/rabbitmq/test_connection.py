"""Connections that die at bad moments."""

import asyncio
from urllib.parse import urlsplit

import pytest
from pamqp import commands, frame

from eventually import eventually, own_clock
from foreign import broker  # noqa: F401 - a fixture
from gonets.adapters.rabbitmq.connection import AWAY, connect, keep_connected
from gonets.adapters.rabbitmq.replies import RabbitReplyInbox
from proxy import Proxy

GREETING = frame.marshal(commands.Connection.Start(mechanisms="PLAIN", locales="en_US"), 0)


@pytest.fixture
async def impolite():
    """The URL of a server that says so much, and hangs up."""
    servers = []

    async def listen(words):
        async def answer(reader, writer):
            await reader.read(8)
            writer.write(words)
            writer.close()

        servers.append(await asyncio.start_server(answer, "127.0.0.1", 0))
        return f"amqp://guest:guest@127.0.0.1:{servers[0].sockets[0].getsockname()[1]}/"

    yield listen
    servers[0].close()


@pytest.mark.parametrize("words", [b"", GREETING[:5], GREETING], ids=["nothing", "half a greeting", "a greeting"])
async def test_a_server_that_hangs_up_during_the_greeting_is_away(impolite, words):
    with pytest.raises(AWAY):
        await connect(await impolite(words), "test", timeout=5)


async def test_it_is_tried_again_whatever_went_wrong(monkeypatch):
    tries = []

    async def fail(*_):
        tries.append(1)
        raise AttributeError("a surprise")

    monkeypatch.setattr("gonets.adapters.rabbitmq.connection.connect", fail)
    monkeypatch.setattr("gonets.adapters.rabbitmq.connection.RECONNECT_PAUSE", 0)
    link = asyncio.create_task(keep_connected("amqp://nowhere", "test", None))
    await eventually(lambda: len(tries) > 3, "several tries")
    link.cancel()
    with pytest.raises(asyncio.CancelledError):
        await link


async def test_a_connection_that_went_silent_is_noticed_by_its_heartbeats(broker):  # noqa: F811
    where = urlsplit(broker.url)
    async with Proxy(where.hostname, where.port) as proxy:
        connection = await connect(broker.url.replace(f":{where.port}/", f":{proxy.port}/"), "test")
        async with own_clock() as clock:
            proxy.lose()
            await eventually(connection.closing.done, "silence is noticed", timeout=40)
            assert clock() < 10


async def test_the_inbox_listens_again_before_the_broker_forgets_its_old_queue(broker):  # noqa: F811
    where = urlsplit(broker.url)
    async with Proxy(where.hostname, where.port) as proxy:
        inbox = RabbitReplyInbox(broker.url.replace(f":{where.port}/", f":{proxy.port}/"))
        await inbox.start(10)
        proxy.lose()
        await eventually(lambda: inbox.open() is None, "silence is noticed", timeout=40)
        async with own_clock() as clock:
            await eventually(inbox.open, "it listens again", timeout=40)
            assert clock() < 3
        await inbox.stop()
