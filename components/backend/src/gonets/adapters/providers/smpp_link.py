"""One SMPP 3.4 session with an SMS centre: bound as a transceiver, kept alive, its requests in a window.

The PDUs are smpp34's; the session is our own, since no package tells "refused" from "no answer", connects to an address
that was checked, and answers a receipt only when it is stored (docs/adr/009).
"""

import asyncio
import logging
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from smpp34 import DeliverSm, SmppError, SubmitSm, decode

from gonets.adapters.providers.egress import Egress
from gonets.adapters.providers.smpp_statuses import INVALID_COMMAND, OK, QUEUE_FULL

log = logging.getLogger(__name__)

_BIND_TRANSCEIVER, _UNBIND, _QUERY, _DELIVER, _ENQUIRE_LINK = 0x09, 0x06, 0x03, 0x05, 0x15
_RESPONSE = 0x80000000
_VERSION = 0x34
INTERNATIONAL = 1
"""TON of a number with its country (5.2.5)."""
WITH_HEADER = 0x40
"""The bit of esm_class that says: octets about the text stand before it (5.2.12)."""
_LARGEST = 70_000  # octets: message_payload holds up to 64 KiB
_LAST_SEQUENCE = 0x7FFFFFFF
_RECEIPTS_AT_ONCE = 100
_HEADER = struct.Struct(">IIII")


@dataclass(frozen=True, slots=True)
class Account:
    """At which centre, and as whom. `window`: requests that may be unanswered at one time."""

    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    system_type: str
    address_range: str
    use_tls: bool
    window: int


class BindRefused(Exception):
    """The centre refused the login; `status` is its command_status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status:#x}")
        self.status = status


class LinkLost(Exception):
    """The session has ended. `written`: the centre may have read the request."""

    def __init__(self, *, written: bool) -> None:
        super().__init__("the connection to the SMS centre was lost")
        self.written = written


@dataclass(frozen=True, slots=True)
class Response:
    """`status`: command_status; `body`: empty where it is not 0."""

    status: int
    body: bytes

    @property
    def message_id(self) -> str:
        """Of submit_sm_resp, as the centre spells it."""
        return self.body.partition(b"\0")[0].decode("latin-1")


OnDeliver = Callable[[DeliverSm], Awaitable[int]]
"""What is done with a deliver_sm; gives the status to answer it with."""


class Link:
    """Bound from `bind` on; once it is not `alive` it never is again."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_deliver: OnDeliver, window: int
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_deliver = on_deliver
        self._window = asyncio.Semaphore(window)
        self._delivering = 0
        self._pending: dict[int, asyncio.Future[Response]] = {}
        self._sequence = 0
        self._heard = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()
        """Set when it is dead."""

    @classmethod
    async def bind(
        cls,
        account: Account,
        egress: Egress,
        tls: Callable[[], ssl.SSLContext],
        on_deliver: OnDeliver,
        *,
        timeout: float,
        enquire_every: float,
    ) -> "Link":
        """Raises BindRefused, LinkLost, TimeoutError, OSError (ssl.SSLError is one), and what egress does."""
        async with asyncio.timeout(timeout):
            sock = await egress.connect(account.host, account.port, timeout=timeout)
            try:
                reader, writer = await asyncio.open_connection(
                    sock=sock,
                    ssl=tls() if account.use_tls else None,
                    server_hostname=account.host.strip("[]") if account.use_tls else None,
                )
            except BaseException:
                sock.close()
                raise
            link = cls(reader, writer, on_deliver, account.window)
            link._start(link._read())
            try:
                await link._log_in(account)
            except BaseException:
                link.close()
                raise
        link._start(link._keep_alive(enquire_every, timeout))
        return link

    async def _log_in(self, account: Account) -> None:
        answer = await self._ask(_BIND_TRANSCEIVER, _bind_body(account))
        if answer.status != OK:
            raise BindRefused(answer.status)

    @property
    def alive(self) -> bool:
        return not self.ended.is_set() and not self._writer.is_closing()

    async def submit(self, make: Callable[[int], SubmitSm]) -> Response:
        """`make` is given the sequence number. Raises LinkLost."""
        return await self._request(lambda sequence: make(sequence).encode())

    async def query(self, message_id: str, ton: int, npi: int, source: str) -> Response:
        """query_sm of a message that was submitted from this source. Raises LinkLost."""
        return await self._ask(_QUERY, _c(message_id) + bytes([ton, npi]) + _c(source))

    async def unbind(self) -> None:
        """Takes leave, and closes."""
        try:
            async with asyncio.timeout(2):
                await self._ask(_UNBIND, b"")
        except (LinkLost, TimeoutError):
            pass
        self.close()

    def close(self) -> None:
        self._end()
        for task in self._tasks:
            task.cancel()

    async def _ask(self, command: int, body: bytes) -> Response:
        return await self._request(lambda sequence: _pdu(command, OK, sequence, body))

    async def _request(self, make: Callable[[int], bytes]) -> Response:
        async with self._window:
            if not self.alive:
                raise LinkLost(written=False)
            self._sequence = self._sequence % _LAST_SEQUENCE + 1
            sequence = self._sequence
            answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
            self._pending[sequence] = answer
            try:
                self._writer.write(make(sequence))
                return await answer
            finally:
                del self._pending[sequence]

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self) -> None:
        self.ended.set()
        self._writer.close()
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(LinkLost(written=True))

    async def _read(self) -> None:
        try:
            while not self.ended.is_set():
                header = await self._reader.readexactly(_HEADER.size)
                length, command, status, sequence = _HEADER.unpack(header)
                if not _HEADER.size <= length <= _LARGEST:
                    log.warning("an SMS centre sent what is no SMPP", extra={"length": length})
                    return
                body = await self._reader.readexactly(length - _HEADER.size)
                self._heard.set()
                if command & _RESPONSE:
                    answer = self._pending.get(sequence)
                    if answer is not None and not answer.done():
                        answer.set_result(Response(status, body))
                else:
                    self._serve(command, sequence, header + body)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._end()

    def _serve(self, command: int, sequence: int, pdu: bytes) -> None:
        if command == _DELIVER:
            if self._delivering < _RECEIPTS_AT_ONCE:
                self._delivering += 1
                self._start(self._deliver(sequence, pdu))
            else:
                # Answers are behind it in the connection: it must not wait here.
                self._answer(command, QUEUE_FULL, sequence, b"\0")
        elif command in (_ENQUIRE_LINK, _UNBIND):
            self._answer(command, OK, sequence)
            if command == _UNBIND:
                self._end()
        else:
            self._write(_pdu(_RESPONSE, INVALID_COMMAND, sequence, b""))

    async def _deliver(self, sequence: int, pdu: bytes) -> None:
        try:
            status = OK
            try:
                message = decode(pdu)
            except SmppError:
                log.warning("an SMS centre sent a receipt that cannot be read", extra={"pdu": pdu[:200].hex()})
            else:
                if isinstance(message, DeliverSm):
                    status = await self._on_deliver(message)
            self._answer(_DELIVER, status, sequence, b"\0")
        finally:
            self._delivering -= 1

    async def _keep_alive(self, every: float, patience: float) -> None:
        """Asks when nothing was heard for a while; who does not answer is dead."""
        while True:
            if await _within(every, self._heard):
                continue
            try:
                async with asyncio.timeout(patience):
                    await self._ask(_ENQUIRE_LINK, b"")
            except (LinkLost, TimeoutError):
                log.warning("an SMS centre no longer answers")
                self._end()
                return

    def _answer(self, command: int, status: int, sequence: int, body: bytes = b"") -> None:
        self._write(_pdu(command | _RESPONSE, status, sequence, body))

    def _write(self, pdu: bytes) -> None:
        if self.alive:
            self._writer.write(pdu)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    event.clear()
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _pdu(command: int, status: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), command, status, sequence) + body


def _bind_body(account: Account) -> bytes:
    who = _c(account.system_id) + _c(account.password) + _c(account.system_type)
    return who + bytes([_VERSION, 0, 0]) + _c(account.address_range)


def _c(text: str) -> bytes:
    return text.encode("latin-1", "replace") + b"\0"
