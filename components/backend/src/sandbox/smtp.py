"""A mail server: plain, with STARTTLS, or encrypted from the first byte. What it takes is in the inbox."""

import asyncio
import ssl
from collections.abc import Sequence
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, ClassVar, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import BaseModel, ConfigDict

from sandbox.cut import reset
from sandbox.faults import ANSWER_IS_LOST, Verdict
from sandbox.journal import Entry, abbreviate
from sandbox.provider import Desk, Provider
from sandbox.sms import parts

LARGEST = 10 * 2**20
REFUSALS = {
    "unknown": "550 5.1.1 No such user here",
    "full": "452 4.2.2 Mailbox full",
    "busy": "450 4.2.1 Mailbox busy",
    "later": "451 4.7.1 Greylisted, please try again later",
    "blocked": "550 5.7.1 Blocked by policy",
}


class SmtpSettings(BaseModel):
    """The body of `PUT /control/settings/smtp`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    login: str | None = None
    password: str | None = None


class Smtp(Provider[SmtpSettings]):
    name: ClassVar[str] = "smtp"
    title: ClassVar[str] = "A mail server"
    address: ClassVar[str] = "SANDBOX_SMTP_PORT (plain or STARTTLS), SANDBOX_SMTPS_PORT (TLS); GET /ca.pem"
    operations: ClassVar[Sequence[str]] = ("connect", "login", "recipient", "message")
    inputs: ClassVar[Sequence[tuple[str, str]]] = (
        *((f"an address that begins with {start}", answer) for start, answer in REFUSALS.items()),
        ("a login that begins with unknown", "535 5.7.8"),
        ("any other address or login", "taken"),
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, SmtpSettings())
        self._servers: list[asyncio.Server] = []
        self._sessions: set[_Server] = set()
        self._count = 0

    async def listen(self, bind: str, port: int, context: ssl.SSLContext, *, implicit: bool) -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: self._session(None if implicit else context), bind, port, ssl=context if implicit else None
        )
        self._servers.append(server)

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for session in list(self._sessions):
            session.cut()

    def _session(self, context: ssl.SSLContext | None) -> "_Server":
        return _Server(
            self,
            tls_context=context,
            authenticator=self._authenticate,
            auth_require_tls=False,
            enable_SMTPUTF8=True,
            data_size_limit=LARGEST,
            hostname="sandbox",
            ident="Gonets sandbox",
            loop=asyncio.get_running_loop(),
        )

    def opened(self, session: "_Server") -> bool:
        """False: this connection meets its fault at once."""
        verdict = self.desk.faults.decide(self.name, "connect")
        entry = self._entry("connect", verdict, None)
        if verdict.kind in {"reset", "reset_before"}:
            entry.end("faulted")
            return False
        entry.end("answered", 220)
        self._sessions.add(session)
        return True

    def closed(self, session: "_Server") -> None:
        self._sessions.discard(session)

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        verdict = self.desk.faults.decide(self.name, "login")
        login = data.login.decode("utf-8", "replace") if isinstance(data, LoginPassword) else ""
        password = data.password.decode("utf-8", "replace") if isinstance(data, LoginPassword) else ""
        entry = self._entry("login", verdict, login)
        if verdict.kind is not None:
            entry.end("faulted", verdict.status or 454)
            return AuthResult(success=False, handled=False, message=f"{verdict.status or 454} 4.7.0 Not now")
        wrong = self.settings.login not in (None, login) or self.settings.password not in (None, password)
        if wrong or login.startswith("unknown"):
            entry.end("refused", 535)
            return AuthResult(success=False, handled=False, message="535 5.7.8 Username and password not accepted")
        entry.end("answered", 235)
        return AuthResult(success=True)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: "_Server", _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        verdict = self.desk.faults.decide(self.name, "recipient")
        entry = self._entry("recipient", verdict, address)
        refusal = next((answer for start, answer in REFUSALS.items() if address.startswith(start)), None)
        if verdict.kind is None and refusal is None:
            envelope.rcpt_tos.append(address)
        return await self._answer(server, verdict, entry, refusal or "250 2.1.5 Ok")

    async def handle_DATA(self, server: "_Server", session: Session, envelope: Envelope) -> str:  # noqa: N802
        verdict = self.desk.faults.decide(self.name, "message")
        entry = self._entry("message", verdict, ", ".join(envelope.rcpt_tos))
        if verdict.kind is None or verdict.kind in ANSWER_IS_LOST:
            self._take(server, session, envelope)
        self._count += 1
        return await self._answer(server, verdict, entry, f"250 2.0.0 Ok: queued as {self._count:08X}")

    def _take(self, server: "_Server", session: Session, envelope: Envelope) -> None:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = message_from_bytes(content, policy=default)
        body = message.get_body(("plain", "html")) if isinstance(message, EmailMessage) else None
        text = str(body.get_content()) if body is not None else ""
        inside = server.transport is not None and server.transport.get_extra_info("sslcontext") is not None
        tls = inside or session.ssl is not None
        details = {"headers": {name: str(value) for name, value in message.items()}, "tls": tls}
        for to in envelope.rcpt_tos:
            phone = to.partition("@")[0].removeprefix("+").isdecimal()
            self.desk.inbox.add(
                self.name,
                to=to,
                sender=str(message["From"] or envelope.mail_from),
                subject=str(message["Subject"] or ""),
                text=text.replace("\r\n", "\n").removesuffix("\n"),
                details=details | ({"parts": parts(text)} if phone else {}),
            )

    def _entry(self, operation: str, verdict: Verdict, text: str | None) -> Entry:
        entry = self.desk.journal.open(self.name, operation, {}, verdict.kind)
        entry.input = None if text is None else abbreviate(text)
        return entry

    async def _answer(self, server: "_Server", verdict: Verdict, entry: Entry, answer: str) -> str:
        if verdict.latency_s:
            await asyncio.sleep(verdict.latency_s)
        status = int(answer[:3])
        if verdict.kind is None:
            entry.end("answered" if status < 400 else "refused", status)
            return answer
        entry.end("faulted")
        match verdict.kind:
            case "status":
                return f"{verdict.status} {verdict.status // 100 if verdict.status else 4}.0.0 Fault"
            case "429":
                return "421 4.7.0 Too many messages"
            case "hang":
                await self.desk.faults.hang()
            case "truncated":
                server.write(answer[:2].encode())
            case "garbage" | "not_json":
                server.write(b"\xff" + verdict.noise.replace(b"\n", b"") + b"\r\n")
            case "empty":
                return ""
            case "wrong_json":
                return "299 what is this"
        if verdict.kind in {"hang", "reset", "reset_before"}:
            server.cut()
        elif server.transport is not None:
            server.transport.close()
        return ""


class _Server(SMTP):
    """aiosmtpd's session, which tells when it begins and ends."""

    def __init__(self, provider: Smtp, **options: Any) -> None:
        super().__init__(provider, **options)
        self._provider = provider

    def connection_made(self, transport: Any) -> None:
        # Also after STARTTLS, with the transport inside.
        if self.transport is None and not self._provider.opened(self):
            reset(transport)
            return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._provider.closed(self)
        if self.transport is not None:
            super().connection_lost(error)

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            # Not by isinstance: uvloop's transports are none of asyncio's.
            cast(asyncio.WriteTransport, self.transport).write(data)

    def cut(self) -> None:
        # After STARTTLS: the transport below, for what lies over it may be gone already.
        transport = self._original_transport or self.transport
        if transport is not None and not transport.is_closing():
            reset(transport)
