"""The wiring: one process; servers for HTTP, gRPC, SMTP and SMPP; one set of providers behind them."""

import contextlib
import errno
import logging
import random
import socket
from pathlib import Path

import grpc.aio
from aiohttp import web

from sandbox.certificates import Authority
from sandbox.control import Control
from sandbox.faults import Faults
from sandbox.inbox import Inbox
from sandbox.journal import Journal
from sandbox.page import inbox_page, page
from sandbox.provider import Desk, HttpProvider
from sandbox.python_bot import PythonBot
from sandbox.registry import NAMES, providers
from sandbox.settings import SettingError, Settings
from sandbox.smpp import Smpp
from sandbox.smtp import Smtp

log = logging.getLogger("sandbox")

MAX_BODY = 4 * 1024 * 1024
EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to


class Sandbox:
    """`await start()`, then `http_port`, `smtp_port` and their like are the ports taken; `await stop()` lets hanging
    calls go."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.http_port = settings.http_port
        self.grpc_port = settings.grpc_port
        self.bot_port: int | None = None
        self.smtp_port = settings.smtp_port
        self.smtps_port = settings.smtps_port
        self.smpp_port = settings.smpp_port
        self.authority = Authority()
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """Raises SettingError, naming the variable, where a port cannot be had."""
        settings = self._settings
        self.grpc_port = _free("SANDBOX_GRPC_PORT", settings.bind, settings.grpc_port)
        self._desk = Desk(Faults(NAMES), Journal(settings.journal_size), Inbox())
        self._providers = providers(self._desk, settings.grpc_address or self._own_grpc_address())
        await self._start_http()
        await self._start_grpc()
        await self._start_bot()
        await self._start_mail_and_sms()
        ports = {
            "http_port": self.http_port,
            "grpc_port": self.grpc_port,
            "bot_port": self.bot_port,
            "smtp_port": self.smtp_port,
            "smtps_port": self.smtps_port,
            "smpp_port": self.smpp_port,
        }
        log.info("ready", extra={"bind": settings.bind, **ports})

    async def stop(self) -> None:
        self._desk.faults.clear()
        for provider in self._providers:
            await provider.stop()
        await self._grpc.stop(grace=0.1)
        for runner in self._runners:
            await runner.cleanup()
        log.info("stopped")

    async def _start_http(self) -> None:
        app = web.Application(client_max_size=MAX_BODY)
        app.add_routes([web.get("/", self._page), web.get("/inbox", self._inbox), web.get("/health", self._health)])
        app.add_routes([web.get("/ca.pem", self._certificate)])
        app.add_routes(Control(self._desk, self._providers).routes())
        for provider in self._providers:
            if isinstance(provider, HttpProvider):
                app.add_routes(provider.routes())
        self.http_port = _free("SANDBOX_HTTP_PORT", self._settings.bind, self._settings.http_port)
        await self._serve(app, self.http_port)

    async def _serve(self, app: web.Application, port: int) -> None:
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=0.2
        )
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, self._settings.bind, port, backlog=1024).start()

    async def _start_bot(self) -> None:
        try:
            self.bot_port = _free("SANDBOX_BOT_PORT", self._settings.bind, self._settings.bot_port)
        except SettingError as error:
            log.warning("the Python bot has no port of its own", extra={"reason": str(error)})
            return
        app = web.Application(client_max_size=MAX_BODY)
        bots = [provider for provider in self._providers if isinstance(provider, PythonBot)]
        app.add_routes([route for bot in bots for route in bot.own_routes()])
        await self._serve(app, self.bot_port)

    async def _start_mail_and_sms(self) -> None:
        settings, context = self._settings, self.authority.server_context()
        if settings.ca_file:
            _write(Path(settings.ca_file), self.authority.pem)
        for provider in self._providers:
            if isinstance(provider, Smtp):
                self.smtp_port = _free("SANDBOX_SMTP_PORT", settings.bind, settings.smtp_port)
                await provider.listen(settings.bind, self.smtp_port, context, implicit=False)
                self.smtps_port = _free("SANDBOX_SMTPS_PORT", settings.bind, settings.smtps_port)
                await provider.listen(settings.bind, self.smtps_port, context, implicit=True)
            if isinstance(provider, Smpp):
                self.smpp_port = _free("SANDBOX_SMPP_PORT", settings.bind, settings.smpp_port)
                await provider.listen(settings.bind, self.smpp_port)

    async def _start_grpc(self) -> None:
        # Without so_reuseport=0 a second sandbox would silently share the port, and the calls, of the first.
        self._grpc = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        for provider in self._providers:
            self._grpc.add_generic_rpc_handlers(tuple(provider.grpc_handlers()))
        host = f"[{self._settings.bind}]" if ":" in self._settings.bind else self._settings.bind
        self._grpc.add_insecure_port(f"{host}:{self.grpc_port}")
        await self._grpc.start()

    def _own_grpc_address(self) -> str:
        bind = self._settings.bind
        host = socket.gethostname() if bind in EVERYWHERE else bind
        return f"[{host}]:{self.grpc_port}" if ":" in host else f"{host}:{self.grpc_port}"

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(text=page(self._providers), content_type="text/html")

    async def _inbox(self, _request: web.Request) -> web.Response:
        shown = inbox_page(self._desk.inbox, self._providers).encode(errors="replace")
        return web.Response(body=shown, content_type="text/html", charset="utf-8")

    async def _certificate(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.authority.pem, content_type="application/x-pem-file")

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "providers": NAMES})


def _write(file: Path, pem: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pem)
    except OSError as error:
        raise SettingError(f"SANDBOX_CA_FILE: cannot write {file} ({error.strerror})") from error


_UNASKED = range(18_000, 32_000)
"""Below those of outgoing connections, one of which might take it before it is listened on."""


def _free(variable: str, bind: str, port: int) -> int:
    """The port itself, or a free one for 0. Asked before the servers do, since gRPC's own refusal names nothing."""
    if port:
        return _probed(variable, bind, port)
    *tries, last = random.sample(_UNASKED, 20)
    for candidate in tries:
        with contextlib.suppress(SettingError):
            return _probed(variable, bind, candidate)
    return _probed(variable, bind, last)


def _probed(variable: str, bind: str, port: int) -> int:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise SettingError(f"SANDBOX_BIND: {bind!r} is no address to listen on ({error.strerror})") from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            variable = "SANDBOX_BIND" if error.errno == errno.EADDRNOTAVAIL else variable
            raise SettingError(f"{variable}: cannot listen on {bind}:{port} ({error.strerror})") from error
    return port
