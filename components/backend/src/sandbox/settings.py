"""The only reader of the environment: where the sandbox listens and how much it remembers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


class SettingError(ValueError):
    """A variable of the environment has a value the sandbox cannot use."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Port 0 means "any free port"; the log line at start then names the one taken."""

    bind: str = "127.0.0.1"
    http_port: int = 9090
    grpc_port: int = 9091
    grpc_address: str = ""  # what YandexGPT's discovery tells its clients; "" = the address the sandbox is bound to
    journal_size: int = 200_000


DEFAULTS = Settings()


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Raises SettingError, whose text names the variable."""
    return Settings(
        bind=environ.get("SANDBOX_BIND", "").strip() or DEFAULTS.bind,
        http_port=_integer(environ, "SANDBOX_HTTP_PORT", DEFAULTS.http_port, 0, 65535),
        grpc_port=_integer(environ, "SANDBOX_GRPC_PORT", DEFAULTS.grpc_port, 0, 65535),
        grpc_address=environ.get("SANDBOX_GRPC_ADDRESS", "").strip(),
        journal_size=_integer(environ, "SANDBOX_JOURNAL_SIZE", DEFAULTS.journal_size, 1, 10_000_000),
    )


def _integer(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise SettingError(f"{name}: {text!r} is not a whole number from {low} to {high}")
    return int(text)
