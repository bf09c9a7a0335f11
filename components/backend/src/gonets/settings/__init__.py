"""The only reader of the environment: one frozen group per adapter, each variable with a working default.

`.env.example` describes every variable. `.env` is read at the root of the repository and in `components/backend/`;
the environment wins.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, ValidationError, model_validator

from gonets.settings.group import NO_BOT, NO_KEY, Group, in_url
from gonets.settings.messages import Campaigns, Channels, Egress, Notifications, Sms, Tls
from gonets.settings.people import (
    DEVELOPMENT_KEY,
    DEVELOPMENT_SECRETS_KEY,
    SHORTEST_KEY,
    Contacts,
    Files,
    Identity,
    Retention,
    Secrets,
    secrets_key,
)
from gonets.settings.processes import Api, Circuit, Database, Metrics, Rabbit, Sandbox, Scheduler, Tracing, Worker
from gonets.settings.providers import Dadata, Email, Slack, Smpp, SmsAero, Smtp, Telegram, Twilio, YandexGPT

__all__ = [
    "Api",
    "Campaigns",
    "Channels",
    "Circuit",
    "Contacts",
    "Dadata",
    "Database",
    "Egress",
    "Email",
    "Environment",
    "Files",
    "Identity",
    "Metrics",
    "Notifications",
    "Rabbit",
    "Retention",
    "Sandbox",
    "Scheduler",
    "Secrets",
    "Settings",
    "SettingsError",
    "Slack",
    "Smpp",
    "Sms",
    "SmsAero",
    "Smtp",
    "Telegram",
    "Tls",
    "Tracing",
    "Twilio",
    "Worker",
    "YandexGPT",
    "load",
]


class SettingsError(Exception):
    """A variable has a value that cannot work. Each line of the message names one variable."""


class Environment(StrEnum):
    """What this installation is for."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Plaintext within the installation.
_NOT_TO_PROVIDERS = frozenset({"OTEL_EXPORTER_OTLP_ENDPOINT", "FILES_S3_ENDPOINT"})


def _group(of: Callable[[], Any]) -> Any:
    # No environment has a variable with this name: one that is called DATABASE, say, is not ours.
    return Field(default_factory=of, validation_alias="a group=")


class Settings(Group):
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
            if isinstance(group, Group):
                found |= group.named
        return found

    @property
    def secrets(self) -> list[str]:
        """What no log may show. A default is no secret: it stands in `.env.example`."""
        groups = [group for _, group in self if isinstance(group, Group)]
        return [secret for group in groups for secret in group.secrets]

    @model_validator(mode="after")
    def _without_keys_the_sandbox_answers(self) -> Self:
        production = self.environment is Environment.PRODUCTION
        dadata, gpt, sandbox = self.dadata, self.yandexgpt, self.sandbox
        wrong = self._unsafe() if production else []
        if production and secrets_key(DEVELOPMENT_SECRETS_KEY)[1] in self.secret_keys.by_name.values():
            wrong.append("SECRETS_KEYS: must be set in production (`gonets secrets new` makes a key)")
        if self.is_development:
            hosts = dict.fromkeys((in_url(sandbox.host), "localhost", "127.0.0.1"))
            ports = filter(None, sandbox.typed_ports)
            sandboxes = [f"{host}:{port}" for port in ports for host in hosts]
            allowed = ",".join([*sandboxes, self.egress.allowed])
            object.__setattr__(self, "egress", self.egress.model_copy(update={"allowed": allowed}))
        if not dadata.api_key.get_secret_value():
            if production:
                wrong.append("DADATA_API_KEY: must be set in production")
            base = f"http://{sandbox.host}:{sandbox.http_port}/dadata/api/v1/clean"
            key: dict[str, object] = {"api_key": SecretStr(NO_KEY), "secret_key": SecretStr(NO_KEY)}
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
            self._default("yandexgpt", address | {"api_key": SecretStr(NO_KEY), "folder_id": "sandbox"})
        elif not gpt.folder_id:
            wrong.append("FOLDER_ID: must be set together with YANDEXGPT_API_KEY or IAM_TOKEN")
        if wrong:
            raise ValueError("\n".join(wrong))
        if self.is_development:
            self._channels_of_the_sandbox(f"http://{in_url(sandbox.host)}:{sandbox.http_port}")
        return self

    def _channels_of_the_sandbox(self, base: str) -> None:
        """What no operator configured works all the same in development, and ends in the sandbox's inbox."""
        self._default("channels", {"test_phone": "+15005550006"})  # nobody's: Twilio keeps it for tests
        self._default("slack", {"api_url": f"{base}/slack"})
        if not self.telegram.bot_token.get_secret_value():
            token = SecretStr(NO_BOT)
            self._default("telegram", {"api_url": f"{base}/telegram", "bot_token": token})
        if not self.twilio.account_sid:
            account = {"account_sid": f"AC{'0' * 32}", "auth_token": SecretStr(NO_KEY), "from_": "+15005550006"}
            self._default("twilio", {"api_url": f"{base}/twilio"} | account)
        self._mail_and_sms_of_the_sandbox()
        if not self.smsaero.email:
            key = {"email": "sandbox@example.com", "api_key": SecretStr(NO_KEY), "sign": "SMS Aero"}
            self._default("smsaero", {"api_url": f"{base}/smsaero/v2"} | key)

    def _mail_and_sms_of_the_sandbox(self) -> None:
        sandbox = self.sandbox
        server = {"host": sandbox.host, "port": sandbox.smtp_port, "use_tls": False, "from_": "gonets@example.com"}
        if sandbox.smtp_port and not self.email.host:
            self._default("email", server)
        if sandbox.smtp_port and not self.smtp.host:
            self._default("smtp", server | {"gateway_domain": "sms.example.com"})
        if sandbox.smpp_port and not self.smpp.host:
            login = {"system_id": "sandbox", "password": SecretStr(NO_KEY), "source_address": "Gonets"}
            self._default("smpp", {"host": sandbox.host, "port": sandbox.smpp_port} | login)

    def _unsafe(self) -> list[str]:
        """What must not be in production: passwords that everybody knows, open documents, providers in plaintext."""
        wrong = [
            f"{variable}: must not be the default in production"
            for variable, group in (("DATABASE_PASSWORD", self.database), ("RABBITMQ_PASSWORD", self.rabbit))
            if group.password == type(group).model_fields["password"].default
        ]
        key = self.identity.signing_key.get_secret_value()
        if key == DEVELOPMENT_KEY or len(key) < SHORTEST_KEY:
            wrong.append(f"IDENTITY_SIGNING_KEY: must be set in production, with at least {SHORTEST_KEY} characters")
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
            if isinstance(group, Group):
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
    groups = [group for group in Group.__subclasses__() if group is not Settings]
    # Settings last, for it would only stop at the first group that is wrong.
    lines = [line for group in groups for line in _check(group)] or _check(Settings)
    if lines:
        raise SettingsError("\n".join(lines))
    return Settings()


def _check(group: type[Group]) -> list[str]:
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
