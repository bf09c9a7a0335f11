"""A run with one campaign in place of tasks: its messages are sent while workers and schedulers die, then counted."""

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping
from typing import Any

from faults import notifications
from faults.accounting import Account
from faults.notifications import Found, Holders
from faults.producers import AWAY
from faults.runs import PATIENCE, Run, Scenario
from faults.stack import Stack

MOST = 4000
QUEUES = ("CampaignDispatchQueue", "NotificationDispatchQueue")

# No number ends as one does that the sandbox refuses, or says nothing about.
_CONTACTS = """
INSERT INTO contact (owner_id, name, phone)
SELECT (SELECT max(id) FROM users), n::text, '+7916' || lpad(n::text, 6, '0') || '7' FROM generate_series(1, $1) n
"""
_LEFT = """
SELECT (SELECT count(*) FROM notification WHERE finished_at IS NULL)
     + (SELECT count(*) FROM campaign WHERE status <> 'finished')
"""
_COUNTS = "SELECT status, n FROM campaign_count WHERE n <> 0"


async def kill_everybody(run: Run) -> None:
    """Each second, more or less, a worker or a scheduler; in the middle the queues of wake-ups are emptied."""
    purge_at = run.seconds * run.random.uniform(0.4, 0.6)
    await run.wait_for_load()
    while run.left:
        kind = run.random.choices(("worker", "scheduler"), (2, 1))[0]
        members = run.stack.working() if kind == "worker" else run.stack.living(kind)
        if len(members) > 1:
            member = run.random.choice(members)
            run.stack.note(f"kill -9 {member.kind} {member.mark}")
            member.kill()
            run.stack.spawn(kind)
            if kind == "worker":
                await run.signs.killed(member)
        if purge_at and run.left < run.seconds - purge_at:
            purge_at = 0.0
            run.stack.note("purge")
            for queue in QUEUES:
                run.stack.machines.rabbit.manage("DELETE", f"/api/queues/{run.stack.name}/{queue}/contents")
        await asyncio.sleep(min(run.random.uniform(0.3, 1.7), run.left))


async def run(
    scenario: Scenario, stack: Stack, *, number: int, seconds: float, seed: int, timely: bool = True
) -> Account:
    """Runs it on a stack that is up, and returns the account. `timely` is nothing to a campaign with a rate."""
    del timely
    began = time.monotonic()
    chance = random.Random(f"{seed} {scenario.name}")
    size = min(number, MOST)
    await _start(stack, size, size / seconds)
    signs = Holders(stack, [])
    await scenario.inject(Run(stack, chance, seconds, signs))
    fault_over = time.time()
    account = Account(scenario.name, scenario.words, seconds=seconds, sent=size, accepted=size)
    account.recovery = max(0.0, await _all_ended(stack) - fault_over)
    account.peak_megabytes = max((member.peak_megabytes for member in stack.living("worker")), default=0.0)
    found = await notifications.gather(stack)
    _settle(account, found)
    async with stack.database() as connection:
        counts = {row["status"]: row["n"] for row in await connection.fetch(_COUNTS)}
    if counts != account.ends:
        account.violations.append(f"the campaign counts {counts}, and its messages are {dict(account.ends)}")
    account.took = time.monotonic() - began
    return account


async def _start(stack: Stack, size: int, rate: float) -> None:
    url = f"http://127.0.0.1:{stack.api_port}/api/v1"
    account = {"email": "faults@example.com", "password": "correct horse battery"}
    made = await _post(stack, f"{url}/auth/signup", account, {})
    login = {"Authorization": f"Bearer {made['accessToken']}"}
    async with stack.database() as connection:
        await connection.execute(_CONTACTS, size)
    template = await _post(stack, f"{url}/templates", {"name": "code", "body": "Ваш код: {{ name }}"}, login)
    wanted = {"name": "faults", "templateId": template["id"], "rate": rate}
    campaign = await _post(stack, f"{url}/campaigns", wanted, login)
    await _post(stack, f"{url}/campaigns/{campaign['id']}/start", None, login)


async def _post(stack: Stack, url: str, body: object, headers: Mapping[str, str]) -> dict[str, Any]:
    async with stack.http.post(url, json=body, headers=headers) as answer:
        content: dict[str, Any] = await answer.json()
        assert answer.status < 300, content
        return content


async def _all_ended(stack: Stack) -> float:
    """When every message had its end, and the campaign too; or the time when patience ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(*AWAY):
            async with stack.database() as connection:
                if not await connection.fetchval(_LEFT):
                    break
        await asyncio.sleep(0.2)
    return time.time()


def _settle(account: Account, found: Found) -> None:
    """Each message came once; more often only where nobody could know."""
    for number in range(1, account.sent + 1):
        text = f"Ваш код: {number}"
        rows, arrived = found.rows[text], found.arrived[text]["twilio"]
        account.rows += bool(rows)
        account.calls += found.calls[text]
        wrong = [] if rows else ["lost: no row with this text"]
        account.lost += not rows
        for row in rows:
            account.ends[row["status"]] += 1
            account.done += row["status"] == "delivered"
            account.failed += row["status"] not in ("sent", "delivered")
            if row["finished_at"] is None:
                account.lost += 1
                wrong.append(f"lost: {row['status']}")
            if (row["status"] == "delivered") != bool(arrived):
                wrong.append(f"{row['status']}, and {arrived} came")
            attempts = found.attempts[row["id"]]
            for attempt in attempts:
                if any(event["what"] == "unknown" for event in notifications.events(attempt)):
                    account.clarified[notifications.clarified(attempt)] += 1
            wrong += notifications.beyond(account, "twilio", arrived - 1, attempts)
        if wrong:
            account.violations.append(f"message {text!r}: {'; '.join(wrong)}")
    account.distinct = account.results = account.done
