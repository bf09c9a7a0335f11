"""A million messages, the whole way. `make bench-million ARGS="--size 10000"` for less; options: `--help`.

- dispatch: a campaign whose messages are made already, workers, a provider that costs next to nothing (a process of its
  own); from the first tenth taken to the last outcome recorded. Beside it a bare loop: the same HTTP client posts the
  same forms to the same provider, as many at one time as a worker has in flight. Then for sizes that grow tenfold.
- reports: the same with delivery callbacks into the API, of which one in five says "undelivered", and a provider that
  refuses one request in twenty; until nothing is left to be done. Everything is accounted for by the provider's own
  count.
- whole: a file with that many contacts is uploaded, sent to all, and watched until each message has its end.
"""

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import uvloop

from benchmarks.report import Line
from benchmarks.stage import BenchError, Child, Contestant, Stage, end, until
from gonets.adapters.postgres.campaign_work import PostgresCampaignWork
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.providers.transport import HttpTransport
from gonets.adapters.rabbitmq import topology

MILLION = 1_000_000
CONCURRENCY = 100
DISPATCH, REPORTS, WHOLE = "dispatch", "reports", "whole"
_REFUSED, _UNDELIVERED = 0.05, 0.2
_FASTEST_IMPORT, _FASTEST_SEND = 60.0, 30 * 60.0
_BARE = 20_000
_STUCK = 60.0
_ACCOUNT, _TOKEN, _FROM = "ACbench", "bench", "+15005550006"
_TEXT = "Только до пятницы: скидка 20 % на всё."
_ENDED = "SELECT coalesce(sum(n), 0) FROM campaign_count WHERE status NOT IN ('pending', 'sending')"
_COUNTS = "SELECT status, n FROM campaign_count WHERE n > 0 ORDER BY status"


@dataclass
class Found:
    """What was measured: lines of the table, and figures below it."""

    lines: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def say(self, figure: str) -> None:
        self.figures.append(f"  {figure}")
        sys.stderr.write(f"{figure}\n")


@dataclass
class Yard:
    """Servers, an account, and ports."""

    stage: Stage
    client: aiohttp.ClientSession
    ports: Sequence[int]
    concurrency: int

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def provider(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}"

    @property
    def variables(self) -> dict[str, str]:
        return {
            "API_HOST": "127.0.0.1",
            "API_PORT": str(self.ports[0]),
            "PUBLIC_URL": self.api,
            "TWILIO_ACCOUNT_SID": _ACCOUNT,
            "TWILIO_AUTH_TOKEN": _TOKEN,
            "TWILIO_FROM": _FROM,
            "TWILIO_API_URL": self.provider,
            "NOTIFICATIONS_RATES": "",
            "CAMPAIGNS_CONCURRENCY": str(self.concurrency),
            "LOG_LEVEL": "WARNING",
        }

    def process(self, command: str, number: int = 1) -> Contestant:
        name = f"million {command} {number}"
        return Contestant(name, "gonets.entrypoints.cli", (command,), environment=self.variables)

    async def clear(self) -> None:
        await self.stage.sql.execute(
            "TRUNCATE campaign, campaign_chunk, campaign_count, notification, attempt, contact, early_receipt, users"
            " RESTART IDENTITY CASCADE"
        )
        await self.stage.sql.execute("CHECKPOINT")

    async def counts(self) -> dict[str, int]:
        async with self.client.get(f"{self.provider}/counts") as answer:
            found: dict[str, int] = await answer.json()
            return found

    @contextmanager
    def providing(self, directory: Path, *arguments: str) -> Iterator[Child]:
        """The provider's process."""
        with (directory / "sink.log").open("wb") as log:
            command = [sys.executable, "-m", "benchmarks.processes.sink", str(self.ports[1]), *arguments]
            process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=log, stderr=log)
        child = Child("provider", process, directory / "sink.log")
        try:
            yield child
            child.check()
        finally:
            end(process)

    async def answers(self, url: str) -> bool:
        try:
            async with self.client.get(url) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def provider_answers(self) -> None:
        await until(partial(self.answers, f"{self.provider}/counts"), 30, "the provider does not answer")


async def bare(yard: Yard, count: int) -> float:
    """Calls a second."""
    transport = HttpTransport(timeout=20)
    url = f"{yard.provider}/2010-04-01/Accounts/{_ACCOUNT}/Messages.json"
    login = base64.b64encode(f"{_ACCOUNT}:{_TOKEN}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
    numbers = iter(range(count + yard.concurrency))

    async def post(number: int) -> None:
        fields = {"To": f"+79{number:09d}", "From": _FROM, "Body": _TEXT, "StatusCallback": f"{yard.api}/x/{number}"}
        answer = await transport.post(url, urlencode(fields).encode(), headers)
        if answer.status != 201:
            raise BenchError(f"the provider answers {answer.status}")

    async def loop() -> None:
        for number in numbers:
            await post(number)

    await asyncio.gather(*(post(next(numbers)) for _ in range(yard.concurrency)))  # opens the connections
    began = time.perf_counter()
    await asyncio.gather(*(loop() for _ in range(yard.concurrency)))
    rate = count / (time.perf_counter() - began)
    await transport.close()
    return rate


async def make(yard: Yard, size: int) -> float:
    """An owner, contacts, and a campaign whose messages are made. Returns the messages made in a second."""
    sql = yard.stage.sql
    owner_id = await sql.fetchval(
        "INSERT INTO users (email, email_key, password_hash, role)"
        " VALUES ('bench@example.com', 'bench@example.com', '', 'member') RETURNING id"
    )
    await sql.execute(
        "INSERT INTO contact (owner_id, name, phone) SELECT $1, '', '+79' || lpad(n::text, 9, '0')"
        " FROM generate_series(1, $2::int) n",
        owner_id,
        size,
    )
    campaign_id = await sql.fetchval(
        "INSERT INTO campaign (owner_id, name, text, variables, audience, status, started_at)"
        " VALUES ($1, 'bench', $2, false, '{}', 'running', clock_timestamp()) RETURNING id",
        owner_id,
        _TEXT,
    )
    pool = Pool(yard.stage.database.dsn, size=2, timeout=60)
    await pool.open()
    lifeline = PostgresLifeline(pool, fresh_for=3600)
    await lifeline.beat()
    work = PostgresCampaignWork(pool, lifeline)
    campaign = await work.claim(campaign_id, 1)
    began = time.perf_counter()
    while campaign is not None and not campaign.fanned_out:
        campaign = await work.fan_out(campaign, 10_000)
    if campaign is None:
        raise BenchError("the campaign cannot be fanned out")
    rate = size / (time.perf_counter() - began)
    await work.release(campaign)
    await lifeline.stop()
    await pool.close()
    await sql.execute("ANALYZE contact, notification")
    await sql.execute("CHECKPOINT")
    return rate


async def watched(yard: Yard, size: int, query: str = _ENDED, members: Sequence[Child] = ()) -> tuple[float, float]:
    """Messages a second, and microseconds of the members' processors for each, from the first tenth on."""
    first, began, seen, moved, cpu = 0, 0.0, 0, time.perf_counter(), 0.0
    while seen < size:
        await asyncio.sleep(0.05)
        found, now = int(await yard.stage.sql.fetchval(query)), time.perf_counter()
        if not first and found >= size / 10:
            first, began, cpu = found, now, sum(one.cpu_seconds for one in members)
        moved = now if found > seen else moved
        seen = found
        if now - moved > _STUCK:
            counts = {row["status"]: row["n"] for row in await yard.stage.sql.fetch(_COUNTS)}
            raise BenchError(f"{seen} of {size} have an outcome, and no more: {counts}")
    cpu = sum(one.cpu_seconds for one in members) - cpu
    return (size - first) / (time.perf_counter() - began), 1e6 * cpu / (size - first)


async def sending(yard: Yard, directory: Path, size: int, workers: int, found: Found) -> float:
    """Messages a second of so many workers, to a provider that takes everything and reports nothing."""
    await yard.clear()
    made = await make(yard, size)
    with yard.providing(directory), ExitStack() as running:
        await yard.provider_answers()
        running.enter_context(yard.stage.running(yard.process("scheduler")))
        members = [running.enter_context(yard.stage.running(yard.process("worker", n))) for n in range(workers)]
        rate, cpu = await watched(yard, size, members=members)
        counts = await yard.counts()
        if counts["taken"] != size or counts["notifications"] != size:
            raise BenchError(f"{size} messages, and the provider took {counts}")
        peak = max(one.peak_megabytes for one in members)
        workers_said = f"{workers} worker" + "s" * (workers > 1)
        found.say(
            f"{size:>9,} messages, {workers_said}: {rate:,.0f}/s, {cpu:.0f} µs of a worker each, "
            f"most resident {peak:.0f} MB; made at {made:,.0f}/s"
        )
    return rate


async def dispatch(yard: Yard, directory: Path, sizes: Sequence[int], fleet: Sequence[int], found: Found) -> None:
    loops = []
    rates: dict[int, float] = {}
    for workers in fleet:
        for size in sizes if workers == 1 else sizes[-1:]:
            with yard.providing(directory):
                await yard.provider_answers()
                loops.append(await bare(yard, _BARE))
            rate = await sending(yard, directory, size, workers, found)
            if workers == 1:
                rates[size] = rate
            ratio = rate / loops[-1]
            if size == sizes[-1]:
                words = f"{size:,} sent by {workers} / bare loop"
                found.lines.append(str(Line(words, ratio, "", 0.7, at_least=True)))
            found.say(f"          bare loop just before: {loops[-1]:,.0f}/s, ratio {ratio:.2f}")
    if len(rates) > 1:
        smallest, largest = min(rates), max(rates)
        found.lines.append(
            str(
                Line(f"rate at {largest:,} / at {smallest:,}", rates[largest] / rates[smallest], "", 0.8, at_least=True)
            )
        )


async def reports(yard: Yard, directory: Path, size: int, workers: int, found: Found) -> None:
    with yard.providing(directory):
        await yard.provider_answers()
        loop = await bare(yard, _BARE)
    await yard.clear()
    await make(yard, size)
    with ExitStack() as running:
        running.enter_context(yard.stage.running(yard.process("api")))
        await until(partial(yard.answers, f"{yard.api}/health/ready"), 60, "the API is not ready")
        options = ("--report-to", f"127.0.0.1:{yard.ports[0]}", "--token", _TOKEN)
        faults = ("--refuse", str(_REFUSED), "--undelivered", str(_UNDELIVERED))
        running.enter_context(yard.providing(directory, *options, *faults))
        await yard.provider_answers()
        running.enter_context(yard.stage.running(yard.process("scheduler")))
        members = [running.enter_context(yard.stage.running(yard.process("worker", n))) for n in range(workers)]
        final = "SELECT coalesce(sum(n), 0) FROM campaign_count WHERE status NOT IN ('pending', 'sending', 'sent')"
        began = time.perf_counter()
        tenth, cpu = await watched(yard, size, final, members)
        took = time.perf_counter() - began
        counts = await yard.counts()
        statuses = {row["status"]: row["n"] for row in await yard.stage.sql.fetch(_COUNTS)}
        peak = max(one.peak_megabytes for one in members)
    await account(yard, size, counts, statuses, found)
    found.say(
        f"{size:>9,} messages with reports and failures, {workers} worker: {tenth:,.0f}/s "
        f"({took:.0f} s in all), {cpu:.0f} µs of a worker each, most resident {peak:.0f} MB; {counts}"
    )
    words = f"{size:,} with reports and failures / bare loop"
    found.lines.append(str(Line(words, tenth / loop, "", 0.4, at_least=True)))


async def account(yard: Yard, size: int, counts: dict[str, int], statuses: dict[str, int], found: Found) -> None:
    """Delivered, or failed for a named reason: each of them once."""
    sql = yard.stage.sql
    unnamed = await sql.fetchval(
        "SELECT count(*) FROM notification WHERE finished_at IS NULL OR status <> 'delivered' AND reason IS NULL"
    )
    again = await sql.fetchval("SELECT count(*) FROM attempt WHERE state NOT IN ('rejected', 'undelivered')")
    delivered = statuses.get("delivered", 0)
    total = sum(statuses.values())
    twice = counts["delivered_twice"]
    found.say(f"          {statuses}, unnamed {unnamed}, delivered twice {twice}")
    if total != size or unnamed or delivered != counts["delivered"] or again != delivered or twice:
        raise BenchError(f"not all accounted for: {statuses}, {counts}, unnamed {unnamed}, taken {again}")
    found.lines.append(str(Line("lost, or delivered twice", size - total + twice, "", 0, at_least=False, digits=0)))


async def whole(yard: Yard, directory: Path, size: int, found: Found) -> None:
    await yard.clear()
    source = directory / "contacts.csv"
    with source.open("w") as file:
        file.write("phone,name\n")
        for number in range(size):
            file.write(f"+79{number:09d},Имя {number}\n")
    with ExitStack() as running:
        running.enter_context(yard.stage.running(yard.process("api")))
        await until(partial(yard.answers, f"{yard.api}/health/ready"), 60, "the API is not ready")
        running.enter_context(yard.providing(directory, "--report-to", f"127.0.0.1:{yard.ports[0]}", "--token", _TOKEN))
        running.enter_context(yard.stage.running(yard.process("scheduler")))
        running.enter_context(yard.stage.running(yard.process("worker")))
        account = {"email": "bench@example.com", "password": "correct horse battery"}
        token = (await asked(yard, "POST", "auth/signup", account))["accessToken"]
        began = time.perf_counter()
        imported = await upload(yard, token, source)
        import_took = time.perf_counter() - began
        made = await asked(yard, "POST", "campaigns", {"name": "bench", "text": _TEXT}, token)
        began = time.perf_counter()
        await asked(yard, "POST", f"campaigns/{made['id']}/start", None, token)
        final = "SELECT coalesce(sum(n), 0) FROM campaign_count WHERE status = 'delivered'"
        await watched(yard, imported, final)
        send_took = time.perf_counter() - began
        sent = await yard.stage.sql.fetchval("SELECT count(*) FROM notification WHERE sent_at IS NOT NULL")
    found.say(
        f"{size:>9,} contacts from a file: {import_took:.0f} s ({imported / import_took:,.0f}/s); "
        f"sent to all, and all delivered: {send_took:.0f} s ({sent / send_took:,.0f}/s)"
    )
    share = size / MILLION
    for words, seconds, most, part in (
        ("imported", import_took, _FASTEST_IMPORT, imported / size),
        ("sent", send_took, _FASTEST_SEND, sent / size),
    ):
        line = Line(f"{size:,} {words}, in seconds", seconds, " s", round(most * share, 3), at_least=False, digits=1)
        found.lines.append(str(line))
        line = Line(f"of them {words}", 100 * part, " %", 99 if words == "imported" else 99.99, at_least=True, digits=3)
        found.lines.append(str(line))


async def asked(yard: Yard, method: str, path: str, body: Any, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with yard.client.request(method, f"{yard.api}/api/v1/{path}", json=body, headers=headers) as answer:
        content = await answer.json()
        if answer.status >= 300:
            raise BenchError(f"{method} {path} answers {answer.status} {content}")
        return content


async def upload(yard: Yard, token: str, source: Path) -> int:
    """How many were imported."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}
    with source.open("rb") as file:
        async with yard.client.post(f"{yard.api}/api/v1/contacts/imports", data=file, headers=headers) as answer:
            begun = await answer.json()
            if answer.status != 202:
                raise BenchError(f"the import is answered {answer.status} {begun}")
    seen: dict[str, Any] = {}

    async def ended() -> bool:
        seen.update(await asked(yard, "GET", f"contacts/imports/{begun['id']}", None, token))
        return seen["finishedAt"] is not None

    await until(ended, 600, "the import does not end")
    if seen["status"] != "done":
        raise BenchError(f"the import ended as {json.dumps(seen)}")
    return int(await yard.stage.sql.fetchval("SELECT count(*) FROM contact"))


@asynccontextmanager
async def opened(directory: Path, concurrency: int) -> AsyncIterator[Yard]:
    from benchmarks.__main__ import free_ports

    async with (
        Stage(Path(os.environ.get("BENCH_LOGS", directory)), {"static": "http://127.0.0.1:9"}) as stage,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600)) as client,
    ):
        for queue in topology.INTERNAL:
            await stage.channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        yield Yard(stage, client, free_ports(2), concurrency)


async def run(options: argparse.Namespace, directory: Path) -> Found:
    found = Found()
    sizes = [size for size in (10_000, 100_000) if size < options.size] + [options.size]
    async with opened(directory, options.concurrency) as yard:
        if DISPATCH in options.only:
            await dispatch(yard, directory, sizes if options.growth else sizes[-1:], options.workers, found)
        if REPORTS in options.only:
            await reports(yard, directory, options.size, 1, found)
        if WHOLE in options.only:
            await whole(yard, directory, options.size, found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-million ARGS=…", description=__doc__)
    parser.add_argument("--size", type=int, default=MILLION, help="messages (1 000 000)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of dispatch (1 2)")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, help="sends in flight of each worker (100)")
    parser.add_argument("--only", nargs="+", choices=(DISPATCH, REPORTS, WHOLE), default=(DISPATCH, REPORTS, WHOLE))
    parser.add_argument("--growth", action="store_true", help="smaller sizes before, to see that the rate holds")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="gonets-million-") as directory:
            found = uvloop.run(run(options, Path(directory)))
    except BenchError as error:
        sys.exit(f"bench: {error}")
    sys.stdout.write("\n".join([*found.lines, "", *found.figures, ""]))


if __name__ == "__main__":
    main()
