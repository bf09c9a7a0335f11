"""What an outage costs while producers go on: `make bench ARGS=outage`.

Phones and texts arrive at a steady pace, two workers run, the sandbox plays the providers. Three times in turn: all is
well; Dadata answers 500 to everything; the database takes no connections. Shown for each: what the workers had
resident, where the backlog lay at its end, and how long texts took, whose provider is never away.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import asyncpg
import uvloop
from pamqp.commands import Basic

from benchmarks.__main__ import free_ports, machine, progress
from benchmarks.limits import MODULE, Sandbox
from benchmarks.report import p99
from benchmarks.stage import BenchError, Child, Contestant, Stage, until
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.publisher import PERSISTENT, Outgoing, Publisher

TICK = 0.1  # seconds from one handful of tasks to the next
TEXTS = 20  # a second


@dataclass(frozen=True)
class Phase:
    """What was seen of one of the three."""

    name: str
    resident: Sequence[float]
    """Megabytes of the largest worker, once a second while tasks arrived."""
    in_queue: int
    in_rows: int | None
    """Tasks that were not done when the last one had arrived; None where the database could not be asked."""
    texts: Sequence[float]
    """Seconds from publishing to done."""
    caught_up: float
    """Seconds from the end of the outage until everything was done."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS='outage …'", description=__doc__)
    parser.add_argument("--phones", type=int, default=20_000, help="in each of the three")
    parser.add_argument("--seconds", type=float, default=60, help="in which they arrive")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="gonets-outage-") as directory:
            print("\n".join(uvloop.run(run(options, Path(directory)))))
    except BenchError as error:
        sys.exit(f"outage: {error}")


async def run(options: argparse.Namespace, directory: Path) -> list[str]:
    sandbox = Sandbox(*free_ports(2))
    environment = sandbox.environment | {"YANDEXGPT_MAX_IN_FLIGHT": "0"}
    async with Stage(directory, {"sandbox": f"{sandbox.url}/dadata/api/v1/clean"}) as stage:
        await stage.clear()
        with contextlib.ExitStack() as running:
            running.enter_context(_process(stage, "sandbox", "sandbox", environment))
            await until(sandbox.up, 30, "the sandbox answers")
            workers = [
                running.enter_context(_process(stage, f"worker {number}", "worker", environment))
                for number in range(options.workers)
            ]
            running.enter_context(_process(stage, "scheduler", "scheduler", environment))
            ours = _Run(stage, workers, options)
            phases = [await ours.phase("all is well")]
            await sandbox.ask("PUT", "faults/dadata", {"kind": "status", "status": 500})
            phases.append(await ours.phase("Dadata is down", end=lambda: sandbox.ask("DELETE", "faults")))
            database = _Database(stage)
            await database.leave()
            phases.append(await ours.phase("the database is away", end=database.come_back))
            await ours.close()
    what = f"{options.phones} phones and {TEXTS * options.seconds:.0f} texts in {options.seconds:g} s"
    return [f"each time {what}, {options.workers} workers; {machine()}", "", *table(phases)]


class _Database:
    """Of the workers: away for them, while the server itself runs."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def leave(self) -> None:
        await self._stage.sql.close()
        await self._allow("false")
        await self._server("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", self._name)

    async def come_back(self) -> None:
        await self._allow("true")
        self._stage.sql = await asyncpg.connect(self._stage.database.dsn)

    @property
    def _name(self) -> str:
        return self._stage.database.name

    async def _allow(self, whether: str) -> None:
        await self._server(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS {whether}')

    async def _server(self, statement: str, *values: object) -> None:
        connection = await asyncpg.connect(self._stage.database.model_copy(update={"name": "postgres"}).dsn)
        await connection.execute(statement, *values)
        await connection.close()


class _Run:
    def __init__(self, stage: Stage, workers: Sequence[Child], options: argparse.Namespace) -> None:
        self._stage = stage
        self._workers = workers
        self._options = options
        self._publisher = Publisher(stage.rabbit.url, timeout=30)

    async def phase(self, name: str, end: Callable[[], Awaitable[object]] | None = None) -> Phase:
        resident: list[float] = []
        looking = asyncio.create_task(self._look(resident))
        sent = await self._produce()
        looking.cancel()
        in_queue = await self._stage.depth(topology.TASKS)
        in_rows = None if self._stage.sql.is_closed() else await self._unfinished()
        since = time.monotonic()
        if end is not None:
            await end()
        await until(self._all_done, 600, "everything is done")
        caught_up = time.monotonic() - since
        rows = await self._stage.sql.fetch(
            "SELECT task_id, extract(epoch FROM updated_at)::float8 AS at FROM task WHERE task_id = ANY($1)", list(sent)
        )
        progress(f"{name}: all done {caught_up:.0f} s after its end")
        return Phase(name, resident, in_queue, in_rows, [row["at"] - sent[row["task_id"]] for row in rows], caught_up)

    async def close(self) -> None:
        await self._publisher.close()

    async def _look(self, resident: list[float]) -> None:
        while True:
            resident.append(max(worker.megabytes for worker in self._workers))
            await asyncio.sleep(1)

    async def _produce(self) -> dict[int, float]:
        """When each text was published, by its task_id."""
        ticks = int(self._options.seconds / TICK)
        texts: dict[int, float] = {}
        began = time.monotonic()
        for tick in range(ticks):
            phones = self._stage.task_ids(
                self._options.phones * (tick + 1) // ticks - self._options.phones * tick // ticks
            )
            handful = [("phone", task_id) for task_id in phones]
            for task_id in self._stage.task_ids(int(TEXTS * TICK)):
                handful.append(("gpt", task_id))
                texts[task_id] = time.time()
            await asyncio.gather(*(self._publish(*task) for task in handful))
            await asyncio.sleep(began + (tick + 1) * TICK - time.monotonic())
        return texts

    async def _publish(self, task_type: str, task_id: int) -> None:
        body = json.dumps({"task_id": task_id, "task_type": task_type, "data": f"+7916{task_id:07}"}).encode()
        properties = Basic.Properties(content_type="application/json", delivery_mode=PERSISTENT)
        await self._publisher.publish(Outgoing(topology.TASKS, body, properties))

    async def _unfinished(self) -> int:
        found: int = await self._stage.sql.fetchval("SELECT count(*) FROM task WHERE status <> 'done'")
        return found

    async def _all_done(self) -> bool:
        return await self._stage.depth(topology.TASKS) == 0 and await self._unfinished() == 0


_HEADS = ("first 10 s, MB", "last 10 s", "in queue", "in rows", "texts p50 s", "p99 s", "all done after s")


def table(phases: Sequence[Phase]) -> Iterator[str]:
    yield "  ".join([f"  {'':<21}", *_HEADS])
    for phase in phases:
        cells = (
            f"{max(phase.resident[:10]):.0f}",
            f"{max(phase.resident[-10:]):.0f}",
            f"{phase.in_queue}",
            "-" if phase.in_rows is None else f"{phase.in_rows}",
            f"{median(phase.texts):.3f}",
            f"{p99(phase.texts):.3f}",
            f"{phase.caught_up:.0f}",
        )
        filled = (cell.rjust(len(head)) for cell, head in zip(cells, _HEADS, strict=True))
        yield "  ".join([f"  {phase.name:<21}", *filled])


def _process(
    stage: Stage, name: str, command: str, environment: dict[str, str]
) -> contextlib.AbstractContextManager[Child]:
    return stage.running(Contestant(name, MODULE, (command,), provider="sandbox", environment=environment))


if __name__ == "__main__":
    main()
