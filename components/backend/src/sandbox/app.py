"""The wiring: one process, an HTTP server and a gRPC server, one set of providers behind both."""

import errno
import logging
import socket

import grpc.aio
from aiohttp import web

from sandbox.control import Control
from sandbox.faults import Faults
from sandbox.journal import Journal
from sandbox.page import page
from sandbox.provider import Desk
from sandbox.registry import NAMES, providers
from sandbox.settings import SettingError, Settings

log = logging.getLogger("sandbox")

MAX_BODY = 4 * 1024 * 1024
EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to


class Sandbox:
    """`await start()`, then `http_port` and `grpc_port` are the ports taken; `await stop()` lets hanging calls go."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.http_port = settings.http_port
        self.grpc_port = settings.grpc_port

    async def start(self) -> None:
        """Raises SettingError, naming the variable, where a port cannot be had."""
        settings = self._settings
        self.grpc_port = _free("SANDBOX_GRPC_PORT", settings.bind, settings.grpc_port)
        self._desk = Desk(Faults(NAMES), Journal(settings.journal_size))
        self._providers = providers(self._desk, settings.grpc_address or self._own_grpc_address())
        await self._start_http()
        await self._start_grpc()
        log.info("ready", extra={"bind": settings.bind, "http_port": self.http_port, "grpc_port": self.grpc_port})

    async def stop(self) -> None:
        self._desk.faults.clear()
        await self._grpc.stop(grace=0.1)
        await self._runner.cleanup()
        log.info("stopped")

    async def _start_http(self) -> None:
        app = web.Application(client_max_size=MAX_BODY)
        app.add_routes([web.get("/", self._page), web.get("/health", self._health)])
        app.add_routes(Control(self._desk, self._providers).routes())
        for provider in self._providers:
            app.add_routes(provider.routes())
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=0.2
        )
        await self._runner.setup()
        wanted = _free("SANDBOX_HTTP_PORT", self._settings.bind, self._settings.http_port)
        await web.TCPSite(self._runner, self._settings.bind, wanted, backlog=1024).start()
        self.http_port = wanted

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

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "providers": NAMES})


def _free(variable: str, bind: str, port: int) -> int:
    """The port itself, or a free one for 0. Asked before the servers do, since gRPC's own refusal names nothing."""
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
        return int(probe.getsockname()[1])
