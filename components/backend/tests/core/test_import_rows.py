"""What columns hold, and what rows say."""

import pytest

from gonets.core.contacts.columns import assign, recognised
from gonets.core.contacts.rows import CheckRow, Code, Fault, Row, is_formula, shown
from gonets.core.shared.errors import Invalid

HEADERS = ("ФИО", "Телефон", "E-mail", "Метки", "Telegram", "Часовой пояс", "Согласие", "Город")
COLUMNS = assign(HEADERS, {"Город": "attributes.city"})


def _phone(field, text):
    if not text.startswith("+7"):
        raise Invalid(field, "must be a phone number")
    return text


check = CheckRow(HEADERS, COLUMNS, _phone, lambda phone: (phone[2:5], "Europe/Moscow"))


def row(**cells):
    known = dict.fromkeys(("name", "phone", "email", "tags", "chat", "zone", "consent", "city"), "")
    return check(list((known | cells).values()))


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ("Phone Number", "phone"),
        (" телефон ", "phone"),
        ("Мобильный телефон", "phone"),
        ("E-Mail", "email"),
        ("Эл. почта", "email"),
        ("ФИО", "name"),
        ("full_name", "name"),
        ("Имя", "firstName"),
        ("Фамилия", "lastName"),
        ("telegramChatId", "telegramChatId"),
        ("Тэги", "tags"),
        ("attributes.city", "attributes.city"),
        ("Город", None),
        ("", None),
        ("№", None),
    ],
)
def test_headers_are_recognised_in_english_and_in_russian(header, target):
    assert recognised(header) == target


def test_columns_are_named_by_hand_by_header_or_number():
    headers = ("Кому", "Куда", "Phone", "Что")
    assert assign(headers, {"1": "name", "куда": "email", "4": None}) == {0: "name", 1: "email", 2: "phone"}
    assert assign(("phone", "Город", "Сумма, руб"), {"*": "attributes"}) == {
        0: "phone",
        1: "attributes.Город",
        2: "attributes.Сумма_руб",
    }
    assert assign(("phone", "mobile"), {}) == {0: "phone"}
    assert assign(("phone", "mobile"), {"phone": None}) == {1: "phone"}


@pytest.mark.parametrize(
    ("headers", "by_hand", "words"),
    [
        (("a", "b"), {}, "none holds phones"),
        (("phone",), {"Телефон": "phone"}, "no column 'Телефон'"),
        (("phone",), {"2": "email"}, "no column '2'"),
        (("phone", "b"), {"b": "fone"}, "must be one of"),
        (("phone", "b"), {"b": "attributes.2"}, "must be one of"),
        (("a", "b"), {"a": "phone", "b": "phone"}, "the same"),
        (("phone",), {"*": "tags"}, "can be attributes"),
    ],
)
def test_a_mapping_that_cannot_be_names_what_is_wrong(headers, by_hand, words):
    with pytest.raises(Invalid, match=words) as raised:
        assign(headers, by_hand)
    assert raised.value.field == "columns"


def test_a_row_becomes_a_contact():
    found = row(
        name=" Анна ",
        phone="+79161234567",
        email=" anna@example.com ",
        tags="vip; новые,vip",
        chat="@annas",
        city="Тула",
    )
    assert found == Row(
        name="Анна",
        phone="+79161234567",
        email="anna@example.com",
        telegram_chat_id="@annas",
        tags=("vip", "новые"),
        timezone=None,
        operator_code="916",
        attributes={"city": "Тула"},
        consent=None,
    )
    broken = row(phone="+79161234567", name="Мария\r\nДе\N{NO-BREAK SPACE}Сика")
    assert broken.name == "Мария Де Сика"
    assert row(phone="+79161234567", zone="Asia/Omsk", consent="Да")[5:] == ("Asia/Omsk", "916", {}, True)
    parts = CheckRow(
        ("Фамилия", "Имя", "phone"), assign(("Фамилия", "Имя", "phone"), {}), _phone, lambda _: (None, "UTC")
    )
    assert parts(["Смирнова", "Анна", "+79161234567"]).name == "Анна Смирнова"
    assert parts(["", "", "+79161234567"]).timezone == "UTC"
    assert parts(["", "", "+79161234567", "", ""]).phone


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"phone": "12"}, "Телефон", Code.PHONE),
        ({"phone": "7,91612E+10"}, "Телефон", Code.PHONE),
        ({"email": "anna@"}, "E-mail", Code.EMAIL),
        ({"name": "Анна"}, "Телефон", Code.NO_ADDRESS),
        ({"name": "x" * 201}, "ФИО", Code.NAME),
        ({"name": "a\x00b"}, "ФИО", Code.NAME),
        ({"name": "a\x1bb"}, "ФИО", Code.NAME),
        ({"name": "=1+1"}, "ФИО", Code.FORMULA),
        ({"name": "@SUM(A1)"}, "ФИО", Code.FORMULA),
        ({"name": "+cmd|' /C calc'!A0"}, "ФИО", Code.FORMULA),
        ({"city": "-2+3+cmd|' /C calc'!A0"}, "Город", Code.FORMULA),
        ({"phone": "=A1"}, "Телефон", Code.FORMULA),
        ({"tags": "=1,vip"}, "Метки", Code.FORMULA),
        ({"tags": "x" * 101}, "Метки", Code.TAGS),
        ({"tags": ",".join(map(str, range(51)))}, "Метки", Code.TAGS),
        ({"zone": "Москва"}, "Часовой пояс", Code.TIMEZONE),
        ({"consent": "maybe"}, "Согласие", Code.CONSENT),
        ({"chat": "no chat"}, "Telegram", Code.TELEGRAM_CHAT_ID),
        ({"city": "x" * 1001}, "Город", Code.ATTRIBUTE),
        ({"name": "\udcd0\udcff"}, "ФИО", Code.ENCODING),
        ({"more": "x"}, "", Code.TOO_MANY_CELLS),
    ],
)
def test_a_row_that_is_wrong_says_where_and_why(cells, column, code):
    found = row(**({} if code is Code.NO_ADDRESS or "phone" in cells else {"phone": "+79161234567"}) | cells)
    assert isinstance(found, Fault)
    assert (found.column, found.code) == (column, code)
    assert found.reason
    found.value.encode()


def test_numbers_and_dashes_are_no_formulas():
    assert not any(map(is_formula, ("-", "-5", "+7 (916) 123-45-67", "a=b", "")))
    assert row(phone="+79161234567", city="-5").attributes == {"city": "-5"}


def test_what_is_shown_is_short():
    assert shown("a" * 100) == "a" * 100
    assert shown("a" * 101) == "a" * 99 + "…"
    assert shown("\x00\udc80") == "\N{REPLACEMENT CHARACTER}" * 2


def test_what_an_export_has_defused_is_as_it_was():
    found = row(name="'=1+1", phone="'+79161234567", tags="'-vip,=new", city="''=x", chat="'@annas")
    assert (found.name, found.phone, found.tags, found.attributes, found.telegram_chat_id) == (
        "=1+1",
        "+79161234567",
        ("-vip", "=new"),
        {"city": "'=x"},
        "@annas",
    )
    assert row(name="'Анна", phone="+79161234567").name == "'Анна"


def test_a_row_has_no_more_attributes_than_a_contact_may_have():
    headers = ("phone", *(f"attributes.a{n}" for n in range(101)))
    wide = CheckRow(headers, assign(headers, {}), _phone, lambda _: (None, None))
    assert len(wide(["+79161234567", *["x"] * 100]).attributes) == 100
    fault = wide(["+79161234567", *["x"] * 101])
    assert fault == Fault("", "", Code.ATTRIBUTE, "the row has more than 100 attributes")
