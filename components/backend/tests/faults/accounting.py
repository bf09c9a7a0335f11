"""What became of every task: from its sender, the queues, the tables, the providers' journal and the logs."""

import asyncio
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiormq

from faults.producers import Sent
from faults.stack import PROVIDER_LINKS, Member, Stack

RESULTS = "TaskResultDeliveryQueue"
FAILURES = "TaskFailureDeliveryQueue"

NOT_TAKEN = frozenset({"status", "429", "reset_before"})
"""Faults after which the provider has not taken the call; so have all gRPC statuses. See docs/sandbox.md."""
ANSWER_LOST = frozenset({"hang", "reset", "truncated", "not_json", "garbage", "empty", "wrong_json"})

TIMEOUT = 10.0
"""Seconds that a call may still be under way after its link was disturbed; longer than any provider's timeout."""
SILENCE = 15.0
"""Seconds after a cut in which a worker may have been taken for dead."""


@dataclass(frozen=True)
class Call:
    """One entry of the journal."""

    at: float
    worker: str
    outcome: str
    fault: str | None
    status: Any

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Call":
        headers = {name.lower(): value for name, value in entry["headers"].items()}
        at = datetime.fromisoformat(entry["time"]).timestamp()
        mark = headers.get("authorization", "").rpartition("***")[2]
        return cls(at, mark, entry["outcome"], entry["fault"], entry["status"])

    @property
    def taken(self) -> bool:
        """The provider did the work, and may be paid for it."""
        if self.outcome == "refused":
            return False
        return self.outcome != "faulted" or self.fault in ANSWER_LOST

    def __str__(self) -> str:
        fault = f" by {self.fault}" if self.fault else ""
        return f"called by worker {self.worker}: {self.outcome}{fault}, status {self.status}"


@dataclass
class Account:
    """The figures of one run. Times in seconds."""

    scenario: str
    words: str
    commit: str = ""
    sent: int = 0
    accepted: int = 0
    results: int = 0
    distinct: int = 0
    rows: int = 0
    done: int = 0
    failed: int = 0
    lost: int = 0
    duplicate_rows: int = 0
    calls: int = 0
    beyond: int = 0
    unknowable: int = 0
    logged: int = 0
    seconds: float = 0.0
    """Over which the tasks were handed in."""
    recovery: float = 0.0
    """From the end of the fault until every task had an end that was told."""
    returned: float | None = None
    """The longest from the end of a fault until everybody worked again. None: nothing came back."""
    orphans: int = 0
    """Tasks that a killed worker held."""
    takeover: float | None = None
    """The longest that one of them stood still. None: there was none."""
    slowest_answer: float = 0.0
    peak_megabytes: float = 0.0
    took: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    """Of notifications, by status."""
    clarified: Counter[str] = field(default_factory=Counter)
    """Attempts whose outcome was unknown, and what became known of them."""
    violations: list[str] = field(default_factory=list)
    slowest: str = ""
    """The timeline of the task that ended last."""

    @property
    def kept(self) -> bool:
        return not self.violations


@dataclass
class Evidence:
    """Everything that was found, by task."""

    rows: dict[int, Mapping[str, Any]]
    tries: dict[int, list[Mapping[str, Any]]]
    calls: dict[int, list[Call]]
    logs: dict[int, list[tuple[float, Member, Mapping[str, Any]]]]
    dead_lives: list[tuple[float, Member]]

    def went_on(self, orphans: Mapping[int, float]) -> dict[int, float]:
        """For tasks whose worker was killed, and when: seconds to the next call, or to the end if there was none."""
        waited = {}
        for task_id, killed_at in orphans.items():
            later = [call.at for call in self.calls[task_id] if call.at > killed_at]
            if row := self.rows.get(task_id):
                later.append(row["updated_at"].timestamp())
            if later:
                waited[task_id] = max(0.0, min(later) - killed_at)
        return waited


async def drain(url: str, queue: str) -> list[Mapping[str, Any]]:
    """All messages of a queue, taken off it."""
    connection = aiormq.Connection(url)
    await connection.connect()
    try:
        channel = await connection.channel()
        declared = await channel.queue_declare(queue, passive=True)
        wanted = declared.message_count or 0
        found: list[Mapping[str, Any]] = []
        full = asyncio.Event()

        async def receive(message: Any) -> None:
            found.append(json.loads(message.body))
            if len(found) >= wanted:
                full.set()

        if wanted:
            await channel.basic_consume(queue, receive, no_ack=True)
            async with asyncio.timeout(60):
                await full.wait()
        return found
    finally:
        await connection.close()


async def gather(stack: Stack, sent: Sequence[Sent]) -> Evidence:
    """Reads the tables, the journal and the logs."""
    first, last = sent[0].task_id, sent[-1].task_id
    async with stack.database() as connection:
        rows = await connection.fetch(
            "SELECT t.*, t.status::text AS state FROM task t WHERE task_id BETWEEN $1 AND $2", first, last
        )
        tries = await connection.fetch(
            "SELECT * FROM task_attempt WHERE task_id BETWEEN $1 AND $2 ORDER BY id", first, last
        )
    by_input = {task.data: task.task_id for task in sent}
    calls: dict[int, list[Call]] = defaultdict(list)
    for entry in await stack.journal():
        if (task_id := by_input.get(entry["input"])) is not None:
            calls[task_id].append(Call.of(entry))
    logs, dead = read_logs(stack)
    attempts: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in tries:
        attempts[row["task_id"]].append(row)
    return Evidence({row["task_id"]: row for row in rows}, attempts, calls, logs, dead)


def read_logs(
    stack: Stack,
) -> tuple[dict[int, list[tuple[float, Member, Mapping[str, Any]]]], list[tuple[float, Member]]]:
    """The lines that name a task, by task; and when which worker learnt that it had been taken for dead."""
    lines: dict[int, list[tuple[float, Member, Mapping[str, Any]]]] = defaultdict(list)
    dead: list[tuple[float, Member]] = []
    for member in stack.members:
        true = TrueTime(stack.clock_steps if member.fake_clock else (), member.started_at)
        for text in member.process.log.splitlines():
            try:
                line = json.loads(text)
                at = true.time(datetime.fromisoformat(line["time"]).timestamp())
            except (ValueError, KeyError, TypeError):
                continue
            if isinstance(task_id := line.get("task_id"), int):
                lines[task_id].append((at, member, line))
            elif "taken for dead" in line.get("message", ""):
                dead.append((at, member))
    return lines, dead


class TrueTime:
    """Turns what a stepped clock showed into the true time. The lines of a log have to be asked for in their order.

    `steps`: when (true), and by how many seconds the clock was set apart from then on; each by more than it lasted.
    """

    def __init__(self, steps: Sequence[tuple[float, float]], since: float) -> None:
        self._steps = [(float("-inf"), 0.0), *steps]
        self._last = since

    def time(self, shown: float) -> float:
        """By the first step, from the last one found on, that was in force and puts it after the line before."""
        while len(self._steps) > 1:
            (since, apart), (until, _) = self._steps[:2]
            if max(since, self._last) - 0.1 <= shown - apart < until:
                break
            del self._steps[0]
        self._last = shown - self._steps[0][1]
        return self._last


class Judge:
    """Whether a provider could have been spared a call: proven by the journal, the logs, and what we did and when."""

    def __init__(self, stack: Stack, evidence: Evidence) -> None:
        self._stack = stack
        self._evidence = evidence
        self._members = {member.mark: member for member in stack.members}
        self._lost_connections: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for task_id, lines in evidence.logs.items():
            for at, member, line in lines:
                if "connection to YandexGPT was lost" in line.get("reason", ""):
                    self._lost_connections[member.mark].append((at, task_id))

    def why_unknowable(self, task_id: int, call: Call, again: Call) -> str | None:
        """Why nobody could know, when the provider was asked `again`, what had become of the earlier call."""
        if call.fault in ANSWER_LOST:
            return f"the answer was lost ({call.fault})"
        if call.outcome in ("client_gone", "in_progress"):
            return "the call broke off"
        worker = self._members.get(call.worker)
        # A network may bring a call to the provider when its sender is dead already.
        if worker is not None and worker.killed_at and call.at - TIMEOUT <= worker.killed_at <= again.at:
            return "the worker was killed before its commit"
        if self._disturbed(call.at, TIMEOUT, *PROVIDER_LINKS) and self._reported_unknown(task_id, call, again):
            return "the answer was lost on the way"
        if self._lost_with_another(task_id, call, again):
            return "the answer was lost with another's (one connection)"
        if self._taken_for_dead(call, again) and self._disturbed(again.at, 3 * SILENCE, "worker-database"):
            return "the worker was cut off from the database"
        return None

    def _disturbed(self, at: float, within: float, *links: str) -> bool:
        return any(abs(found.at - at) <= within and set(links) & set(found.links) for found in self._stack.disturbances)

    def _reported_unknown(self, task_id: int, call: Call, again: Call) -> bool:
        return any(
            member.mark == call.worker
            and line.get("category") == "outcome_unknown"
            and call.at - TIMEOUT <= at <= again.at + 1
            for at, member, line in self._evidence.logs[task_id]
        )

    def _lost_with_another(self, task_id: int, call: Call, again: Call) -> bool:
        """Calls by gRPC share a connection: where one of them is reset, all lose their answers at that moment."""
        losses = self._lost_connections[call.worker]
        mine = [at for at, whose in losses if whose == task_id and call.at <= at <= again.at]
        return any(whose != task_id and abs(at - lost_at) < 2 and self._was_reset(whose, at)
                   for lost_at in mine for at, whose in losses)  # fmt: skip

    def _was_reset(self, task_id: int, at: float) -> bool:
        return any(call.fault in ("reset", "hang") and call.at <= at for call in self._evidence.calls[task_id])

    def _taken_for_dead(self, call: Call, again: Call) -> bool:
        return any(member.mark == call.worker and at >= call.at for at, member in self._evidence.dead_lives)

    def logged(self, task_id: int, call: Call, again: Call) -> bool:
        """A line of the service says, before or at the repetition, that the outcome of the earlier call is unknown. It
        may be older than the call: a slow network can bring a call to the provider when its sender has given it up."""
        return any(
            line.get("category") == "outcome_unknown" and call.at - TIMEOUT <= at <= again.at + 1
            for at, member, line in self._evidence.logs[task_id]
        )


def settle(account: Account, stack: Stack, sent: Sequence[Sent], found: Evidence, results: Sequence[Mapping[str, Any]],
           failures: Sequence[Mapping[str, Any]], orphans: int) -> None:  # fmt: skip
    """Fills in the figures, and a violation with its timeline for each task that breaks the promise."""
    judge = Judge(stack, found)
    told = {message["task_id"]: message["id"] for message in results}
    told_failed = {message["task_id"] for message in failures}
    account.sent = len(sent)
    account.accepted = sum(task.accepted_at is not None for task in sent)
    account.results, account.distinct = len(results), len(told)
    account.duplicate_rows = orphans
    if orphans:
        account.violations.append(f"{orphans} rows of integration_service belong to no task")
    if found.rows:
        last = max(found.rows, key=lambda task_id: found.rows[task_id]["updated_at"])
        account.slowest = timeline(sent[last - sent[0].task_id], found)
    for task in sent:
        wrong = _ended(account, task, found.rows.get(task.task_id), told, told_failed)
        calls = found.calls[task.task_id]
        account.calls += len(calls)
        taken = [call for call in calls if call.taken]
        for call, again in itertools.pairwise(taken):
            account.beyond += 1
            why = judge.why_unknowable(task.task_id, call, again)
            if why is None:
                wrong.append("asked again although the answer was known")
                continue
            account.unknowable += 1
            account.reasons[why] += 1
            if judge.logged(task.task_id, call, again):
                account.logged += 1
            else:
                wrong.append(f"asked again without a line in a log ({why})")
        if wrong:
            account.violations.append(f"task {task.task_id}: {'; '.join(wrong)}\n{timeline(task, found)}")


def _ended(
    account: Account, task: Sent, row: Mapping[str, Any] | None, told: Mapping[int, int], told_failed: set[int]
) -> list[str]:
    wrong = []
    state = row["state"] if row else "no row"
    account.done += state == "done"
    account.failed += state == "failed"
    account.rows += bool(row and row["result_id"] is not None)
    if task.accepted_at is not None and state not in ("done", "failed"):
        account.lost += 1
        wrong.append(f"lost: {state}")
    if state == "done" and row is not None:
        if task.task_id not in told:
            account.lost += 1
            wrong.append("lost: its result was never told")
        elif told[task.task_id] != row["result_id"] or task.result_ids - {row["result_id"]}:
            wrong.append(f"told {told[task.task_id]}, answered {task.result_ids}, stored {row['result_id']}")
    if state == "failed" and task.task_id not in told_failed:
        account.lost += 1
        wrong.append("lost: its failure was never told")
    return wrong


def timeline(task: Sent, found: Evidence) -> str:
    """Everything that is known about a task, in order."""
    events: list[tuple[float, str]] = [(task.offered_at, f"offered at door {task.door}")]
    if task.accepted_at:
        events.append((task.accepted_at, f"taken, after {task.tries} tries: {', '.join(task.answers[-6:])}"))
    events += [(call.at, str(call)) for call in found.calls[task.task_id]]
    for at, member, line in found.logs[task.task_id]:
        facts = {name: value for name, value in line.items() if name not in ("time", "logger", "task_id")}
        events.append((at, f"{member.kind} {member.mark} logged {facts}"))
    for attempt in found.tries[task.task_id]:
        events.append((attempt["ended_at"].timestamp(), f"try {attempt['number']} failed: {attempt['reason']}"))
    if row := found.rows.get(task.task_id):
        events.append((row["created_at"].timestamp(), "row created (the database's clock)"))
        now = {
            name: row[name]
            for name in ("state", "attempts", "takeovers", "result_id", "life", "wake_at", "wakes", "alone")
        }
        events.append((row["updated_at"].timestamp(), f"row last changed: {now}"))
    return "\n".join(f"    {_clock(at)}  {what}" for at, what in sorted(events))


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


async def unfinished(stack: Stack, first: int, last: int) -> tuple[int, int]:
    """Rows recorded, and those of them that have no told end yet."""
    async with stack.database() as connection:
        row = await connection.fetchrow(
            "SELECT count(*) AS rows, count(*) FILTER (WHERE NOT (status = 'done' OR status = 'failed'"
            " AND life IS NULL AND wake_at IS NULL)) AS left FROM task WHERE task_id BETWEEN $1 AND $2",
            first,
            last,
        )
    return row["rows"], row["left"]


async def orphans(stack: Stack) -> int:
    """Rows of integration_service that no task points at: answers stored twice."""
    async with stack.database() as connection:
        found: int = await connection.fetchval(
            "SELECT (SELECT count(*) FROM integration_service) - (SELECT count(DISTINCT result_id) FROM task)"
        )
    return found
