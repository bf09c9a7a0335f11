"""What a row of a file says of a contact, or what is wrong with it."""

import re
import zoneinfo
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from gonets.core.contacts.audience import LONGEST_TAG
from gonets.core.contacts.columns import ATTRIBUTES, Columns, Target
from gonets.core.contacts.model import LONGEST_ATTRIBUTE, LONGEST_NAME, MOST_ATTRIBUTES, MOST_TAGS
from gonets.core.contacts.ports import About, Phone
from gonets.core.shared import addresses
from gonets.core.shared.errors import Invalid

LONGEST_SHOWN = 100


class Code(StrEnum):
    """Why a row was not taken, for programs."""

    PHONE = "phone"
    EMAIL = "email"
    TELEGRAM_CHAT_ID = "telegramChatId"
    NAME = "name"
    TAGS = "tags"
    TIMEZONE = "timezone"
    CONSENT = "consent"
    ATTRIBUTE = "attribute"
    NO_ADDRESS = "noAddress"
    FORMULA = "formula"
    ENCODING = "encoding"
    TOO_MANY_CELLS = "tooManyCells"
    CELL_TOO_LONG = "cellTooLong"
    QUOTE = "quote"
    DUPLICATE = "duplicate"
    """Somebody has this phone or this address already: in the mode `skip`, or `fail`."""
    TWO_CONTACTS = "twoContacts"
    """The phone is one contact's and the e-mail address another's."""


class Fault(NamedTuple):
    """What is wrong with a row: the header of the column, the value's beginning, and what would be right."""

    column: str
    value: str
    code: Code
    reason: str


class Row(NamedTuple):
    """What a row says, checked; None where it says nothing."""

    name: str | None
    phone: str | None
    email: str | None
    telegram_chat_id: str | None
    tags: tuple[str, ...] | None
    timezone: str | None
    """As it was said; of a file without such a column, as the phone proposes."""
    operator_code: str | None
    attributes: Mapping[str, str] | None
    consent: bool | None


# What a spreadsheet would compute (OWASP, CSV injection); numbers and lone dashes are none.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d\s().,-]*$)")
# A text that is marked as one: by our own export, or by whoever typed it into a spreadsheet.
_MARKED = re.compile(r"'+[=+\-@\t\r]")
_SHORTENED = re.compile(r"\d[.,]\d+[eE]\+?\d+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_YES = frozenset(("1", "+", "true", "yes", "y", "да", "д", "истина"))
_NO = frozenset(("0", "-", "false", "no", "n", "нет", "н", "ложь"))


class CheckRow:
    """A row's cells, as texts, to a Row or the first Fault."""

    def __init__(self, headers: Sequence[str], columns: Columns, phone: Phone, about: About) -> None:
        """`headers`: what the columns are called in reports."""
        self._headers = headers
        self._width = len(headers)
        places = {target: place for place, target in columns.items()}
        self._phone_at = places.get(Target.PHONE)
        self._email_at = places.get(Target.EMAIL)
        parts = (Target.NAME, Target.FIRST_NAME, Target.MIDDLE_NAME, Target.LAST_NAME)
        self._names_at = [places[part] for part in parts if part in places]
        self._chat_at = places.get(Target.TELEGRAM_CHAT_ID)
        self._tags_at = places.get(Target.TAGS)
        self._zone_at = places.get(Target.TIMEZONE)
        self._guesses = Target.TIMEZONE not in places
        self._consent_at = places.get(Target.CONSENT)
        start = f"{ATTRIBUTES}."
        self._attributes_at = [(place, t[len(start) :]) for place, t in columns.items() if t.startswith(start)]
        self._phone = phone
        self._about = about

    def __call__(self, cells: Sequence[str]) -> Row | Fault:
        missing = self._width - len(cells)
        if missing > 0:
            cells = [*cells, *[""] * missing]
        elif missing < 0 and any(cells[self._width :]):
            extra = next(cell for cell in cells[self._width :] if cell)
            reason = f"the row has more cells than the {self._width} columns"
            return Fault("", shown(extra), Code.TOO_MANY_CELLS, reason)
        marked = [at for at, cell in enumerate(cells) if cell[:1] == "'" and _MARKED.match(cell)]
        if marked:
            cells = [cell[1:] if at in marked else cell for at, cell in enumerate(cells)]
        place = 0
        phone = email = code = chat = tags = zone = consent = attributes = None
        try:
            if (at := self._phone_at) is not None and (text := cells[at].strip()):
                place, kind = at, Code.PHONE
                phone = self._phone(Target.PHONE, text)
                code, zone = self._about(phone)
                # A file that speaks of time zones needs no guess.
                zone = zone if self._guesses else None
            if (at := self._email_at) is not None and (text := cells[at].strip()):
                place, kind = at, Code.EMAIL
                email = addresses.email(Target.EMAIL, text)
            if phone is None and email is None:
                return self._without_address()
            name = None
            for at in self._names_at:
                if text := cells[at].strip():
                    place, kind = at, Code.NAME
                    whole = text if name is None else f"{name} {text}"
                    name = _text(whole, LONGEST_NAME, "" if at in marked else text)
            if (at := self._chat_at) is not None and (text := cells[at].strip()):
                place, kind = at, Code.TELEGRAM_CHAT_ID
                chat = addresses.telegram_chat_id(Target.TELEGRAM_CHAT_ID, text)
            if (at := self._tags_at) is not None and (text := cells[at].strip()):
                place, kind = at, Code.TAGS
                tags = _tags(text, defused=at in marked)
            if (at := self._zone_at) is not None and (text := cells[at].strip()):
                place, kind = at, Code.TIMEZONE
                zone = _zone(text)
            if (at := self._consent_at) is not None and (text := cells[at].strip()):
                place, kind = at, Code.CONSENT
                consent = _consent(text)
            if self._attributes_at:
                kind, attributes = Code.ATTRIBUTE, {}
                for place, key in self._attributes_at:
                    if text := cells[place].strip():
                        attributes[key] = _text(text, LONGEST_ATTRIBUTE, "" if place in marked else text)
        except Invalid as error:
            return self._fault(place, cells[place], kind, error.reason)
        if attributes and len(attributes) > MOST_ATTRIBUTES:
            return Fault("", "", Code.ATTRIBUTE, f"the row has more than {MOST_ATTRIBUTES} attributes")
        return Row(name, phone, email, chat, tags, zone, code, attributes, consent)

    def _without_address(self) -> Fault:
        at = self._phone_at if self._phone_at is not None else self._email_at
        assert at is not None  # noqa: S101 - no import begins without one of the two
        reason = "the row has neither a phone nor an e-mail address, by which a contact is known"
        return self._fault(at, "", Code.NO_ADDRESS, reason)

    def _fault(self, place: int, value: str, code: Code, reason: str) -> Fault:
        if _SURROGATE.search(value):
            code, reason = Code.ENCODING, "has bytes that are no text in the file's encoding"
        elif _FORMULA.match(value.strip()) and (code is not Code.PHONE or value.strip()[0] in "=@"):
            code, reason = Code.FORMULA, "a formula is not taken; write the value"
        elif code is Code.PHONE and _SHORTENED.fullmatch(value.strip()):
            reason = "a spreadsheet has shortened the number; format the column as text and export again"
        return Fault(self._headers[place], shown(value), code, reason)


def is_formula(value: str) -> bool:
    """Whether a spreadsheet would compute it."""
    return _FORMULA.match(value) is not None


def shown(value: str) -> str:
    """Its beginning, as any table can hold it."""
    text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value[: LONGEST_SHOWN + 1]).replace(
        "\0", "\N{REPLACEMENT CHARACTER}"
    )
    return text if len(value) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def _text(whole: str, longest: int, part: str) -> str:
    if not whole.isprintable():
        # A cell may hold line breaks and spaces of all kinds; nobody's message is to break off there.
        whole = " ".join(whole.split())
        if not whole.isprintable():
            raise Invalid("text", "must have no control characters")
    if len(whole) > longest:
        raise Invalid("text", f"must have at most {longest} characters")
    if part and part[0] in "=@+-" and _FORMULA.match(part):
        raise Invalid("text", "must be no formula")
    return whole


@lru_cache(4096)
def _tags(text: str, *, defused: bool) -> tuple[str, ...]:
    if not defused and is_formula(text):
        raise Invalid("tags", "must be no formula")
    found = dict.fromkeys(tag for part in re.split("[,;|]", text) if (tag := part.strip()))
    if len(found) > MOST_TAGS or not all(len(tag) <= LONGEST_TAG and tag.isprintable() for tag in found):
        raise Invalid("tags", f"must be at most {MOST_TAGS} of {LONGEST_TAG} characters, with commas between them")
    return tuple(found)


@lru_cache(1)
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _zone(text: str) -> str:
    if text not in _zones():
        raise Invalid("timezone", "must be the name of a time zone such as Europe/Moscow")
    return text


@lru_cache(256)
def _consent(text: str) -> bool:
    word = text.casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise Invalid("consent", "must be yes or no, да or нет, 1 or 0")
