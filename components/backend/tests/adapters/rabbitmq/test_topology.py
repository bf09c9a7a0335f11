"""The public queues may be declared by anyone, before or after us."""

import asyncio
import json
import re
from pathlib import Path

import aiormq
import pytest

from eventually import eventually
from foreign import DEAD, FAILURES, NOTIFICATIONS, RESULTS, TASKS
from gonets.adapters.rabbitmq import topology

PUBLIC = (TASKS, DEAD, RESULTS, FAILURES, *NOTIFICATIONS)


@pytest.fixture
async def connection(broker):
    connection = aiormq.Connection(broker.url)
    await connection.connect()
    yield connection
    await connection.close()


def test_the_names_are_the_contract_s():
    assert set(topology.PUBLIC) == set(PUBLIC)


async def test_what_is_not_there_is_made_durable_and_without_arguments(connection, broker):
    await topology.ensure(connection, *topology.PUBLIC)
    for queue in PUBLIC:
        assert await broker.arguments(queue) == {"durable": True}


async def test_an_integrator_may_declare_them_first_durable_and_nothing_else(connection, broker):
    for queue in PUBLIC:
        await broker.declare(queue)
    await topology.ensure(connection, *topology.PUBLIC)


async def test_an_integrator_may_declare_them_afterwards(connection, broker):
    await topology.ensure(connection, *topology.PUBLIC)
    for queue in PUBLIC:
        await broker.declare(queue)


@pytest.mark.parametrize(
    "arguments",
    [{"x-queue-type": "quorum"}, {"x-queue-type": "classic", "x-max-length": 10}, {"x-message-ttl": 60_000}],
    ids=["quorum", "bounded", "short-lived"],
)
async def test_a_queue_that_is_there_is_left_as_it_is(connection, broker, arguments):
    await broker.declare(TASKS, arguments=arguments)
    await broker.publish(TASKS, b"kept")
    await topology.ensure(connection, *topology.PUBLIC)
    assert (await broker.arguments(TASKS)).items() >= arguments.items()
    assert await broker.ready(TASKS) == 1


async def test_with_the_policy_for_operators_a_quorum_queue_drops_nothing_that_went_back_often(broker):
    told = (Path(__file__).parents[5] / "docs" / "operations.md").read_text(encoding="utf-8")
    [(pattern, definition)] = re.findall(r"^rabbitmqctl set_policy -p / gonets '(.+?)' '(.+?)'", told, re.MULTILINE)
    await broker.set_policy("gonets", json.loads(definition), pattern)
    try:
        queue = await broker.declare(TASKS, arguments={"x-queue-type": "quorum"})
        await broker.publish(TASKS, b"kept")
        for _ in range(25):
            message = await eventually(lambda: queue.get(fail=False), "it is there again")
            await message.nack(requeue=True)
        assert (await broker.wait_for(TASKS)).body == b"kept"
    finally:
        await broker.set_policy("gonets", None)


async def test_ensuring_twice_and_by_several_at_once_is_harmless(connection, broker):
    async def another():
        other = aiormq.Connection(broker.url)
        await other.connect()
        await topology.ensure(other, *topology.PUBLIC)
        await other.close()

    await asyncio.gather(*(another() for _ in range(4)))
    await topology.ensure(connection, *topology.PUBLIC)
    assert [await broker.exists(queue) for queue in PUBLIC] == [True] * len(PUBLIC)


async def test_no_channel_is_left_open(connection, broker):
    for _ in range(3):
        await topology.ensure(connection, *topology.PUBLIC)
    assert not [number for number, channel in connection.channels.items() if channel and not channel.is_closed]


async def test_our_own_queues_are_quorum_queues(connection, broker):
    await topology.ensure(connection, *topology.INTERNAL)
    for queue in topology.INTERNAL:
        assert (await broker.arguments(queue)).items() >= {"durable": True, "x-queue-type": "quorum"}.items()
    await broker.delete(*topology.INTERNAL)
