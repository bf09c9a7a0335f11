"""The queue door of notifications."""

import json
import logging
from urllib.parse import quote

import pytest

from eventually import eventually
from gonets.adapters.rabbitmq.notifications import TakeRequest
from gonets.adapters.rabbitmq.outcomes import DeadLetters
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.receiver import Receiver
from gonets.core.notifications.model import Taken

REQUESTS = "NotificationRequestQueue"
TO_ANNA = {"recipient": {"email": "anna@example.com"}, "message": "Привет"}


@pytest.fixture
async def keys(broker):
    """The keys under which requests were taken, by a receiver that listens from the start."""
    taken = []

    async def submit(new):
        taken.append(new.key)
        return Taken(len(taken), new=True)

    async def owner(_):
        return 1

    publisher = Publisher(broker.url, timeout=5)
    receiver = Receiver(broker.url, REQUESTS, TakeRequest(submit, owner, DeadLetters(publisher)), concurrency=5)

    async def start():
        await receiver.start()
        await eventually(lambda: taken, "a request is taken")
        await receiver.stop(5)
        return taken

    yield start
    await receiver.stop(5)
    await publisher.close()


@pytest.fixture
def publish(broker, servers):
    async def publish(body, **properties):
        """As the management page does it: the client of the other tests gives each message an id."""
        await broker.declare(REQUESTS)
        message = {"payload": json.dumps(body), "payload_encoding": "string", "routing_key": REQUESTS}
        path = f"exchanges/{quote(servers.rabbit.vhost, safe='')}/amq.default/publish"
        assert servers.manage("POST", path, message | {"properties": properties})["routed"]

    return publish


async def _came_before(broker):
    """The worker that had it went away before it acknowledged it."""
    queue = await broker.channel.get_queue(REQUESTS)
    message = await eventually(lambda: queue.get(fail=False), "the request")
    await message.nack(requeue=True)


def _warnings(caplog):
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_one_without_a_key_that_comes_again_may_be_sent_twice_and_the_log_says_so(publish, broker, keys, caplog):
    await publish(TO_ANNA)
    await _came_before(broker)
    [key] = await keys()
    assert key.startswith("delivery ")
    [line] = _warnings(caplog)
    assert line.message == "a request that came before has no key, and may be sent twice"
    assert (line.notification, line.hint) == (1, "senders should set message_id or idempotencyKey")


@pytest.mark.parametrize(
    ("body", "properties", "expected"),
    [
        (TO_ANNA, {"message_id": "m-1"}, "message m-1 "),
        (TO_ANNA | {"idempotencyKey": "order-4711"}, {}, "order-4711"),
    ],
    ids=["message_id", "idempotencyKey"],
)
async def test_one_with_a_key_is_known_again(publish, broker, keys, caplog, body, properties, expected):
    await publish(body, **properties)
    await _came_before(broker)
    [key] = await keys()
    assert key.startswith(expected)
    assert not _warnings(caplog)


async def test_one_that_comes_for_the_first_time_is_nothing_to_speak_of(publish, keys, caplog):
    await publish(TO_ANNA)
    await keys()
    assert not _warnings(caplog)
