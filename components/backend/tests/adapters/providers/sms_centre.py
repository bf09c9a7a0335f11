"""SMS centres of another make, npm's `smpp` in a process of its own: tests/smsc/server.js says how they answer."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from .conftest import Authority

FOLDER = Path(__file__).parents[2] / "smsc"


@contextmanager
def sms_centres() -> Iterator[int]:
    """The process; gives its control port."""
    node = which("node")
    if node is None or not (FOLDER / "node_modules" / "smpp").is_dir():
        pytest.fail("the SMS centre of the tests is not installed: `make setup` does that, and so does `make test`")
    with subprocess.Popen(
        [node, str(FOLDER / "server.js")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        assert process.stdin is not None
        process.stdin.close()


class SmsCentre:
    """`events`: what it met so far."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._news = asyncio.Condition()
        self.events: list[dict[str, Any]] = []

    async def follow(self) -> None:
        while line := await self._reader.readline():
            async with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()

    def of(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]

    async def wait(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Those of this name, once there are so many."""
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(lambda: len(self.of(event)) >= count)
        return self.of(event)

    def tell(self, line: str) -> None:
        self._writer.write(f"{line}\n".encode())

    @property
    def port(self) -> int:
        return int(self.of("listening")[0]["port"])


@asynccontextmanager
async def sms_centre(control_port: int, authority: Authority | None = None) -> AsyncIterator[SmsCentre]:
    """A centre that knows nothing yet; with an authority it speaks TLS."""
    reader, writer = await asyncio.open_connection("127.0.0.1", control_port)
    centre = SmsCentre(reader, writer)
    follower = asyncio.ensure_future(centre.follow())
    files = {"certificate": str(authority.certificate), "key": str(authority.key)} if authority else {}
    centre.tell(json.dumps(files))
    try:
        await centre.wait("listening")
        yield centre
    finally:
        writer.close()
        await follower
