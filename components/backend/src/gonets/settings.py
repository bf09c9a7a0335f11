"""The only reader of the environment: one frozen group per adapter, each variable with a working default.

`.env.example` describes every variable. `.env` is read at the root of the repository and in `components/backend/`;
the environment wins.
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gonets.core.channels.egress import Allowance

_BACKEND = Path(__file__).resolve().parents[2]
_ENV_FILES = (_BACKEND.parents[1] / ".env", _BACKEND / ".env")

_NO_KEY = "sandbox"  # what the sandbox is told in place of a key
_NO_BOT = f"123456789:{_NO_KEY}"  # and of a Telegram bot's token

Port = Annotated[int, Field(ge=1, le=65535)]
_PortOrNone = Annotated[int, Field(ge=0, le=65535)]
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

    @property
    def secrets(self) -> list[str]:
        """The secrets of this group that somebody chose."""
        fields = type(self).model_fields
        chosen = [value for name, value in self if isinstance(value, SecretStr) and value != fields[name].default]
        return [value.get_secret_value() for value in chosen if value.get_secret_value() not in (_NO_KEY, _NO_BOT)]

    @property
    def named(self) -> Mapping[str, Any]:
        """Its values by the names of their variables, secrets readable."""
        prefix, fields = str(self.model_config.get("env_prefix", "")), type(self).model_fields
        return {
            str(fields[name].validation_alias or prefix + name.upper()): (
                value.get_secret_value() if isinstance(value, SecretStr) else value
            )
            for name, value in self
        }


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
    database_timeout: Seconds = 0.8
    database_connections: Annotated[int, Field(ge=1)] = 4
    docs: bool | None = None
    trusted_proxies: str = "127.0.0.1"

    @property
    def wait(self) -> timedelta:
        return timedelta(seconds=self.wait_seconds)


class Worker(_Group, env_prefix="WORKER_"):
    """The process that asks the providers."""

    concurrency: Annotated[int, Field(ge=1, le=2000)] = 100
    graceful_timeout: Seconds = 15
    database_timeout: Seconds = 4
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
    dead_after: Seconds = 9
    listen_interval: Seconds = 2


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must be an address that begins with http:// or https://")
    parts = urlsplit(value)  # raises ValueError, as does its port, where there is none to be read
    if not parts.hostname or parts.port == 0 or parts.username is not None:
        raise ValueError("must name a host, and no user")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]


def _allowances(value: str) -> str:
    for one in value.split(","):
        if one.strip():
            Allowance.parse(one.strip())
    return value


class Egress(_Group, env_prefix="EGRESS_"):
    """Where addresses that users typed may lead, besides the public internet."""

    allowed: Annotated[str, AfterValidator(_allowances)] = ""

    @property
    def allowances(self) -> list[Allowance]:
        return [Allowance.parse(one.strip()) for one in self.allowed.split(",") if one.strip()]


def _key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()  # a file with nothing but a key ends in a newline
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be one word of ASCII characters, for it travels in a header")
    return SecretStr(text)


Key = Annotated[SecretStr, AfterValidator(_key)]


_SHORTEST_KEY = 32  # characters: RFC 7518, 3.2
_DEVELOPMENT_KEY = "for development only: anyone who reads the source can sign with it"


class Identity(_Group, env_prefix="IDENTITY_"):
    """Who uses the service. Lifetimes in seconds."""

    signing_key: SecretStr = SecretStr(_DEVELOPMENT_KEY)
    access_token_lifetime: Seconds = 900
    refresh_token_lifetime: Seconds = 2_592_000
    sign_up_open: bool = True


class Contacts(_Group, env_prefix="CONTACTS_"):
    """People who are written to."""

    phone_region: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "RU"


class Files(_Group, env_prefix="FILES_"):
    """Where files wait that people hand in: a folder that all processes share, or a bucket where one is named."""

    folder: str = str(_BACKEND.parents[1] / ".run" / "files")
    most_megabytes: Annotated[int, Field(ge=1, le=100_000)] = 500
    s3_bucket: str = ""
    s3_endpoint: Annotated[str, Field(pattern="^(https?://[^/?#]+)?$")] = ""
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: SecretStr = SecretStr("")

    @property
    def most_bytes(self) -> int:
        return self.most_megabytes * 1_000_000


# 32 bytes that everybody knows.
_DEVELOPMENT_SECRETS_KEY = "development:Z29uZXRzIGRldmVsb3BtZW50IGtleSwgbm90IHNhZmU="


def _secrets_key(text: str) -> tuple[str, bytes]:
    key_id, _, encoded = text.strip().partition(":")
    try:
        key = base64.b64decode(encoded, altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", key_id) or len(key) != 32:
        raise ValueError("must be name:key, with commas between several; `gonets secrets new` makes one")
    return key_id, key


def _secrets_keys(value: SecretStr) -> SecretStr:
    found = [_secrets_key(text) for text in value.get_secret_value().split(",")]
    if len(dict(found)) < len(found):
        raise ValueError("must not name two keys alike")
    return value


class Secrets(_Group, env_prefix="SECRETS_"):
    """The keys under which the secrets of channels are encrypted at rest."""

    keys: Annotated[SecretStr, AfterValidator(_secrets_keys)] = SecretStr(_DEVELOPMENT_SECRETS_KEY)

    @property
    def by_name(self) -> Mapping[str, bytes]:
        """The newest first."""
        return dict(_secrets_key(text) for text in self.keys.get_secret_value().split(","))

    @property
    def secrets(self) -> list[str]:
        """Each key by itself, too."""
        whole = super().secrets
        return whole + [text.strip().partition(":")[2] for one in whole for text in one.split(",")]


def _prices(value: str) -> str:
    for part in filter(None, value.split(",")):
        name, _, price = part.partition("=")
        if not re.fullmatch(r"SMS_[A-Z_]+", name.strip()) or not re.fullmatch(_PRICE, price.strip()):
            raise ValueError("must be TYPE=number,TYPE=number, what one segment costs")
    return value


_PRICE = r"[0-9]{1,6}(\.[0-9]{1,4})?"


class Sms(_Group, env_prefix="SMS_"):
    """What SMS cost, for estimates."""

    prices: Annotated[str, AfterValidator(_prices)] = ""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "RUB"

    @property
    def price_of(self) -> Mapping[str, float]:
        """Of one segment by channels of a type; nobody knows it where the type is not named."""
        parts = (part.partition("=") for part in filter(None, self.prices.split(",")))
        return {name.strip(): float(price) for name, _, price in parts}


def _rates(value: str) -> str:
    for part in filter(None, value.split(",")):
        name, _, rate = part.partition("=")
        if not re.fullmatch(r"[A-Z_]+", name.strip()) or not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", rate.strip()):
            raise ValueError("must be TYPE=number,TYPE=number, messages a second")
    return value


class Notifications(_Group, env_prefix="NOTIFICATIONS_"):
    """How one message gets to one person. Seconds."""

    max_attempts: Annotated[int, Field(ge=1)] = 3
    first_delay: Seconds = 2
    longest_delay: Seconds = 300
    grace: Seconds = 120
    of_unknown: Annotated[str, Field(pattern="^(hold|resend)$")] = "hold"
    first_inquiry: Seconds = 5
    first_reminder: Seconds = 600
    receipt_patience: Seconds = 259_200
    rates: Annotated[str, AfterValidator(_rates)] = "TELEGRAM=25,SLACK=1"
    queue_owner: str = ""
    public_url: Annotated[str, Field(validation_alias="PUBLIC_URL", pattern="^(https?://[^/?#]+[^?#]*)?$")] = ""

    @property
    def rate_of(self) -> Mapping[str, float]:
        """Messages a second by each channel of a type; one that is not named has no limit."""
        parts = (part.partition("=") for part in filter(None, self.rates.split(",")))
        return {name.strip(): float(rate) for name, _, rate in parts}


Days = Annotated[int, Field(ge=0, le=36_500)]


class Retention(_Group, env_prefix="RETENTION_"):
    """How long things are kept after their end. Days; 0: for ever."""

    attempts: Days = 180
    notifications: Days = 365
    tasks: Days = 365
    results: Days = 0
    files: Days = 30
    audit: Days = 0


class Campaigns(_Group, env_prefix="CAMPAIGNS_"):
    """One message to many. Seconds."""

    latest_start: Seconds = 3600
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100


class Metrics(_Group, env_prefix="METRICS_"):
    """Where workers and schedulers show their metrics; the API does on its own port."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0


class Tracing(_Group, env_prefix="OTEL_"):
    """OpenTelemetry traces, by OTLP over HTTP."""

    enabled: bool = False
    exporter_otlp_endpoint: HttpUrl = "http://localhost:4318"
    traces_sampler_arg: Annotated[float, Field(ge=0, le=1)] = 1


class Sandbox(_Group, env_prefix="SANDBOX_"):
    """Where the stand-ins for the providers listen, in development."""

    host: str = "localhost"
    http_port: Port = 9090
    grpc_port: Port = 9091
    bot_port: _PortOrNone = 5000
    smtp_port: _PortOrNone = 2525
    smtps_port: _PortOrNone = 2465
    smpp_port: _PortOrNone = 2775
    ca_file: str = ""

    @property
    def typed_ports(self) -> tuple[int, ...]:
        """Those that a user's channel may name. 0: the sandbox takes any free one, and nobody here knows which."""
        return self.http_port, self.bot_port, self.smtp_port, self.smtps_port, self.smpp_port


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


class Tls(_Group, env_prefix="TLS_"):
    """Whom to trust besides the system's certificate authorities: a file in PEM, which may come to be later."""

    ca_file: Path | None = None


class Channels(_Group, env_prefix="CHANNELS_"):
    """Channels of all types."""

    test_phone: str = ""
    simulated: bool = False
    sms_directory: str = ""


class Telegram(_Group, env_prefix="TELEGRAM_"):
    """The Telegram Bot API, and the operator's bot."""

    bot_token: Key = SecretStr("")
    api_url: HttpUrl = "https://api.telegram.org"


class Slack(_Group, env_prefix="SLACK_"):
    """Where what is at hooks.slack.com is to be found."""

    api_url: HttpUrl = "https://hooks.slack.com"


class Twilio(_Group, env_prefix="TWILIO_"):
    """Twilio, and the operator's account there."""

    account_sid: str = ""
    auth_token: Key = SecretStr("")
    from_: Annotated[str, Field(validation_alias="TWILIO_FROM")] = ""
    messaging_service_sid: str = ""
    api_url: HttpUrl = "https://api.twilio.com"


class SmsAero(_Group, env_prefix="SMSAERO_"):
    """SMSAero, and the operator's account there."""

    email: str = ""
    api_key: Key = SecretStr("")
    sign: str = ""
    api_url: HttpUrl = "https://gate.smsaero.ru/v2"


class Email(_Group, env_prefix="EMAIL_"):
    """The operator's mail server."""

    host: str = ""
    port: Port = 587
    username: str = ""
    password: SecretStr = SecretStr("")
    from_: Annotated[str, Field(validation_alias="EMAIL_FROM")] = ""
    use_tls: bool = True


class Smtp(_Group, env_prefix="SMTP_"):
    """The operator's gateway that makes SMS of mails."""

    host: str = ""
    port: Port = 587
    username: str = ""
    password: SecretStr = SecretStr("")
    from_: Annotated[str, Field(validation_alias="SMTP_FROM")] = ""
    use_tls: bool = True
    gateway_domain: str = ""


class Smpp(_Group, env_prefix="SMPP_"):
    """The operator's account at an SMS centre."""

    host: str = ""
    port: Port = 2775
    system_id: str = ""
    password: SecretStr = SecretStr("")
    source_address: str = ""
    use_tls: bool = False


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


_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Plaintext within the installation.
_NOT_TO_PROVIDERS = frozenset({"OTEL_EXPORTER_OTLP_ENDPOINT", "FILES_S3_ENDPOINT"})


def _group(of: Callable[[], Any]) -> Any:
    # No environment has a variable with this name: one that is called DATABASE, say, is not ours.
    return Field(default_factory=of, validation_alias="a group=")


class Settings(_Group):
    """Everything, each group read once."""

    environment: Environment = Environment.DEVELOPMENT
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    log_json: bool | None = None
    database: Database = _group(Database)
    rabbit: Rabbit = _group(Rabbit)
    api: Api = _group(Api)
    worker: Worker = _group(Worker)
    circuit: Circuit = _group(Circuit)
    scheduler: Scheduler = _group(Scheduler)
    identity: Identity = _group(Identity)
    contacts: Contacts = _group(Contacts)
    files: Files = _group(Files)
    secret_keys: Secrets = _group(Secrets)
    notifications: Notifications = _group(Notifications)
    campaigns: Campaigns = _group(Campaigns)
    sms: Sms = _group(Sms)
    retention: Retention = _group(Retention)
    metrics: Metrics = _group(Metrics)
    tracing: Tracing = _group(Tracing)
    egress: Egress = _group(Egress)
    sandbox: Sandbox = _group(Sandbox)
    dadata: Dadata = _group(Dadata)
    yandexgpt: YandexGPT = _group(YandexGPT)
    tls: Tls = _group(Tls)
    channels: Channels = _group(Channels)
    telegram: Telegram = _group(Telegram)
    slack: Slack = _group(Slack)
    twilio: Twilio = _group(Twilio)
    smsaero: SmsAero = _group(SmsAero)
    email: Email = _group(Email)
    smtp: Smtp = _group(Smtp)
    smpp: Smpp = _group(Smpp)

    @property
    def is_development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT

    @property
    def is_test(self) -> bool:
        return self.environment is Environment.TEST

    @property
    def logs_as_json(self) -> bool:
        return self.environment is Environment.PRODUCTION if self.log_json is None else self.log_json

    @property
    def docs_open(self) -> bool:
        """Whether anyone may read the API's documents, and try it in the browser."""
        return self.environment is not Environment.PRODUCTION if self.api.docs is None else self.api.docs

    @property
    def tasks_open(self) -> bool:
        """Whether tasks are taken without credentials."""
        return self.environment is not Environment.PRODUCTION

    @property
    def variables(self) -> Mapping[str, Any]:
        """Every value by the name of its variable, secrets readable."""
        found: dict[str, Any] = {}
        for _, group in self:
            if isinstance(group, _Group):
                found |= group.named
        return found

    @property
    def secrets(self) -> list[str]:
        """What no log may show. A default is no secret: it stands in `.env.example`."""
        groups = [group for _, group in self if isinstance(group, _Group)]
        return [secret for group in groups for secret in group.secrets]

    @model_validator(mode="after")
    def _without_keys_the_sandbox_answers(self) -> Self:
        production = self.environment is Environment.PRODUCTION
        dadata, gpt, sandbox = self.dadata, self.yandexgpt, self.sandbox
        wrong = self._unsafe() if production else []
        if production and _secrets_key(_DEVELOPMENT_SECRETS_KEY)[1] in self.secret_keys.by_name.values():
            wrong.append("SECRETS_KEYS: must be set in production (`gonets secrets new` makes a key)")
        if self.is_development:
            hosts = dict.fromkeys((_in_url(sandbox.host), "localhost", "127.0.0.1"))
            ports = filter(None, sandbox.typed_ports)
            sandboxes = [f"{host}:{port}" for port in ports for host in hosts]
            allowed = ",".join([*sandboxes, self.egress.allowed])
            object.__setattr__(self, "egress", self.egress.model_copy(update={"allowed": allowed}))
        if not dadata.api_key.get_secret_value():
            if production:
                wrong.append("DADATA_API_KEY: must be set in production")
            base = f"http://{sandbox.host}:{sandbox.http_port}/dadata/api/v1/clean"
            key: dict[str, object] = {"api_key": SecretStr(_NO_KEY), "secret_key": SecretStr(_NO_KEY)}
            self._default("dadata", {"phone_api_url": f"{base}/phone", "email_api_url": f"{base}/email"} | key)
        elif not dadata.secret_key.get_secret_value():
            wrong.append("DADATA_SECRET_KEY: must be set together with DADATA_API_KEY")
        if not gpt.api_key.get_secret_value() and not gpt.iam_token.get_secret_value():
            if production:
                wrong.append("YANDEXGPT_API_KEY: must be set in production, or IAM_TOKEN")
            address = {
                "endpoint": f"{sandbox.host}:{sandbox.grpc_port}",
                "insecure": "endpoint" not in gpt.model_fields_set,
            }
            self._default("yandexgpt", address | {"api_key": SecretStr(_NO_KEY), "folder_id": "sandbox"})
        elif not gpt.folder_id:
            wrong.append("FOLDER_ID: must be set together with YANDEXGPT_API_KEY or IAM_TOKEN")
        if wrong:
            raise ValueError("\n".join(wrong))
        if self.is_development:
            self._channels_of_the_sandbox(f"http://{_in_url(sandbox.host)}:{sandbox.http_port}")
        return self

    def _channels_of_the_sandbox(self, base: str) -> None:
        """What no operator configured works all the same in development, and ends in the sandbox's inbox."""
        self._default("channels", {"test_phone": "+15005550006"})  # nobody's: Twilio keeps it for tests
        self._default("slack", {"api_url": f"{base}/slack"})
        if not self.telegram.bot_token.get_secret_value():
            token = SecretStr(_NO_BOT)
            self._default("telegram", {"api_url": f"{base}/telegram", "bot_token": token})
        if not self.twilio.account_sid:
            account = {"account_sid": f"AC{'0' * 32}", "auth_token": SecretStr(_NO_KEY), "from_": "+15005550006"}
            self._default("twilio", {"api_url": f"{base}/twilio"} | account)
        self._mail_and_sms_of_the_sandbox()
        if not self.smsaero.email:
            key = {"email": "sandbox@example.com", "api_key": SecretStr(_NO_KEY), "sign": "SMS Aero"}
            self._default("smsaero", {"api_url": f"{base}/smsaero/v2"} | key)

    def _mail_and_sms_of_the_sandbox(self) -> None:
        sandbox = self.sandbox
        server = {"host": sandbox.host, "port": sandbox.smtp_port, "use_tls": False, "from_": "gonets@example.com"}
        if sandbox.smtp_port and not self.email.host:
            self._default("email", server)
        if sandbox.smtp_port and not self.smtp.host:
            self._default("smtp", server | {"gateway_domain": "sms.example.com"})
        if sandbox.smpp_port and not self.smpp.host:
            login = {"system_id": "sandbox", "password": SecretStr(_NO_KEY), "source_address": "Gonets"}
            self._default("smpp", {"host": sandbox.host, "port": sandbox.smpp_port} | login)

    def _unsafe(self) -> list[str]:
        """What must not be in production: passwords that everybody knows, open documents, providers in plaintext."""
        wrong = [
            f"{variable}: must not be the default in production"
            for variable, group in (("DATABASE_PASSWORD", self.database), ("RABBITMQ_PASSWORD", self.rabbit))
            if group.password == type(group).model_fields["password"].default
        ]
        key = self.identity.signing_key.get_secret_value()
        if key == _DEVELOPMENT_KEY or len(key) < _SHORTEST_KEY:
            wrong.append(f"IDENTITY_SIGNING_KEY: must be set in production, with at least {_SHORTEST_KEY} characters")
        if self.api.docs:
            wrong.append("API_DOCS: must not be true in production")
        if self.yandexgpt.insecure:
            wrong.append("YANDEXGPT_INSECURE: must not be true in production")
        for variable, server in (("EMAIL_USE_TLS", self.email), ("SMTP_USE_TLS", self.smtp)):
            if server.host and not server.use_tls:
                wrong.append(f"{variable}: must not be false in production")
        if self.smpp.host not in ("", *_LOOPBACK) and not self.smpp.use_tls:
            wrong.append("SMPP_USE_TLS: must be true in production, unless SMPP_HOST is a tunnel's end on this machine")
        return wrong + [
            f"{variable}: must begin with https:// in production"
            for variable, value in self._variables()
            if isinstance(value, str) and value.startswith("http://") and variable not in _NOT_TO_PROVIDERS
        ]

    def _variables(self) -> Iterator[tuple[str, object]]:
        for _, group in self:
            if isinstance(group, _Group):
                prefix = str(group.model_config.get("env_prefix", ""))
                aliases = {name: field.validation_alias for name, field in type(group).model_fields.items()}
                yield from ((str(aliases[name] or prefix + name.upper()), value) for name, value in group)

    def _default(self, group: str, values: Mapping[str, object]) -> None:
        """Fills in what the environment left out of a frozen group."""
        old = getattr(self, group)
        values = {name: value for name, value in values.items() if name not in old.model_fields_set}
        object.__setattr__(self, group, old.model_copy(update=values))


def load() -> Settings:
    """Reads everything. Raises SettingsError with a line per variable that is wrong."""
    groups = [group for group in _Group.__subclasses__() if group is not Settings]
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
