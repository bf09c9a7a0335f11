"""SMTP with connections that are kept, and a clear line: until the final dot nothing is taken, after it nobody knows.

RFC 5321, with STARTTLS (RFC 3207), implicit TLS (RFC 8314) and AUTH (RFC 4954).
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPServerDisconnected

from gonets.adapters.providers.egress import Egress, ForbiddenAddress, Unreachable
from gonets.adapters.providers.smtp_replies import Stage, refused
from gonets.adapters.providers.trust import distrusted
from gonets.core.channels.model import Accepted, Refusal, Refused, SendOutcome, Step, Unknown
from gonets.core.shared.masking import forms

log = logging.getLogger(__name__)

_DOT = re.compile(rb"(?m)^\.")
_PORT = "check smtpHost and smtpPort"
_TLS_PORT = "check smtpPort: 465 is TLS from the first byte, 587 begins without; useTls is for both"
_QUEUED_AS = re.compile(r"queued as ([\w.-]{1,64})", re.IGNORECASE)


class Security(Enum):
    """How the connection is encrypted."""

    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True)
class Account:
    """At which server, and as whom. An empty `username`: nobody logs in."""

    host: str
    port: int
    security: Security
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Letter:
    """An envelope and its content: octets with CRLF at the end of every line. `utf8`: an address is not ASCII."""

    sender: str
    recipient: str
    content: bytes
    utf8: bool = False


class _RefusedError(Exception):
    def __init__(self, outcome: Refused) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass(slots=True)
class _Progress:
    """How far one letter came."""

    stage: Stage = Stage.GREETING
    handed_over: bool = False


@dataclass(slots=True)
class _Kept:
    smtp: SMTP
    since: float
    expiry: asyncio.TimerHandle


@dataclass(slots=True)
class _Lane:
    """The connections of one account: `slots` are those that may be open at one time."""

    slots: asyncio.Semaphore
    idle: list[_Kept] = field(default_factory=list)
    users: int = 0


class Mailer:
    """Delivers letters, over connections that it keeps for a while.

    `tls` makes the context that says whom to trust; `timeout`: seconds for one letter in all, of which
    `connect_timeout` to have a connection that is logged in; `connections`: how many are open at one time for one
    account; `idle`: seconds after which one that is not used is closed; `trusted`: seconds for which it is taken to be
    alive without asking.
    """

    def __init__(
        self,
        egress: Egress,
        tls: Callable[[], ssl.SSLContext],
        *,
        timeout: float = 60,
        connect_timeout: float = 15,
        connections: int = 4,
        idle: float = 60,
        trusted: float = 5,
    ) -> None:
        self._egress = egress
        self._tls = tls
        self.timeout = timeout
        self._connect_timeout = connect_timeout
        self._connections = connections
        self._idle = idle
        self._trusted = trusted
        self._lanes: dict[Account, _Lane] = {}
        self._farewells: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Takes leave of all servers. What is being sent is not waited for."""
        for lane in self._lanes.values():
            while lane.idle:
                self._part(lane.idle.pop())
        await asyncio.gather(*self._farewells)

    async def deliver(self, account: Account, letter: Letter) -> SendOutcome:
        """Sends once at most. Does not raise for what the outside does."""
        envelope = {"sender": letter.sender, "recipient": letter.recipient, "size": len(letter.content)}
        log.debug("mail server asked", extra={"host": account.host} | envelope)
        outcome = await self._outcome(account, letter)
        log.debug("mail server answered", extra={"host": account.host, "response": repr(outcome)})
        return outcome

    async def _outcome(self, account: Account, letter: Letter) -> SendOutcome:
        progress = _Progress()
        lane = self._lanes.setdefault(account, _Lane(asyncio.Semaphore(self._connections)))
        lane.users += 1
        try:
            async with asyncio.timeout(self.timeout), lane.slots:
                return await self._deliver(account, lane, letter, progress)
        except TimeoutError:
            if progress.handed_over:
                return Unknown("the mail server got the whole message, and did not answer in time")
            return Refused(Refusal.TEMPORARY, "the mail server did not answer in time", step=progress.stage.step)
        except _RefusedError as error:
            return error.outcome
        except SMTPResponseException as error:
            if not 400 <= error.code < 600:
                words = "the mail server answered what is no SMTP"
                if progress.handed_over:
                    return Unknown(words + ", after it got the whole message")
                return Refused(Refusal.TEMPORARY, words, hint=_PORT, step=progress.stage.step)
            return refused(error.code, _without(account, error.message), progress.stage)
        except (SMTPException, OSError) as error:
            if progress.handed_over:
                return Unknown("the connection was lost after the mail server got the whole message")
            if isinstance(error, SMTPException) and not isinstance(error, OSError):
                return Refused(Refusal.CONFIGURATION, error.message, step=progress.stage.step)
            return Refused(Refusal.TEMPORARY, "the mail server closed the connection", step=progress.stage.step)
        finally:
            lane.users -= 1
            self._forget(account, lane)

    async def _deliver(self, account: Account, lane: _Lane, letter: Letter, progress: _Progress) -> SendOutcome:
        smtp = await self._kept(lane)
        try:
            if smtp is not None:
                try:
                    await _envelope(smtp, letter, progress)
                except (SMTPServerDisconnected, SMTPResponseException) as error:
                    if isinstance(error, SMTPResponseException) and error.code != 421:
                        raise
                    # It was dead already, and has taken nothing.
                    smtp.close()
                    smtp = None
            if smtp is None:
                smtp = await self._connected(account, progress)
                await _envelope(smtp, letter, progress)
            outcome = await _content(smtp, letter, progress)
        except SMTPResponseException as error:
            if smtp is not None:
                await self._after_refusal(account, smtp, lane, error, progress)
            raise
        except BaseException:
            if smtp is not None:
                smtp.close()
            raise
        self._keep(account, lane, smtp)
        return outcome

    async def _after_refusal(
        self, account: Account, smtp: SMTP, lane: _Lane, error: SMTPResponseException, progress: _Progress
    ) -> None:
        """A refusal of one letter leaves the connection fit for the next."""
        try:
            if error.code == 421 or not 400 <= error.code < 600 or progress.stage.step is not Step.SEND:
                smtp.close()
                return
            async with asyncio.timeout(self._trusted):
                await smtp.rset()
        except (SMTPException, OSError):
            smtp.close()
        except BaseException:
            smtp.close()
            raise
        else:
            self._keep(account, lane, smtp)

    async def _kept(self, lane: _Lane) -> SMTP | None:
        """A connection that was kept, and is alive; the one used last, so that the others can be closed."""
        now = asyncio.get_running_loop().time()
        while lane.idle:
            kept = lane.idle.pop()
            kept.expiry.cancel()
            if not kept.smtp.is_connected:
                continue
            if now - kept.since <= self._trusted:
                return kept.smtp
            try:
                async with asyncio.timeout(self._trusted):
                    await kept.smtp.noop()
            except (SMTPException, OSError):
                kept.smtp.close()
                continue
            except BaseException:
                kept.smtp.close()
                raise
            return kept.smtp
        return None

    def _keep(self, account: Account, lane: _Lane, smtp: SMTP) -> None:
        if not smtp.is_connected:
            return
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(self._idle, self._expire, account, lane, smtp)
        lane.idle.append(_Kept(smtp, loop.time(), expiry))

    def _expire(self, account: Account, lane: _Lane, smtp: SMTP) -> None:
        self._part(next(kept for kept in lane.idle if kept.smtp is smtp))
        lane.idle = [kept for kept in lane.idle if kept.smtp is not smtp]
        self._forget(account, lane)

    def _forget(self, account: Account, lane: _Lane) -> None:
        if not lane.idle and not lane.users and self._lanes.get(account) is lane:
            del self._lanes[account]

    def _part(self, kept: _Kept) -> None:
        kept.expiry.cancel()
        task = asyncio.ensure_future(_quit(kept.smtp))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _connected(self, account: Account, progress: _Progress) -> SMTP:
        """A connection, encrypted as asked for and logged in. Raises _RefusedError, and what aiosmtplib does."""
        progress.stage = Stage.GREETING
        try:
            async with asyncio.timeout(self._connect_timeout):
                return await self._connect(account, progress)
        except TimeoutError:
            hint = None
            if progress.stage is Stage.GREETING and account.security is not Security.IMPLICIT:
                hint = "a port that never says a word may want TLS from the first byte: that is what port 465 is for"
            raise _RefusedError(
                Refused(
                    Refusal.TEMPORARY, "the mail server did not answer in time", hint=hint, step=progress.stage.step
                )
            ) from None
        except (ForbiddenAddress, Unreachable) as error:
            refusal = Refusal.CONFIGURATION if isinstance(error, ForbiddenAddress) else Refusal.TEMPORARY
            hint = error.hint or _PORT
            raise _RefusedError(Refused(refusal, error.reason, hint=hint, step=Step.CONNECT)) from None
        except (SMTPException, OSError) as error:
            broken = error if isinstance(error, ssl.SSLError) else error.__cause__
            if isinstance(broken, ssl.SSLError):
                raise _RefusedError(distrusted(broken, "the mail server", account.host, _TLS_PORT)) from None
            raise

    async def _connect(self, account: Account, progress: _Progress) -> SMTP:
        sock = await self._egress.connect(account.host, account.port, timeout=self._connect_timeout)
        implicit = account.security is Security.IMPLICIT
        host, *_ = sock.getsockname()
        smtp = SMTP(
            hostname=account.host.strip("[]"),
            sock=sock,
            # RFC 5321, 4.1.4: where we have no name to show, our address.
            local_hostname=f"[IPv6:{host}]" if ":" in host else f"[{host}]",
            use_tls=implicit,
            start_tls=False,
            tls_context=None if account.security is Security.NONE else self._tls(),
            timeout=None,
        )
        try:
            if implicit:
                progress.stage = Stage.TLS
            await smtp.connect()
            progress.stage = Stage.GREETING
            await smtp.ehlo()
            if account.security is Security.STARTTLS:
                progress.stage = Stage.TLS
                await _start_tls(smtp, account.port)
                await smtp.ehlo()
            if account.username:
                progress.stage = Stage.LOGIN
                await _log_in(smtp, account)
        except BaseException:
            smtp.close()
            sock.close()
            raise
        return smtp


async def _start_tls(smtp: SMTP, port: int) -> None:
    if not smtp.supports_extension("starttls"):
        reason = "the mail server offers no TLS on this port"
        hint = f"is {port} the right smtpPort? 587 usually offers STARTTLS, 465 is TLS from the first byte"
        raise _RefusedError(Refused(Refusal.CONFIGURATION, reason, hint=hint, step=Step.TLS))
    await smtp.starttls()


async def _log_in(smtp: SMTP, account: Account) -> None:
    # One way only: a second try with a wrong password brings an account nearer to being locked.
    encrypted = account.security is not Security.NONE
    ways = {"plain": smtp.auth_plain, "login": smtp.auth_login, "cram-md5": smtp.auth_crammd5}
    order = ("plain", "login", "cram-md5") if encrypted else ("cram-md5", "plain", "login")
    offered = [way for way in order if way in smtp.server_auth_methods]
    if not offered:
        reason = "the mail server offers no way to log in with a password"
        hint = "leave username and password empty" if encrypted else "set useTls to true"
        raise _RefusedError(Refused(Refusal.CONFIGURATION, reason, hint=hint, step=Step.LOGIN))
    await ways[offered[0]](account.username, account.password)


async def _envelope(smtp: SMTP, letter: Letter, progress: _Progress) -> None:
    """To the point where the server waits for the content."""
    progress.stage = Stage.SENDER
    encoding = "utf-8" if letter.utf8 else "ascii"
    options = [f"SIZE={len(letter.content)}"] if smtp.supports_extension("size") else []
    if letter.utf8:
        if not smtp.supports_extension("smtputf8"):
            reason = "this mail server takes only addresses in Latin letters"
            raise _RefusedError(Refused(Refusal.PERMANENT, reason, step=Step.DESTINATION))
        options.append("SMTPUTF8")
    await smtp.mail(letter.sender, options=options, encoding=encoding)
    progress.stage = Stage.RECIPIENT
    await smtp.rcpt(letter.recipient, encoding=encoding)
    progress.stage = Stage.MESSAGE
    answer = await smtp.execute_command(b"DATA")
    if answer.code != 354:
        raise SMTPResponseException(answer.code, answer.message)


async def _content(smtp: SMTP, letter: Letter, progress: _Progress) -> Accepted:
    protocol = smtp.protocol
    if protocol is None:
        raise SMTPServerDisconnected("the connection is lost")
    protocol.write(_DOT.sub(b"..", letter.content) + b".\r\n")
    progress.handed_over = True
    answer = await protocol.read_response()
    if not 200 <= answer.code < 300:
        raise SMTPResponseException(answer.code, answer.message)
    queued = _QUEUED_AS.search(answer.message)
    return Accepted(queued.group(1) if queued else None)


def _without(account: Account, text: str) -> str:
    """Some servers repeat what they were told, as it came: encoded."""
    if not account.password:
        return text
    told = forms(account.password) | forms(f"\0{account.username}\0{account.password}")
    for form in sorted(told, key=len, reverse=True):
        text = text.replace(form, "•••")
    return text


async def _quit(smtp: SMTP) -> None:
    try:
        async with asyncio.timeout(2):
            await smtp.quit()
    except (SMTPException, OSError):
        smtp.close()
