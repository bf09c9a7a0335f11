"""What an e-mail address and a Telegram chat look like."""

import pytest

from gonets.core.shared.addresses import email, telegram_chat_id
from gonets.core.shared.errors import Invalid


@pytest.mark.parametrize(
    "address",
    [
        "anna@example.com",
        "Anna.Smirnova+shop@mail.example.co.uk",
        "o'neil@example.com",
        "1@a.io",
        "почта@пример.рф",
        "anna@xn--e1afmkfd.xn--p1ai",
        "a_b-c@my-shop.example",
        f"{'a' * 64}@example.com",
    ],
)
def test_an_address_is_taken_as_it_is(address):
    assert email("email", f" {address}\n") == address


def test_an_address_is_composed():
    assert email("email", "e\u0301@example.com") == "\u00e9@example.com"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "anna",
            "anna@",
            "@example.com",
            "anna@example",
            "anna@@example.com",
            "a b@example.com",
            "a@b@example.com",
        ),
        *("anna@example..com", "anna@.com", "anna@-a.com", "anna@a-.com", ".a@example.com", "a.@example.com"),
        *(
            "a..b@example.com",
            "anna@example.com\nBcc: x@y.com",
            "<anna@example.com>",
            "anna@example.c0m1.5",
            "a\0@b.com",
        ),
        *(f"{'a' * 65}@example.com", f"a@{'b' * 64}.com", f"a@{'b.' * 130}com", "a\u200b@example.com"),
    ],
)
def test_what_is_no_address_is_refused_by_its_field(text):
    with pytest.raises(Invalid) as caught:
        email("fromEmail", text)
    assert caught.value.field == "fromEmail"


@pytest.mark.parametrize(
    ("value", "stored"),
    [(123456789, "123456789"), ("-1001234567890", "-1001234567890"), (-5, "-5"), (" @my_channel ", "@my_channel")],
)
def test_a_chat_is_a_number_or_a_channels_name(value, stored):
    assert telegram_chat_id("telegramChatId", value) == stored


@pytest.mark.parametrize("value", ["", 0, "0", "1.5", "anna", "@a", "@1abcd", "@имя", "+5", "1" * 20, "@a b"])
def test_what_is_no_chat_is_refused(value):
    with pytest.raises(Invalid):
        telegram_chat_id("telegramChatId", value)
