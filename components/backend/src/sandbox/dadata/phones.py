"""Phone numbers as Dadata cleans them.

The shape, the meaning of `qc` and the first five fixtures come from https://dadata.ru/api/clean/phone/ and from
recorded answers in public clients. What is not a fixture is answered by a rule that keeps the shape; its operators
and regions are plausible, not true.
"""

import re
from typing import Any

FIELDS = (
    "type",
    "phone",
    "country_code",
    "city_code",
    "number",
    "extension",
    "provider",
    "country",
    "region",
    "city",
    "timezone",
)
NOTHING: dict[str, Any] = dict.fromkeys(FIELDS) | {"qc_conflict": 0}

MTS, MEGAFON, BEELINE, T2 = (
    'ПАО "Мобильные ТелеСистемы"',
    'ПАО "МегаФон"',
    'ПАО "Вымпел-Коммуникации"',
    'ООО "Т2 Мобайл"',
)
MOSCOW = "Москва и Московская область"

OPERATORS = (  # first match wins
    (re.compile("91|98"), MTS),
    (re.compile("92|93"), MEGAFON),
    (re.compile("90[3569]|96"), BEELINE),
    (re.compile("90|95|977|999"), T2),
)
REGIONS = {
    "495": ("г. Москва", "Москва", "UTC+3"),
    "499": ("г. Москва", "Москва", "UTC+3"),
    "812": ("г. Санкт-Петербург", "Санкт-Петербург", "UTC+3"),
    "846": ("Самарская область", "Самара", "UTC+4"),
    "343": ("Свердловская область", "Екатеринбург", "UTC+5"),
    "383": ("Новосибирская область", "Новосибирск", "UTC+7"),
    "423": ("Приморский край", "Владивосток", "UTC+10"),
}
COUNTRIES = (  # longest code first
    ("375", "Беларусь", "UTC+3"),
    ("380", "Украина", "UTC+2"),
    ("374", "Армения", "UTC+4"),
    ("998", "Узбекистан", "UTC+5"),
    ("49", "Германия", "UTC+1"),
    ("44", "Великобритания", "UTC+0"),
    ("90", "Турция", "UTC+3"),
    ("86", "Китай", "UTC+8"),
    ("1", "США", "UTC-5"),
)
FIXTURES: dict[str, dict[str, Any]] = {
    "раб 846)231.60.14 *139": {"provider": 'ООО "СИПАУТНЭТ"'},
    "+7 495 000-00-01": {"type": "Прямой мобильный", "provider": MTS},
    "+7 846 000-00-02": {"qc_conflict": 2},
    "+7 846 000-00-03": {"qc_conflict": 3},
    "+7 999 000-00-00": {"provider": "до\x00после \ud800"},
}
"""Inputs whose answer differs from the rule in these fields. The last one is what PostgreSQL's jsonb cannot store."""

EXTENSION = re.compile(r"(?:доб\.?|вн\.?|ext\.?|[*#])\s*(\d{1,6})\D*$", re.IGNORECASE)
SEPARATORS = re.compile(r"[,;/|\n]|\s+(?:и|или|or|and)\s+|(?<=\d)\s+(?=\+)|(?<=\d{10})\s+(?=[78]\d{10})")


def clean_phone(source: str) -> dict[str, Any]:
    """The object of Dadata's answer for `source`; the same for the same input, always."""
    parts = [part for part in SEPARATORS.split(source) if sum(map(_is_digit, part)) >= 7]
    text = parts[0] if len(parts) > 1 else source
    found = _recognise(text)
    if len(parts) > 1 and found["phone"]:
        found["qc"] = 3
    return {"source": source, **NOTHING, **found, **FIXTURES.get(source, {})}


def _recognise(text: str) -> dict[str, Any]:
    extension = None
    if match := EXTENSION.search(text):
        extension, text = match[1], text[: match.start()]
    digits = "".join(filter(_is_digit, text))
    international = text.lstrip(" (").startswith("+")
    if not digits or len(digits) > 15:
        return _unknown(None, 2)
    if not international and digits.startswith("810"):
        digits, international = digits[3:], True
    if len(digits) == 11 and digits[0] == "7" and digits[1] in "67":
        return _foreign("7", digits[1:4], digits[4:], "Казахстан", "UTC+5")
    if len(digits) == 11 and digits[0] in ("7" if international else "78"):
        return _russian(digits[1:], extension, 0)
    if len(digits) == 10 and not international:
        return _russian(digits, extension, 0)
    if len(digits) == 7 and not international:
        return _russian("495" + digits, extension, 1)  # recognised with an assumption: the city was left out
    for code, country, timezone in COUNTRIES:
        if digits.startswith(code) and len(digits) >= (8 if international else 11):
            return _foreign(code, None, digits[len(code) :], country, timezone)
    return _unknown("Неизвестный", 1)


def _russian(national: str, extension: str | None, qc: int) -> dict[str, Any]:
    code, number = national[:3], national[3:]
    mobile = code[0] == "9"
    region, city, timezone = (MOSCOW, None, "UTC+3") if mobile else REGIONS.get(code, (None, None, "UTC+3"))
    provider = next((name for prefix, name in OPERATORS if prefix.match(code)), None)
    return {
        "type": "Мобильный" if mobile else "Колл-центр" if code == "800" else "Стационарный",
        "phone": f"+7 {code} {number[:3]}-{number[3:5]}-{number[5:]}" + (f" доб. {extension}" if extension else ""),
        "country_code": "7",
        "city_code": code,
        "number": number,
        "extension": extension,
        "provider": provider if mobile else 'ПАО "Ростелеком"',
        "country": "Россия",
        "region": region,
        "city": city,
        "timezone": timezone,
        "qc": qc,
    }


def _foreign(code: str, city_code: str | None, number: str, country: str, timezone: str) -> dict[str, Any]:
    return {
        "type": "Стационарный",
        "phone": f"+{code} {city_code or ''} {number}",  # an empty city code leaves two spaces, as the real one does
        "country_code": code,
        "city_code": city_code,
        "number": number,
        "country": country,
        "timezone": timezone,
        "qc": 7,
    }


def _unknown(kind: str | None, qc: int) -> dict[str, Any]:
    return {"type": kind, "phone": None, "qc": qc}


def _is_digit(char: str) -> bool:
    return "0" <= char <= "9"
