"""The port Provider: one suite for all of them, each asked over its real wire format."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.providers.conftest import Remote, gpt
from eventually import eventually, own_clock
from gonets.adapters.providers.dadata import Dadata
from gonets.core.shared.errors import Category
from gonets.core.tasks.model import JSON, ProviderError
from gonets.core.tasks.ports import Provider


@dataclass(frozen=True)
class Case:
    """A provider, and what to ask it."""

    name: str
    provider: Provider
    question: str
    right: Callable[[Any], bool]


@pytest.fixture(params=["phone", "email", "gpt"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(kind: str, sandbox: Remote, dadata: Callable[..., Dadata]) -> Callable[..., Case]:
    def make(timeout: float = 10) -> Case:
        url = f"{sandbox.base}/dadata/api/v1/clean/{kind}"
        if kind == "phone":
            provider = dadata(url, kind, timeout=timeout)
            return Case("dadata", provider, "+79851234567", lambda answer: answer["number"] == "1234567")
        if kind == "email":
            provider = dadata(url, kind, timeout=timeout)
            return Case("dadata", provider, "serega@yandex/ru", lambda answer: answer["email"] == "serega@yandex.ru")
        return Case(
            "yandexgpt",
            gpt(sandbox.grpc_address, timeout=timeout),
            "превет",
            lambda answer: answer["text"] == "Привет.",
        )

    return make


@pytest.fixture
def case(make: Callable[..., Case]) -> Case:
    return make()


def is_json(value: JSON) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(is_json, value))
    return type(value) in {str, int, float, bool, type(None)}


async def test_answers_with_json(case: Case) -> None:
    answer = await case.provider.ask(case.question)
    assert case.right(answer)
    assert is_json(answer)


async def test_answers_a_hundred_at_one_time(case: Case, sandbox: Remote) -> None:
    answers = await asyncio.gather(*(case.provider.ask(case.question) for _ in range(100)))
    assert all(map(case.right, answers))
    assert len(await sandbox.journal()) == 100


def _status(code: int) -> dict[str, Any]:
    return {"kind": "status", "status": code}


FAULTS = [
    (_status(400), Category.REFUSED),
    (_status(401), Category.MISCONFIGURED),
    (_status(403), Category.MISCONFIGURED),
    (_status(404), Category.MISCONFIGURED),
    (_status(429), Category.QUOTA_EXHAUSTED),
    ({"kind": "429"}, Category.QUOTA_EXHAUSTED),
    (_status(500), Category.UNAVAILABLE),
    (_status(502), Category.UNAVAILABLE),
    (_status(503), Category.UNAVAILABLE),
    (_status(504), Category.OUTCOME_UNKNOWN),
    ({"kind": "reset_before"}, Category.OUTCOME_UNKNOWN),
    ({"kind": "reset"}, Category.OUTCOME_UNKNOWN),
    ({"kind": "truncated"}, Category.OUTCOME_UNKNOWN),
    ({"kind": "not_json"}, Category.OUTCOME_UNKNOWN),
    ({"kind": "garbage"}, Category.OUTCOME_UNKNOWN),
    ({"kind": "empty"}, Category.OUTCOME_UNKNOWN),
    ({"kind": "wrong_json"}, Category.OUTCOME_UNKNOWN),
]


@pytest.mark.parametrize(("fault", "category"), FAULTS, ids=lambda value: str(value))
async def test_says_what_is_known_of_a_failure(
    case: Case, sandbox: Remote, fault: dict[str, Any], category: Category
) -> None:
    await sandbox.fault(case.name, **fault)
    with pytest.raises(ProviderError) as caught:
        await case.provider.ask(case.question)
    assert (caught.value.category, caught.value.retry_after) == (category, None)
    assert len(await sandbox.journal()) == 1, "it must not retry by itself"

    await sandbox.heal()
    if fault["kind"].startswith("reset"):
        # What is asked at once may be written to the connection that is being reset.
        with contextlib.suppress(ProviderError):
            await case.provider.ask(case.question)
    assert case.right(await case.provider.ask(case.question)), "a failure must not outlive its cause"


@pytest.mark.parametrize("kind_of_fault", ["429", "status"])
async def test_passes_on_how_long_to_wait(case: Case, sandbox: Remote, kind_of_fault: str) -> None:
    await sandbox.fault(
        case.name, kind=kind_of_fault, retry_after=7, **({"status": 503} if kind_of_fault == "status" else {})
    )
    with pytest.raises(ProviderError) as caught:
        await case.provider.ask(case.question)
    assert caught.value.retry_after == 7


async def test_gives_up_within_its_timeout(make: Callable[..., Case], sandbox: Remote) -> None:
    case = make(timeout=0.3)
    await sandbox.fault(case.name, kind="hang")
    async with own_clock() as clock:
        with pytest.raises(ProviderError) as caught:
            await case.provider.ask(case.question)
    assert caught.value.category is Category.OUTCOME_UNKNOWN
    assert clock() < 3
    assert len(await sandbox.journal()) == 1


async def test_can_be_cancelled(case: Case, sandbox: Remote) -> None:
    await sandbox.fault(case.name, kind="hang")
    call = asyncio.ensure_future(case.provider.ask(case.question))

    async def outcome(wanted: str) -> bool:
        return [entry["outcome"] for entry in await sandbox.journal()] == [wanted]

    await eventually(lambda: outcome("in_progress"), "the provider has the call")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await eventually(lambda: outcome("client_gone"), "the provider sees that nobody waits")
    await sandbox.heal()
    assert case.right(await case.provider.ask(case.question))


async def test_an_unknown_key_is_for_an_operator(case: Case, sandbox: Remote) -> None:
    (await sandbox.http.put(f"/control/settings/{case.name}", json={"known_keys": ["other"]})).raise_for_status()
    with pytest.raises(ProviderError) as caught:
        await case.provider.ask(case.question)
    assert caught.value.category is Category.MISCONFIGURED


async def test_nobody_there(case: Case, kind: str, dadata: Callable[..., Dadata]) -> None:
    provider = gpt("127.0.0.1:1") if kind == "gpt" else dadata("http://127.0.0.1:1/", kind)
    with pytest.raises(ProviderError) as caught:
        await provider.ask(case.question)
    assert caught.value.category is Category.UNAVAILABLE


@pytest.mark.parametrize("data", ["я" * 10_000, "😀" * 5_000, '"\\\n\x7f', " "])
async def test_any_text_a_task_may_hold(case: Case, data: str) -> None:
    assert is_json(await case.provider.ask(data))
