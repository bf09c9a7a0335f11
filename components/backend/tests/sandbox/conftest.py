"""A sandbox of its own for each test, on free ports, driven over the wire only."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from dadata.asynchr import CleanClient
from yandex_ai_studio_sdk import AsyncAIStudio
from yandex_ai_studio_sdk.auth import APIKeyAuth
from yandex_ai_studio_sdk.retry import RetryPolicy

from sandbox.app import Sandbox
from sandbox.settings import Settings


class Remote:
    """The sandbox as its users see it: some ports; `running` knows them all."""

    def __init__(self, running: Sandbox, http: httpx.AsyncClient) -> None:
        self.running = running
        self.http_port = running.http_port
        self.grpc_address = f"127.0.0.1:{running.grpc_port}"
        self.http = http

    async def fault(self, provider: str, **body: Any) -> dict[str, Any]:
        answer = await self.http.put(f"/control/faults/{provider}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def settings(self, provider: str, **body: Any) -> None:
        answer = await self.http.put(f"/control/settings/{provider}", json=body)
        assert answer.status_code == 200, answer.text

    async def count(self, **query: Any) -> dict[str, Any]:
        return (await self.http.get("/control/journal/count", params=query)).json()

    async def journal(self, **query: Any) -> list[dict[str, Any]]:
        return (await self.http.get("/control/journal", params=query)).json()["entries"]

    async def raw(self, path: str, body: bytes = b'["1"]') -> tuple[bytes, bytes]:
        """A POST on a plain socket: (head, body) as they came. A reset raises ConnectionResetError."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http_port)
        try:
            head = f"POST {path} HTTP/1.1\r\nHost: s\r\nConnection: close\r\nAuthorization: Token k\r\nX-Secret: s\r\n"
            writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            received = await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()
        head_received, _, rest = received.partition(b"\r\n\r\n")
        return head_received, rest


@pytest.fixture
def until() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    async def until(condition: Callable[[], Awaitable[bool]]) -> None:
        """Asks again and again, until it is so."""
        deadline = time.monotonic() + 30
        while not await condition():
            assert time.monotonic() < deadline, "it did not come to be"
            await asyncio.sleep(0.005)

    return until


@pytest.fixture
async def sandbox() -> AsyncIterator[Remote]:
    running = Sandbox(Settings(http_port=0, grpc_port=0, journal_size=500))
    await running.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.http_port}", timeout=30, verify=False) as http:
        yield Remote(running, http)
    await running.stop()


@pytest.fixture
async def dadata(sandbox: Remote) -> AsyncIterator[CleanClient]:
    class Clean(CleanClient):
        BASE_URL = f"http://127.0.0.1:{sandbox.http_port}/dadata/api/v1/"

    async with Clean("0123456789abcdef", "89abcdef01234567", timeout=30) as client:
        yield client


@pytest.fixture
def studio(sandbox: Remote) -> Callable[..., Any]:
    """Makes the SDK's model object; by discovery unless told otherwise."""

    def make(key: str = "AQVN0123456789", discovery: bool = True, attempts: int = 1, **options: Any) -> Any:
        where: dict[str, Any] = {"endpoint": sandbox.grpc_address}
        if not discovery:
            where = {"endpoint": None, "service_map": {"ai-foundation-models": sandbox.grpc_address}}
        retry = RetryPolicy(max_attempts=attempts, initial_backoff=0.001, jitter=0)
        sdk = AsyncAIStudio(folder_id="b1g000000000", auth=APIKeyAuth(key), verify=False, retry_policy=retry, **where)
        return sdk.models.completions("yandexgpt").configure(temperature=0.3, **options)

    return make
