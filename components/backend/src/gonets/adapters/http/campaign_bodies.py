"""What a campaign is asked to be."""

import re
from collections.abc import Sequence
from datetime import time, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, StrictInt, StrictStr, field_validator, model_validator

from gonets.adapters.http.camel import MAX_ID, Asked, Name
from gonets.adapters.http.failed import Time
from gonets.core.campaigns.use_cases import Plan
from gonets.core.campaigns.windows import EVERY_DAY, SendWindow, known_zone
from gonets.core.contacts.audience import EVERYBODY, Audience, audience_of
from gonets.core.notifications.model import MAX_ROUTE, MAX_TEXT
from gonets.core.shared.errors import Invalid

_LONGEST_FALLBACK = 30 * 86_400
_LEAST_A_SECOND, _MOST_A_SECOND = 0.001, 1_000_000
_Id = Annotated[StrictInt, Field(ge=1, le=MAX_ID)]
_CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"


def _of_day(value: str) -> str:
    if re.fullmatch(_CLOCK, value, re.ASCII) is None:
        raise ValueError("must be a time of day such as 09:00; midnight is 00:00")
    return value


_Clock = Annotated[StrictStr, AfterValidator(_of_day), Field(json_schema_extra={"pattern": _CLOCK})]


class WindowBody(Asked):
    """When messages may leave, by the clock on the recipient's wall. Where `to` is not later than `from`, it is of the
    next day; the window belongs to the day on which it opens."""

    opens: Annotated[_Clock, Field(alias="from", examples=["09:00"])]
    closes: Annotated[_Clock, Field(alias="to", description="Not from then on", examples=["21:00"])]
    days: Annotated[
        list[Annotated[StrictInt, Field(ge=1, le=7)]],
        Field(min_length=1, max_length=7, description="Monday is 1", examples=[[1, 2, 3, 4, 5]]),
    ] = sorted(EVERY_DAY)
    timezone: Annotated[
        StrictStr, Field(description="IANA, for recipients whose own nobody knows", examples=["Europe/Moscow"])
    ] = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if known_zone(value) is None:
            raise ValueError("must be the name of a time zone, as Europe/Moscow")
        return value

    def to_window(self) -> SendWindow:
        return SendWindow(
            time.fromisoformat(self.opens), time.fromisoformat(self.closes), self.timezone, frozenset(self.days)
        )


class TagsBody(Asked):
    """Which tags."""

    any: list[StrictStr] | None = None
    all: list[StrictStr] | None = None
    none: list[StrictStr] | None = None


class CampaignAudience(Asked):
    """Who of your contacts: those that meet every condition. Without any: everybody. Or `audienceId` alone: a saved
    audience, as it is when the campaign starts."""

    tags: TagsBody | None = None
    operator_codes: Annotated[list[StrictStr] | None, Field(examples=[["916"]])] = None
    timezones: Annotated[list[StrictStr] | None, Field(examples=[["Asia/Vladivostok"]])] = None
    audience_id: Annotated[_Id | None, Field(examples=[None])] = None

    @model_validator(mode="after")
    def _saved_or_not(self) -> Self:
        if self.audience_id is not None and (self.tags or self.operator_codes or self.timezones):
            raise ValueError("must hold audienceId alone, or conditions")
        return self

    def to_audience(self) -> Audience:
        return audience_of(self.model_dump(by_alias=True, exclude={"audience_id"}, exclude_none=True))


_Text = Annotated[StrictStr, Field(min_length=1, max_length=MAX_TEXT, pattern="^[^\\u0000]*$", examples=["Скидки!"])]
_Subject = Annotated[StrictStr, Field(max_length=500, pattern="^[^\\u0000]*$", description="Of an e-mail")]
_Route = Annotated[
    list[_Id], Field(max_length=MAX_ROUTE, description="Channels to try, in order. Empty: the default order")
]
_Fallback = Annotated[
    float,
    Field(
        gt=0,
        le=_LONGEST_FALLBACK,
        strict=True,
        allow_inf_nan=False,
        description="Seconds without a delivery receipt after which the next channel tries",
        examples=[300],
    ),
]
_Rate = Annotated[
    float,
    Field(
        ge=_LEAST_A_SECOND,
        le=_MOST_A_SECOND,
        strict=True,
        allow_inf_nan=False,
        description="Messages a second; null: as fast as its channels may",
        examples=[50],
    ),
]
_Start = Annotated[Time, Field(description="It starts by itself; left out: with `…/start`")]
_End = Annotated[Time, Field(description="Nothing leaves from then on")]


class _Planned(Asked):
    """What create and change have in common."""

    name: Name = ""
    text: _Text | None = None
    subject: _Subject | None = None
    template_id: _Id | None = None
    template_version: _Id | None = None
    audience: CampaignAudience | None = None
    route: _Route | None = None
    fallback_after: _Fallback | None = None
    start_at: _Start | None = None
    end_at: _End | None = None
    send_window: WindowBody | None = None
    rate: _Rate | None = None

    def changes(self) -> dict[str, Any]:
        """What was sent, as fields of Plan."""
        names = {"send_window": "window"}
        sent = {names.get(name, name): getattr(self, name) for name in self.model_fields_set}
        if "audience" in sent:
            asked: CampaignAudience | None = sent["audience"]
            sent["audience"] = asked.to_audience() if asked else EVERYBODY
            sent["audience_id"] = asked.audience_id if asked else None
        if sent.get("window") is not None:
            sent["window"] = sent["window"].to_window()
        if sent.get("fallback_after") is not None:
            sent["fallback_after"] = timedelta(seconds=sent["fallback_after"])
        if "route" in sent:
            sent["route"] = _told_apart(sent["route"] or [])
        return sent


class CampaignBody(_Planned):
    """One message to many: a text, or a template."""

    name: Name
    template_id: Annotated[_Id | None, Field(description="In place of `text`", examples=[None])] = None
    template_version: Annotated[_Id | None, Field(description="Left out: the latest", examples=[None])] = None

    def to_plan(self) -> Plan:
        return Plan(**self.changes())


class CampaignChange(_Planned):
    """What is to be different: what is left out stays, and null takes away."""


def _told_apart(route: Sequence[int]) -> Sequence[int]:
    if len(set(route)) < len(route):
        raise Invalid("route", "must name each channel once")
    return tuple(route)
