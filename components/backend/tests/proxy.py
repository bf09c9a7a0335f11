"""A TCP proxy that can go away and come back: an outage for one process, while the server itself serves all others."""

import asyncio
import contextlib
import socket
import struct
from types import TracebackType


class Proxy:
    """Listens on a free port of the loopback from `async with` on, and leads to `host:port`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        # Bound and never listening, it keeps the port: while the proxy is away nobody else is given it.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._streams: set[asyncio.StreamWriter] = set()
        self._lost: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.delay = 0.0
        """Seconds by which everything is late, each way."""

    async def __aenter__(self) -> "Proxy":
        self._place.bind(("127.0.0.1", 0))
        self.port = self._place.getsockname()[1]
        await self.restore()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.thaw()
        await self.cut()
        self._place.close()

    async def cut(self) -> None:
        """Every connection is reset, and new ones are refused."""
        if self._server:
            self._server.close()
            self._server = None
        self.reset()

    def reset(self) -> None:
        """Every connection is reset; new ones are served."""
        for stream in self._streams.copy():
            raw = stream.get_extra_info("socket")
            # Closed with a zero linger time, a socket sends RST instead of FIN.
            if raw.fileno() != -1:  # it ended by itself, and nobody has taken note yet
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.transport.abort()

    def lose(self) -> None:
        """Connections that stand now swallow every byte from now on, and neither side is told; new ones are served."""
        self._lost.update(self._streams)

    async def restore(self) -> None:
        """As before, on the same port; connections that were lost stay lost."""
        self.thaw()
        self.delay = 0.0
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def freeze(self) -> None:
        """Connections stay, and new ones are taken, but no byte passes: a network that swallows everything."""
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams.add(writer)
        try:
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._streams.add(far_writer)
            try:
                await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
            finally:
                far_writer.transport.abort()
                self._streams.discard(far_writer)
                self._lost.discard(far_writer)
        except OSError:
            pass  # the server behind is away itself
        finally:
            writer.transport.abort()
            self._streams.discard(writer)
            self._lost.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # uvloop's word for a stream that was aborted meanwhile
            while data := await reader.read(65536):
                await self._open.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if writer not in self._lost:
                    writer.write(data)
                    await writer.drain()
        if writer not in self._lost:
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()
