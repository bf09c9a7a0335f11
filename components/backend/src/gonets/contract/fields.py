"""What tasks and notifications say alike."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

MAX_ID = 2**63 - 1


class Camel(BaseModel):
    """Of notifications and what came after them: camelCase. A key that nobody knows is a mistake."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True)


def no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain the NUL character (U+0000)")
    return value


def within_years(value: datetime) -> datetime:
    """In UTC too it has a year from 1 to 9999: a database keeps others, and nobody can read them back."""
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be between the years 1 and 9999 in UTC") from None
    return value


Id = Annotated[StrictInt, Field(ge=1, le=MAX_ID, examples=[1])]
WithoutNul = Annotated[StrictStr, AfterValidator(no_nul)]
