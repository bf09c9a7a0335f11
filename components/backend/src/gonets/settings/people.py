"""Who uses the service, whom they write to, and what is kept secret for them."""

import base64
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from gonets.settings.group import ROOT, Group, Seconds

SHORTEST_KEY = 32  # characters: RFC 7518, 3.2
DEVELOPMENT_KEY = "for development only: anyone who reads the source can sign with it"


class Identity(Group, env_prefix="IDENTITY_"):
    """Who uses the service. Lifetimes in seconds."""

    signing_key: SecretStr = SecretStr(DEVELOPMENT_KEY)
    access_token_lifetime: Seconds = 900
    refresh_token_lifetime: Seconds = 2_592_000
    sign_up_open: bool = True


class Contacts(Group, env_prefix="CONTACTS_"):
    """People who are written to."""

    phone_region: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "RU"


class Files(Group, env_prefix="FILES_"):
    """Where files wait that people hand in: a folder that all processes share, or a bucket where one is named."""

    folder: str = str(ROOT / ".run" / "files")
    most_megabytes: Annotated[int, Field(ge=1, le=100_000)] = 500
    s3_bucket: str = ""
    s3_endpoint: Annotated[str, Field(pattern="^(https?://[^/?#]+)?$")] = ""
    s3_region: str = "us-east-1"
    s3_access_key_id: SecretStr = SecretStr("")
    s3_secret_access_key: SecretStr = SecretStr("")

    @property
    def most_bytes(self) -> int:
        return self.most_megabytes * 1_000_000


Days = Annotated[int, Field(ge=0, le=36_500)]


class Retention(Group, env_prefix="RETENTION_"):
    """How long things are kept after their end. Days; 0: for ever."""

    attempts: Days = 180
    notifications: Days = 365
    tasks: Days = 365
    results: Days = 0
    files: Days = 30
    audit: Days = 0


# 32 bytes that everybody knows.
DEVELOPMENT_SECRETS_KEY = "development:Z29uZXRzIGRldmVsb3BtZW50IGtleSwgbm90IHNhZmU="


def secrets_key(text: str) -> tuple[str, bytes]:
    key_id, _, encoded = text.strip().partition(":")
    try:
        key = base64.b64decode(encoded, altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", key_id) or len(key) != 32:
        raise ValueError("must be name:key, with commas between several; `gonets secrets new` makes one")
    return key_id, key


def _secrets_keys(value: SecretStr) -> SecretStr:
    found = [secrets_key(text) for text in value.get_secret_value().split(",")]
    if len(dict(found)) < len(found):
        raise ValueError("must not name two keys alike")
    return value


class Secrets(Group, env_prefix="SECRETS_"):
    """The keys under which the secrets of channels are encrypted at rest."""

    keys: Annotated[SecretStr, AfterValidator(_secrets_keys)] = SecretStr(DEVELOPMENT_SECRETS_KEY)

    @property
    def by_name(self) -> Mapping[str, bytes]:
        """The newest first."""
        return dict(secrets_key(text) for text in self.keys.get_secret_value().split(","))

    @property
    def secrets(self) -> list[str]:
        """Each key by itself, too."""
        whole = super().secrets
        return whole + [text.strip().partition(":")[2] for one in whole for text in one.split(",")]
