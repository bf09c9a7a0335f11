"""What is logged of a provider by the process as bootstrap puts it together: each request and response, no secret."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.providers.conftest import Remote
from gonets import settings
from gonets.adapters.telemetry import logs
from gonets.bootstrap.worker import WorkerContainer
from gonets.core.shared.masking import Masking
from gonets.core.tasks.model import ProviderError, TaskType

SECRETS = {
    "DADATA_API_KEY": "0123456789abcdef-key",
    "DADATA_SECRET_KEY": "0123456789abcdef-secret",
    "YANDEXGPT_API_KEY": "AQVN-0123456789",
}
PROVIDERS = {TaskType.PHONE: "dadata", TaskType.EMAIL: "dadata", TaskType.GPT: "yandexgpt"}


@pytest.fixture
def written(sandbox: Remote, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log of a process at DEBUG, whose providers the sandbox plays."""
    clean = f"{sandbox.base}/dadata/api/v1/clean"
    addresses = {
        "DADATA_PHONE_API_URL": f"{clean}/phone",
        "DADATA_EMAIL_API_URL": f"{clean}/email",
        "YANDEXGPT_ENDPOINT": sandbox.grpc_address,
        "YANDEXGPT_INSECURE": "true",
        "FOLDER_ID": "folder",
    }
    for name, value in (addresses | SECRETS).items():
        monkeypatch.setenv(name, value)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("DEBUG", as_json=True, masking=Masking(settings.load().secrets))
    stream = io.StringIO()
    logging.getLogger().handlers[0].setStream(stream)  # type: ignore[attr-defined]
    yield stream
    root.handlers[:], root.level = before[0], before[1]


@pytest.mark.parametrize("task_type", TaskType)
async def test_each_request_and_response_is_a_line_at_debug(
    written: io.StringIO, sandbox: Remote, task_type: TaskType
) -> None:
    name = PROVIDERS[task_type]
    container = WorkerContainer()
    provider = container.task_providers()[task_type]

    answer = await provider.ask(f"ask {' and '.join(SECRETS.values())}")
    await sandbox.fault(name, kind="status", status=400)
    with pytest.raises(ProviderError) as refused:
        await provider.ask("again")
    await container.transport().close()

    lines: list[dict[str, Any]] = [json.loads(line) for line in written.getvalue().splitlines()]
    asked, answered, again, failed = [line for line in lines if line.get("provider") == name]
    assert {line["level"] for line in (asked, answered, again, failed)} == {"DEBUG"}
    assert (asked["request"], again["request"]) == ("ask *** and *** and ***", "again")
    assert answered["response"] == Masking(SECRETS.values()).json(answer)
    assert failed["category"] == "refused"
    assert failed["response"] == refused.value.answer
    assert "400" in failed["response"] or "INVALID_ARGUMENT" in failed["response"]
    for secret in SECRETS.values():
        assert secret not in written.getvalue()
