"""What the environment may say, and what is said of it when it is wrong."""

import os
from datetime import timedelta

import pytest
from pydantic import ValidationError

from gonets import settings
from gonets.settings import Environment, SettingsError
from gonets.settings.group import ENV_FILES, Group

GROUPS = [settings.Settings, *(group for group in Group.__subclasses__() if group is not settings.Settings)]


def _variables():
    yield from ("ENVIRONMENT", "LOG_LEVEL")
    for group in GROUPS[1:]:
        for name, field in group.model_fields.items():
            yield str(field.validation_alias or f"{group.model_config['env_prefix']}{name}".upper())


@pytest.fixture(autouse=True)
def env(monkeypatch, tmp_path):
    """An environment of the test's own, and `.env` files at two places, the later of which wins."""
    for variable in [*os.environ]:
        if variable in set(_variables()):
            monkeypatch.delenv(variable)
    for group in GROUPS:
        monkeypatch.setitem(group.model_config, "env_file", (tmp_path / "root.env", tmp_path / "backend.env"))

    def change(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return change


def _lines():
    with pytest.raises(SettingsError) as caught:
        settings.load()
    return str(caught.value).splitlines()


# --- defaults ---


def test_nothing_has_to_be_set():
    found = settings.load()
    assert found.environment is Environment.DEVELOPMENT
    assert found.database.dsn == "postgresql://postgres:postgres@localhost:5432/test_validator"
    assert found.rabbit.url == "amqp://guest:guest@localhost:5672/%2F?heartbeat=5"
    assert (found.rabbit.web_port, found.api.port) == (15672, 9000)
    assert found.api.wait == timedelta(seconds=10)
    assert found.yandexgpt.system_prompt == "Найди ошибки в тексте и исправь их"


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        ("DATABASE_NAME", "other", lambda s: s.database.name),
        ("DATABASE_HOST", "db", lambda s: s.database.host),
        ("DATABASE_PORT", "5433", lambda s: str(s.database.port)),
        ("DATABASE_USER", "anna", lambda s: s.database.user),
        ("DATABASE_PASSWORD", "s3cret", lambda s: s.database.password.get_secret_value()),
        ("RABBITMQ_HOST", "mq", lambda s: s.rabbit.host),
        ("RABBITMQ_AMQP_PORT", "5673", lambda s: str(s.rabbit.amqp_port)),
        ("RABBITMQ_WEB_PORT", "15673", lambda s: str(s.rabbit.web_port)),
        ("RABBITMQ_USER", "anna", lambda s: s.rabbit.user),
        ("RABBITMQ_PASSWORD", "s3cret", lambda s: s.rabbit.password.get_secret_value()),
        ("API_PORT", "9001", lambda s: str(s.api.port)),
        ("DADATA_API_KEY", "k", lambda s: s.dadata.api_key.get_secret_value()),
        ("DADATA_SECRET_KEY", "s", lambda s: s.dadata.secret_key.get_secret_value()),
        ("DADATA_PHONE_API_URL", "https://phone.example/x", lambda s: s.dadata.phone_api_url),
        ("DADATA_EMAIL_API_URL", "http://email.example/x", lambda s: s.dadata.email_api_url),
        ("FOLDER_ID", "b1g", lambda s: s.yandexgpt.folder_id),
        ("YANDEXGPT_ENDPOINT", "localhost:1234", lambda s: s.yandexgpt.endpoint),
        ("LOG_LEVEL", "DEBUG", lambda s: s.log_level),
    ],
)
def test_each_variable_keeps_its_public_name(env, variable, value, found):
    env(**({"DADATA_SECRET_KEY": "s"} if variable == "DADATA_API_KEY" else {}), **{variable: value})
    assert found(settings.load()) == value


def test_an_empty_variable_is_as_good_as_none(env):
    env(DATABASE_PORT="", DATABASE_HOST="", DADATA_API_KEY="")
    assert settings.load().database.dsn == "postgresql://postgres:postgres@localhost:5432/test_validator"


def test_names_of_groups_mean_nothing(env):
    """A machine may have a variable DATABASE or API of its own."""
    env(DATABASE="x", RABBIT="[1]", API="https://api.example", WORKER="1", SANDBOX="true", DADATA="x", YANDEXGPT="x")
    assert settings.load().database.name == "test_validator"


def test_settings_do_not_change_once_they_are_read():
    with pytest.raises(ValidationError):
        settings.load().database.name = "other"


# --- .env ---


def test_env_files_are_read_the_one_beside_the_backend_wins_and_the_environment_over_both(env, tmp_path):
    (tmp_path / "root.env").write_text("API_PORT=9001\nDATABASE_NAME=root\nDATABASE_USER=root\n# a comment\n")
    (tmp_path / "backend.env").write_text("DATABASE_NAME=backend\nDATABASE_USER=backend\nUNKNOWN=x\n")
    env(DATABASE_USER="environment")
    found = settings.load()
    assert (found.api.port, found.database.name, found.database.user) == (9001, "backend", "environment")


def test_env_files_are_utf_8(tmp_path):
    (tmp_path / "root.env").write_text('YANDEXGPT_SYSTEM_PROMPT="Исправь: ё"\n', encoding="utf-8")
    assert settings.load().yandexgpt.system_prompt == "Исправь: ё"


def test_a_wrong_value_in_a_file_is_named_like_one_in_the_environment(tmp_path):
    (tmp_path / "root.env").write_text("API_PORT=many\n")
    [line] = _lines()
    assert line.startswith("API_PORT: ")


def test_the_files_are_at_the_root_and_beside_the_backend():
    places = [place.parent for place in ENV_FILES]
    assert [(place / "components" / "backend").is_dir() for place in places] == [True, False]
    assert [(place / "pyproject.toml").is_file() for place in places] == [False, True]


# --- wrong values ---


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_PORT", "abc"),
        ("DATABASE_PORT", "0"),
        ("RABBITMQ_AMQP_PORT", "65536"),
        ("API_PORT", "-1"),
        ("API_WAIT_SECONDS", "-1"),
        ("API_WAIT_SECONDS", "nan"),
        ("WORKER_CONCURRENCY", "0"),
        ("WORKER_CONCURRENCY", "1.5"),
        ("WORKER_MAX_ATTEMPTS", "0"),
        ("WORKER_FIRST_DELAY", "0"),
        ("WORKER_FIRST_DELAY", "inf"),
        ("WORKER_LONGEST_DELAY", "1e300"),
        ("DADATA_TIMEOUT", "nan"),
        ("DADATA_PHONE_API_URL", "cleaner.dadata.ru"),
        ("DADATA_EMAIL_API_URL", "ftp://cleaner.dadata.ru"),
        ("DADATA_EMAIL_API_URL", "http://"),
        ("DADATA_EMAIL_API_URL", "http://:80/clean"),
        ("DADATA_EMAIL_API_URL", "http://localhost:99999/clean"),
        ("DADATA_EMAIL_API_URL", "http://localhost:x/clean"),
        ("DADATA_EMAIL_API_URL", "http://anna@localhost/clean"),
        ("YANDEXGPT_ENDPOINT", "https://llm.api.cloud.yandex.net:443"),
        ("YANDEXGPT_ENDPOINT", "llm.api.cloud.yandex.net"),
        ("YANDEXGPT_ENDPOINT", "host:99999"),
        ("YANDEXGPT_INSECURE", "perhaps"),
        ("YANDEXGPT_TEMPERATURE", "2"),
        ("ENVIRONMENT", "staging"),
        ("LOG_LEVEL", "verbose"),
    ],
)
def test_a_wrong_value_is_one_clear_line_that_names_the_variable_and_the_value(env, variable, value):
    env(**{variable: value})
    [line] = _lines()
    assert line.startswith(f"{variable}: ")
    assert value in line
    assert "pydantic" not in line.lower()
    assert len(line) < 200


def test_each_wrong_variable_has_its_own_line_and_all_are_named_at_once(env):
    env(API_PORT="x", DATABASE_PORT="y", WORKER_CONCURRENCY="z", YANDEXGPT_ENDPOINT="nowhere")
    assert sorted(line.split(":")[0] for line in _lines()) == [
        "API_PORT",
        "DATABASE_PORT",
        "WORKER_CONCURRENCY",
        "YANDEXGPT_ENDPOINT",
    ]


# --- secrets ---


def test_secrets_are_never_shown(env):
    secrets = {
        "DATABASE_PASSWORD": "database-s3cret",
        "RABBITMQ_PASSWORD": "rabbit-s3cret",
        "DADATA_API_KEY": "dadata-s3cret",
        "DADATA_SECRET_KEY": "dadata-other-s3cret",
        "IAM_TOKEN": "iam-s3cret",
        "YANDEXGPT_API_KEY": "yandex-s3cret",
    }
    env(**secrets, FOLDER_ID="b1g")
    found = settings.load()
    assert "s3cret" not in repr(found) + str(found) + found.model_dump_json()


@pytest.mark.parametrize("variable", ["DADATA_API_KEY", "DADATA_SECRET_KEY", "IAM_TOKEN", "YANDEXGPT_API_KEY"])
@pytest.mark.parametrize("value", ["ключ", "two words", "line\nbreak", "tab\tinside"])
def test_a_key_that_no_header_can_carry_is_a_line_without_the_key(env, variable, value):
    env(FOLDER_ID="b1g", **{variable: value})
    [line] = _lines()
    assert line.startswith(f"{variable}: ")
    assert value not in line


def test_a_key_read_from_a_file_loses_its_newline(env):
    env(DADATA_API_KEY="abc\n", DADATA_SECRET_KEY=" def\r\n", FOLDER_ID="b1g", IAM_TOKEN="t1.x\n")
    found = settings.load()
    assert found.dadata.api_key.get_secret_value() == "abc"
    assert found.dadata.secret_key.get_secret_value() == "def"
    assert found.yandexgpt.iam_token.get_secret_value() == "t1.x"


def test_secrets_are_not_shown_beside_what_is_wrong(env):
    env(DATABASE_PASSWORD="s3cret", DADATA_API_KEY="s3cret", IAM_TOKEN="s3cret", DATABASE_PORT="x", API_PORT="y")
    assert "s3cret" not in "\n".join(_lines())
    env(DATABASE_PORT="1", API_PORT="2")
    assert "s3cret" not in "\n".join(_lines()), "FOLDER_ID is missing"


# --- addresses ---


def test_names_and_passwords_of_any_characters_are_quoted_in_addresses(env):
    env(DATABASE_USER="a@b", DATABASE_PASSWORD="p:/?#[]@ %я", DATABASE_NAME="my/db")
    env(RABBITMQ_USER="a@b", RABBITMQ_PASSWORD="p:/?#[]@ %я", RABBITMQ_VHOST="my/host")
    found = settings.load()
    quoted = "a%40b:p%3A%2F%3F%23%5B%5D%40%20%25%D1%8F"
    assert found.database.dsn == f"postgresql://{quoted}@localhost:5432/my%2Fdb"
    assert found.rabbit.url == f"amqp://{quoted}@localhost:5672/my%2Fhost?heartbeat=5"


def test_an_ipv6_address_is_bracketed_in_addresses(env):
    env(DATABASE_HOST="::1", RABBITMQ_HOST="fe80::1")
    found = settings.load()
    assert found.database.dsn == "postgresql://postgres:postgres@[::1]:5432/test_validator"
    assert found.rabbit.url == "amqp://guest:guest@[fe80::1]:5672/%2F?heartbeat=5"


# --- the sandbox, and production ---


def test_without_keys_the_sandbox_answers():
    found = settings.load()
    assert found.dadata.phone_api_url == "http://localhost:9090/dadata/api/v1/clean/phone"
    assert found.dadata.email_api_url == "http://localhost:9090/dadata/api/v1/clean/email"
    assert (found.yandexgpt.endpoint, found.yandexgpt.insecure) == ("localhost:9091", True)
    for secret in (found.dadata.api_key, found.dadata.secret_key, found.yandexgpt.api_key):
        assert secret.get_secret_value() == "sandbox"


def test_the_sandbox_is_found_where_it_listens(env):
    env(SANDBOX_HOST="sandbox", SANDBOX_HTTP_PORT="1", SANDBOX_GRPC_PORT="2")
    found = settings.load()
    assert found.dadata.phone_api_url == "http://sandbox:1/dadata/api/v1/clean/phone"
    assert found.yandexgpt.endpoint == "sandbox:2"


def test_an_address_that_is_set_is_used_without_keys_too(env):
    """Someone's own stand-in."""
    env(DADATA_PHONE_API_URL="http://stand-in/phone", YANDEXGPT_ENDPOINT="stand-in:7000", YANDEXGPT_INSECURE="true")
    found = settings.load()
    assert found.dadata.phone_api_url == "http://stand-in/phone"
    assert found.dadata.email_api_url == "http://localhost:9090/dadata/api/v1/clean/email"
    assert (found.yandexgpt.endpoint, found.yandexgpt.insecure) == ("stand-in:7000", True)


def test_an_endpoint_that_is_set_is_spoken_to_in_plaintext_only_when_that_is_said(env):
    env(YANDEXGPT_ENDPOINT="stand-in:7000")
    assert not settings.load().yandexgpt.insecure


def test_with_keys_the_real_providers_answer(env):
    env(DADATA_API_KEY="k", DADATA_SECRET_KEY="s", IAM_TOKEN="t", FOLDER_ID="b1g")
    found = settings.load()
    assert found.dadata.phone_api_url == "https://cleaner.dadata.ru/api/v1/clean/phone"
    assert found.dadata.email_api_url == "https://cleaner.dadata.ru/api/v1/clean/email"
    assert (found.yandexgpt.endpoint, found.yandexgpt.insecure) == ("llm.api.cloud.yandex.net:443", False)
    assert found.yandexgpt.api_key.get_secret_value() == ""


def test_a_dadata_key_needs_its_secret(env):
    env(DADATA_API_KEY="x")
    assert _lines() == ["DADATA_SECRET_KEY: must be set together with DADATA_API_KEY"]


@pytest.mark.parametrize("key", ["IAM_TOKEN", "YANDEXGPT_API_KEY"])
def test_a_yandex_key_needs_its_folder(env, key):
    env(**{key: "x"})
    [line] = _lines()
    assert line.startswith("FOLDER_ID: ")


def test_production_demands_keys_and_names_all_that_are_missing(env):
    env(ENVIRONMENT="production")
    assert [line.split(":")[0] for line in _lines()] == [
        "DATABASE_PASSWORD",
        "RABBITMQ_PASSWORD",
        "IDENTITY_SIGNING_KEY",
        "SECRETS_KEYS",
        "DADATA_API_KEY",
        "YANDEXGPT_API_KEY",
    ]


@pytest.fixture
def production(env):
    """Everything that production demands."""
    env(ENVIRONMENT="production", DATABASE_PASSWORD="d", RABBITMQ_PASSWORD="r", IDENTITY_SIGNING_KEY="k" * 32)
    env(DADATA_API_KEY="k", DADATA_SECRET_KEY="s", YANDEXGPT_API_KEY="y", FOLDER_ID="b1g")
    env(SECRETS_KEYS=f"k1:{ONE_KEY}")


def test_production_with_keys_is_content(production):
    found = settings.load()
    assert not found.is_development
    assert found.dadata.phone_api_url.startswith("https://cleaner.dadata.ru")


@pytest.mark.parametrize("prefix", ["EMAIL", "SMTP"])
def test_production_sends_no_mail_in_plaintext(production, env, prefix):
    env(**{f"{prefix}_USE_TLS": "false"})
    settings.load()  # no mail server, no mail
    env(**{f"{prefix}_HOST": "smtp.example.com"})
    [line] = _lines()
    assert line.startswith(f"{prefix}_USE_TLS: must not be false")


@pytest.mark.parametrize(
    ("variables", "refused"),
    [
        ({"SMPP_HOST": "smpp.example.com"}, True),
        ({"SMPP_HOST": "smpp.example.com", "SMPP_USE_TLS": "true"}, False),
        ({"SMPP_HOST": "localhost"}, False),
        ({}, False),
    ],
)
def test_production_speaks_smpp_by_tls_or_a_tunnel(production, env, variables, refused):
    env(**variables)
    if refused:
        [line] = _lines()
        assert line.startswith("SMPP_USE_TLS: must be true")
    else:
        settings.load()


def test_mail_and_sms_end_in_the_sandbox_unless_an_operator_says_otherwise(env):
    env(SANDBOX_SMTP_PORT="7025", SANDBOX_SMPP_PORT="0", SMTP_HOST="smtp.example.com")
    found = settings.load()
    assert (found.email.host, found.email.port, found.email.use_tls) == ("localhost", 7025, False)
    assert (found.smtp.host, found.smtp.port, found.smtp.use_tls) == ("smtp.example.com", 587, True)
    assert found.smpp.host == ""
    assert "localhost:7025" in found.egress.allowed
    assert "localhost:0" not in found.egress.allowed


def test_in_production_tasks_ask_for_a_key_documents_are_closed_and_logs_are_json(production, env):
    found = settings.load()
    assert (found.tasks_open, found.docs_open, found.logs_as_json) == (False, False, True)
    env(LOG_JSON="false")
    assert not settings.load().logs_as_json


@pytest.mark.parametrize("environment", ["development", "test"])
def test_elsewhere_they_are_not(env, environment):
    env(ENVIRONMENT=environment)
    found = settings.load()
    assert (found.tasks_open, found.docs_open, found.logs_as_json) == (True, True, False)
    env(API_DOCS="false", LOG_JSON="true")
    found = settings.load()
    assert (found.docs_open, found.logs_as_json) == (False, True)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_PASSWORD", "postgres"),
        ("RABBITMQ_PASSWORD", "guest"),
        ("IDENTITY_SIGNING_KEY", ""),
        ("IDENTITY_SIGNING_KEY", "k" * 31),
        ("API_DOCS", "true"),
        ("YANDEXGPT_INSECURE", "true"),
        ("DADATA_PHONE_API_URL", "http://cleaner.dadata.ru/phone"),
        ("DADATA_EMAIL_API_URL", "http://localhost/email"),
    ],
)
def test_production_does_not_start_with_what_is_unsafe_and_names_it(production, env, variable, value):
    env(**{variable: value})
    [line] = _lines()
    assert line.startswith(f"{variable}: must ")


def test_the_same_is_taken_elsewhere(env):
    env(ENVIRONMENT="test", API_DOCS="true", YANDEXGPT_INSECURE="true", YANDEXGPT_API_KEY="y", FOLDER_ID="b1g")
    env(DADATA_API_KEY="k", DADATA_SECRET_KEY="s", DADATA_PHONE_API_URL="http://cleaner.dadata.ru/phone")
    assert settings.load().yandexgpt.insecure


def test_telemetry_may_stay_within_the_house_in_plaintext(production, env):
    env(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318")
    assert settings.load().tracing.exporter_otlp_endpoint == "http://collector:4318"


# --- keys of secrets ---

ONE_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def test_keys_are_read_the_newest_first(env):
    env(SECRETS_KEYS=f"k2:{ONE_KEY}, k1:{'A' * 43}=")
    found = settings.load()
    assert list(found.secret_keys.by_name.items()) == [("k2", b"01234567890123456789012345678901"), ("k1", bytes(32))]
    assert ONE_KEY in found.secrets, "no log shows one of them"


@pytest.mark.parametrize("wrong", ["k1", ONE_KEY, "k1:", "k1:abc", "k 1:" + ONE_KEY, f"k:{ONE_KEY},k:{ONE_KEY}", ","])
def test_keys_that_cannot_be_used_are_named_and_not_shown(env, wrong):
    env(SECRETS_KEYS=wrong)
    [line] = _lines()
    assert line.startswith("SECRETS_KEYS: must ")
    assert "abc" not in line
    assert ONE_KEY not in line


def test_production_takes_the_development_key_under_no_name(env):
    known = settings.load().secret_keys.keys.get_secret_value().partition(":")[2]
    env(ENVIRONMENT="production", SECRETS_KEYS=f"k1:{ONE_KEY},old:{known}")
    assert "SECRETS_KEYS" in [line.split(":")[0] for line in _lines()]


# --- where channels may lead ---


def _allowed() -> set[str]:
    return {f"{one.target}:{one.port}" for one in settings.load().egress.allowances}


def test_development_reaches_the_sandbox_whatever_else_is_allowed(env):
    assert {"localhost:9090", "localhost:5000", "127.0.0.1/32:5000"} <= _allowed()
    env(
        SANDBOX_HOST="sandbox", SANDBOX_HTTP_PORT="1", SANDBOX_BOT_PORT="2", EGRESS_ALLOWED="10.0.0.0/8, mail.inside:25"
    )
    assert {"sandbox:1", "sandbox:2", "10.0.0.0/8:None", "mail.inside:25"} <= _allowed()


def test_elsewhere_nothing_is_allowed_that_is_not_named(env):
    env(ENVIRONMENT="test")
    assert _allowed() == set()
    env(EGRESS_ALLOWED="10.0.0.5:25")
    assert _allowed() == {"10.0.0.5/32:25"}


@pytest.mark.parametrize("wrong", ["http://inside", "inside:0", "10.0.0.0/99", "a b"])
def test_an_exception_that_cannot_be_read_is_named(env, wrong):
    env(EGRESS_ALLOWED=f"10.0.0.0/8,{wrong}")
    [line] = _lines()
    assert line.startswith("EGRESS_ALLOWED: ")
