"""The other end of an HTTP connection, in a test's hands down to the byte."""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType


class Connection:
    """One accepted connection."""

    def __init__(self, peer: "Peer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._peer = peer
        self._reader = reader
        self._writer = writer

    async def request(self) -> bool:
        """Reads one whole request and writes it down. False: the client left instead."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            self._peer.requests.append((head, await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        return True

    async def received(self, marker: bytes) -> None:
        """Returns when the client has sent these bytes."""
        await self._reader.readuntil(marker)

    async def exactly(self, count: int) -> bytes:
        """So many bytes. Raises ConnectionResetError where the client leaves instead."""
        try:
            return await self._reader.readexactly(count)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError from error

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Returns when the client has closed its end."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            pass

    def close(self) -> None:
        """In an orderly way: FIN."""
        self._writer.close()

    def reset(self) -> None:
        """RST."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def cut_at_once(self) -> None:
        """FIN, sent before this returns: no event loop, the client's neither, has seen it yet."""
        descriptor = self._writer.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(descriptor)) as raw:
            raw.shutdown(socket.SHUT_RDWR)


Behaviour = Callable[[Connection], Awaitable[None]]


class Peer:
    """Listens on a free port of the loopback and treats every connection as `behave` says, then closes it.

    `requests` are those read completely, (head, body) each; `connections` those accepted.
    """

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self._behave = behave
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[tuple[bytes, bytes]] = []
        self.connections: list[Connection] = []

    async def __aenter__(self) -> "Peer":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if self._tls else ''}://localhost:{self.port}/clean/phone"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of its own: the streams module logs cancelled ones of its own as errors.
        task = asyncio.ensure_future(self._serve(Connection(self, reader, writer), writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection, writer: asyncio.StreamWriter) -> None:
        self.connections.append(connection)
        try:
            await self._behave(connection)
        except ConnectionError:
            pass
        finally:
            writer.close()


def answer(body: bytes = b"[]", *headers: str, status: str = "200 OK") -> bytes:
    """A complete HTTP answer."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answering(reply: bytes) -> Behaviour:
    """Answers every request alike, and keeps the connection alive."""

    async def behave(connection: Connection) -> None:
        while await connection.request():
            await connection.send(reply)

    return behave


def once(reply: bytes, *, then: str = "close") -> Behaviour:
    """Reads one request and sends these bytes; then "close", "reset", or "wait" until the client leaves."""

    async def behave(connection: Connection) -> None:
        if await connection.request():
            await connection.send(reply)
            if then == "wait":
                await connection.gone()
            elif then == "reset":
                connection.reset()

    return behave
