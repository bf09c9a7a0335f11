"""How fast a campaign's messages are made, and how long its statistics take: `make bench ARGS=campaigns`.

A million contacts of one owner. One bare `INSERT … SELECT` of the very rows a campaign makes, into the same table with
its indexes and triggers; then the campaign itself, as a worker fans it out. Each begins with an empty table. Then a
page of its messages, its counts, and a list of campaigns, in milliseconds.
"""

import argparse
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.__main__ import machine, progress
from benchmarks.contacts import fill
from benchmarks.report import Line
from benchmarks.stage import Stage
from benchmarks.statistics import percentile
from gonets.adapters.postgres.campaign_wakes import PostgresChunkLine
from gonets.adapters.postgres.campaign_work import PostgresCampaignWork
from gonets.adapters.postgres.campaigns import PostgresCampaignMessages, PostgresCampaigns
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.core.campaigns.fan_out import RunCampaign
from gonets.core.campaigns.model import Campaign, Chunk, Content, Status
from gonets.core.contacts.audience import EVERYBODY
from gonets.core.notifications.model import Status as MessageStatus

TARGET, AT_MOST = 0.6, 20.0
_TEXT = "Только до пятницы: скидка 20 % на всё."
_EMPTY = "TRUNCATE campaign_chunk, campaign_count, notification RESTART IDENTITY CASCADE"

_BARE = """
INSERT INTO notification (owner_id, recipient, contact_id, text, route, deadline, status, campaign_id)
SELECT owner_id, jsonb_build_object('telegramChatId', telegram_chat_id, 'email', email, 'phone', phone), id, $3, '{}',
       $4, 'pending', $2
FROM contact WHERE owner_id = $1
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS='campaigns …'", description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--samples", type=int, default=100, help="of each question")
    return parser.parse_args()


class Silent:
    """Implements CampaignNews and Abandon: nobody sends here."""

    async def wake_campaign(self, campaign_id: int) -> None: ...

    async def wake_chunk(self, chunk_id: int) -> None: ...

    async def abandon(self, campaign: Campaign, chunk: Chunk) -> None: ...


async def bare(pool: Pool, owner: int, end: datetime) -> float:
    await pool.fetch(_EMPTY)
    await pool.fetch("CHECKPOINT")
    began = time.perf_counter()
    await pool.fetch(_BARE, owner, 1, _TEXT, end)
    return time.perf_counter() - began


async def fanned_out(pool: Pool, owner: int, end: datetime) -> tuple[float, Campaign]:
    await pool.fetch(_EMPTY)
    await pool.fetch("CHECKPOINT")
    now = datetime.now(UTC)
    wanted = Campaign(
        id=0,
        owner_id=owner,
        name="Bench",
        content=Content(text=_TEXT),
        audience=EVERYBODY,
        end_at=end,
        status=Status.RUNNING,
        created_at=now,
        updated_at=now,
    )
    made, _ = await PostgresCampaigns(pool).add(wanted, None)
    lifeline = PostgresLifeline(pool, fresh_for=3600)
    await lifeline.beat()
    work, silent = PostgresCampaignWork(pool, lifeline), Silent()
    run = RunCampaign(work, PostgresChunkLine(pool), silent, silent.abandon)
    began = time.perf_counter()
    claimed = await work.claim(made.id, 1)
    assert claimed is not None
    await run(claimed)
    return time.perf_counter() - began, made


async def timed(samples: int, action: Callable[[], Awaitable[object]]) -> float:
    """The 95th percentile, in milliseconds."""
    took = []
    for _ in range(samples + 5):
        began = time.perf_counter()
        await action()
        took.append((time.perf_counter() - began) * 1000)
    return percentile(took[5:], 95)


async def questions(pool: Pool, owner: int, made: Campaign, samples: int) -> dict[str, float]:
    store, messages = PostgresCampaigns(pool), PostgresCampaignMessages(pool)
    for number in range(100):
        await store.add(replace(made, name=str(number), status=Status.DRAFT), None)
    return {
        "its counts": await timed(samples, lambda: store.counts(made.id)),
        "a list of 50 campaigns with their counts": await timed(
            samples, lambda: store.page(owner, status=None, cursor=None, limit=50)
        ),
        "a page of 50 of its messages": await timed(
            samples, lambda: messages.page(made.id, status=MessageStatus.PENDING, cursor=None, limit=50)
        ),
    }


async def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with Stage(Path(directory), {}) as stage:
            pool = Pool(stage.database.dsn, size=4, timeout=1200)
            await pool.open()
            progress(f"filling {options.contacts} contacts")
            owner, _ = await fill(pool, options.contacts)
            end = datetime.now(UTC) + timedelta(days=30)
            rounds = []
            for _ in range(options.rounds):
                progress("one bare INSERT … SELECT")
                one = await bare(pool, owner, end)
                progress(f"{one:.1f} s; a fan-out")
                other, made = await fanned_out(pool, owner, end)
                rounds.append((one, other))
            found = await questions(pool, owner, made, options.samples)
            await pool.close()
    count = options.contacts
    lines = [machine(), "", f"  {'':<48} {'rows/s':>9}"]
    for place, name in enumerate(("one bare INSERT … SELECT", "a campaign's fan-out")):
        lines.append(f"  {name:<48} {count / median(each[place] for each in rounds):>9,.0f}")
    share = median(one / other for one, other in rounds)
    lines += ["", str(Line("fan-out against the bare statement", share, "x", TARGET, True))]
    lines += [str(Line(f"{name}, p95", took, " ms", AT_MOST, False)) for name, took in found.items()]
    print("\n".join(lines))


if __name__ == "__main__":
    uvloop.run(main(arguments()))
