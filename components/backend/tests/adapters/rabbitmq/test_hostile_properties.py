"""Messages whose properties no library of ours would write: none may stop the queue."""

import json
import struct

import aiormq
import pytest
from pamqp.commands import Basic

from eventually import eventually
from foreign import DEAD, TASKS

TASK = {"task_id": 1, "task_type": "phone", "data": "8 916 823 34 54"}


def _short(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def _long(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _table(*entries: tuple[bytes, bytes]) -> bytes:
    return _long(b"".join(_short(name) + value for name, value in entries))


def _nested(depth: int) -> bytes:
    value = b"V"
    for _ in range(depth):
        value = b"A" + _long(value)
    return value


HEADERS, CORRELATION_ID, REPLY_TO, MESSAGE_ID, TIMESTAMP, TYPE = (1 << bit for bit in (13, 10, 9, 7, 6, 5))

HOSTILE = {
    "correlation_id that is no UTF-8": (CORRELATION_ID, _short(b"\xff\xfe")),
    "long correlation_id that is no UTF-8": (CORRELATION_ID, _short(b"\xff" * 255)),
    "long correlation_id of NULs, with a reply_to": (CORRELATION_ID | REPLY_TO, _short(b"\0" * 255) + _short(b"q")),
    "reply_to that is no UTF-8": (REPLY_TO, _short(b"\xc3")),
    "message_id that is no UTF-8": (MESSAGE_ID, _short(b"\xff")),
    "type that is no UTF-8": (TYPE, _short(b"\xff")),
    "a timestamp in microseconds": (TIMESTAMP, struct.pack(">Q", 1_767_225_600_000_000)),
    "a timestamp in nanoseconds": (TIMESTAMP, struct.pack(">Q", 1_767_225_600_000_000_000)),
    "the largest timestamp": (TIMESTAMP, b"\xff" * 8),
    "a header's name that is no UTF-8": (HEADERS, _table((b"\xff", b"t\x01"))),
    "a header's name of 255 bytes": (HEADERS, _table((b"n" * 255, b"t\x01"))),
    "a header's text that is no UTF-8": (HEADERS, _table((b"h", b"S" + _long(b"\xff")))),
    "bytes in a header": (HEADERS, _table((b"h", b"x" + _long(b"\xff\0")))),
    "a large number in a header": (HEADERS, _table((b"h", b"d" + struct.pack(">d", 1e300)))),
    "a large decimal in a header": (HEADERS, _table((b"h", b"D\xff\xff\xff\xff\xff"))),
    "a time in a header": (HEADERS, _table((b"h", b"T" + b"\x7f" * 8))),
    "an early time in a header": (HEADERS, _table((b"h", b"T" + struct.pack(">q", -(10**15))))),
    "headers nested deeply": (HEADERS, _table((b"h", _nested(2_000)))),
    "headers that fill a frame": (HEADERS, _table(*((b"h%d" % n, b"S" + _long(b"x" * 13_090)) for n in range(10)))),
}


class Raw(Basic.Properties):
    """Properties that are on the wire what they are told to be."""

    def __init__(self, flags: int, values: bytes) -> None:
        super().__init__(message_id="set by aiormq otherwise")
        self._raw = struct.pack(">H", flags) + values

    def marshal(self) -> bytes:
        return self._raw


@pytest.fixture
async def send(broker):
    connection = aiormq.Connection(broker.url)
    await connection.connect()
    channel = await connection.channel()

    async def send(body, flags, values):
        await channel.basic_publish(body, routing_key=TASKS, properties=Raw(flags, values))

    yield send
    await connection.close()


@pytest.mark.parametrize(("flags", "values"), HOSTILE.values(), ids=HOSTILE)
async def test_a_task_with_them_is_run_and_the_work_goes_on(worker, broker, send, flags, values):
    await send(json.dumps(TASK).encode(), flags, values)
    await broker.publish(TASKS, TASK | {"task_id": 2})
    await worker.has_run(1, 2)


@pytest.mark.parametrize(("flags", "values"), HOSTILE.values(), ids=HOSTILE)
async def test_no_task_with_them_is_set_aside_and_the_work_goes_on(worker, broker, send, flags, values):
    await send(b"no task", flags, values)
    await broker.publish(TASKS, TASK)
    await worker.has_run(1)

    async def there():
        return await broker.ready(DEAD) == 1

    await eventually(there, "it is set aside")
    await worker.consumer.stop(5)
    assert await broker.ready(TASKS) == 0
    assert (await broker.get(DEAD)).body == b"no task"


async def test_a_reply_mark_that_cannot_be_repeated_harms_nobody_else(worker, broker, send):
    """The answer is told on its queue and to the others who wait, and the task is done."""
    flags, values = HOSTILE["long correlation_id of NULs, with a reply_to"]
    replies = await broker.declare("replies", durable=False, auto_delete=True)
    worker.free.clear()
    await send(json.dumps(TASK).encode(), flags, values)
    await broker.publish(TASKS, TASK, reply_to=replies.name, correlation_id="a")
    await eventually(lambda: worker.running == 1, "it is run")
    worker.free.set()
    await worker.has_run(1)
    await broker.publish(TASKS, TASK, reply_to=replies.name, correlation_id="b")
    assert (await broker.wait_for(replies.name)).correlation_id in {"a", "b"}
