"""gonets api: the REST door."""

import asyncio
import socket
import sys

import uvicorn

from gonets.bootstrap.api import ApiContainer
from gonets.entrypoints.process import configured, run, settled


def main() -> None:
    """Serves until SIGTERM, then answers what it has begun to answer."""
    settings = configured()
    listener = _listen(settings.api.host, settings.api.port)
    container = ApiContainer()

    async def serve(stop: asyncio.Event) -> None:
        pool, inbox, publisher, engine = container.pool(), container.inbox(), container.publisher(), container.engine()
        operator_pool, crowd_pool = container.operator_pool(), container.crowd_pool()
        await pool.open()
        await operator_pool.open()
        await crowd_pool.open()
        await inbox.start(patience=2.0)
        served = container.served()
        settled()
        server = uvicorn.Server(
            uvicorn.Config(
                served,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=15,
                # Longer than clients and proxies keep an idle connection: whoever closes first should be the one who
                # knows that no request is on its way.
                timeout_keep_alive=75,
                lifespan="off",
                forwarded_allow_ips=settings.api.trusted_proxies,
            )
        )
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        container.closing().set()
        server.should_exit = True
        stopping.cancel()
        await serving
        await inbox.stop()
        await publisher.close()
        await container.queues().close()
        await container.senders().close()
        await engine.dispose()
        await operator_pool.close()
        await crowd_pool.close()
        await pool.close()
        if tracing := container.tracing():
            await asyncio.to_thread(tracing.close)

    run(serve)


def _listen(host: str, port: int) -> socket.socket:
    """Taken before anything else starts, so that a port in use is one clear line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=host == "::")
    except OSError as error:
        sys.exit(f"API_PORT: cannot listen on {host}:{port}: {error.strerror or error} (API_HOST is the address)")
