"""What an operator can ask of failed tasks and dead letters. The command line and REST call these and nothing else."""

import logging
from dataclasses import dataclass

from gonets.core.shared.errors import Conflict, Invalid, NotFound
from gonets.core.tasks.ports import DeadLetters, FailedTasks
from gonets.core.tasks.set_aside import Choice, DeadLetter, DeadLetterPage, FailedPage, FailedTask, Handled, Id

log = logging.getLogger(__name__)


def _deliberate(chosen: Choice[Id], *, everything: bool) -> None:
    if chosen.is_everything and not everything:
        raise Invalid("all", "must be true where nothing else says which ones")
    if everything and not chosen.is_everything:
        raise Invalid("all", "must not be combined with conditions")


@dataclass(frozen=True, slots=True)
class HandleFailedTasks:
    """Look at failed tasks, have them tried again, or give them up."""

    failed: FailedTasks

    async def one(self, task_id: int) -> FailedTask:
        """Dropped ones too. Raises NotFound, also for a task that has not failed."""
        found = await self.failed.get(task_id)
        if found is None:
            raise NotFound(f"no failed task has the id {task_id}")
        return found

    async def page(self, chosen: Choice[int], *, cursor: str | None, limit: int) -> FailedPage:
        """Latest failure first. Raises Invalid for a cursor that is none of ours."""
        return await self.failed.page(chosen, cursor=cursor, limit=limit)

    async def replay(self, chosen: Choice[int], *, everything: bool = False) -> Handled:
        """They are due at once; the scheduler wakes them. `everything` MUST be said where nothing else is. Raises
        Conflict, and replays none, where one is named of which nobody knows any more what it asked."""
        _deliberate(chosen, everything=everything)
        if chosen.ids and (erased := await self.failed.erased(chosen.ids)):
            raise Conflict(f"the person whom task {erased[0]} asked about was erased: there is nothing left to ask")
        handled = await self.failed.replay(chosen)
        log.info("failed tasks replayed", extra={"tasks": handled.count, "complete": handled.complete})
        return handled

    async def drop(self, chosen: Choice[int], *, everything: bool = False) -> Handled:
        """An operator gave them up. `everything` MUST be said where nothing else is."""
        _deliberate(chosen, everything=everything)
        handled = await self.failed.drop(chosen)
        log.warning("failed tasks dropped", extra={"tasks": handled.count})
        return handled


@dataclass(frozen=True, slots=True)
class HandleDeadLetters:
    """Look at dead letters, send them where they were meant for, or throw them away."""

    letters: DeadLetters

    async def one(self, letter_id: str) -> DeadLetter:
        """Raises NotFound, also while somebody else has it in hand."""
        page = await self.letters.look(Choice(ids=[letter_id]), limit=1)
        if not page.letters:
            raise NotFound(f"no dead letter has the id {letter_id}")
        return page.letters[0]

    async def page(self, chosen: Choice[str], *, limit: int) -> DeadLetterPage:
        """Oldest first."""
        return await self.letters.look(chosen, limit)

    async def replay(self, chosen: Choice[str], *, everything: bool = False) -> Handled:
        """`everything` MUST be said where nothing else is."""
        _deliberate(chosen, everything=everything)
        handled = await self.letters.replay(chosen)
        log.info("dead letters replayed", extra={"messages": handled.count, "complete": handled.complete})
        return handled

    async def drop(self, chosen: Choice[str], *, everything: bool = False) -> Handled:
        """`everything` MUST be said where nothing else is."""
        _deliberate(chosen, everything=everything)
        handled = await self.letters.drop(chosen)
        log.warning("dead letters dropped", extra={"messages": handled.count, "complete": handled.complete})
        return handled
