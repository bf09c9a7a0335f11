"""What became of messages, written down: for all chunks of a worker together."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from gonets.core.campaigns.model import Outcome
from gonets.core.campaigns.ports import Chunks, EarlyReceipts
from gonets.core.channels.model import Accepted, ChannelType, Refusal, Refused, SendOutcome, Unknown
from gonets.core.notifications.dispatch import new_stamp
from gonets.core.notifications.model import Attempt, AttemptState
from gonets.core.notifications.ports import Clock, NotificationStore
from gonets.core.shared.patience import until_available

log = logging.getLogger(__name__)

_ENOUGH = 250
"""Outcomes worth a statement of their own; fewer wait a moment for others."""
_MOST = 1000
_MOMENT = 0.1
"""Seconds."""


class Records:
    """Writes outcomes of all chunks of a worker together: some hundreds at a time, none later than in a moment."""

    def __init__(self, chunks: Chunks, store: NotificationStore, early: EarlyReceipts, now: Clock) -> None:
        self._chunks = chunks
        self._store = store
        self._early = early
        self._now = now
        self._gathered: list[tuple[Outcome, Callable[[bool], None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, outcome: Outcome, recorded: Callable[[bool], None]) -> None:
        """`recorded` is called when it is committed; with False where an error of ours prevented it."""
        self._gathered.append((outcome, recorded))
        if len(self._gathered) >= _ENOUGH:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_MOMENT, self.flush)

    def flush(self) -> None:
        """Writes what has gathered, as far as two statements at a time may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Two statements at a time: one is planned and sent while the other waits for the disk.
        while self._gathered and len(self._tasks) < 2:
            batch, self._gathered = self._gathered[:_MOST], self._gathered[_MOST:]
            task = asyncio.create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if len(self._gathered) >= _ENOUGH or (self._gathered and self._timer is None):
            self.flush()

    async def _run(self, batch: Sequence[tuple[Outcome, Callable[[bool], None]]]) -> None:
        try:
            await self.write([outcome for outcome, _ in batch])
        except Exception:
            if len(batch) > 1:
                for one in batch:
                    await self._run([one])
                return
            log.exception("an outcome was not recorded", extra={"notification_id": batch[0][0].id})
            batch[0][1](False)
        else:
            for _, recorded in batch:
                recorded(True)

    async def write(self, outcomes: Sequence[Outcome]) -> int:
        """How many are written as they are; what somebody else changed meanwhile learns the truth by itself."""
        written = await until_available(lambda: self._chunks.record(outcomes))
        for outcome in outcomes:
            if outcome.id not in written and outcome.like.attempts:
                await self._enter(outcome)
        tried = [outcome for outcome in outcomes if outcome.like.attempts]
        named = [
            (outcome.like.attempts[0].channel.id, outcome.provider_id)
            for outcome in tried
            if outcome.provider_id and outcome.like.attempts[0].channel.type is ChannelType.SMS_SMPP
        ]
        if tried:
            await until_available(partial(self._early.settle, [outcome.reference for outcome in tried], named))
        return len(written)

    async def _enter(self, outcome: Outcome) -> None:
        attempt = _own(outcome)
        while found := await until_available(lambda: self._store.get(outcome.id)):
            known = found.attempt(attempt.reference)
            if known is None:
                entered = replace(attempt, number=len(found.attempts) + 1, round=found.round)
                after = replace(found, attempts=(*found.attempts, entered)).changed(entered)
            else:
                after = found.changed(known.heard(_said(attempt), attempt.ended_at or self._now()))
            if after == found:
                return
            changed = replace(after, due_at=self._now())
            save = partial(self._store.save, changed, new_stamp())
            if await until_available(save):
                return


def _own(outcome: Outcome) -> Attempt:
    """The attempt of this message."""
    [like] = outcome.like.attempts
    started_at = outcome.started_at or like.started_at
    ended_at = outcome.ended_at
    return replace(
        like,
        to=outcome.to,
        reference=outcome.reference,
        provider_id=outcome.provider_id,
        started_at=started_at,
        ended_at=ended_at,
        counted_from=ended_at if like.counted_from else None,
        events=tuple(replace(event, at=ended_at or event.at) for event in like.events),
    )


def _said(attempt: Attempt) -> SendOutcome:
    if attempt.state is AttemptState.ACCEPTED:
        return Accepted(attempt.provider_id, attempt.parts)
    if attempt.state is AttemptState.REJECTED:
        return Refused(
            attempt.refusal or Refusal.PERMANENT, attempt.reason or "", attempt.code, attempt.hint, attempt.retry_after
        )
    return Unknown(attempt.reason or "")
