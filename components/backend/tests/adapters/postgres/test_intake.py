"""The REST door's side of a database that is silent."""

import asyncio

import pytest

from eventually import eventually, own_clock
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.tasks import PostgresTaskIntake
from gonets.core.shared.errors import Unavailable
from gonets.core.tasks.model import Task, TaskType
from proxy import Proxy


async def test_nobody_waits_longer_than_the_timeout_however_many_come(servers, pool):
    async with Proxy(servers.database.host, servers.database.port) as proxy, own_clock() as clock:
        database = servers.database.model_copy(update={"host": "127.0.0.1", "port": proxy.port})
        narrow = Pool(database.dsn, size=4, timeout=1)
        await narrow.open()
        intake = PostgresTaskIntake(narrow, timeout=1)

        async def there():
            try:
                return await intake.submit(Task(1, TaskType.PHONE, "x"), None)
            except Unavailable:
                return None

        await eventually(there, "the database takes one")
        proxy.freeze()

        async def seconds(task_id):
            since = clock()
            with pytest.raises(Unavailable):
                await intake.submit(Task(task_id, TaskType.PHONE, "x"), None)
            return clock() - since

        requests = []
        for task_id in range(2, 32):
            requests.append(asyncio.create_task(seconds(task_id)))
            await asyncio.sleep(0.05)
        assert max(await asyncio.gather(*requests)) < 1.3
        proxy.thaw()
        await narrow.close()
