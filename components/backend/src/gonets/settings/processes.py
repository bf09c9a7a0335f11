"""The servers that the service stands on, its own processes, and what is seen of them."""

from datetime import timedelta
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, SecretStr

from gonets.settings.group import Group, HttpUrl, Port, PortOrNone, Seconds, in_url


class Database(Group, env_prefix="DATABASE_"):
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
        return f"postgresql://{credentials}@{in_url(self.host)}:{self.port}/{quote(self.name, safe='')}"


class Rabbit(Group, env_prefix="RABBITMQ_"):
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
        return f"amqp://{credentials}@{in_url(self.host)}:{self.amqp_port}/{quote(self.vhost, safe='')}?heartbeat=5"


class Api(Group, env_prefix="API_"):
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


class Worker(Group, env_prefix="WORKER_"):
    """The process that asks the providers."""

    concurrency: Annotated[int, Field(ge=1, le=2000)] = 100
    graceful_timeout: Seconds = 15
    database_timeout: Seconds = 4
    database_connections: Annotated[int, Field(ge=2)] = 6
    max_attempts: Annotated[int, Field(ge=1)] = 5
    first_delay: Seconds = 1
    longest_delay: Seconds = 300
    max_age: Seconds = 86_400
    queues: str = ""
    nice: Annotated[int, Field(ge=0, le=19)] = 0

    @property
    def takes_from(self) -> frozenset[str]:
        """The queues that this worker takes from; empty: from all."""
        return frozenset(name.strip() for name in self.queues.split(",") if name.strip())


class Circuit(Group, env_prefix="CIRCUIT_"):
    """When to leave a provider in peace, and for how long. Seconds."""

    failures: Annotated[int, Field(ge=1)] = 10
    first_pause: Seconds = 1
    longest_pause: Seconds = 15
    operator_pause: Seconds = 60


class Scheduler(Group, env_prefix="SCHEDULER_"):
    """The process that wakes what is due."""

    interval: Seconds = 0.5
    dead_after: Seconds = 9
    listen_interval: Seconds = 2


class Metrics(Group, env_prefix="METRICS_"):
    """Where workers and schedulers show their metrics; the API does on its own port."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0


class Tracing(Group, env_prefix="OTEL_"):
    """OpenTelemetry traces, by OTLP over HTTP."""

    enabled: bool = False
    exporter_otlp_endpoint: HttpUrl = "http://localhost:4318"
    traces_sampler_arg: Annotated[float, Field(ge=0, le=1)] = 1


class Sandbox(Group, env_prefix="SANDBOX_"):
    """Where the stand-ins for the providers listen, in development."""

    host: str = "localhost"
    http_port: Port = 9090
    grpc_port: Port = 9091
    bot_port: PortOrNone = 5000
    smtp_port: PortOrNone = 2525
    smtps_port: PortOrNone = 2465
    smpp_port: PortOrNone = 2775
    ca_file: str = ""

    @property
    def typed_ports(self) -> tuple[int, ...]:
        """Those that a user's channel may name. 0: the sandbox takes any free one, and nobody here knows which."""
        return self.http_port, self.bot_port, self.smtp_port, self.smtps_port, self.smpp_port
