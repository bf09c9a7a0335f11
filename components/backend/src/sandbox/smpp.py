"""A small SMS centre, by SMPP 3.4: bind, submit_sm, query_sm, enquire_link, and receipts by deliver_sm."""

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sandbox import smpp_pdus as smpp
from sandbox.cut import reset
from sandbox.faults import ANSWER_IS_LOST, SMPP_STATUSES, Verdict
from sandbox.journal import Entry, abbreviate
from sandbox.provider import Desk, Provider

KEPT = 100_000
LARGEST = 70_000
THROTTLED = SMPP_STATUSES["ESME_RTHROTTLED"]
STATES = {"DELIVRD": 2, "EXPIRED": 3, "UNDELIV": 5, "REJECTD": 8}
ENDS = {"0001": "UNDELIV", "0005": "EXPIRED", "0006": "REJECTD"}
REFUSED_ENDS = {"0002": smpp.INVALID_NUMBER, "0003": THROTTLED}
SILENT_END = "0004"
ENROUTE = 1


class SmppSettings(BaseModel):
    """The body of `PUT /control/settings/smpp`. `receipt_after_s`: seconds from a message to its receipt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system_id: str | None = None
    password: str | None = None
    receipt_after_s: float = Field(default=0, ge=0, le=3600, allow_inf_nan=False)


@dataclass(slots=True)
class _Session:
    """A connection; bound once it has a `system_id`."""

    writer: asyncio.StreamWriter
    system_id: str | None = None
    receives: bool = False
    sequence: int = 0
    receipts: dict[int, bytes] = field(default_factory=dict)
    """Not acknowledged yet, by sequence number."""

    @property
    def open(self) -> bool:
        return not self.writer.is_closing()


class Smpp(Provider[SmppSettings]):
    name: ClassVar[str] = "smpp"
    title: ClassVar[str] = "An SMS centre (SMPP 3.4)"
    address: ClassVar[str] = "SANDBOX_SMPP_PORT"
    operations: ClassVar[Sequence[str]] = ("connect", "bind", "submit_sm", "query_sm")
    speaks_smpp: ClassVar[bool] = True
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        ("any number", "taken; its receipt says DELIVRD"),
        *((f"a number that ends in {end}", f"taken; its receipt says {state}") for end, state in ENDS.items()),
        ("a number that ends in 0002", "ESME_RINVDSTADR (0x0B)"),
        ("a number that ends in 0003", "ESME_RTHROTTLED (0x58)"),
        (f"a number that ends in {SILENT_END}", "taken; no receipt ever comes"),
        ("a system_id that begins with unknown", "ESME_RINVSYSID (0x0F)"),
        ("a password that begins with unknown", "ESME_RINVPASWD (0x0E)"),
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, SmppSettings())
        self._server: asyncio.Server | None = None
        self._sessions: list[_Session] = []
        self._waiting: dict[str, deque[bytes]] = {}
        self._states: OrderedDict[str, str] = OrderedDict()
        self._texts: OrderedDict[tuple[Any, ...], dict[int, str]] = OrderedDict()
        self._ids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def reset(self) -> None:
        super().reset()
        self._waiting.clear()
        self._states.clear()
        self._texts.clear()

    def reply(self, sender: str, text: str) -> bool:
        session = next((one for one in self._sessions if one.receives and one.open), None)
        if session is not None:
            self._deliver(session, smpp.message(text, sender=sender, to=session.system_id or ""))
        return session is not None

    async def listen(self, bind: str, port: int) -> None:
        self._server = await asyncio.start_server(self._accept, bind, port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for session in self._sessions:
            session.writer.close()
        for task in self._tasks:
            task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._serve(reader, _Session(writer)))

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, session: _Session) -> None:
        verdict = self.desk.faults.decide(self.name, "connect")
        entry = self._entry("connect", verdict, None)
        if verdict.kind is not None:
            entry.end("faulted")
            reset(session.writer.transport)
            return
        entry.end("answered")
        self._sessions.append(session)
        try:
            while session.open:
                length, command, status, sequence = smpp.HEADER.unpack(await reader.readexactly(smpp.HEADER.size))
                if not smpp.HEADER.size <= length <= LARGEST:
                    break
                body = await reader.readexactly(length - smpp.HEADER.size)
                if command == smpp.DELIVER_SM | smpp.RESPONSE:
                    self._acknowledged(session, sequence, status)
                elif not command & smpp.RESPONSE:
                    # A slow answer holds up no other.
                    self._start(self._request(session, command, sequence, body))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._sessions.remove(session)
            session.writer.close()
            if session.system_id is not None:
                self._waiting.setdefault(session.system_id, deque()).extend(session.receipts.values())

    async def _request(self, session: _Session, command: int, sequence: int, body: bytes) -> None:
        try:
            if command in (smpp.BIND_TRANSCEIVER, smpp.BIND_TRANSMITTER, smpp.BIND_RECEIVER):
                await self._bind(session, command, sequence, smpp.Reader(body))
            elif command == smpp.ENQUIRE_LINK:
                self._send(session, smpp.pdu(command | smpp.RESPONSE, smpp.OK, sequence))
            elif command == smpp.UNBIND:
                self._send(session, smpp.pdu(command | smpp.RESPONSE, smpp.OK, sequence))
                session.writer.close()
            elif command not in (smpp.SUBMIT_SM, smpp.QUERY_SM):
                self._send(session, smpp.pdu(smpp.GENERIC_NACK, smpp.INVALID_COMMAND, sequence))
            elif session.system_id is None:
                self._send(session, smpp.pdu(command | smpp.RESPONSE, smpp.WRONG_STATE, sequence))
            elif command == smpp.SUBMIT_SM:
                await self._submit(session, sequence, smpp.submitted(body))
            else:
                await self._query(session, sequence, smpp.Reader(body).string())
        except smpp.BrokenPduError:
            self._send(session, smpp.pdu(smpp.GENERIC_NACK, smpp.INVALID_LENGTH, sequence))

    async def _bind(self, session: _Session, command: int, sequence: int, fields: smpp.Reader) -> None:
        system_id, password = fields.string(), fields.string()
        verdict = self.desk.faults.decide(self.name, "bind")
        entry = self._entry("bind", verdict, system_id)
        status = smpp.OK
        if self.settings.system_id not in (None, system_id) or system_id.startswith("unknown"):
            status = smpp.INVALID_SYSTEM_ID
        elif self.settings.password not in (None, password) or password.startswith("unknown"):
            status = smpp.INVALID_PASSWORD
        if verdict.kind is None and status == smpp.OK:
            session.system_id = system_id
            session.receives = command != smpp.BIND_TRANSMITTER
        answer = smpp.pdu(command | smpp.RESPONSE, status, sequence, b"" if status else b"sandbox\0")
        await self._answer(session, verdict, entry, answer)
        if session.system_id is None:
            session.writer.close()
        elif session.receives:
            for receipt in self._waiting.pop(system_id, ()):
                self._deliver(session, receipt)

    async def _submit(self, session: _Session, sequence: int, message: smpp.Submitted) -> None:
        verdict = self.desk.faults.decide(self.name, "submit_sm")
        entry = self._entry("submit_sm", verdict, message.number)
        status = smpp.OK if message.number.isdecimal() else smpp.INVALID_NUMBER
        status = REFUSED_ENDS.get(message.number[-4:], status)
        if not message.sender:
            status = smpp.INVALID_SOURCE
        if status or (verdict.kind is not None and verdict.kind not in ANSWER_IS_LOST):
            await self._answer(session, verdict, entry, smpp.pdu(smpp.SUBMIT_SM | smpp.RESPONSE, status, sequence))
            return
        message_id = f"{next(self._ids):08X}"
        self._states[message_id] = ENDS.get(message.number[-4:], "DELIVRD")
        if len(self._states) > KEPT:
            self._states.popitem(last=False)
        if self._states[message_id] == "DELIVRD":
            self._take(session, message)
        answer = smpp.pdu(smpp.SUBMIT_SM | smpp.RESPONSE, smpp.OK, sequence, message_id.encode() + b"\0")
        await self._answer(session, verdict, entry, answer)
        if message.registered and not message.number.endswith(SILENT_END):
            self._start(self._report(session.system_id or "", message_id, message))

    async def _query(self, session: _Session, sequence: int, message_id: str) -> None:
        verdict = self.desk.faults.decide(self.name, "query_sm")
        entry = self._entry("query_sm", verdict, message_id)
        state, command = self._states.get(message_id), smpp.QUERY_SM | smpp.RESPONSE
        body = message_id.encode() + b"\0\0" + bytes([STATES[state], 0]) if state else b""
        answer = smpp.pdu(command, smpp.OK if state else smpp.QUERY_FAILED, sequence, body)
        await self._answer(session, verdict, entry, answer)

    def _take(self, session: _Session, message: smpp.Submitted) -> None:
        """A text in several parts is shown when all of them are here, as phones do."""
        parts = {1: message.text}
        if message.part is not None:
            reference, total, number = message.part
            key = (session.system_id, message.sender, message.number, reference)
            parts = self._texts.setdefault(key, {})
            parts[number] = message.text
            if len(self._texts) > KEPT:
                self._texts.popitem(last=False)
            if len(parts) < total:
                return
            del self._texts[key]
        text = "".join(text for _, text in sorted(parts.items()))
        details = {"parts": len(parts), "data_coding": message.data_coding}
        self.desk.inbox.add(self.name, to=f"+{message.number}", sender=message.sender, text=text, details=details)

    async def _report(self, system_id: str, message_id: str, message: smpp.Submitted) -> None:
        await asyncio.sleep(self.settings.receipt_after_s)
        state = self._states.get(message_id, "DELIVRD")
        error = "000" if state == "DELIVRD" else "027"
        receipt = smpp.receipt(message_id, state, STATES[state], sender=message.number, to=message.sender, error=error)
        session = next(
            (one for one in self._sessions if one.system_id == system_id and one.receives and one.open), None
        )
        if session is None:
            self._waiting.setdefault(system_id, deque(maxlen=KEPT)).append(receipt)
        else:
            self._deliver(session, receipt)

    def _deliver(self, session: _Session, receipt: bytes) -> None:
        session.sequence = session.sequence % 0x7FFFFFFF + 1
        session.receipts[session.sequence] = receipt
        self._send(session, smpp.pdu(smpp.DELIVER_SM, smpp.OK, session.sequence, receipt))

    def _acknowledged(self, session: _Session, sequence: int, status: int) -> None:
        receipt = session.receipts.pop(sequence, None)
        if receipt is not None and status != smpp.OK:
            self._start(self._again(session, receipt))

    async def _again(self, session: _Session, receipt: bytes) -> None:
        """A receipt that was not taken is brought again, as centres do, only sooner."""
        await asyncio.sleep(0.2)
        if session.open:
            self._deliver(session, receipt)
        elif session.system_id is not None:
            self._waiting.setdefault(session.system_id, deque()).append(receipt)

    async def _answer(self, session: _Session, verdict: Verdict, entry: Entry, answer: bytes) -> None:
        if verdict.latency_s:
            await asyncio.sleep(verdict.latency_s)
        _, command, status, sequence = smpp.HEADER.unpack(answer[: smpp.HEADER.size])
        kind = verdict.kind
        if kind is None:
            entry.end("refused" if status else "answered", f"0x{status:02X}")
            self._send(session, answer)
            return
        if kind in SMPP_STATUSES or kind in {"429", "status"}:
            refused = THROTTLED if kind == "429" else SMPP_STATUSES.get(kind, SMPP_STATUSES["ESME_RSYSERR"])
            entry.end("faulted", f"0x{refused:02X}")
            self._send(session, smpp.pdu(command, refused, sequence))
            return
        entry.end("faulted")
        if kind == "hang":
            await self.desk.faults.hang()
        elif kind == "truncated":
            self._send(session, answer[: len(answer) // 2])
            session.writer.close()
            return
        elif kind in {"garbage", "not_json"}:
            self._send(session, b"\xff" + verdict.noise)
            session.writer.close()
            return
        elif kind in {"empty", "wrong_json"}:
            # A success that names no message, or an answer to nothing that was asked.
            wrong = sequence if kind == "empty" else sequence ^ 0x40000000
            self._send(session, smpp.pdu(command, smpp.OK, wrong, b"\0"))
            return
        reset(session.writer.transport)

    def _send(self, session: _Session, data: bytes) -> None:
        if session.open:
            session.writer.write(data)

    def _entry(self, operation: str, verdict: Verdict, text: str | None) -> Entry:
        entry = self.desk.journal.open(self.name, operation, {}, verdict.kind)
        entry.input = None if text is None else abbreviate(text)
        return entry
