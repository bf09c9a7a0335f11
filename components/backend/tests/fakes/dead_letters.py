"""The dead queue in memory."""

from gonets.core.shared.errors import Unavailable
from gonets.core.tasks.set_aside import Choice, DeadLetter, DeadLetterPage, Handled


class FakeDeadLetters:
    """Implements DeadLetters. `sent`: what was replayed, in order."""

    def __init__(self) -> None:
        self.available = True
        self.letters: list[DeadLetter] = []
        self.sent: list[DeadLetter] = []

    async def look(self, chosen: Choice[str], limit: int) -> DeadLetterPage:
        found = self._chosen(chosen)
        complete = len(found) < limit or found[limit - 1] is self.letters[-1]
        return DeadLetterPage(found[:limit], complete=complete)

    async def replay(self, chosen: Choice[str]) -> Handled:
        found = self._chosen(chosen)
        self.sent += found
        return await self.drop(chosen)

    async def drop(self, chosen: Choice[str]) -> Handled:
        found = self._chosen(chosen)
        self.letters = [letter for letter in self.letters if letter not in found]
        return Handled(len(found))

    def _chosen(self, chosen: Choice[str]) -> list[DeadLetter]:
        if not self.available:
            raise Unavailable("the broker is away")
        return [
            letter for letter in self.letters if chosen.takes(letter.id, letter.category, letter.reason, letter.dead_at)
        ]
