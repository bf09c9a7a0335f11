"""gonets api: the REST door."""

import asyncio

import uvicorn

from gonets.bootstrap.api import ApiContainer
from gonets.entrypoints.process import configured, run


def main() -> None:
    """Serves until SIGTERM, then answers what it has begun to answer."""
    settings = configured()
    container = ApiContainer()

    async def serve(stop: asyncio.Event) -> None:
        pool, inbox, publisher, engine = container.pool(), container.inbox(), container.publisher(), container.engine()
        await pool.open()
        await inbox.start()
        server = uvicorn.Server(
            uvicorn.Config(
                container.app(),
                host=settings.api.host,
                port=settings.api.port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=15,
                lifespan="off",
            )
        )
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server.serve())
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
