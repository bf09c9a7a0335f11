"""What an owner may say of a contact, and what a phone number says of one."""

import math
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from gonets.core.contacts.audience import LONGEST_TAG
from gonets.core.contacts.model import (
    LONGEST_ATTRIBUTE,
    LONGEST_NAME,
    MOST_ATTRIBUTES,
    MOST_TAGS,
    Attribute,
    Contact,
    Field,
    Value,
)
from gonets.core.contacts.ports import About, Fields, Phone
from gonets.core.shared import addresses
from gonets.core.shared.errors import Invalid, InvalidFields
from gonets.core.shared.json import JSON

Given = Mapping[Field, JSON]
"""Fields as somebody typed them. None takes the value away."""

_ATTRIBUTE = re.compile(r"[^\W\d][\w-]{0,59}")
_OPERATOR_CODE = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class CheckFields:
    """Fields as somebody typed them, to fields as they are stored."""

    phone: Phone
    about: About
    now: Callable[[], datetime]

    def whole(self, given: Given) -> Fields:
        """Of a contact that is created or replaced: what is not given, it has not, but for what its phone says. Raises
        InvalidFields with every field that is wrong, and Invalid where it would be nobody."""
        checked = dict.fromkeys(Field) | self.checked(given)
        checked[Field.NAME] = checked[Field.NAME] or ""
        if not any(checked[field] for field in (Field.NAME, Field.PHONE, Field.EMAIL, Field.TELEGRAM_CHAT_ID)):
            raise Invalid(Field.NAME, "must be given where there is no phone, e-mail address or Telegram chat")
        phone = checked[Field.PHONE]
        code, zone = self.about(str(phone)) if phone else (None, None)
        checked[Field.OPERATOR_CODE] = checked[Field.OPERATOR_CODE] or code
        checked[Field.TIMEZONE] = checked[Field.TIMEZONE] or zone
        checked[Field.TAGS] = checked[Field.TAGS] or ()
        checked[Field.ATTRIBUTES] = checked[Field.ATTRIBUTES] or {}
        return checked

    def change(self, contact: Contact, given: Given) -> Fields:
        """What is not given stays, but for what the phone before said. Raises as `whole` does."""
        checked = self.checked(given)
        phone = checked.get(Field.PHONE)
        if Field.PHONE in checked and phone != contact.phone:
            _, zone_before = self.about(contact.phone) if contact.phone else (None, None)
            code, zone = self.about(str(phone)) if phone else (None, None)
            checked = {Field.OPERATOR_CODE: code} | checked
            if contact.timezone in (None, zone_before):
                checked = {Field.TIMEZONE: zone} | checked
        return checked

    def checked(self, given: Given) -> dict[Field, Value]:
        checked: dict[Field, Value] = {}
        wrong: list[tuple[str, str]] = []
        for name, value in given.items():
            try:
                checked[name] = self._check(name, value)
            except Invalid as error:
                wrong.append((error.field, error.reason))
        if wrong:
            raise InvalidFields(wrong)
        if Field.CONSENT in checked and Field.CONSENT_AT not in checked:
            checked[Field.CONSENT_AT] = self.now() if checked[Field.CONSENT] is not None else None
        return checked

    def _check(self, name: Field, value: JSON) -> Value:
        match name:
            case Field.NAME:
                return _name(value)
            case Field.TAGS:
                return _tags(value)
            case Field.ATTRIBUTES:
                return _attributes(value)
        if value is None:
            return None
        match name:
            case Field.PHONE:
                return self.phone(name, str(value))
            case Field.EMAIL:
                return addresses.email(name, str(value))
            case Field.TELEGRAM_CHAT_ID:
                return addresses.telegram_chat_id(name, value if isinstance(value, int) else str(value))
            case Field.TIMEZONE:
                return _timezone(value)
            case Field.OPERATOR_CODE:
                if not (isinstance(value, str) and _OPERATOR_CODE.fullmatch(value)):
                    raise Invalid(name, "must be up to ten digits, such as 916")
                return value
            case Field.CONSENT:
                if not isinstance(value, bool):
                    raise Invalid(name, "must be true, false or null")
                return value
            case Field.CONSENT_AT:
                return _time(name, value)


def _name(value: JSON) -> str:
    found = str(value).strip() if value is not None else ""
    if len(found) > LONGEST_NAME or not found.isprintable():
        raise Invalid(Field.NAME, f"must be up to {LONGEST_NAME} characters on one line")
    return found


def tags_of(field: str, value: JSON) -> tuple[str, ...]:
    """Each once, in the order given. Raises Invalid."""
    found = value if isinstance(value, list) else []
    tags = tuple(dict.fromkeys(str(tag).strip() for tag in found))
    if (
        not isinstance(value, list | None)
        or len(tags) > MOST_TAGS
        or not all(isinstance(tag, str) for tag in found)
        or not all(1 <= len(tag) <= LONGEST_TAG and tag.isprintable() for tag in tags)
    ):
        raise Invalid(field, f"must be a list of at most {MOST_TAGS} texts of 1 to {LONGEST_TAG} characters")
    return tags


def _tags(value: JSON) -> tuple[str, ...]:
    return tags_of(Field.TAGS, value)


def _attributes(value: JSON) -> dict[str, Attribute]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MOST_ATTRIBUTES:
        raise Invalid(Field.ATTRIBUTES, f"must be an object of at most {MOST_ATTRIBUTES} values by their names")
    found: dict[str, Attribute] = {}
    for key, one in value.items():
        place = f"{Field.ATTRIBUTES}.{key}"
        if not _ATTRIBUTE.fullmatch(key):
            raise Invalid(place, "must be named by a letter and up to 59 letters, digits, - or _")
        if isinstance(one, str) and (len(one) > LONGEST_ATTRIBUTE or "\0" in one):
            raise Invalid(place, f"must have at most {LONGEST_ATTRIBUTE} characters, without U+0000")
        if not isinstance(one, str | int | float | bool) or (isinstance(one, float) and not math.isfinite(one)):
            raise Invalid(place, "must be a text, a number, true or false")
        found[key] = one
    return found


@lru_cache(1)
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _timezone(value: JSON) -> str:
    if value not in _zones():
        raise Invalid(Field.TIMEZONE, "must be the IANA name of a time zone, such as Europe/Moscow")
    return str(value)


def _time(field: str, value: JSON) -> datetime:
    wrong = Invalid(field, "must be a time with its zone, such as 2026-01-31T12:00:00Z")
    try:
        found = datetime.fromisoformat(str(value))
        if found.tzinfo is None:
            raise wrong
        return found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise wrong from error
