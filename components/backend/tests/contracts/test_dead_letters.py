"""What DeadLetters promises; and what it does to the queue, seen by an independent client."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest

from eventually import eventually
from fakes import FakeDeadLetters
from foreign import DEAD, NOTIFICATIONS, TASKS
from gonets.adapters.rabbitmq.dead_letters import RabbitDeadLetters
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.core.shared.errors import Category, Unavailable
from gonets.core.tasks.set_aside import Choice, DeadLetter, Handled

ALL = Choice()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
REQUESTS, DEAD_REQUESTS, _ = NOTIFICATIONS


def _headers(reason="data: must not be empty", category="invalid", at=NOON, queue=TASKS):
    known = {
        "x-gonets-reason": reason,
        "x-gonets-category": category,
        "x-gonets-queue": queue,
        "x-gonets-time": at and at.isoformat(),
    }
    return {name: value for name, value in known.items() if value is not None}


class FakeQueue:
    def __init__(self):
        self.letters = FakeDeadLetters()

    async def put(self, body, **headers):
        found = _headers(**headers)
        letter = DeadLetter(
            id=f"m{body.decode()}",
            queue=TASKS,
            category=Category(found["x-gonets-category"]),
            reason=found["x-gonets-reason"],
            dead_at=datetime.fromisoformat(found["x-gonets-time"]) if "x-gonets-time" in found else None,
            body=body,
        )
        self.letters.letters.append(letter)

    async def bodies(self, queue):
        return [letter.body for letter in (self.letters.letters if queue == DEAD else self.letters.sent)]


class RabbitQueue:
    def __init__(self, broker, letters):
        self._broker = broker
        self.letters = letters

    async def put(self, body, **headers):
        await self._broker.publish(DEAD, body, headers=_headers(**headers), message_id=f"id of {body.decode()}")

    async def bodies(self, queue):
        return [message.body for message in await self._broker.all(queue)]


@pytest.fixture
async def publisher(broker):
    publisher = Publisher(broker.url, timeout=5)
    yield publisher
    await publisher.close()


@pytest.fixture
def letters(broker, publisher):
    return RabbitDeadLetters(broker.url, publisher)


@pytest.fixture
async def rabbit(broker, letters):
    await broker.declare(TASKS)
    await broker.declare(DEAD)
    return RabbitQueue(broker, letters)


@pytest.fixture
def fake():
    return FakeQueue()


@pytest.fixture(params=["fake", "rabbit"])
def queue(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def fake_away():
    letters = FakeDeadLetters()
    letters.available = False
    return letters


@pytest.fixture
async def rabbit_away(servers, unused_tcp_port):
    nowhere = servers.rabbit.model_copy(update={"host": "127.0.0.1", "amqp_port": unused_tcp_port}).url
    return RabbitDeadLetters(nowhere, Publisher(nowhere, timeout=1), timeout=1)


@pytest.fixture(params=["fake_away", "rabbit_away"])
def away(request):
    return request.getfixturevalue(request.param)


async def _bodies(queue, limit=100, **conditions):
    return [letter.body for letter in (await queue.letters.look(Choice(**conditions), limit)).letters]


async def _three(queue):
    await queue.put(b"one", at=NOON)
    await queue.put(b"two", at=NOON + HOUR, reason="task_id 2 was taken before", category="conflict")
    await queue.put(b"three", at=NOON + 2 * HOUR, reason="no JSON")


# --- for the fake and the real one ---


async def test_an_empty_queue_has_no_letters(queue):
    page = await queue.letters.look(ALL, 10)
    assert (list(page.letters), page.complete) == ([], True)
    assert await queue.letters.replay(ALL) == await queue.letters.drop(ALL) == Handled(0)


async def test_a_letter_says_what_it_was_why_and_since_when(queue):
    await queue.put(b"one")
    [letter] = (await queue.letters.look(ALL, 10)).letters
    assert (letter.body, letter.queue, letter.category) == (b"one", TASKS, Category.INVALID)
    assert (letter.reason, letter.dead_at) == ("data: must not be empty", NOON)


async def test_looking_leaves_all_where_it_was_and_ids_stay(queue):
    await _three(queue)
    first = await queue.letters.look(ALL, 10)
    assert await queue.letters.look(ALL, 10) == first
    assert len({letter.id for letter in first.letters}) == 3
    assert await queue.bodies(DEAD) == [b"one", b"two", b"three"]


async def test_no_more_are_shown_than_asked_for_oldest_first(queue):
    await _three(queue)
    page = await queue.letters.look(ALL, 2)
    assert ([letter.body for letter in page.letters], page.complete) == ([b"one", b"two"], False)
    assert (await queue.letters.look(ALL, 3)).complete


async def test_they_are_chosen_by_every_condition_and_by_all_of_them_together(queue):
    await _three(queue)
    await queue.put(b"four", at=None, reason="no time")
    ids = [letter.id for letter in (await queue.letters.look(ALL, 10)).letters]
    assert await _bodies(queue, ids=[ids[1], "m0000000000000000"]) == [b"two"]
    assert await _bodies(queue, category=Category.CONFLICT) == [b"two"]
    assert await _bodies(queue, reason="NO j") == [b"three"]
    assert await _bodies(queue, since=NOON + HOUR) == [b"two", b"three"]
    assert await _bodies(queue, until=NOON + HOUR) == [b"one"]
    assert await _bodies(queue, category=Category.INVALID, since=NOON + HOUR) == [b"three"]
    assert await _bodies(queue, ids=[]) == []


async def test_those_behind_others_are_found(queue):
    for number in range(20):
        await queue.put(str(number).encode(), reason="the last" if number == 19 else "another")
    assert await _bodies(queue, reason="the last", limit=1) == [b"19"]


async def test_replayed_ones_are_sent_where_they_were_meant_for_and_the_others_stay(queue):
    await _three(queue)
    assert await queue.letters.replay(Choice(category=Category.INVALID)) == Handled(2)
    assert sorted(await queue.bodies(TASKS)) == [b"one", b"three"]
    assert await queue.bodies(DEAD) == [b"two"]


async def test_dropped_ones_are_gone_and_the_others_stay(queue):
    await _three(queue)
    assert await queue.letters.drop(Choice(reason="taken before")) == Handled(1)
    assert await queue.bodies(TASKS) == []
    assert await queue.bodies(DEAD) == [b"one", b"three"]


async def test_all_are_replayed_however_many(queue):
    bodies = [str(number).encode() for number in range(230)]
    for body in bodies:
        await queue.put(body)
    assert await queue.letters.replay(ALL) == Handled(230)
    assert sorted(await queue.bodies(TASKS)) == sorted(bodies)
    assert await queue.bodies(DEAD) == []


async def test_operators_who_act_at_once_handle_each_letter_once(queue):
    bodies = [str(number).encode() for number in range(40)]
    for body in bodies:
        await queue.put(body)
    handled = await asyncio.gather(
        queue.letters.replay(ALL), queue.letters.drop(ALL), queue.letters.look(ALL, 10), queue.letters.replay(ALL)
    )
    left, sent = await queue.bodies(DEAD), await queue.bodies(TASKS)
    assert len(set(sent)) == len(sent)
    assert not set(left) & set(sent)
    assert sum(one.count for one in handled if isinstance(one, Handled)) + len(left) == 40


@pytest.mark.parametrize(
    "ask",
    [lambda letters: letters.look(ALL, 1), lambda letters: letters.replay(ALL), lambda letters: letters.drop(ALL)],
    ids=["look", "replay", "drop"],
)
async def test_while_the_broker_is_away_it_is_unavailable(away, ask):
    with pytest.raises(Unavailable):
        await ask(away)


# --- on the wire ---


async def test_the_body_and_the_properties_are_sent_as_they_came_without_our_headers(rabbit, broker):
    await broker.publish(
        DEAD,
        b"\xff\x00 any bytes",
        headers=_headers() | {"theirs": 1, "trace": {"deep": ["x"]}},
        message_id="m-1",
        correlation_id="c-1",
        reply_to="replies",
        content_type="application/json",
        timestamp=NOON,
        app_id="crm",
        type="task",
    )
    assert await rabbit.letters.replay(ALL) == Handled(1)
    sent = await broker.get(TASKS)
    assert sent.body == b"\xff\x00 any bytes"
    assert sent.headers == {"theirs": 1, "trace": {"deep": ["x"]}}
    assert (sent.message_id, sent.correlation_id, sent.reply_to) == ("m-1", "c-1", "replies")
    assert (sent.content_type, sent.timestamp, sent.app_id, sent.type) == ("application/json", NOON, "crm", "task")
    assert sent.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


@pytest.mark.parametrize("named", [None, "somewhere.else", DEAD, 7, "tasks.phone"])
async def test_a_letter_is_sent_to_no_queue_but_the_one_this_service_consumes(rabbit, broker, named):
    await broker.publish(DEAD, b"x", headers=_headers(queue=named))
    assert await rabbit.letters.replay(ALL) == Handled(1)
    assert await rabbit.bodies(TASKS) == [b"x"]
    assert not await broker.exists("somewhere.else")


async def test_those_of_notifications_are_looked_at_replayed_and_dropped_with_the_others(rabbit, broker):
    await _three(rabbit)
    for queue in (REQUESTS, DEAD_REQUESTS):
        await broker.declare(queue)
    at = NOON + timedelta(minutes=30)
    secret = {"x-api-key": "gnz_abcdefgh"}
    headers = _headers(reason="message: must be given", at=at, queue=REQUESTS) | secret
    await broker.publish(DEAD_REQUESTS, b"four", headers=headers, message_id="m-4")
    await broker.publish(DEAD_REQUESTS, b"five", headers=_headers(queue=TASKS, at=NOON + 3 * HOUR))

    page = await rabbit.letters.look(ALL, 100)
    assert page.complete
    assert {letter.body: letter.queue for letter in page.letters if letter.queue == REQUESTS} == {
        b"four": REQUESTS,
        b"five": REQUESTS,
    }, "by where it lies, whatever its header says"
    times = [letter.dead_at for letter in page.letters]
    assert (len(times), times) == (5, sorted(times)), "one list, oldest first"
    [four] = [letter for letter in page.letters if letter.body == b"four"]
    assert four.properties == {"message_id": "m-4", "header x-api-key": "***"}
    assert len((await rabbit.letters.look(ALL, 4)).letters) == 4
    assert not (await rabbit.letters.look(ALL, 4)).complete

    assert await rabbit.letters.replay(Choice(reason="must be given")) == Handled(1)
    sent = await broker.get(REQUESTS)
    assert (sent.body, sent.headers, sent.message_id) == (b"four", secret, "m-4")
    assert await rabbit.letters.drop(ALL) == Handled(4)
    assert [await rabbit.bodies(queue) for queue in (TASKS, DEAD, REQUESTS, DEAD_REQUESTS)] == [[]] * 4


async def test_a_letter_is_sent_to_nobody_else_who_had_it_before(rabbit, broker):
    copies = await broker.declare("copies", durable=False, auto_delete=True)
    await broker.publish(DEAD, b"x", headers=_headers() | {"CC": ["copies"]})
    await copies.get(no_ack=True)
    await rabbit.letters.replay(ALL)
    assert await rabbit.bodies(TASKS) == [b"x"]
    assert await broker.all("copies") == []
    await broker.delete("copies")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-gonets-category": "of another time", "x-gonets-time": "yesterday"},
        {"x-gonets-category": {"a": 1}, "x-gonets-time": 7, "x-gonets-reason": ["x"], "x-gonets-queue": {}},
        {"x-gonets-time": "0001-01-01T00:00:00+23:59"},
        {"x-gonets-time": "2026-01-01T00:00:00"},
    ],
)
async def test_what_others_put_there_is_shown_and_replayed_too(rabbit, broker, headers):
    await broker.publish(DEAD, b"x", headers=headers)
    [letter] = (await rabbit.letters.look(ALL, 10)).letters
    assert (letter.category, letter.dead_at, letter.queue) == (None, None, TASKS)
    assert await rabbit.letters.replay(Choice(ids=[letter.id])) == Handled(1)
    assert await rabbit.bodies(TASKS) == [b"x"]


async def test_messages_without_an_id_are_sent_although_their_queue_is_gone(rabbit, broker):
    """The broker names what it cannot route by message_id alone: mixed up, one would be lost."""
    for number in range(20):
        await broker.publish(DEAD, str(number).encode(), headers=_headers())
    await broker.delete(TASKS)
    assert await rabbit.letters.replay(ALL) == Handled(20)
    assert len(set(await rabbit.bodies(TASKS))) == 20


async def test_a_letter_that_comes_back_has_the_same_id(rabbit, broker):
    await broker.publish(DEAD, b"x", headers=_headers())
    [before] = (await rabbit.letters.look(ALL, 10)).letters
    await rabbit.letters.replay(ALL)
    sent = await broker.get(TASKS)
    await broker.publish(DEAD, sent.body, headers=_headers(reason="again"), message_id=sent.message_id)
    [after] = (await rabbit.letters.look(ALL, 10)).letters
    assert (after.id, after.reason) == (before.id, "again")


async def test_copies_of_one_letter_are_handled_together(rabbit):
    for _ in range(3):
        await rabbit.put(b"same")
    [first, *_] = (await rabbit.letters.look(ALL, 10)).letters
    assert await rabbit.letters.drop(Choice(ids=[first.id])) == Handled(3)


async def test_what_is_set_aside_again_meanwhile_does_not_go_round_for_ever(rabbit, broker, publisher):
    """A worker sets everything aside at once, faster than it is replayed."""

    class Echo:
        async def publish(self, message):
            await publisher.publish(replace(message, queue=DEAD))

    for number in range(150):
        await rabbit.put(str(number).encode())
    async with asyncio.timeout(90):
        assert await RabbitDeadLetters(broker.url, Echo()).replay(ALL) == Handled(150)
    assert await broker.ready(DEAD) == 150


async def test_more_than_one_call_may_hold_takes_several(rabbit, broker, publisher):
    letters = RabbitDeadLetters(broker.url, publisher, most=5)
    for number in range(8):
        await rabbit.put(str(number).encode(), reason="keep" if number < 3 else "send")
    handled = [await letters.replay(Choice(reason="send")) for _ in range(3)]
    assert handled == [Handled(2, complete=False), Handled(2, complete=False), Handled(1)]
    page = await letters.look(ALL, 100)
    assert (len(page.letters), page.complete) == (3, True)
    for number in range(3):
        await rabbit.put(f"more {number}".encode())
    page = await letters.look(ALL, 100)
    assert (len(page.letters), page.complete) == (5, False)
    assert await broker.ready(DEAD) == 6


@pytest.mark.parametrize("limit", [5, 20])
async def test_a_queue_that_drops_what_went_back_often_loses_nothing_by_being_looked_at(rabbit, broker, limit):
    """A quorum queue with a delivery limit; 20 is the default of RabbitMQ 4."""
    await broker.delete(DEAD)
    await broker.declare(DEAD, arguments={"x-queue-type": "quorum", "x-delivery-limit": 20})
    await _three(rabbit)
    ids = set()
    for _ in range(50):
        page = await rabbit.letters.look(ALL, limit)
        assert sorted(letter.body for letter in page.letters) == [b"one", b"three", b"two"]
        ids |= {letter.id for letter in page.letters}
    assert len(ids) == 3
    assert await rabbit.letters.replay(ALL) == Handled(3)
    sent = await broker.get(TASKS)
    assert (sent.headers, sent.message_id) == ({}, f"id of {sent.body.decode()}")


async def test_letters_that_are_not_chosen_survive_as_many_replays_and_drops(rabbit, broker):
    await broker.delete(DEAD)
    await broker.declare(DEAD, arguments={"x-queue-type": "quorum", "x-delivery-limit": 20})
    await _three(rabbit)
    for _ in range(25):
        await rabbit.letters.replay(Choice(ids=["m0000000000000000"]))
        await rabbit.letters.drop(Choice(reason="nothing has this reason"))
    assert sorted(await rabbit.bodies(DEAD)) == [b"one", b"three", b"two"]


class Fatal:
    """A publisher. The process ends when the message is confirmed, before anything else is done; or in the moment of
    publishing."""

    def __init__(self, publisher, *, after=True):
        self._publisher = publisher
        self._after = after
        self.reached = asyncio.Event()

    async def publish(self, message):
        if self._after:
            await self._publisher.publish(message)
        self.reached.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("after", [True, False], ids=["confirmed, not taken out", "not confirmed"])
async def test_killed_in_the_middle_of_a_replay_nothing_is_lost(rabbit, broker, publisher, after):
    await _three(rabbit)
    fatal = Fatal(publisher, after=after)
    replaying = asyncio.create_task(RabbitDeadLetters(broker.url, fatal).replay(ALL))
    await fatal.reached.wait()
    assert await broker.ready(DEAD) == 0, "they are in hand"
    replaying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await replaying
    await _is_back(broker, 3)
    assert sorted(await rabbit.bodies(TASKS)) == ([b"one", b"three", b"two"] if after else []), "copies do no harm"
    assert await rabbit.bodies(DEAD) == [b"one", b"two", b"three"]


async def test_cut_off_in_the_middle_of_a_replay_nothing_is_lost(rabbit, broker, publisher):
    await _three(rabbit)
    fatal = Fatal(publisher)
    replaying = asyncio.create_task(RabbitDeadLetters(broker.url, fatal).replay(ALL))
    await fatal.reached.wait()

    async def closed():
        return await broker.close_connections("gonets dead letters")

    await eventually(closed, "the management page lists the connection")
    await _is_back(broker, 3)
    replaying.cancel()
    await asyncio.wait([replaying])
    assert await rabbit.bodies(DEAD) == [b"one", b"two", b"three"]


async def test_what_the_broker_did_not_confirm_stays_and_what_it_did_is_out(rabbit, broker, publisher):
    class Choosy:
        async def publish(self, message):
            if message.body == b"two":
                raise Unavailable("the broker did not take the message")
            await publisher.publish(message)

    await _three(rabbit)
    with pytest.raises(Unavailable):
        await RabbitDeadLetters(broker.url, Choosy()).replay(ALL)
    await _is_back(broker, 1)
    assert await rabbit.bodies(DEAD) == [b"two"]
    assert sorted(await rabbit.bodies(TASKS)) == [b"one", b"three"]


async def _is_back(broker, count):
    async def back():
        return await broker.ready(DEAD) == count

    await eventually(back, f"{count} letters are in the queue")


async def test_no_connection_is_left(rabbit, broker, servers):
    await _three(rabbit)
    await rabbit.letters.look(ALL, 1)
    await rabbit.letters.drop(ALL)
    # A deleted queue is made again by the next look.
    await broker.delete(DEAD)
    assert (await rabbit.letters.look(ALL, 1)).complete
    assert await broker.exists(DEAD)

    async def none():
        return not await broker.close_connections("gonets dead letters")

    await eventually(none, "no connection")
