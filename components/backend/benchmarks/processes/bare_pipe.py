"""The bare pipe: FastStream at its best, doing nothing.

It takes a message, publishes a fixed result persistently, waits for the confirm, and acknowledges; no parsing, no
validation, no database, no provider, no log line.
"""

import asyncio
import os

import uvloop
from faststream import FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from gonets.adapters.rabbitmq import topology
from gonets.settings import Rabbit

RESULT = b'{"task_id":1,"id":1}'
PREFETCH = int(os.environ.get("BENCH_PREFETCH", "200"))  # what our worker asks for

broker = RabbitBroker(Rabbit().url, logger=None, apply_types=False)


async def raw(message: RabbitMessage) -> bytes:
    return message.body


@broker.subscriber(
    RabbitQueue(topology.TASKS, declare=False),
    channel=Channel(prefetch_count=PREFETCH),
    decoder=raw,
    no_reply=True,
)
async def pipe(_: bytes) -> None:
    await broker.publish(RESULT, queue=topology.RESULTS, persist=True)


async def main() -> None:
    await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
