"""No secret of the settings reaches a log line, or what is stored and told of a provider's answer."""

import io
import json
import logging

import pytest
from pydantic import SecretStr

from fakes import FakeProvider
from gonets import settings
from gonets.adapters.telemetry import logs
from gonets.adapters.telemetry.logged import LoggedProvider, LoggedRun
from gonets.core.shared.errors import Category
from gonets.core.shared.masking import MASK, Masking
from gonets.core.tasks.model import Claimed, ProviderError, Task, TaskType
from gonets.settings.group import Group

SECRETS = {
    "DATABASE_PASSWORD": 'pa"ss/wörd\\1',
    "RABBITMQ_PASSWORD": "rabbit's secret",
    "IDENTITY_SIGNING_KEY": "0123456789abcdef0123456789abcdef",
    "DADATA_API_KEY": "0123456789abcdef-key",
    "DADATA_SECRET_KEY": "0123456789abcdef-secret",
    "YANDEXGPT_API_KEY": "AQVN-0123456789",
    "IAM_TOKEN": "t1.9euelZq-0123456789",
}
DADATA = SECRETS["DADATA_API_KEY"]
CLAIM = Claimed(Task(7, TaskType.PHONE, "8 916"), 1, 1, 2)


@pytest.fixture
def configured(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FOLDER_ID", "folder")
    return settings.load()


def test_every_secret_of_the_settings_is_known(configured):
    assert sorted(configured.secrets) == sorted(SECRETS.values())


def test_every_field_that_may_hold_a_secret_is_declared_as_one():
    """A key that is plain text would be known to nobody here."""
    for group in Group.__subclasses__():
        for name, field in group.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
                continue
            if any(word in name for word in ("password", "token", "key")) and not name.endswith(
                ("max_tokens", "_lifetime")
            ):
                assert field.annotation is SecretStr, name


def test_a_default_is_no_secret():
    chosen = settings.Database(password="chosen")
    assert chosen.secrets == ["chosen"]
    assert settings.Database(password=settings.Database.model_fields["password"].default).secrets == []


@pytest.fixture(params=[True, False], ids=["json", "readable"])
def written(request, configured):
    """Logs as the service does; returns what was written."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("DEBUG", as_json=request.param, masking=Masking(configured.secrets))
    stream = io.StringIO()
    root.handlers[0].setStream(stream)
    yield stream.getvalue
    root.handlers[:], root.level = before[0], before[1]


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_no_secret_gets_into_a_line_whatever_way_it_comes(written, configured, secret):
    log = logging.getLogger("test")
    log.info("the key is %s", secret)
    log.info(
        "fact", extra={"reason": f"refused {secret}", "deep": {"list": [secret, (secret,)]}, "odd": OSError(secret)}
    )
    log.info("url", extra={"where": configured.database.dsn + configured.rabbit.url})
    log.info("as JSON %s and as Python %r", json.dumps({"key": secret}), {"key": secret})
    log.error("broken", exc_info=ValueError(secret))

    text = written()
    assert text.count("\n") >= 5
    assert MASK in text
    for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], json.dumps(json.dumps(secret))):
        assert form not in text


async def test_what_a_provider_quotes_of_our_key_is_neither_stored_nor_told():
    masking = Masking([DADATA], shortest=8)
    answers = LoggedProvider(FakeProvider({"qc": 0, "echo": [f"key {DADATA}", {"deep": DADATA}]}), "dadata", masking)
    assert await answers.ask("x") == {"qc": 0, "echo": [f"key {MASK}", {"deep": MASK}]}

    error = ProviderError(Category.REFUSED, f"bad key {DADATA}", retry_after=3, answer=f'{{"token": "{DADATA}"}}')
    with pytest.raises(ProviderError) as raised:
        await LoggedProvider(FakeProvider(error), "dadata", masking).ask("x")
    told = raised.value
    assert (told.category, told.retry_after) == (Category.REFUSED, 3)
    assert (told.reason, told.answer) == (f"bad key {MASK}", f'{{"token": "{MASK}"}}')


async def test_an_answer_without_a_secret_is_the_very_same():
    answer = {"phone": "+7 916 823-34-54", "qc": 0, "list": ["long enough to be looked at", None, 1.5, True]}
    assert Masking([DADATA]).json(answer) is answer
    assert Masking([]).json(answer) is answer


def test_short_secrets_do_not_spoil_what_providers_say():
    assert Masking(["8916", DADATA], shortest=8).json({"phone": "+7 8916"}) == {"phone": "+7 8916"}


async def test_requests_and_responses_are_logged_at_debug_with_the_task(caplog):
    caplog.set_level(logging.DEBUG)
    provider = LoggedProvider(
        FakeProvider({"phone": "+7 916"}, ProviderError(Category.UNAVAILABLE, "away", answer="<html>")),
        "dadata",
        Masking([]),
    )

    async def work(claim, *_):
        await provider.ask(claim.task.data)

    await LoggedRun(work)(CLAIM)
    with pytest.raises(ProviderError):
        await LoggedRun(work)(CLAIM)

    asked, answered, _, failed = caplog.records
    assert all((line.task_id, line.provider, line.attempts) == (7, "dadata", 2) for line in caplog.records)
    assert (asked.request, answered.response) == ("8 916", {"phone": "+7 916"})
    assert (failed.category, failed.reason, failed.response) == ("unavailable", "away", "<html>")
    assert {line.levelname for line in caplog.records} == {"DEBUG"}


async def test_nothing_of_it_is_logged_at_info(caplog):
    caplog.set_level(logging.INFO)
    await LoggedProvider(FakeProvider(), "dadata", Masking([])).ask("8 916")
    assert caplog.records == []
