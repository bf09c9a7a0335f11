"""gonets doctor: on one screen, what is reachable and what is wrong."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import asyncpg

from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.connection import close, connect
from gonets.entrypoints.process import configured
from gonets.settings import Settings

Examination = Callable[[Settings], Awaitable[str]]


async def _database(settings: Settings) -> str:
    connection = await asyncpg.connect(settings.database.dsn, timeout=3)
    try:
        version = await connection.fetchval("SELECT current_setting('server_version')")
    finally:
        await connection.close()
    return f"PostgreSQL {version} at {settings.database.host}:{settings.database.port}"


async def _tables(settings: Settings) -> str:
    connection = await asyncpg.connect(settings.database.dsn, timeout=3)
    try:
        counts = await connection.fetch("SELECT status::text, count(*) FROM task GROUP BY status ORDER BY status")
        results = await connection.fetchval("SELECT count(*) FROM integration_service")
    except asyncpg.UndefinedTableError as error:
        raise RuntimeError("the tables are not there: run gonets migrate") from error
    finally:
        await connection.close()
    tasks = ", ".join(f"{row['count']} {row['status']}" for row in counts) or "none"
    return f"tasks: {tasks}; results: {results}"


async def _secrets(settings: Settings) -> str:
    """Whether the key of every secret is there. Nothing is decrypted."""
    connection = await asyncpg.connect(settings.database.dsn, timeout=3)
    try:
        counts = await connection.fetch(
            "SELECT split_part(secrets, '.', 1) AS key, count(*) AS count FROM channel"
            " WHERE secrets IS NOT NULL GROUP BY 1 ORDER BY 1"
        )
    except asyncpg.UndefinedTableError as error:
        raise RuntimeError("the tables are not there: run gonets migrate") from error
    finally:
        await connection.close()
    missing = [row["key"] for row in counts if row["key"] not in settings.secret_keys.by_name]
    if missing:
        raise RuntimeError(f"SECRETS_KEYS: {', '.join(missing)} is not there, and what it encrypted cannot be read")
    return "; ".join(f"{row['count']} channels under {row['key']}" for row in counts) or "none"


async def _broker(settings: Settings) -> str:
    connection = await connect(settings.rabbit.url, "gonets doctor", timeout=3)
    try:
        version = connection.server_properties["version"]
    finally:
        await close(connection)
    return f"RabbitMQ {_text(version)} at {settings.rabbit.host}:{settings.rabbit.amqp_port}"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


async def _queues(settings: Settings) -> str:
    connection = await connect(settings.rabbit.url, "gonets doctor", timeout=3)
    try:
        await topology.ensure(connection, *topology.PUBLIC)
        channel = await connection.channel()
        depths = {name: await channel.queue_declare(name, passive=True) for name in topology.PUBLIC}
    finally:
        await close(connection)
    if not depths[topology.TASKS].consumer_count:
        raise RuntimeError(f"{topology.TASKS} has no consumer: start gonets worker")
    waiting = [f"{name} {depth.message_count}" for name, depth in depths.items() if depth.message_count]
    return f"{len(depths)} queues; messages: {', '.join(waiting) or 'none'}"


async def _api(settings: Settings) -> str:
    await _connect("localhost", settings.api.port)
    return f"http://localhost:{settings.api.port}/api/v1/docs"


async def _dadata(settings: Settings) -> str:
    address = urlsplit(settings.dadata.phone_api_url)
    await _connect(address.hostname or "", address.port or (443 if address.scheme == "https" else 80))
    return settings.dadata.phone_api_url


async def _yandexgpt(settings: Settings) -> str:
    host, _, port = settings.yandexgpt.endpoint.rpartition(":")
    await _connect(host, int(port))
    return settings.yandexgpt.endpoint + (" (plaintext)" if settings.yandexgpt.insecure else "")


async def _connect(host: str, port: int) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()


_EXAMINATIONS: dict[str, Examination] = {
    "database": _database,
    "tables": _tables,
    "secrets": _secrets,
    "broker": _broker,
    "queues": _queues,
    "api": _api,
    "dadata": _dadata,
    "yandexgpt": _yandexgpt,
}


async def _examine(settings: Settings) -> bool:
    healthy = True
    for name, examination in _EXAMINATIONS.items():
        try:
            async with asyncio.timeout(5):
                found, mark = await examination(settings), "ok   "
        except Exception as error:  # noqa: BLE001 - the patient's every word is shown
            found, mark, healthy = str(error) or type(error).__name__, "WRONG", False
        sys.stdout.write(f"{mark} {name:<10} {found}\n")
    return healthy


def main() -> None:
    """Exit status 1 if anything is wrong."""
    settings = configured()
    sys.stdout.write(f"gonets on {socket.gethostname()}, ENVIRONMENT={settings.environment.value}\n")
    sys.exit(0 if asyncio.run(_examine(settings)) else 1)
