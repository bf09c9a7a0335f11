"""What is said to providers and what they say, in the log and without secrets."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar

from gonets.core.identity.ports import Audit
from gonets.core.shared.audit import Actor
from gonets.core.shared.masking import Masking
from gonets.core.tasks.model import JSON, Claimed, ProviderError
from gonets.core.tasks.ports import Provider, Run

log = logging.getLogger(__name__)

_claim: ContextVar[Claimed | None] = ContextVar("claim", default=None)


class LoggedRun:
    """Lets what is logged of a provider name the task it was asked for."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def __call__(self, claim: Claimed, asked: Callable[[], None] = lambda: None) -> None:
        mark = _claim.set(claim)
        try:
            await self._run(claim, asked)
        finally:
            _claim.reset(mark)


class LoggedProvider:
    """Implements Provider. Each request and each response is a line at DEBUG.

    No secret that `masking` knows gets past it, in answers, reasons or errors: what comes from here is stored and told.
    """

    def __init__(self, provider: Provider, name: str, masking: Masking) -> None:
        self._provider = provider
        self._name = name
        self._masking = masking

    async def ask(self, data: str) -> JSON:
        if not log.isEnabledFor(logging.DEBUG):
            return await self._ask(data)
        facts = self._facts()
        log.debug("provider asked", extra=facts | {"request": data})
        since = time.perf_counter()
        try:
            answer = await self._ask(data)
        except ProviderError as error:
            what = {"category": error.category.value, "reason": error.reason, "response": error.answer}
            log.debug("provider failed", extra=facts | _seconds(since) | what)
            raise
        log.debug("provider answered", extra=facts | _seconds(since) | {"response": answer})
        return answer

    async def _ask(self, data: str) -> JSON:
        try:
            return self._masking.json(await self._provider.ask(data))
        except ProviderError as error:
            reason = self._masking.text(error.reason)
            answer = None if error.answer is None else self._masking.text(error.answer)
            if (reason, answer) == (error.reason, error.answer):
                raise
            raise ProviderError(error.category, reason, retry_after=error.retry_after, answer=answer) from None

    def _facts(self) -> dict[str, object]:
        claim = _claim.get()
        known: dict[str, object] = {} if claim is None else {"task_id": claim.task.task_id, "attempts": claim.attempts}
        return known | {"provider": self._name}


def _seconds(since: float) -> dict[str, object]:
    return {"duration_s": round(time.perf_counter() - since, 4)}


_FOLLOWED = frozenset({"campaign", "contact", "notification"})


class LoggedAudit:
    """Implements Audit. What was done to something that is followed by its id is a line in the log."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def note(
        self,
        actor: Actor | None,
        action: str,
        object: str,  # noqa: A002 - as in the port
        object_id: int | None,
        detail: Mapping[str, JSON] = {},
    ) -> None:
        await self.note_each(actor, action, object, [object_id], detail)

    async def note_each(
        self,
        actor: Actor | None,
        action: str,
        object: str,  # noqa: A002 - as in the port
        object_ids: Sequence[int | None],
        detail: Mapping[str, JSON],
    ) -> None:
        await self._audit.note_each(actor, action, object, object_ids, detail)
        if object in _FOLLOWED:
            by = {"user_id": actor.user_id, "api_key_id": actor.api_key_id} if actor else {}
            for object_id in object_ids:
                log.info("%s %s", object, action, extra={f"{object}_id": object_id, **by, "detail": dict(detail)})
