"""The only reader of the environment: one frozen group per adapter, each variable with a working default.

`.env.example` describes every variable. `.env` is read at the root of the repository and in `components/backend/`;
the environment wins.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_BACKEND = Path(__file__).resolve().parents[2]
_ENV_FILES = (_BACKEND.parents[1] / ".env", _BACKEND / ".env")

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]


class SettingsError(Exception):
    """A variable has a value that cannot work. Each line of the message names one variable."""


class Environment(StrEnum):
    """What this installation is for."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class _Group(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=_ENV_FILES, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class Database(_Group, env_prefix="DATABASE_"):
    """PostgreSQL."""

    name: str = "test_validator"
    host: str = "localhost"
    port: Port = 5432
    user: str = "postgres"
    password: SecretStr = SecretStr("postgres")

    @property
    def dsn(self) -> str:
        """A libpq URL, password included."""
        credentials = f"{quote(self.user, safe='')}:{quote(self.password.get_secret_value(), safe='')}"
        return f"postgresql://{credentials}@{_in_url(self.host)}:{self.port}/{quote(self.name, safe='')}"


class Rabbit(_Group, env_prefix="RABBITMQ_"):
    """RabbitMQ."""

    host: str = "localhost"
    amqp_port: Port = 5672
    web_port: Port = 15672
    user: str = "guest"
    password: SecretStr = SecretStr("guest")
    vhost: str = "/"

    @property
    def url(self) -> str:
        # A connection that went silent is noticed within a few heartbeats of 5 s.
        credentials = f"{quote(self.user, safe='')}:{quote(self.password.get_secret_value(), safe='')}"
        return f"amqp://{credentials}@{_in_url(self.host)}:{self.amqp_port}/{quote(self.vhost, safe='')}?heartbeat=5"


class Api(_Group, env_prefix="API_"):
    """The REST door."""

    host: str = "0.0.0.0"  # noqa: S104 - a service is there to be reached; containers and firewalls decide by whom
    port: Port = 9000
    wait_seconds: Annotated[float, Field(ge=0, le=300)] = 10
    database_timeout: Seconds = 0.9
    database_connections: Annotated[int, Field(ge=1)] = 4

    @property
    def wait(self) -> timedelta:
        return timedelta(seconds=self.wait_seconds)


class Worker(_Group, env_prefix="WORKER_"):
    """The process that asks the providers."""

    concurrency: Annotated[int, Field(ge=1, le=2000)] = 100
    graceful_timeout: Seconds = 15
    database_timeout: Seconds = 10
    database_connections: Annotated[int, Field(ge=2)] = 6
    max_attempts: Annotated[int, Field(ge=1)] = 5
    first_delay: Seconds = 1
    longest_delay: Seconds = 300
    max_age: Seconds = 86_400


class Circuit(_Group, env_prefix="CIRCUIT_"):
    """When to leave a provider in peace, and for how long. Seconds."""

    failures: Annotated[int, Field(ge=1)] = 10
    first_pause: Seconds = 1
    longest_pause: Seconds = 15
    operator_pause: Seconds = 60


class Scheduler(_Group, env_prefix="SCHEDULER_"):
    """The process that wakes what is due."""

    interval: Seconds = 0.5
    dead_after: Seconds = 10


class Sandbox(_Group, env_prefix="SANDBOX_"):
    """Where the stand-ins for the providers listen, in development."""

    host: str = "localhost"
    http_port: Port = 9090
    grpc_port: Port = 9091


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must be an address that begins with http:// or https://")
    parts = urlsplit(value)  # raises ValueError, as does its port, where there is none to be read
    if not parts.hostname or parts.port == 0 or parts.username is not None:
        raise ValueError("must name a host, and no user")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]


def _key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()  # a file with nothing but a key ends in a newline
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be one word of ASCII characters, for it travels in a header")
    return SecretStr(text)


Key = Annotated[SecretStr, AfterValidator(_key)]


class Dadata(_Group, env_prefix="DADATA_"):
    """Dadata, which cleans phone numbers and e-mail addresses."""

    api_key: Key = SecretStr("")
    secret_key: Key = SecretStr("")
    phone_api_url: HttpUrl = "https://cleaner.dadata.ru/api/v1/clean/phone"
    email_api_url: HttpUrl = "https://cleaner.dadata.ru/api/v1/clean/email"
    timeout: Seconds = 10
    rate: Annotated[float, Field(ge=0)] = 20
    max_in_flight: Annotated[int, Field(ge=0)] = 0
    repeat_unknown: bool = True


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535 or "/" in host:
        raise ValueError("must be host:port, without a scheme")
    return value


_GPT_PROMPT = "Найди ошибки в тексте и исправь их"


class YandexGPT(_Group, env_prefix="YANDEXGPT_"):
    """YandexGPT, which corrects texts. FOLDER_ID and IAM_TOKEN are known under these names elsewhere too."""

    folder_id: Annotated[str, Field(validation_alias="FOLDER_ID")] = ""
    iam_token: Annotated[Key, Field(validation_alias="IAM_TOKEN")] = SecretStr("")
    api_key: Key = SecretStr("")
    endpoint: Annotated[str, AfterValidator(_address)] = "llm.api.cloud.yandex.net:443"
    insecure: bool = False
    model: str = "yandexgpt"
    system_prompt: str = _GPT_PROMPT
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.3
    max_tokens: Annotated[int, Field(ge=1)] = 2000
    timeout: Seconds = 60
    rate: Annotated[float, Field(ge=0)] = 0
    max_in_flight: Annotated[int, Field(ge=0)] = 10
    repeat_unknown: bool = True


def _group(of: Callable[[], Any]) -> Any:
    # No environment has a variable with this name: one that is called DATABASE, say, is not ours.
    return Field(default_factory=of, validation_alias="a group=")


class Settings(_Group):
    """Everything, each group read once."""

    environment: Environment = Environment.DEVELOPMENT
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    database: Database = _group(Database)
    rabbit: Rabbit = _group(Rabbit)
    api: Api = _group(Api)
    worker: Worker = _group(Worker)
    circuit: Circuit = _group(Circuit)
    scheduler: Scheduler = _group(Scheduler)
    sandbox: Sandbox = _group(Sandbox)
    dadata: Dadata = _group(Dadata)
    yandexgpt: YandexGPT = _group(YandexGPT)

    @property
    def is_development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT

    @model_validator(mode="after")
    def _without_keys_the_sandbox_answers(self) -> Self:
        production = self.environment is Environment.PRODUCTION
        dadata, gpt, sandbox = self.dadata, self.yandexgpt, self.sandbox
        wrong = []
        if not dadata.api_key.get_secret_value():
            if production:
                wrong.append("DADATA_API_KEY: must be set in production")
            base = f"http://{sandbox.host}:{sandbox.http_port}/dadata/api/v1/clean"
            key: dict[str, object] = {"api_key": SecretStr("sandbox"), "secret_key": SecretStr("sandbox")}
            self._default("dadata", {"phone_api_url": f"{base}/phone", "email_api_url": f"{base}/email"} | key)
        if not gpt.api_key.get_secret_value() and not gpt.iam_token.get_secret_value():
            if production:
                wrong.append("YANDEXGPT_API_KEY: must be set in production, or IAM_TOKEN")
            address = {
                "endpoint": f"{sandbox.host}:{sandbox.grpc_port}",
                "insecure": "endpoint" not in gpt.model_fields_set,
            }
            self._default("yandexgpt", address | {"api_key": SecretStr("sandbox"), "folder_id": "sandbox"})
        elif not gpt.folder_id:
            wrong.append("FOLDER_ID: must be set together with YANDEXGPT_API_KEY or IAM_TOKEN")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def _default(self, group: str, values: Mapping[str, object]) -> None:
        """Fills in what the environment left out of a frozen group."""
        old = getattr(self, group)
        values = {name: value for name, value in values.items() if name not in old.model_fields_set}
        object.__setattr__(self, group, old.model_copy(update=values))


def load() -> Settings:
    """Reads everything. Raises SettingsError with a line per variable that is wrong."""
    groups = (Database, Rabbit, Api, Worker, Circuit, Scheduler, Sandbox, Dadata, YandexGPT)
    # Settings last, for it would only stop at the first group that is wrong.
    lines = [line for group in groups for line in _check(group)] or _check(Settings)
    if lines:
        raise SettingsError("\n".join(lines))
    return Settings()


def _check(group: type[_Group]) -> list[str]:
    try:
        group()
    except ValidationError as error:
        return _lines(error, str(group.model_config.get("env_prefix", "")))
    return []


def _lines(error: ValidationError, prefix: str) -> list[str]:
    lines: list[str] = []
    for detail in error.errors():
        message = detail["msg"].removeprefix("Value error, ")
        name = "_".join(str(part) for part in detail["loc"])
        if not name:
            lines.append(message)
            continue
        variable = name if name.isupper() else prefix + name.upper()
        secret = any(word in variable for word in ("KEY", "TOKEN", "PASSWORD"))
        value = "" if secret else f" (it is {detail['input']!r})"
        lines.append(f"{variable}: {message}{value}")
    return lines
