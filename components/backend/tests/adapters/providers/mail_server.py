"""A mail server of another make: aiosmtpd, with a mailbox that a test can read and refusals that it can ask for."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

LOGIN, PASSWORD = "гонец", "p4ssw0rd с пробелом"


@dataclass
class Mail:
    """A message as its receiver sees it, and the envelope it came in."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    session: Session


@dataclass
class MailServer:
    """`refusals`: what it answers to a recipient, or to the content under the name "DATA"."""

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    connections: int = 0
    logins: list[str] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    sessions: list[Any] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """A client has closed its connection."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if "DATA" in self.refusals:
            return self.refusals["DATA"]
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.append(Mail(envelope.mail_from or "", list(envelope.rcpt_tos), message, session))
        return "250 2.0.0 Ok: queued as 4F1A2"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(mechanism)
        fine = (data.login.decode(), data.password.decode()) == (LOGIN, PASSWORD)
        return AuthResult(success=fine, handled=False)

    def hang_up(self) -> None:
        """Closes all connections, as a server does that is restarted."""
        for one in self.sessions:
            if one.transport is not None:
                one.transport.close()


@asynccontextmanager
async def mail_server(
    tls: ssl.SSLContext | None = None, *, implicit: bool = False, **options: Any
) -> AsyncIterator[MailServer]:
    """With `tls` it wants STARTTLS, or is encrypted from the first byte; a login it wants if told so."""
    found = MailServer()

    class Noted(SMTP):
        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            found.left.set()

    def session() -> SMTP:
        found.connections += 1
        one = Noted(
            found,
            tls_context=None if implicit else tls,
            require_starttls=tls is not None and not implicit,
            authenticator=found.authenticate,
            auth_require_tls=tls is not None and not implicit,
            enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
            **options,
        )
        found.sessions.append(one)
        return one

    factory: Callable[[], SMTP] = session
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, ssl=tls if implicit else None)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        found.hang_up()
