"""Our worker with FastStream's subscriber in place of aiormq's consumer; everything behind it is the same (ADR 004)."""

import asyncio
from typing import Any, cast

from aiormq.abc import AbstractConnection
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.consumer import TaskConsumer
from gonets.entrypoints import worker


class _Delivery:
    """As much of aiormq's message as the consumer looks at."""

    def __init__(self, message: RabbitMessage) -> None:
        self._message = message
        self.body = message.body
        self.properties = message.raw_message
        self.routing_key = message.raw_message.routing_key
        self.delivery_tag = message.raw_message.delivery_tag
        self.header = self

    async def ack(self) -> None:
        await self._message.ack()


async def _whole(message: RabbitMessage) -> RabbitMessage:
    return message


async def _consume(self: Any, connection: AbstractConnection) -> None:
    await topology.ensure(connection, *topology.PUBLIC)
    broker = RabbitBroker(self._url, logger=None, apply_types=False)

    async def handle(message: RabbitMessage) -> None:
        await self._handle(cast(Any, _Delivery(message)))

    subscriber = broker.subscriber(
        RabbitQueue(topology.TASKS, declare=False),
        channel=Channel(prefetch_count=2 * self._concurrency),
        ack_policy=AckPolicy.MANUAL,
        decoder=_whole,
        no_reply=True,
    )
    subscriber(handle)
    await broker.start()
    try:
        await asyncio.Event().wait()
    finally:
        await broker.stop()


async def _acknowledge(_: Any, message: Any) -> None:
    await message.ack()


if __name__ == "__main__":
    TaskConsumer._consume = _consume  # type: ignore[method-assign]
    TaskConsumer._acknowledge = _acknowledge  # type: ignore[assignment, method-assign]
    worker.main()
