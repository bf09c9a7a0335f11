"""A run with notifications in place of tasks: handed in at both doors with a key, then counted."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import aiohttp

from faults import accounting
from faults.accounting import Account
from faults.producers import AWAY, Producers, Sent
from faults.runs import PATIENCE, TAKEOVER, Run, Scenario
from faults.signs import Signs
from faults.stack import Stack

RESULTS = "NotificationResultQueue"
MOST = 1000
"""A message is some ten times the work of a task, and waits for what its provider says later."""

SENDS = {"telegram": "sendMessage", "twilio": "create"}
"""By provider: the operation that sends, as the journal names it."""

_LEFT = "SELECT count(*) FROM notification WHERE finished_at IS NULL OR told IS DISTINCT FROM status"
_ROWS = "SELECT * FROM notification ORDER BY id"
_ATTEMPTS = "SELECT * FROM attempt ORDER BY notification_id, number"
_HELD = "SELECT id FROM notification WHERE life IN (SELECT id FROM worker_life WHERE worker = $1)"


@dataclass
class Notice(Sent):
    """A notification, and what its sender knows of it. `task_type`: which addresses the person has; `data`: the text,
    which no other one has."""

    queue: ClassVar[str] = "NotificationRequestQueue"
    api_key: str = ""
    ids: set[int] = field(default_factory=set)

    @property
    def key(self) -> str:
        return f"faults-{self.task_id}"

    @property
    def headers(self) -> dict[str, Any]:
        return {"x-api-key": self.api_key}

    @property
    def request(self) -> dict[str, Any]:
        addresses = {"telegramChatId": str(1_000_000 + self.task_id), "phone": f"+79{self.task_id:09d}"}
        wanted = {"sms": ("phone",), "telegram": ("telegramChatId",), "either": ("telegramChatId", "phone")}
        recipient = {name: addresses[name] for name in wanted[self.task_type]}
        return {"recipient": recipient, "message": self.data, "notifyResult": True}

    @property
    def body(self) -> dict[str, Any]:
        return self.request | {"idempotencyKey": self.key}


def notices(number: int, api_key: str, random: random.Random) -> list[Notice]:
    return [
        Notice(
            number,
            random.choices(("sms", "telegram", "either"), (50, 25, 25))[0],
            f"Ваш код: {number:06d}",
            random.choice(("queue", "rest")),
            api_key=api_key,
        )
        for number in range(1, number + 1)
    ]


class Offers(Producers):
    """Each notification twice under one key, by any door, until it is taken."""

    async def _post(self, sent: Sent, door: str) -> bool:
        assert isinstance(sent, Notice)
        url = f"http://127.0.0.1:{self._stack.links['client-api'].port}/api/v1/notifications"
        headers = {"Authorization": f"Bearer {sent.api_key}", "Idempotency-Key": sent.key}
        since = time.monotonic()
        try:
            async with self._http.post(url, json=sent.request, headers=headers) as answer:
                content: Any = await answer.json(content_type=None)
        except (TimeoutError, OSError, aiohttp.ClientError, ValueError) as error:
            sent.answers.append(type(error).__name__)
            return False
        self.slowest_answer = max(self.slowest_answer, time.monotonic() - since)
        sent.answers.append(str(answer.status))
        if answer.status == 202:
            sent.ids.add(content["id"])
        elif answer.status != 503:
            raise AssertionError(f"notification {sent.key}: {answer.status} {content}")
        return answer.status == 202


class Holders(Signs):
    """What a killed worker held, of notifications."""

    held_query = _HELD


async def api_key(stack: Stack) -> str:
    """Of an account that has just signed up."""
    url = f"http://127.0.0.1:{stack.api_port}/api/v1"
    account = {"email": "faults@example.com", "password": "correct horse battery"}
    async with stack.http.post(f"{url}/auth/signup", json=account) as answer:
        content = await answer.json()
        assert answer.status == 201, content
    login = {"Authorization": f"Bearer {content['accessToken']}"}
    wanted = {"name": "faults", "scopes": ["notifications"]}
    async with stack.http.post(f"{url}/api-keys", json=wanted, headers=login) as answer:
        made = await answer.json()
        assert answer.status == 201, made
    key: str = made["key"]
    return key


async def run(
    scenario: Scenario, stack: Stack, *, number: int, seconds: float, seed: int, timely: bool = True
) -> Account:
    """Runs it on a stack that is up, and returns the account. `timely`: to be late is a violation too."""
    began = time.monotonic()
    chance = random.Random(f"{seed} {scenario.name}")
    sent = notices(min(number, MOST), await api_key(stack), chance)
    offers = Offers(stack, sent, seconds=seconds, copies=scenario.copies, random=chance)
    signs = Holders(stack, sent)
    offering = asyncio.create_task(offers())
    try:
        await scenario.inject(Run(stack, chance, seconds, signs))
        fault_over = time.time()
        async with asyncio.timeout(PATIENCE):
            await offering
    except TimeoutError:
        offering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await offering
    account = Account(scenario.name, scenario.words, seconds=seconds)
    until = await _all_ended(stack)
    account.recovery = max(0.0, until - max(fault_over, offers.offered_all_at or 0.0))
    account.slowest_answer = offers.slowest_answer
    account.peak_megabytes = max((member.peak_megabytes for member in stack.living("worker")), default=0.0)
    found = await gather(stack)
    settle(account, sent, found, may_fail=scenario.may_fail)
    waited = found.went_on(signs.orphans)
    account.orphans, account.takeover = len(signs.orphans), max(waited.values(), default=None)
    if timely:
        account.violations += [
            f"notification {number}: went on {late:.1f} s after its worker's death"
            for number, late in waited.items()
            if late > TAKEOVER
        ]
    account.took = time.monotonic() - began
    return account


async def _all_ended(stack: Stack) -> float:
    """When every notification had an end that was told; or the time when patience ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(*AWAY):
            async with stack.database() as connection:
                if not await connection.fetchval(_LEFT):
                    break
        await asyncio.sleep(0.2)
    return time.time()


@dataclass
class Found:
    """Everything that is known, by text or by id. `arrived`: by text and provider, what the provider took."""

    rows: dict[str, list[Mapping[str, Any]]]
    attempts: dict[int, list[Mapping[str, Any]]]
    arrived: dict[str, Counter[str]]
    calls: Counter[str]
    told: dict[int, list[str]]

    def went_on(self, orphans: Mapping[int, float]) -> dict[int, float]:
        """For those whose worker was killed, and when: seconds until something was known or done about it."""
        by_id = {row["id"]: row for rows in self.rows.values() for row in rows}
        waited = {}
        for number, killed_at in orphans.items():
            times = [attempt["started_at"].timestamp() for attempt in self.attempts[number]]
            times += [_at(event) for attempt in self.attempts[number] for event in events(attempt)]
            if ended := by_id[number]["finished_at"]:
                times.append(ended.timestamp())
            if later := [at for at in times if at > killed_at]:
                waited[number] = min(later) - killed_at
        return waited


def events(attempt: Mapping[str, Any]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(attempt["events"])
    return events


def _at(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()


async def gather(stack: Stack) -> Found:
    """Reads the tables, the journal, the inbox and the result queue."""
    async with stack.database() as connection:
        rows, tries = await connection.fetch(_ROWS), await connection.fetch(_ATTEMPTS)
    found = Found(defaultdict(list), defaultdict(list), defaultdict(Counter), Counter(), defaultdict(list))
    for row in rows:
        found.rows[row["text"]].append(row)
    for attempt in tries:
        found.attempts[attempt["notification_id"]].append(attempt)
    for message in await stack.inbox():
        found.arrived[message["text"]][message["provider"]] += 1
    for entry in await stack.journal():
        found.calls[entry["input"]] += SENDS.get(entry["provider"]) == entry["operation"]
    url = stack.broker_url.format(port=stack.machines.rabbit.amqp_port)
    for end in await accounting.drain(url, RESULTS):
        found.told[end["notificationId"]].append(end["status"])
    return found


def settle(account: Account, sent: Sequence[Notice], found: Found, *, may_fail: bool) -> None:
    """Fills in the figures, and a violation for each notification that breaks the promise."""
    account.sent = len(sent)
    account.accepted = sum(one.accepted_at is not None for one in sent)
    account.results = sum(map(len, found.told.values()))
    account.distinct = len(found.told)
    for one in sent:
        rows = found.rows[one.data]
        account.rows += bool(rows)
        account.duplicate_rows += max(0, len(rows) - 1)
        account.calls += found.calls[one.data]
        wrong = [f"{len(rows)} rows under one key"] if len(rows) > 1 else []
        if not rows and one.accepted_at is not None:
            account.lost += 1
            wrong.append("lost: no row")
        for row in rows:
            wrong += _of_row(account, one, row, found, may_fail=may_fail)
        if wrong:
            account.violations.append(f"notification {one.data!r}: {'; '.join(wrong)}\n{timeline(one, found)}")


def _of_row(account: Account, one: Notice, row: Mapping[str, Any], found: Found, *, may_fail: bool) -> list[str]:
    wrong = []
    status, arrived, told = row["status"], found.arrived[one.data], found.told[row["id"]]
    account.done += status in ("sent", "delivered")
    account.failed += status in ("failed", "undelivered", "unknown")
    account.ends[status] += 1
    if row["finished_at"] is None:
        account.lost += 1
        wrong.append(f"lost: {status}")
    elif set(told) != {status}:
        account.lost += not told
        wrong.append(f"ended as {status}, told {told}")
    if one.ids - {row["id"]}:
        wrong.append(f"answered {one.ids}, stored {row['id']}")
    if status in ("sent", "delivered") and not arrived:
        wrong.append(f"{status}, and nothing came")
    if status in ("failed", "undelivered") and arrived:
        wrong.append(f"{status}, and yet it came")
    if status not in ("sent", "delivered") and not may_fail and status != "unknown":
        wrong.append(f"{status} though no provider failed")
    for attempt in found.attempts[row["id"]]:
        if any(event["what"] == "unknown" for event in events(attempt)):
            account.clarified[clarified(attempt)] += 1
        elif attempt["state"] == "unknown":
            wrong.append(f"attempt {attempt['number']} is unknown, and does not say so")
    for provider, copies in arrived.items():
        wrong += beyond(account, provider, copies - 1, found.attempts[row["id"]])
    return wrong


def clarified(attempt: Mapping[str, Any]) -> str:
    provider = {"SMS_TWILIO": "Twilio", "TELEGRAM": "Telegram"}[attempt["channel_type"]]
    return {
        "rejected": f"{provider} was asked, and did not have it",
        "unknown": f"{provider} cannot be asked: not sent again",
    }.get(attempt["state"], f"{provider} was asked, or reported, and had it")


def beyond(account: Account, provider: str, beyond: int, attempts: Sequence[Mapping[str, Any]]) -> list[str]:
    if beyond <= 0:
        return []
    unknown = sum(
        provider in attempt["channel_type"].lower() and any(event["what"] == "unknown" for event in events(attempt))
        for attempt in attempts
    )
    account.beyond += beyond
    account.unknowable += min(beyond, unknown)
    account.logged += min(beyond, unknown)
    account.reasons["its attempt was unknown"] += min(beyond, unknown)
    return ["sent again although the outcome was known"] if unknown < beyond else []


def timeline(one: Notice, found: Found) -> str:
    """Everything that is known of it."""
    lines = [f"offered {one.tries} times at {one.door}: {', '.join(one.answers[-6:])}"]
    lines += [f"arrived: {dict(found.arrived[one.data])}, calls: {found.calls[one.data]}"]
    for row in found.rows[one.data]:
        shown = ("id", "status", "reason", "life", "due_at", "wake_at", "finished_at", "told")
        lines.append(str({name: str(row[name]) for name in shown}))
        for attempt in found.attempts[row["id"]]:
            lines.append(
                f"attempt {attempt['number']}, {attempt['channel_type']}: {attempt['state']}, {attempt['why']}"
            )
            lines += [f"  {event}" for event in events(attempt)]
    return "\n".join(f"    {line}" for line in lines)
