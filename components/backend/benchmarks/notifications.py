"""Notifications: how many a second one worker brings to a Twilio-like provider, and how soon an urgent one is there.

- Rate: a backlog in `NotificationRequestQueue`, one worker, the sandbox as Twilio; from the first tenth taken by the
  provider to the last. Beside it a bare loop: the same HTTP client posts the same forms to the same sandbox, as many at
  one time as the worker has slots. The ratio is what database, queues and decisions leave of the loop.
  Once for notifications that are rows already, once with taking them in.
- Latency: `POST /api/v1/notifications` until the call arrives at the sandbox, by the clock of this machine; with
  nothing else to do, and while the worker takes a backlog of the queue.

Nothing is reported back here: with callbacks the sandbox and the API would share the processors.
`python -m benchmarks.notifications` runs this part alone.
"""

import asyncio
import base64
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import aiohttp
import uvloop
from pamqp.commands import Basic

from benchmarks.report import Line
from benchmarks.stage import BenchError, Contestant, Stage, until
from benchmarks.statistics import percentile
from gonets.adapters.providers.transport import HttpTransport
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.notifications import RabbitNotificationNews
from gonets.adapters.rabbitmq.publisher import PERSISTENT, Outgoing, Publisher

CONCURRENCY = 100
TARGET, AT_MOST = 0.5, 2.0
PACE = 0.05  # seconds from one urgent notification to the next
_WARM_UP = 20
_STUCK = 60.0
_BULK_PER_SECOND = 1500  # more than one worker takes
_LOGIN = "ACbench:bench"
_FROM = "+15005550006"
_TEXT = "Ваш код: {}. Никому его не говорите."


@dataclass
class Found:
    """`rates`: a second, of each round: the loop's, ours without taking them in, ours. Latencies in milliseconds.
    `apart`: where what is urgent has a worker of its own."""

    rates: list[tuple[float, float, float]] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)


@dataclass
class Service:
    """An API and a sandbox that run, and an account that may send."""

    stage: Stage
    sandbox: str
    api: str
    variables: dict[str, str]
    client: aiohttp.ClientSession
    key: str = ""
    _number: int = 0

    @property
    def worker(self) -> Contestant:
        return self.process("worker", "notifying worker")

    @property
    def apart(self) -> Sequence[Contestant]:
        """One worker for what is urgent, and one for everything else, which gives way (docs/operations.md)."""
        others = ",".join((topology.NOTIFICATION_REQUESTS, topology.NOTIFICATION_DISPATCH))
        return [
            self.process("worker", f"worker of {queues}", WORKER_QUEUES=queues, WORKER_NICE=nice)
            for queues, nice in ((topology.NOTIFICATION_URGENT, "0"), (others, "10"))
        ]

    def process(self, command: str, name: str, **variables: str) -> Contestant:
        return Contestant(name, "gonets.entrypoints.cli", (command,), environment=self.variables | variables)

    def numbers(self, count: int) -> range:
        self._number += count
        return range(self._number - count, self._number)

    async def open(self) -> None:
        await until(partial(_answers, self.client, f"{self.api}/health/ready"), 60, "the API is not ready")
        await until(partial(_answers, self.client, f"{self.sandbox}/control/settings"), 60, "the sandbox is not ready")
        account = {"email": "bench@example.com", "password": "correct horse battery"}
        signed_up = await self._made("auth/signup", account, "")
        key = {"name": "bench", "scopes": ["notifications", "channels"]}
        self.key = (await self._made("api-keys", key, signed_up["accessToken"]))["key"]
        await self._quiet()

    async def _quiet(self) -> None:
        async with self.client.put(
            f"{self.sandbox}/control/settings/twilio", json={"callbacks": "none", "step_ms": 3_600_000}
        ) as answer:
            answer.raise_for_status()

    async def own_channel(self, rate: float) -> None:
        """In place of the operator's."""
        account, _, token = _LOGIN.partition(":")
        configuration = {"accountSid": account, "authToken": token, "from": _FROM}
        channel = {"name": "bench", "type": "SMS_TWILIO", "configuration": configuration, "ratePerSecond": rate}
        await self._made("notifications/channels", channel, self.key)

    async def _made(self, path: str, body: Any, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.client.post(f"{self.api}/api/v1/{path}", json=body, headers=headers) as answer:
            content = await answer.json()
            if answer.status != 201:
                raise BenchError(f"POST {path} answers {answer.status} {content}")
            return content

    async def hand_in(self, numbers: range, *, send: bool = True) -> None:
        """A backlog: persistent and confirmed."""
        publisher = Publisher(self.stage.rabbit.url, timeout=60)
        for start in range(0, len(numbers), 2000):
            await asyncio.gather(
                *(publisher.publish(self._message(one, send)) for one in numbers[start : start + 2000])
            )
        await publisher.close()

    def _message(self, number: int, send: bool) -> Outgoing:
        request = {"recipient": {"phone": _phone(number)}, "message": _TEXT.format(number), "send": send}
        body = json.dumps(request).encode()
        properties = Basic.Properties(
            content_type="application/json",
            delivery_mode=PERSISTENT,
            message_id=f"bench-{number}",
            headers={"x-api-key": self.key},
        )
        return Outgoing(topology.NOTIFICATION_REQUESTS, body, properties)

    async def taken(self) -> int:
        found: int = await self.stage.sql.fetchval("SELECT count(*) FROM notification WHERE sent_at IS NOT NULL")
        return found

    async def sending(self) -> bool:
        return await self.taken() > 0

    async def clear(self) -> None:
        await self.stage.clear()
        await self.stage.sql.execute("TRUNCATE notification, attempt, notification_key")
        await self.stage.sql.execute("CHECKPOINT")
        async with self.client.post(f"{self.sandbox}/control/reset") as answer:
            answer.raise_for_status()
        await self._quiet()

    async def arrivals(self) -> dict[str, float]:
        """By text: when the provider was called (wall clock)."""
        wanted = {"limit": "200000", "provider": "twilio", "operation": "create"}
        async with self.client.get(f"{self.sandbox}/control/journal", params=wanted) as answer:
            entries = (await answer.json())["entries"]
        return {entry["input"]: datetime.fromisoformat(entry["time"]).timestamp() for entry in entries}


def _phone(number: int) -> str:
    return f"+7916{number:07d}"


async def _answers(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


@asynccontextmanager
async def serving(stage: Stage, api_port: int, sandbox_port: int, sandbox_grpc: int) -> AsyncIterator[Service]:
    sandbox, api = f"http://127.0.0.1:{sandbox_port}", f"http://127.0.0.1:{api_port}"
    account, _, token = _LOGIN.partition(":")
    variables = {
        "API_HOST": "127.0.0.1",
        "API_PORT": str(api_port),
        "TWILIO_ACCOUNT_SID": account,
        "TWILIO_AUTH_TOKEN": token,
        "TWILIO_FROM": _FROM,
        "TWILIO_API_URL": f"{sandbox}/twilio",
        "NOTIFICATIONS_RATES": "",
        "SANDBOX_HTTP_PORT": str(sandbox_port),
        "SANDBOX_GRPC_PORT": str(sandbox_grpc),
        "SANDBOX_JOURNAL_SIZE": "200000",
        **dict.fromkeys(("SANDBOX_BOT_PORT", "SANDBOX_SMTP_PORT", "SANDBOX_SMTPS_PORT", "SANDBOX_SMPP_PORT"), "0"),
    }
    with ExitStack() as processes:
        for command in ("sandbox", "api"):
            contestant = Contestant(f"notifying {command}", "gonets.entrypoints.cli", (command,), environment=variables)
            processes.enter_context(stage.running(contestant))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as client:
            service = Service(stage, sandbox, api, variables, client)
            await service.open()
            yield service


async def bare(service: Service, count: int) -> float:
    """Calls a second."""
    transport = HttpTransport(timeout=20)
    url = f"{service.sandbox}/twilio/2010-04-01/Accounts/{_LOGIN.partition(':')[0]}/Messages.json"
    headers = {
        "Authorization": f"Basic {base64.b64encode(_LOGIN.encode()).decode()}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    numbers = iter(service.numbers(count + CONCURRENCY))

    async def post(number: int) -> None:
        fields = {"To": _phone(number), "From": _FROM, "Body": _TEXT.format(number)}
        answer = await transport.post(url, urlencode(fields).encode(), headers)
        if answer.status != 201:
            raise BenchError(f"the sandbox answers {answer.status}")

    async def loop() -> None:
        for number in numbers:
            await post(number)

    await asyncio.gather(*(post(next(numbers)) for _ in range(CONCURRENCY)))  # opens the connections
    began = time.perf_counter()
    await asyncio.gather(*(loop() for _ in range(CONCURRENCY)))
    rate = count / (time.perf_counter() - began)
    await transport.close()
    return rate


async def ours(service: Service, count: int) -> float:
    """Notifications a second, of one worker."""
    await service.hand_in(service.numbers(count))
    return await _watched(service, count)


async def sending(service: Service, count: int) -> float:
    """The same, of notifications that are rows already: they were held, and are released all at once."""
    sql = service.stage.sql
    await service.hand_in(service.numbers(count), send=False)

    async def all_taken() -> bool:
        return bool(await sql.fetchval("SELECT count(*) FROM notification") == count)

    with service.stage.running(service.worker):
        await until(all_taken, 120, "the worker takes nothing")
    ids = await sql.fetch("UPDATE notification SET held = false, due_at = clock_timestamp() RETURNING id")
    await sql.execute("CHECKPOINT")
    publisher = Publisher(service.stage.rabbit.url, timeout=60)
    news = RabbitNotificationNews(publisher)
    await asyncio.gather(*(news.wake(row["id"]) for row in ids))
    await publisher.close()
    return await _watched(service, count)


async def _watched(service: Service, count: int) -> float:
    with service.stage.running(service.worker):
        first, began, moved = 0, 0.0, time.perf_counter()
        taken = 0
        while taken < count:
            await asyncio.sleep(0.1)  # the count itself reads all rows
            found, now = await service.taken(), time.perf_counter()
            if not first and found >= count / 10:
                first, began = found, now
            moved = now if found > taken else moved
            taken = found
            if now - moved > _STUCK:
                raise BenchError(f"{taken} of {count} notifications were sent, and no more are")
        return (count - first) / (time.perf_counter() - began)


async def urgent(service: Service, samples: int) -> list[float]:
    """Milliseconds of each, from sending the POST to the provider's being called."""
    headers = {"Authorization": f"Bearer {service.key}"}
    sent: dict[str, float] = {}
    gc.freeze()  # what was handed in as bulk is not looked through between two samples
    for number in service.numbers(samples):
        text, began = f"urgent {number}", time.time()
        body = {"recipient": {"phone": _phone(number)}, "message": text}
        async with service.client.post(f"{service.api}/api/v1/notifications", json=body, headers=headers) as answer:
            if answer.status != 202:
                raise BenchError(f"POST /api/v1/notifications answers {answer.status} {await answer.text()}")
        sent[text] = began
        await asyncio.sleep(max(0.0, began + PACE - time.time()))

    async def arrived() -> bool:
        return sent.keys() <= (await service.arrivals()).keys()

    await until(arrived, 60, "urgent notifications did not arrive")
    arrivals = await service.arrivals()
    return [(arrivals[text] - began) * 1000 for text, began in sent.items()][_WARM_UP:]


async def busy(service: Service, samples: int, workers: Sequence[Contestant]) -> list[float]:
    bulk = service.numbers(int((samples + _WARM_UP) * PACE * _BULK_PER_SECOND))
    await service.hand_in(bulk)
    with ExitStack() as running:
        for worker in workers:
            running.enter_context(service.stage.running(worker))
        await until(partial(_under_way, service), 60, "the worker takes nothing")
        found = await urgent(service, samples + _WARM_UP)
        if await service.taken() >= len(bulk):
            raise BenchError("the backlog ended before the urgent notifications did")
        await service.stage.channel.queue_purge(topology.NOTIFICATION_REQUESTS)
    return found


async def _under_way(service: Service) -> bool:
    return await service.taken() > CONCURRENCY


async def idle(service: Service, samples: int) -> list[float]:
    with service.stage.running(service.worker):
        await until(partial(_consumed, service), 60, "the worker takes nothing")
        return await urgent(service, samples + _WARM_UP)


async def _consumed(service: Service) -> bool:
    return await service.stage.consumers(topology.NOTIFICATION_DISPATCH) == 1


async def measure(stage: Stage, ports: Sequence[int], count: int, samples: int, rounds: int, found: Found) -> None:
    """Adds to each list of `found`. `ports`: three free ones."""
    async with serving(stage, *ports) as service:
        for number in range(rounds):
            contestants: list[Callable[[Service, int], Awaitable[float]]] = [bare, sending, ours]
            rates = {}
            for contestant in contestants if number % 2 == 0 else contestants[::-1]:
                await service.clear()
                rates[contestant] = await contestant(service, count)
            found.rates.append((rates[bare], rates[sending], rates[ours]))
            await service.clear()
            found.idle += await idle(service, samples)
            await service.clear()
            found.busy += await busy(service, samples, [service.worker])
            await _emptied(service)
            await service.clear()
            found.apart += await busy(service, samples, service.apart)
            await _emptied(service)


async def _emptied(service: Service) -> None:
    """What the last turn left in the queue of wake-ups is nobody's any more."""
    for queue in (topology.NOTIFICATION_DISPATCH, topology.NOTIFICATION_URGENT):
        await service.stage.channel.queue_purge(queue)


def lines(found: Found) -> list[Line]:
    return [
        Line("notifications: sent / bare loop", _ratio(found, 1), "", TARGET, at_least=True),
        Line("notifications: taken in and sent / bare loop", _ratio(found, 2), "", TARGET, at_least=True),
        *(
            Line(name, percentile(values, 99) / percentile(found.idle, 99), "", AT_MOST, at_least=False)
            for name, values in (
                ("an urgent one's p99: beside bulk work / idle", found.busy),
                ("the same, with a worker of its own / idle", found.apart),
            )
        ),
    ]


def _ratio(found: Found, which: int) -> float:
    return median(round_[which] / round_[0] for round_ in found.rates)


def figures(found: Found) -> list[str]:
    rows = [f"  {'Notifications, the sandbox as Twilio':<48} {'a second':>9}   lowest - highest"]
    names = ("bare loop of the same HTTP client", "one worker sends what is recorded", "one worker, from the queue")
    for name, speeds in zip(names, zip(*found.rates, strict=True), strict=True):
        rows.append(f"  {name:<48} {median(speeds):>9,.0f}   {min(speeds):,.0f} - {max(speeds):,.0f}")
    rows += ["", f"  {'POST /api/v1/notifications to the call':<48} {'p50 ms':>9}   {'p99 ms':>7}"]
    for name, values in (
        ("nothing else to do", found.idle),
        ("beside bulk work", found.busy),
        ("the same, with a worker of its own", found.apart),
    ):
        rows.append(f"  {name:<48} {median(values):>9.2f}   {percentile(values, 99):>7.2f}")
    return rows


async def _alone(count: int, samples: int, rounds: int) -> None:
    from benchmarks.__main__ import free_ports

    with tempfile.TemporaryDirectory(prefix="gonets-bench-") as directory:
        async with Stage(Path(os.environ.get("BENCH_LOGS", directory)), {"static": "http://127.0.0.1:9"}) as stage:
            found = Found()
            await measure(stage, free_ports(3), count, samples, rounds, found)
    print("\n".join([*map(str, lines(found)), "", *figures(found)]))


if __name__ == "__main__":
    wanted = [int(text) for text in [*sys.argv[1:], *("2000", "100", "3")[len(sys.argv) - 1 :]]]
    uvloop.run(_alone(*wanted))
