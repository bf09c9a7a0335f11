"""A campaign with reports and failures while its workers, its scheduler and the API are killed, and what became of each
single message of it: by the provider's own book, and by our rows.

A seed says at which share of the messages somebody is killed, and who. What is in a dead worker's hands at that moment
nobody can know; all of it is followed to its end.
"""

import argparse
import asyncio
import json
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import asyncpg

from benchmarks.report import Line
from benchmarks.stage import BenchError, Child, until
from benchmarks.yard import COUNTS, FINAL, Fleet, Found, Yard, reporting, watched

_WORKERS = 2
_KINDS = {"worker": 6, "scheduler": 3, "api": 1}
_PATIENCE = 300.0
_STEP = 20_000
_SHOWN = 10
_TRIED = "SELECT coalesce(sum(n), 0) FROM campaign_count WHERE status <> 'pending'"
_OPEN = """
SELECT (SELECT count(*) FROM notification WHERE finished_at IS NULL)
     + (SELECT count(*) FROM campaign WHERE status <> 'finished')
"""
_IN_HAND = """
WITH dead AS (SELECT id FROM worker_life WHERE worker = $1)
SELECT n.id, 1 AS number
FROM campaign_chunk k JOIN notification n ON n.campaign_id = k.campaign_id AND n.id BETWEEN k.first_id AND k.mark
WHERE k.life IN (SELECT id FROM dead) AND n.status = 'pending' AND n.attempts = 0 AND n.due_at IS NULL
UNION ALL
SELECT a.notification_id, a.number
FROM notification n JOIN attempt a ON a.notification_id = n.id
WHERE n.life IN (SELECT id FROM dead) AND a.state = 'started'
"""
_ROWS = """
SELECT n.id, n.status, n.reason, n.finished_at IS NOT NULL AS ended,
       array(SELECT a.state FROM attempt a WHERE a.notification_id = n.id ORDER BY a.number) AS states
FROM notification n
WHERE n.id > $1 AND n.id <= $2
ORDER BY n.id
"""
_ATTEMPTS = """
SELECT i.place, a.state, a.asked, a.events
FROM unnest($1::bigint[], $2::int[], $3::int[]) AS i (id, number, place)
     LEFT JOIN attempt a ON a.notification_id = i.id AND a.number = i.number
"""
_STORY = "SELECT to_jsonb(a) FROM attempt a WHERE notification_id = $1 ORDER BY number"


class Strike(NamedTuple):
    """Once this share of the messages was tried, one of this kind dies, after a moment."""

    share: float
    kind: str
    who: float
    moment: float


def plan(seed: int, count: int) -> list[Strike]:
    chance = random.Random(seed)
    kinds = chance.choices(list(_KINDS), list(_KINDS.values()), k=count)
    shares = sorted(chance.uniform(0.02, 0.97) for _ in kinds)
    return [
        Strike(share, kind, chance.random(), chance.uniform(0, 0.5)) for share, kind in zip(shares, kinds, strict=True)
    ]


class InHand(NamedTuple):
    """A try without an outcome when its worker died."""

    id: int
    number: int
    died_at: float


class Book(NamedTuple):
    """The provider's: how many times each message was taken, delivered, and sent again before an earlier try had failed
    for sure."""

    taken: bytes
    delivered: bytes
    blind: bytes


@dataclass
class Ran:
    """What a run left behind."""

    took: float
    statuses: dict[str, int]
    counts: dict[str, int]
    book: Book
    killed: Counter[str]
    in_hand: list[InHand]
    in_line: int
    """Reports that waited at the provider when somebody was killed, at most."""


@dataclass
class Account:
    """All messages of a run. `blind`: sent again before an earlier try had failed for sure; `twice`: delivered again;
    `wrong`: where our rows and the provider's book disagree."""

    ends: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    blind: int = 0
    twice: int = 0
    wrong: list[tuple[int, str]] = field(default_factory=list)


async def kills(yard: Yard, directory: Path, options: argparse.Namespace, found: Found) -> None:
    size, count = options.size, options.kills
    if options.peace:
        await _settle(yard, size, await _ran(yard, directory, size, []), found, f"{size:,} in peace")
    for seed in options.seed:
        ran = await _ran(yard, directory, size, plan(seed, count))
        await _settle(yard, size, ran, found, f"{size:,}, {count} kills, seed {seed}")


async def _ran(yard: Yard, directory: Path, size: int, strikes: Sequence[Strike]) -> Ran:
    async with reporting(yard, directory, size, _WORKERS) as fleet, _connected(yard) as sql:
        striking = asyncio.create_task(_strike_all(yard, fleet, sql, size, strikes))
        began = time.perf_counter()
        try:
            await watched(yard, size, FINAL)
            killed, in_hand, in_line = await striking
        finally:
            striking.cancel()
        await _through(yard)
        return Ran(
            time.perf_counter() - began,
            {row["status"]: row["n"] for row in await yard.stage.sql.fetch(COUNTS)},
            await yard.counts(),
            Book(*[await yard.book(name) for name in Book._fields]),
            killed,
            in_hand,
            in_line,
        )


@asynccontextmanager
async def _connected(yard: Yard) -> AsyncIterator[Any]:
    """A connection of its own: the other one is asked how far the messages are."""
    connection = await asyncpg.connect(yard.stage.database.dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _strike_all(
    yard: Yard, fleet: Fleet, sql: Any, size: int, strikes: Sequence[Strike]
) -> tuple[Counter[str], list[InHand], int]:
    killed: Counter[str] = Counter()
    in_hand: list[InHand] = []
    in_line = 0
    for share, kind, who, moment in strikes:
        await until(partial(_tried, sql, share * size), _PATIENCE, f"not {share:.0%} of the messages were tried")
        await asyncio.sleep(moment)
        died_at = time.time()
        dead = fleet.kill(kind, int(who * len(fleet.members[kind])))
        killed[kind] += 1
        if kind == "worker":
            in_hand += await _hands(sql, dead, died_at)
        in_line = max(in_line, (await yard.counts())["to_report"])
    return killed, in_hand, in_line


async def _tried(sql: Any, many: float) -> bool:
    return bool(await sql.fetchval(_TRIED) >= many)


async def _hands(sql: Any, dead: Child, died_at: float) -> list[InHand]:
    rows = await sql.fetch(_IN_HAND, f"{socket.gethostname()}:{dead.process.pid}")
    return [InHand(row["id"], row["number"], died_at) for row in rows]


async def _through(yard: Yard) -> None:
    """Each message has its end, and the campaign, too."""
    deadline = time.monotonic() + _PATIENCE
    while left := await yard.stage.sql.fetchval(_OPEN):
        if time.monotonic() > deadline:
            raise BenchError(f"{left} messages and campaigns have no end")
        await asyncio.sleep(0.5)


async def _settle(yard: Yard, size: int, ran: Ran, found: Found, words: str) -> None:
    account = await _account(yard, size, ran)
    ends = " + ".join(f"{status} {count:,}" for status, count in sorted(account.ends.items()))
    found.say(f"{words}: {ran.took:.0f} s; {ends} = {account.ends.total():,}; {ran.counts}")
    if ran.killed:
        kept = await yard.stage.sql.fetchval("SELECT count(*) FROM early_receipt")
        found.say(f"          killed {dict(ran.killed)}, with {len(ran.in_hand)} sends in hand")
        found.say(f"          reports in line at the kills {ran.in_line:,} at most; {kept} that came early left over")
    if ran.in_hand:
        found.say(f"          of these {await _fates(yard, ran.in_hand)}")
    for what, count in (("lost", account.lost), ("sent twice", account.blind), ("delivered twice", account.twice)):
        found.lines.append(str(Line(f"{words}: {what}", count, "", 0, at_least=False, digits=0)))
    if account.wrong:
        for number, why in account.wrong[:_SHOWN]:
            story = [json.loads(row[0]) for row in await yard.stage.sql.fetch(_STORY, number)]
            found.say(f"          message {number}: {why}: {json.dumps(story, ensure_ascii=False)}")
        raise BenchError(f"{words}: {len(account.wrong)} messages do not agree with the provider's book")


async def _account(yard: Yard, size: int, ran: Ran) -> Account:
    account = Account()
    seen = 0
    async for row in _rows(yard):
        number = row["id"]
        taken, delivered, blind = (counts[number] for counts in ran.book)
        seen += 1
        account.ends[row["status"]] += 1
        account.lost += not row["ended"]
        account.blind += blind
        account.twice += delivered > 1
        if wrong := _wrong(row, taken, delivered, blind):
            account.wrong.append((number, wrong))
    account.lost += size - seen
    if ran.statuses != account.ends:
        account.wrong.append((0, f"the campaign counts {ran.statuses}, and its messages are {dict(account.ends)}"))
    return account


async def _rows(yard: Yard) -> AsyncIterator[Any]:
    last = await yard.stage.sql.fetchval("SELECT coalesce(max(id), 0) FROM notification")
    for after in range(0, last, _STEP):
        for row in await yard.stage.sql.fetch(_ROWS, after, after + _STEP):
            yield row


def _wrong(row: Any, taken: int, delivered: int, blind: int) -> str:
    """What the row and the provider's book disagree about; empty: nothing."""
    states = Counter(row["states"])
    known = states["accepted"] + states["delivered"] + states["undelivered"]
    wrong = []
    if not row["ended"]:
        wrong.append(f"without an end: {row['status']}")
    if row["status"] != "delivered" and not row["reason"]:
        wrong.append(f"{row['status']} without a reason")
    if (row["status"] == "delivered") != bool(delivered):
        wrong.append(f"{row['status']}, and delivered {delivered} times")
    if not known <= taken <= known + states["unknown"]:
        wrong.append(f"taken {taken} times, and the attempts are {list(row['states'])}")
    if blind:
        wrong.append(f"sent again {blind} times before an earlier try had failed for sure")
    return "; ".join(wrong)


async def _fates(yard: Yard, in_hand: Sequence[InHand]) -> str:
    """What became of what dead workers had begun."""
    columns = [one.id for one in in_hand], [one.number for one in in_hand], list(range(len(in_hand)))
    fates: Counter[str] = Counter()
    waits: dict[str, list[float]] = {"noticed": [], "known": []}
    for row in await yard.stage.sql.fetch(_ATTEMPTS, *columns):
        died_at = in_hand[row["place"]].died_at
        events = json.loads(row["events"] or "[]")
        fates[_fate(row["state"], row["asked"], [event["what"] for event in events])] += 1
        for event in events:
            at = datetime.fromisoformat(event["at"]).timestamp()
            if event["what"] == "unknown":
                waits["noticed"].append(at - died_at)
            elif at > died_at:
                waits["known"].append(at - died_at)
    said = ", ".join(f"{fate} {count}" for fate, count in fates.most_common())
    times = "; ".join(
        f"{what} after {median(seconds):.1f} s (median), {max(seconds):.1f} s at most"
        for what, seconds in waits.items()
        if seconds
    )
    return f"{said}; {times}"


def _fate(state: str | None, asked: int | None, events: Sequence[str]) -> str:
    if state is None:
        return "not begun"
    if "unknown" not in events:
        return f"known by its report or its last commit ({state})"
    if state == "unknown":
        return "left unknown"
    if state == "rejected":
        return "never taken, as the provider said when it was asked"
    return f"unknown until {'the provider was asked' if asked else 'its report came'} ({state})"
