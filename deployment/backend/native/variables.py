"""The variables the native stack needs, read the way the service reads them: environment, then the two `.env` files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values
from processes import ServerError

ROOT = Path(__file__).resolve().parents[3]
_FILES = (ROOT / ".env", ROOT / "components/backend/.env")  # the later one wins, as in the service
_LOCAL = {"localhost", "127.0.0.1", "::1"}

DEFAULTS = {
    "DATABASE_HOST": "localhost",
    "DATABASE_PORT": "5432",
    "DATABASE_NAME": "test_validator",
    "DATABASE_USER": "postgres",
    "DATABASE_PASSWORD": "postgres",
    "RABBITMQ_HOST": "localhost",
    "RABBITMQ_AMQP_PORT": "5672",
    "RABBITMQ_WEB_PORT": "15672",
    "RABBITMQ_USER": "guest",
    "RABBITMQ_PASSWORD": "guest",
    "RABBITMQ_VHOST": "/",
    "API_PORT": "9000",
    "METRICS_PORT": "0",
    "SANDBOX_HOST": "localhost",
    "SANDBOX_HTTP_PORT": "9090",
    "SANDBOX_GRPC_PORT": "9091",
    "SANDBOX_SMTP_PORT": "2525",
    "SANDBOX_SMTPS_PORT": "2465",
    "SANDBOX_SMPP_PORT": "2775",
    "PGADMIN_EMAIL": "test@domain.com",
    "PGADMIN_PASSWORD": "123456",
    "PGADMIN_PORT": "5050",
}


@dataclass(frozen=True)
class Variables:
    """`given` is what the environment and the files say; a name nobody gave has its default."""

    given: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.given.get(name) or DEFAULTS[name]

    def port(self, name: str) -> int:
        text = self[name]
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
            raise ServerError(f"{name}: {text!r} is not a port (1 to 65535)")
        return int(text)

    def is_local(self, name: str) -> bool:
        return self[name] in _LOCAL


def read() -> Variables:
    given: dict[str, str] = {}
    for file in _FILES:
        if file.exists():
            given |= {name: value for name, value in dotenv_values(file).items() if value}
    return Variables(given | {name: value for name, value in os.environ.items() if value})
