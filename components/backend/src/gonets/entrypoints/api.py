"""gonets api: the REST door."""

import asyncio
import socket
import sys

import uvicorn

from gonets.bootstrap.api import ApiContainer
from gonets.entrypoints.process import configured, run


def main() -> None:
    """Serves until SIGTERM, then answers what it has begun to answer."""
    settings = configured()
    listener = _listen(settings.api.host, settings.api.port)
    container = ApiContainer()

    async def serve(stop: asyncio.Event) -> None:
        pool, inbox, publisher, engine = container.pool(), container.inbox(), container.publisher(), container.engine()
        await pool.open()
        await inbox.start()
        server = uvicorn.Server(
            uvicorn.Config(
                container.app(),
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=15,
                lifespan="off",
            )
        )
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        stopping.cancel()
        await serving
        await inbox.stop()
        await publisher.close()
        await engine.dispose()
        await pool.close()

    run(serve)


def _listen(host: str, port: int) -> socket.socket:
    """Taken before anything else starts, so that a port in use is one clear line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=host == "::")
    except OSError as error:
        sys.exit(f"API_PORT: cannot listen on {host}:{port}: {error.strerror or error} (API_HOST is the address)")
