"""What a provider sees of its limits while several workers share them: `make bench ARGS=limits`.

The sandbox plays the providers, and every figure is taken from its journal. There is always more work than may be done:

- **rate**: phones, `DADATA_RATE` calls a second: the most calls in any second and in any ten, and how much of the limit
  was used;
- **channel**: the same of notifications by one channel with a `ratePerSecond`;
- **in flight**: texts, each answered after a set time: the most calls at one time, and how much of the limit was used.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import aiohttp
import uvloop
from pamqp.commands import Basic

from benchmarks.__main__ import free_ports, machine, progress
from benchmarks.notifications import serving
from benchmarks.report import Line
from benchmarks.stage import BenchError, Contestant, Stage, until
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.publisher import PERSISTENT, Outgoing, Publisher

SETTLED = 5.0  # seconds after the first call from which the share is counted: by then every worker has its part
USED, USED_OF_RATE = 0.9, 0.95

MODULE = "gonets.entrypoints.cli"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS='limits …'", description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=40, help="how long each limit is looked at")
    parser.add_argument("--rates", type=float, nargs="*", default=[20], help="calls a second")
    parser.add_argument("--channels", type=float, nargs="*", default=[20], help="messages a second by a channel")
    parser.add_argument("--in-flight", type=int, nargs="*", default=[10], help="calls at one time")
    parser.add_argument("--call", type=float, default=0.5, help="seconds that a text takes")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="gonets-limits-") as directory:
            print("\n".join(uvloop.run(run(options, Path(directory)))))
    except BenchError as error:
        sys.exit(f"limits: {error}")


async def run(options: argparse.Namespace, directory: Path) -> list[str]:
    lines = [f"{options.workers} workers, {options.seconds:g} s each; {machine()}", ""]
    sandbox = Sandbox(*free_ports(2))
    async with Stage(directory, dict.fromkeys(("sandbox", "static"), f"{sandbox.url}/dadata/api/v1/clean")) as stage:
        for rate in options.rates:
            calls = await _calls(stage, sandbox, options, "phone", int(rate * options.seconds), {"DADATA_RATE": rate})
            lines += rate_lines(calls, f"{rate:g} a second", rate, options.seconds)
        for rate in options.channels:
            calls = await _messages(stage, options, rate)
            lines += rate_lines(calls, f"{rate:g} a second by a channel", rate, options.seconds)
        for limit in options.in_flight:
            count = int(limit / options.call * options.seconds)
            limits = {"YANDEXGPT_MAX_IN_FLIGHT": limit}
            calls = await _calls(stage, sandbox, options, "gpt", count, limits)
            lines += in_flight_lines(calls, limit, options.call, options.seconds)
    return lines


class Sandbox:
    """Where the providers' stand-in listens, and what it is told."""

    def __init__(self, http_port: int, grpc_port: int) -> None:
        self.url = f"http://127.0.0.1:{http_port}"
        self.environment = {
            "SANDBOX_HTTP_PORT": str(http_port),
            "SANDBOX_GRPC_PORT": str(grpc_port),
            "YANDEXGPT_ENDPOINT": f"127.0.0.1:{grpc_port}",
            "YANDEXGPT_INSECURE": "true",
        }

    async def up(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            await self.ask("GET", "settings")
            return True
        return False

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}/control/{path}", json=body) as answer,
        ):
            answer.raise_for_status()
            said: dict[str, object] = await answer.json()
            return said

    async def calls(self) -> list[float]:
        """When each call arrived, in seconds; in order."""
        said = await self.ask("GET", "journal?limit=1000000")
        entries: list[Mapping[str, str]] = said["entries"]  # type: ignore[assignment]
        return sorted(datetime.fromisoformat(entry["time"]).timestamp() for entry in entries)


async def _calls(
    stage: Stage,
    sandbox: Sandbox,
    options: argparse.Namespace,
    task_type: str,
    count: int,
    limits: Mapping[str, object],
) -> list[float]:
    """The calls of the looked-at time, from the first one on."""
    await stage.clear()
    await stage.sql.execute("DELETE FROM provider")
    await _publish(stage, task_type, stage.task_ids(count + 200))
    environment = sandbox.environment | {name: f"{value:g}" for name, value in limits.items()}
    with contextlib.ExitStack() as running:
        running.enter_context(_process(stage, "sandbox", "sandbox", environment))
        await until(sandbox.up, 30, "the sandbox answers")
        if task_type == "gpt":
            await sandbox.ask("PUT", "faults/yandexgpt", {"latency_ms": options.call * 1000})
        for number in range(options.workers):
            running.enter_context(_process(stage, f"worker {number}", "worker", environment))
        running.enter_context(_process(stage, "scheduler", "scheduler", environment))

        async def begun() -> bool:
            return bool((await sandbox.ask("GET", "journal?limit=1"))["entries"])

        # The journal is read when it is over: to write it all out holds the sandbox up.
        await until(begun, 60, "the first call")
        await asyncio.sleep(options.seconds + 1)
        calls = await sandbox.calls()
    progress(f"{task_type}: {len(calls)} calls in {calls[-1] - calls[0]:.1f} s")
    return calls


async def _messages(stage: Stage, options: argparse.Namespace, rate: float) -> list[float]:
    """The same of notifications."""
    await stage.sql.execute("TRUNCATE users, notification, attempt, notification_key, provider CASCADE")
    async with serving(stage, *free_ports(3)) as service:
        await service.own_channel(rate)
        await service.hand_in(service.numbers(int(rate * options.seconds) + 200))
        with contextlib.ExitStack() as running:
            for number in range(options.workers):
                running.enter_context(stage.running(service.process("worker", f"notifying worker {number}")))
            running.enter_context(stage.running(service.process("scheduler", "notifying scheduler")))

            # The journal is read when it is over: to write it all out holds the sandbox up.
            await until(service.sending, 60, "no message is sent")
            await asyncio.sleep(options.seconds + 1)
            calls = sorted((await service.arrivals()).values())
    progress(f"channel: {len(calls)} messages in {calls[-1] - calls[0]:.1f} s")
    return calls


def _process(
    stage: Stage, name: str, command: str, environment: dict[str, str]
) -> contextlib.AbstractContextManager[object]:
    return stage.running(Contestant(name, MODULE, (command,), provider="sandbox", environment=environment))


async def _publish(stage: Stage, task_type: str, task_ids: Sequence[int]) -> None:
    publisher = Publisher(stage.rabbit.url, timeout=30)
    properties = Basic.Properties(content_type="application/json", delivery_mode=PERSISTENT)
    bodies = [json.dumps({"task_id": i, "task_type": task_type, "data": f"+7916{i:07}"}).encode() for i in task_ids]
    await asyncio.gather(*(publisher.publish(Outgoing(topology.TASKS, body, properties)) for body in bodies))
    await publisher.close()


def rate_lines(calls: Sequence[float], name: str, rate: float, seconds: float) -> Iterator[str]:
    used = _within(calls, calls[0] + SETTLED, calls[0] + seconds) / (rate * (seconds - SETTLED))
    yield str(Line(f"{name}: most in any second", most_in(calls, 1), "", rate, at_least=False, digits=0))
    yield str(Line(f"{name}: most in any ten", most_in(calls, 10), "", rate * 10, at_least=False, digits=0))
    yield str(Line(f"{name}: share used", used, "", USED_OF_RATE, at_least=True))


def in_flight_lines(calls: Sequence[float], limit: int, call: float, seconds: float) -> Iterator[str]:
    # A call is under way for as long as the sandbox was told to take, and no shorter.
    used = _within(calls, calls[0] + SETTLED, calls[0] + seconds) * call / (limit * (seconds - SETTLED))
    yield str(Line(f"{limit} in flight: most at one time", most_in(calls, call), "", limit, at_least=False, digits=0))
    yield str(Line(f"{limit} in flight: share used", used, "", USED, at_least=True))


def _within(calls: Sequence[float], start: float, end: float) -> int:
    return sum(start <= call < end for call in calls)


def most_in(calls: Sequence[float], seconds: float) -> int:
    """The most calls in any window of this length; the calls are in order."""
    most, first = 0, 0
    for last, call in enumerate(calls):
        while calls[first] <= call - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


if __name__ == "__main__":
    main()
