"""Answers every request after a while: `slow_provider PORT SECONDS`.

A protocol on uvloop, not a framework: at 500 requests a second it uses a few hundredths of a core.
"""

import asyncio
import sys
from typing import cast

import uvloop

from benchmarks.providers import ANSWER

_BODY = ANSWER.encode()
_RESPONSE = (
    f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n".encode() + _BODY
)


class SlowProvider(asyncio.Protocol):
    """One request at a time on each connection, as clients without pipelining send them."""

    seconds: float

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self._received = b""
            asyncio.get_running_loop().call_later(self.seconds, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_RESPONSE)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def main() -> None:
    port, SlowProvider.seconds = int(sys.argv[1]), float(sys.argv[2])
    server = await asyncio.get_running_loop().create_server(SlowProvider, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
