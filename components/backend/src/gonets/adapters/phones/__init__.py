"""Phone numbers as people type them, by Google's libphonenumber."""

import re

import phonenumbers

from gonets.core.shared.errors import Invalid

# The library looks for a number in any text; here the text has to be one.
_TYPED = re.compile(r"(?:tel:)?[\d\s()+./\u2010-\u2015-]{3,40}", re.IGNORECASE)


class PhoneNumbers:
    """A field's name and a number as a person typed it, to E.164. Raises Invalid, which names the field."""

    def __init__(self, region: str) -> None:
        """`region`: the country of numbers that do not name theirs, as in ISO 3166."""
        self._region = region

    def __call__(self, field: str, text: str) -> str:
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


def is_region(region: str) -> bool:
    """Whether the library knows the country."""
    return region in phonenumbers.SUPPORTED_REGIONS
