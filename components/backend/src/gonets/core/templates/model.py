"""A text with variables that is kept under a name, in versions that never change."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

LONGEST_NAME = 200
LONGEST_BODY = 20_000
LONGEST_SUBJECT = 500


@dataclass(frozen=True, slots=True)
class Content:
    """What a version says. `subject`: of an e-mail; may have variables, too."""

    body: str
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template at its latest version."""

    id: int
    name: str
    version: int
    content: Content
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a template said, or says."""

    number: int
    content: Content
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TemplatePage:
    """One page of a list, latest first; `next_cursor` is None on the last page."""

    templates: Sequence[Template] = ()
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one person gets to read."""

    text: str
    subject: str | None


@dataclass(frozen=True, slots=True)
class SmsShape:
    """How a text travels as SMS."""

    alphabet: str
    segments: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a text costs by channels of this type, in the installation's currency. `price`: of one segment; None: the
    operator has set none, and nobody can tell."""

    channel_type: str
    segments: int
    price: float | None

    @property
    def total(self) -> float | None:
        return None if self.price is None else round(self.segments * self.price, 6)


@dataclass(frozen=True, slots=True)
class Preview:
    """A template as one person would get it. `version`: the one that was rendered."""

    version: int
    rendered: Rendered
    sms: SmsShape
    estimates: Sequence[Estimate]
