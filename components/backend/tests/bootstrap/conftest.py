"""The whole REST door in this process, as bootstrap puts it together, on a real database."""

from collections.abc import AsyncIterator

import httpx
import pytest

from gonets.adapters.postgres.pool import Pool
from gonets.bootstrap.api import ApiContainer


@pytest.fixture
async def container(servers, pool: Pool, monkeypatch, tmp_path) -> AsyncIterator[ApiContainer]:
    """Reads the environment when it is first asked for something."""
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FILES_FOLDER", str(tmp_path / "files"))
    container = ApiContainer()
    container.pool.override(pool)
    container.crowd_pool.override(pool)
    yield container
    await container.engine().dispose()


@pytest.fixture
async def http(container) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has just signed up."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(container.app()), base_url="http://gonets") as client:
        signed_up = await client.post(
            "/api/v1/auth/signup", json={"email": "anna@example.com", "password": "correct horse battery"}
        )
        client.headers["Authorization"] = f"Bearer {signed_up.json()['accessToken']}"
        yield client
