"""The queue door of notifications."""

import json
import logging
from urllib.parse import quote

import pytest

from eventually import eventually
from gonets.adapters.crypto.vault import AesVault
from gonets.adapters.rabbitmq.dead_letters import RabbitDeadLetters
from gonets.adapters.rabbitmq.notifications import SealedKeys, TakeRequest
from gonets.adapters.rabbitmq.outcomes import DeadLetters
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.receiver import Receiver, whole
from gonets.core.channels.ports import Unreadable
from gonets.core.notifications.model import Taken
from gonets.core.shared.errors import Invalid, Unauthenticated
from gonets.core.tasks.set_aside import Choice, Handled

REQUESTS = "NotificationRequestQueue"
DEAD = "NotificationRequestQueue.dead"
KEY = "gnz_abcdefgh-ijklmnop"
VAULT = AesVault({"k1": b"k" * 32})
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
    take = TakeRequest(submit, owner, SealedKeys(VAULT), DeadLetters(publisher))
    receiver = Receiver(broker.url, REQUESTS, whole(take), concurrency=5)

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
    """Of requests: that a busy broker seemed away for a moment is none of their business."""
    lost = "gonets.adapters.rabbitmq.connection"
    return [record for record in caplog.records if record.levelno >= logging.WARNING and record.name != lost]


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


# --- keys of what is set aside ---


@pytest.mark.parametrize("name", ["x-api-key", "X-Api-Key"])
@pytest.mark.parametrize("value", [KEY, KEY.encode(), bytearray(KEY.encode())])
def test_a_key_that_was_protected_is_read_with_its_own_body_only(name, value):
    keys = SealedKeys(VAULT)
    protected = keys.protect({name: value, "other": 1}, b"body")
    assert KEY not in str(protected)
    assert (protected.keys(), protected["other"]) == ({name, "other"}, 1)
    assert keys.opened(protected, b"body") == KEY
    assert keys.protect(protected, b"body") == protected, "set aside again it stays as it is"
    with pytest.raises(Unreadable):
        keys.opened(protected, b"another body")
    with pytest.raises(Unreadable):
        SealedKeys(AesVault({"k2": b"x" * 32})).opened(protected, b"body")


def test_a_key_that_came_for_the_first_time_is_read_as_it_is():
    keys = SealedKeys(VAULT)
    assert keys.opened({"X-API-KEY": KEY}, b"") == KEY
    assert keys.opened({}, b"") is None
    with pytest.raises(Unauthenticated):
        keys.opened({"x-api-key": 5}, b"")
    assert keys.protect({"x-api-key": {"inner": KEY}}, b"") == {"x-api-key": "***"}


async def test_a_request_that_is_set_aside_shows_no_key_and_its_replay_knows_whose_it_is(publish, broker):
    asked, mended = [], []

    async def submit(new):
        if not mended:
            raise Invalid("route.0", "no channel has the id 5")
        return Taken(1, new=True)

    async def owner(key):
        asked.append(key)
        return 1

    keys, publisher = SealedKeys(VAULT), Publisher(broker.url, timeout=5)
    letters = DeadLetters(publisher, keys.protect, queue=REQUESTS, dead_queue=DEAD)
    receiver = Receiver(broker.url, REQUESTS, whole(TakeRequest(submit, owner, keys, letters)), concurrency=5)
    await broker.declare(DEAD)
    await publish(TO_ANNA, headers={"x-api-key": KEY})
    await receiver.start()
    dead = await broker.channel.get_queue(DEAD)
    message = await eventually(lambda: dead.get(fail=False), "the dead letter")
    assert KEY not in str(message.headers)
    assert json.loads(message.body) == TO_ANNA
    await message.nack(requeue=True)
    mended.append(True)
    assert await RabbitDeadLetters(broker.url, publisher).replay(Choice()) == Handled(1)
    await eventually(lambda: len(asked) == 2, "the replay is taken")
    assert asked == [KEY, KEY]
    await receiver.stop(5)
    await publisher.close()
