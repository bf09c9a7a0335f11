"""What all groups of settings have in common, and the kinds of values that several of them have."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_BACKEND = Path(__file__).resolve().parents[3]
ROOT = _BACKEND.parents[1]
ENV_FILES = (ROOT / ".env", _BACKEND / ".env")

NO_KEY = "sandbox"  # what the sandbox is told in place of a key
NO_BOT = f"123456789:{NO_KEY}"  # and of a Telegram bot's token

Port = Annotated[int, Field(ge=1, le=65535)]
PortOrNone = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]


class Group(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=ENV_FILES, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    @property
    def secrets(self) -> list[str]:
        """The secrets of this group that somebody chose."""
        fields = type(self).model_fields
        chosen = [value for name, value in self if isinstance(value, SecretStr) and value != fields[name].default]
        return [value.get_secret_value() for value in chosen if value.get_secret_value() not in (NO_KEY, NO_BOT)]

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


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


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
