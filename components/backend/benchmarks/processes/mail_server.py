"""A mail server that costs next to nothing: says yes to everything and forgets it. `python -m … PORT`."""

import asyncio
import sys
from typing import cast

import uvloop

EHLO = b"250-bench\r\n250-SIZE 10000000\r\n250 8BITMIME\r\n"


class Session(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = b""
        self._content = False
        self._transport.write(b"220 bench\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            line, end, rest = self._buffer.partition(b"\r\n.\r\n" if self._content else b"\r\n")
            if not end:
                return
            self._buffer = rest
            self._answer(line[:4].upper())

    def _answer(self, verb: bytes) -> None:
        if self._content:
            self._content = False
            self._transport.write(b"250 2.0.0 Ok: queued as 1\r\n")
        elif verb == b"DATA":
            self._content = True
            self._transport.write(b"354 go\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(EHLO if verb == b"EHLO" else b"250 ok\r\n")


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Session, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
