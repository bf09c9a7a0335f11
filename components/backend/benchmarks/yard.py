"""Where a million messages are sent: the servers, the provider, and the processes of the service."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp

from benchmarks.stage import BenchError, Child, Contestant, Stage, end, until
from gonets.adapters.postgres.campaign_work import PostgresCampaignWork
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool

ACCOUNT, TOKEN, FROM = "ACbench", "bench", "+15005550006"
TEXT = "Только до пятницы: скидка 20 % на всё."
COUNTS = "SELECT status, n FROM campaign_count WHERE n > 0 ORDER BY status"
FINAL = "SELECT coalesce(sum(n), 0) FROM campaign_count WHERE status NOT IN ('pending', 'sending', 'sent')"
_ENDED = "SELECT coalesce(sum(n), 0) FROM campaign_count WHERE status NOT IN ('pending', 'sending')"
_REFUSED, _UNDELIVERED = 0.05, 0.2
_STUCK = 60.0


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
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_FROM": FROM,
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

    async def book(self, name: str) -> bytes:
        """The provider's: a byte for each notification, by its id."""
        async with self.client.get(f"{self.provider}/{name}") as answer:
            return await answer.read()

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
        TEXT,
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
            counts = {row["status"]: row["n"] for row in await yard.stage.sql.fetch(COUNTS)}
            raise BenchError(f"{seen} of {size} have an outcome, and no more: {counts}")
    cpu = sum(one.cpu_seconds for one in members) - cpu
    return (size - first) / (time.perf_counter() - began), 1e6 * cpu / (size - first)


class Fleet:
    """The processes of the service, by their commands."""

    def __init__(self, yard: Yard) -> None:
        self._yard = yard
        self._started = 0
        self.members: dict[str, list[Child]] = {}

    def start(self, command: str) -> None:
        self._started += 1
        child = self._yard.stage.start(self._yard.process(command, self._started))
        self.members.setdefault(command, []).append(child)

    def kill(self, command: str, place: int) -> Child:
        """SIGKILL, and another in its place at once, as a supervisor would do. Returns the one that is dead."""
        child = self.members[command].pop(place)
        child.check()
        child.process.kill()
        child.process.wait()
        self.start(command)
        return child

    def check(self) -> None:
        for children in self.members.values():
            for child in children:
                child.check()

    def end(self) -> None:
        for children in reversed(self.members.values()):
            for child in children:
                end(child.process)


@asynccontextmanager
async def reporting(yard: Yard, directory: Path, size: int, workers: int) -> AsyncIterator[Fleet]:
    """A campaign under way, to a provider that reports, refuses some and cannot deliver others."""
    await yard.clear()
    await make(yard, size)
    options = ("--report-to", f"127.0.0.1:{yard.ports[0]}", "--token", TOKEN)
    faults = ("--refuse", str(_REFUSED), "--undelivered", str(_UNDELIVERED))
    fleet = Fleet(yard)
    try:
        fleet.start("api")
        await until(partial(yard.answers, f"{yard.api}/health/ready"), 60, "the API is not ready")
        with yard.providing(directory, *options, *faults):
            await yard.provider_answers()
            for command in ("scheduler", *["worker"] * workers):
                fleet.start(command)
            yield fleet
            fleet.check()
    finally:
        fleet.end()
