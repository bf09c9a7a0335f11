"""Phone numbers as people type them, and what a number tells of its owner, by Google's libphonenumber."""

import re
from collections.abc import Sequence

import phonenumbers
from phonenumbers import timezone

from gonets.core.shared.errors import Invalid

# The library looks for a number in any text; here the text has to be one.
_TYPED = re.compile(r"(?:tel:)?[\d\s()+./\u2010-\u2015-]{3,40}", re.IGNORECASE)
_BETWEEN = re.compile(r"[ ()-]+")
# Russian mobile numbers are most of what is imported, and the library takes some 30 µs for each. Of 930 it knows holes.
_RUSSIAN_MOBILE = re.compile(r"(\+7|[78]?)(9(?!30)[0-9]{9})")
_RUSSIAN = re.compile(r"\+7([3489][0-9]{2})[0-9]{7}")

# A mobile number's first digits name a region of the operator's: its time zone is a guess, which most people of the
# region agree with. All others are Moscow's, where most people are.
_MOSCOW = "Europe/Moscow"
_MOBILE_ZONES = {
    code: zone
    for zone, codes in {
        "Asia/Yekaterinburg": ("912", "922", "932", "982"),
        "Asia/Novosibirsk": ("913", "923", "933", "983"),
        "Asia/Vladivostok": ("914", "924", "984", "994"),
        "Europe/Samara": ("917", "927", "937", "987"),
        "Europe/Simferopol": ("978",),
    }.items()
    for code in codes
}


class PhoneNumbers:
    """A field's name and a number as a person typed it, to E.164. Raises Invalid, which names the field."""

    def __init__(self, region: str) -> None:
        """`region`: the country of numbers that do not name theirs, as in ISO 3166."""
        self._region = region

    def __call__(self, field: str, text: str) -> str:
        quick = _RUSSIAN_MOBILE.fullmatch(_BETWEEN.sub("", text)) if len(text) < 25 else None
        if quick and (self._region == "RU" or quick[1] == "+7"):
            return f"+7{quick[2]}"
        wrong = Invalid(field, "must be a phone number such as +79161234567 or 8 916 123-45-67")
        if not _TYPED.fullmatch(text.strip()):
            raise wrong
        try:
            number = phonenumbers.parse(text.strip().removeprefix("tel:"), self._region)
        except phonenumbers.NumberParseException as error:
            raise wrong from error
        if not phonenumbers.is_valid_number(number):
            raise wrong
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    def beginnings(self, text: str) -> Sequence[str]:
        """What a person typed of a number's beginning, as E.164 begins; empty where it is none. Without a country it
        may be the rest of the region's numbers, or begin with another country's."""
        if not _TYPED.fullmatch(text) or not (digits := re.sub(r"\D", "", text)):
            return []
        country = str(phonenumbers.country_code_for_region(self._region))
        if text.startswith("+") or digits.startswith(country):
            return [f"+{digits}"]
        trunk = phonenumbers.ndd_prefix_for_region(self._region, True) or ""
        return [f"+{digits}", f"+{country}{digits.removeprefix(trunk)}"]


def is_region(region: str) -> bool:
    """Whether the library knows the country."""
    return region in phonenumbers.SUPPORTED_REGIONS


def operator_code_of(phone: str) -> str | None:
    """Of a Russian number in E.164 the three digits after +7; None of all others (+77 is Kazakhstan's)."""
    found = _RUSSIAN.fullmatch(phone)
    return found[1] if found else None


def about(phone: str) -> tuple[str | None, str | None]:
    """The operator code and the time zone that a number in E.164 tells."""
    return operator_code_of(phone), timezone_of(phone)


def timezone_of(phone: str) -> str | None:
    """The IANA time zone in which the owner of a number in E.164 probably lives, to be proposed; None where the number
    says nothing, as in countries of several zones."""
    code = operator_code_of(phone)
    if code is not None and code.startswith("9"):
        return _MOBILE_ZONES.get(code, _MOSCOW)
    zones = set(timezone.time_zones_for_number(phonenumbers.parse(phone))) - {timezone.UNKNOWN_TIMEZONE}
    if len(zones) > 1 and phone.startswith(("+76", "+77")):
        return "Asia/Almaty"
    return zones.pop() if len(zones) == 1 else None
