"""A provider that follows a script, and a heartbeat that is told when to stop."""

import asyncio

from gonets.core.tasks.model import JSON, Claimed


class FakeProvider:
    """Answers what the script says, in order; the last line again and again. An exception is raised."""

    def __init__(self, *script: "JSON | Exception") -> None:
        self._script = list(script) or [{"answer": "of the provider"}]
        self.asked: list[str] = []
        self.free = asyncio.Event()
        """Calls wait while it is cleared."""
        self.free.set()

    async def ask(self, data: str) -> JSON:
        self.asked.append(data)
        line = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        await self.free.wait()
        if isinstance(line, Exception):
            raise line
        return line


class FakeLifeline:
    """Holds the claims of its life."""

    def __init__(self, life: int = 1) -> None:
        self.life = life
        self.fresh = True
        """False: the heart has stood still; the next `holds` waits for a beat, which is that of `life`."""

    async def holds(self, claim: Claimed) -> bool:
        self.fresh = True
        return claim.life == self.life

    def surely_holds(self, claim: Claimed) -> bool:
        return self.fresh and claim.life == self.life
