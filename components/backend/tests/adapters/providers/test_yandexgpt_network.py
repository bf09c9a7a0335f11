"""The gRPC connection to YandexGPT, on a network that forgets it."""

import asyncio

import pytest

from acceptance.stack import Process, free_port, wait_for
from gonets.adapters.providers.yandexgpt import YandexGPT
from gonets.core.shared.errors import Category
from gonets.core.tasks.model import ProviderError
from proxy import Proxy


@pytest.fixture
def sandbox(tmp_path):
    """Its gRPC port."""
    port = free_port()
    others = dict.fromkeys(("BOT", "SMTP", "SMTPS", "SMPP"), 0) | {"HTTP": free_port(), "GRPC": port}
    variables = {f"SANDBOX_{name}_PORT": str(number) for name, number in others.items()}
    process = Process("sandbox", variables, tmp_path / "sandbox.log")
    wait_for(lambda: "ready" in process.log, "the sandbox is ready")
    yield port
    process.terminate()
    process.exit_code()


async def test_a_connection_that_is_forgotten_costs_one_timeout(sandbox):
    async with Proxy("127.0.0.1", sandbox) as proxy:
        gpt = YandexGPT(
            endpoint=f"127.0.0.1:{proxy.port}",
            insecure=True,
            folder_id="any",
            api_key="any",
            iam_token="",
            model="yandexgpt",
            system_prompt="x",
            temperature=0,
            max_tokens=100,
            timeout=8,
        )
        assert (await gpt.ask("превет"))["text"] == "Привет."
        proxy.lose()
        both = await asyncio.gather(gpt.ask("раз"), gpt.ask("два"), return_exceptions=True)
        assert [error.category for error in both if isinstance(error, ProviderError)] == [Category.OUTCOME_UNKNOWN] * 2
        assert (await gpt.ask("превет"))["text"] == "Привет."
