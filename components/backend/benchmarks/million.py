"""A million messages, the whole way. `make bench-million ARGS="--size 10000"` for less; options: `--help`.

- dispatch: a campaign whose messages are made already, workers, a provider that costs next to nothing (a process of its
  own); from the first tenth taken to the last outcome recorded. Beside it a bare loop: the same HTTP client posts the
  same forms to the same provider, as many at one time as a worker has in flight. Then for sizes that grow tenfold.
- reports: the same with delivery callbacks into the API, of which one in five says "undelivered", and a provider that
  refuses one request in twenty; until nothing is left to be done. Everything is accounted for by the provider's own
  count.
- kills, where it is asked for: the same by two workers, once in peace and once for each seed, which says when a worker,
  the scheduler or the API is killed (SIGKILL); another starts in its place at once. Each message is accounted for.
- whole: a file with that many contacts is uploaded, sent to all, and watched until each message has its end.
"""

import argparse
import asyncio
import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import uvloop

from benchmarks.kills import kills
from benchmarks.report import Line
from benchmarks.stage import BenchError, Stage, until
from benchmarks.yard import ACCOUNT, COUNTS, FINAL, FROM, TEXT, TOKEN, Found, Yard, make, reporting, watched
from gonets.adapters.providers.transport import HttpTransport
from gonets.adapters.rabbitmq import topology

MILLION = 1_000_000
CONCURRENCY = 100
DISPATCH, REPORTS, KILLS, WHOLE = PARTS = "dispatch", "reports", "kills", "whole"
_FASTEST_IMPORT, _FASTEST_SEND = 60.0, 30 * 60.0
_BARE = 20_000


async def bare(yard: Yard, count: int) -> float:
    """Calls a second."""
    transport = HttpTransport(timeout=20)
    url = f"{yard.provider}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    login = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
    numbers = iter(range(count + yard.concurrency))

    async def post(number: int) -> None:
        fields = {"To": f"+79{number:09d}", "From": FROM, "Body": TEXT, "StatusCallback": f"{yard.api}/x/{number}"}
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
    async with reporting(yard, directory, size, workers) as fleet:
        members = fleet.members["worker"]
        began = time.perf_counter()
        tenth, cpu = await watched(yard, size, FINAL, members)
        took = time.perf_counter() - began
        counts = await yard.counts()
        statuses = {row["status"]: row["n"] for row in await yard.stage.sql.fetch(COUNTS)}
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
        running.enter_context(yard.providing(directory, "--report-to", f"127.0.0.1:{yard.ports[0]}", "--token", TOKEN))
        running.enter_context(yard.stage.running(yard.process("scheduler")))
        running.enter_context(yard.stage.running(yard.process("worker")))
        account = {"email": "bench@example.com", "password": "correct horse battery"}
        token = (await asked(yard, "POST", "auth/signup", account))["accessToken"]
        began = time.perf_counter()
        imported = await upload(yard, token, source)
        import_took = time.perf_counter() - began
        made = await asked(yard, "POST", "campaigns", {"name": "bench", "text": TEXT}, token)
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
        if KILLS in options.only:
            await kills(yard, directory, options, found)
        if WHOLE in options.only:
            await whole(yard, directory, options.size, found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-million ARGS=…", description=__doc__)
    parser.add_argument("--size", type=int, default=MILLION, help="messages (1 000 000)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of dispatch (1 2)")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, help="sends in flight of each worker (100)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=(DISPATCH, REPORTS, WHOLE), help="(all but kills)")
    parser.add_argument("--kills", type=int, default=20, help="of processes, in a run of kills (20)")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="a run of kills for each (1)")
    parser.add_argument(
        "--peace", action=argparse.BooleanOptionalAction, default=True, help="before them a run without kills"
    )
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
