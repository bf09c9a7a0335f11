"""What a column of a file holds, by its header in English or Russian, or as somebody maps it by hand."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from gonets.core.shared.errors import Invalid

ATTRIBUTES = "attributes"
REST = "*"
"""In a mapping: all columns that nothing else is said of."""

_LONGEST_ATTRIBUTE_NAME = 60  # as templates name them
_ATTRIBUTE = re.compile(r"[^\W\d][\w-]*")


class Target(StrEnum):
    """What a column may hold. Besides these: `attributes.<name>`, a value for templates."""

    NAME = "name"
    FIRST_NAME = "firstName"
    MIDDLE_NAME = "middleName"
    LAST_NAME = "lastName"
    PHONE = "phone"
    EMAIL = "email"
    TELEGRAM_CHAT_ID = "telegramChatId"
    TAGS = "tags"
    TIMEZONE = "timezone"
    CONSENT = "consent"


Columns = Mapping[int, str]
"""By the place of a column, from 0: a Target, or `attributes.<name>`."""

_HEADERS: Mapping[Target, str] = {
    Target.NAME: "name fullname contactname contact customer customername client clientname"
    " фио имяифамилия фамилияимя фамилияимяотчество полноеимя имяконтакта контакт клиент имяклиента получатель",
    Target.FIRST_NAME: "firstname givenname forename имя",
    Target.MIDDLE_NAME: "middlename patronymic отчество",
    Target.LAST_NAME: "lastname surname familyname secondname фамилия",
    Target.PHONE: "phone phonenumber phoneno telephone telephonenumber tel mobile mobilephone mobilenumber cell"
    " cellphone msisdn contactphone телефон номертелефона тел мобильный мобильныйтелефон моб мобтел"
    " сотовый сотовыйтелефон контактныйтелефон телефонклиента номермобильного",
    Target.EMAIL: "email emailaddress mail почта электроннаяпочта элпочта эпочта адресэлектроннойпочты"
    " электронныйадрес емейл емайл имейл имэйл мейл мэйл",
    Target.TELEGRAM_CHAT_ID: "telegramchatid telegramid telegram tgchatid tgid tg chatid телеграм телеграмм"
    " телеграмid idтелеграм idчата чатid",
    Target.TAGS: "tags tag labels label groups group segments segment теги тег тэги тэг метки метка группы группа"
    " сегмент сегменты",
    Target.TIMEZONE: "timezone tz часовойпояс таймзона",
    Target.CONSENT: "consent optin subscribed agreement согласие согласиенарассылку подписан подписка",
}
_TARGETS = {word: target for target, words in _HEADERS.items() for word in words.split()}


def recognised(header: str) -> str | None:
    """What a column with this header holds; None: nothing that is known."""
    text = header.strip()
    if text.lower().startswith(f"{ATTRIBUTES}.") and _is_attribute(text[len(ATTRIBUTES) + 1 :]):
        return f"{ATTRIBUTES}.{text[len(ATTRIBUTES) + 1 :]}"
    return _TARGETS.get(re.sub(r"[\W_]+", "", text.lower().replace("ё", "е")))


def assign(headers: Sequence[str], by_hand: Mapping[str, str | None]) -> Columns:
    """What each column holds. `by_hand` names columns by their headers or their numbers, from 1, and what they hold,
    None for nothing. Of several columns recognised alike the first counts. Raises Invalid, with the field `columns`."""
    found: dict[int, str] = {}
    spoken = set()
    for name, target in by_hand.items():
        if name == REST:
            continue
        place = _place(name, headers)
        spoken.add(place)
        if target is not None:
            found[place] = _target(target)
    for place, header in enumerate(headers):
        if place in spoken:
            continue
        known = recognised(header)
        if known is None and by_hand.get(REST) == ATTRIBUTES and (attribute := _attribute_name(header)):
            known = f"{ATTRIBUTES}.{attribute}"
        if known is not None and known not in found.values():
            found[place] = known
    if len(set(found.values())) < len(found):
        raise Invalid("columns", "no two columns can hold the same")
    if by_hand.get(REST) not in (None, ATTRIBUTES):
        raise Invalid("columns", f"{REST} can be {ATTRIBUTES} or null")
    if not {Target.PHONE, Target.EMAIL} & set(found.values()):
        shown = ", ".join(header for header in headers[:20] if header) or "none"
        raise Invalid(
            "columns",
            f"none holds phones or e-mail addresses (found: {shown[:300]}); name one, as in"
            ' {"Contact no.": "phone"}, by its header or its number',
        )
    return dict(sorted(found.items()))


def _place(name: str, headers: Sequence[str]) -> int:
    known = [header.strip().casefold() for header in headers]
    if name.strip().casefold() in known:
        return known.index(name.strip().casefold())
    if name.isascii() and name.isdecimal() and 1 <= int(name[:9]) <= len(headers):
        return int(name) - 1
    raise Invalid("columns", f"the file has no column {name[:100]!r}")


def _target(text: str) -> str:
    name = text.removeprefix(f"{ATTRIBUTES}.")
    if text in {target.value for target in Target} or (name != text and _is_attribute(name)):
        return text
    known = ", ".join(target.value for target in Target)
    raise Invalid("columns", f"{text[:100]!r} must be one of {known}, or {ATTRIBUTES}.name")


def _is_attribute(name: str) -> bool:
    return len(name) <= _LONGEST_ATTRIBUTE_NAME and _ATTRIBUTE.fullmatch(name) is not None


def _attribute_name(header: str) -> str | None:
    name = re.sub(r"\W+", "_", header.strip()).strip("_")
    return name if _is_attribute(name) else None
