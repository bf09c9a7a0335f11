"""The only reader of the environment: where the sandbox listens and how much it remembers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


class SettingError(ValueError):
    """A variable of the environment has a value the sandbox cannot use."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Port 0 means "any free port"; the log line at start then names the one taken.

    `bot_port`: where the Python bot listens, besides; if somebody else has it, that bot is found on `http_port` only.
    """

    bind: str = "127.0.0.1"
    http_port: int = 9090
    grpc_port: int = 9091
    grpc_address: str = ""  # what YandexGPT's discovery tells its clients; "" = the address the sandbox is bound to
    journal_size: int = 200_000
    bot_port: int = 0
    smtp_port: int = 0
    smtps_port: int = 0
    smpp_port: int = 0
    ca_file: str = ""  # where the certificate authority of the day is written to; "" = nowhere


DEFAULTS = Settings()
# Not for those who make sandboxes by the dozen.
BOT_PORT = 5000
SMTP_PORT, SMTPS_PORT, SMPP_PORT = 2525, 2465, 2775


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Raises SettingError, whose text names the variable."""
    return Settings(
        bind=environ.get("SANDBOX_BIND", "").strip() or DEFAULTS.bind,
        http_port=_integer(environ, "SANDBOX_HTTP_PORT", DEFAULTS.http_port, 0, 65535),
        grpc_port=_integer(environ, "SANDBOX_GRPC_PORT", DEFAULTS.grpc_port, 0, 65535),
        grpc_address=environ.get("SANDBOX_GRPC_ADDRESS", "").strip(),
        journal_size=_integer(environ, "SANDBOX_JOURNAL_SIZE", DEFAULTS.journal_size, 1, 10_000_000),
        bot_port=_integer(environ, "SANDBOX_BOT_PORT", BOT_PORT, 0, 65535),
        smtp_port=_integer(environ, "SANDBOX_SMTP_PORT", SMTP_PORT, 0, 65535),
        smtps_port=_integer(environ, "SANDBOX_SMTPS_PORT", SMTPS_PORT, 0, 65535),
        smpp_port=_integer(environ, "SANDBOX_SMPP_PORT", SMPP_PORT, 0, 65535),
        ca_file=environ.get("SANDBOX_CA_FILE", "").strip(),
    )


def _integer(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise SettingError(f"{name}: {text!r} is not a whole number from {low} to {high}")
    return int(text)
