"""How messages get to people: all channels, and where they may lead."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from gonets.core.channels.egress import Allowance
from gonets.settings.group import Group, Seconds


def _allowances(value: str) -> str:
    for one in value.split(","):
        if one.strip():
            Allowance.parse(one.strip())
    return value


class Egress(Group, env_prefix="EGRESS_"):
    """Where addresses that users typed may lead, besides the public internet."""

    allowed: Annotated[str, AfterValidator(_allowances)] = ""

    @property
    def allowances(self) -> list[Allowance]:
        return [Allowance.parse(one.strip()) for one in self.allowed.split(",") if one.strip()]


def _rates(value: str) -> str:
    for part in filter(None, value.split(",")):
        name, _, rate = part.partition("=")
        if not re.fullmatch(r"[A-Z_]+", name.strip()) or not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", rate.strip()):
            raise ValueError("must be TYPE=number,TYPE=number, messages a second")
    return value


class Notifications(Group, env_prefix="NOTIFICATIONS_"):
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


def _prices(value: str) -> str:
    for part in filter(None, value.split(",")):
        name, _, price = part.partition("=")
        if not re.fullmatch(r"SMS_[A-Z_]+", name.strip()) or not re.fullmatch(_PRICE, price.strip()):
            raise ValueError("must be TYPE=number,TYPE=number, what one segment costs")
    return value


_PRICE = r"[0-9]{1,6}(\.[0-9]{1,4})?"


class Sms(Group, env_prefix="SMS_"):
    """What SMS cost, for estimates."""

    prices: Annotated[str, AfterValidator(_prices)] = ""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "RUB"

    @property
    def price_of(self) -> Mapping[str, float]:
        """Of one segment by channels of a type; nobody knows it where the type is not named."""
        parts = (part.partition("=") for part in filter(None, self.prices.split(",")))
        return {name.strip(): float(price) for name, _, price in parts}


class Campaigns(Group, env_prefix="CAMPAIGNS_"):
    """One message to many. Seconds."""

    latest_start: Seconds = 3600
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100


class Tls(Group, env_prefix="TLS_"):
    """Whom to trust besides the system's certificate authorities: a file in PEM, which may come to be later."""

    ca_file: Path | None = None


class Channels(Group, env_prefix="CHANNELS_"):
    """Channels of all types."""

    test_phone: str = ""
    simulated: bool = True
    sms_directory: str = ""
