"""Phone numbers as people type them."""

import phonenumbers
import pytest

from gonets.adapters.phones import PhoneNumbers, about, is_region
from gonets.core.shared.errors import Invalid


@pytest.mark.parametrize(
    "typed",
    [
        "+79123456789",
        "89123456789",
        "79123456789",
        "9123456789",
        "8 912 345-67-89",
        "+7 (912) 345-67-89",
        " +7 912 345–67–89 ",
        "tel:+7-912-345-67-89",
        "TEL:+7-912-345-67-89",
        "８９１２３４５６７８９",
    ],
)
def test_the_usual_forms_are_one_number(typed):
    assert PhoneNumbers("RU")("phone", typed) == "+79123456789"


@pytest.mark.parametrize(
    ("region", "typed", "stored"),
    [
        ("RU", "+44 20 7946 0958", "+442079460958"),
        ("RU", "8 10 44 20 7946 0958", "+442079460958"),
        ("GB", "020 7946 0958", "+442079460958"),
        ("US", "(212) 555-2368", "+12125552368"),
    ],
)
def test_other_countries_are_named_or_set(region, typed, stored):
    assert PhoneNumbers(region)("phone", typed) == stored


@pytest.mark.parametrize(
    "typed",
    ["", " ", "+", "12345", "912345678", "+70000000000", "555-555-5555", "8 912 345-67-89 доб. 5", "8 912 345 67 89 a",
     "anna", "+7912345678901234567890", "8" * 1000, "8 912 345-67-89, 8 912 345-67-90", "0x12345678"],
)  # fmt: skip
def test_what_is_no_number_is_refused_by_its_field(typed):
    with pytest.raises(Invalid) as caught:
        PhoneNumbers("RU")("recipient.phone", typed)
    assert caught.value.field == "recipient.phone"
    assert "+7" in caught.value.reason


def test_a_region_is_one_or_is_not():
    assert is_region("RU")
    assert not is_region("XX")


@pytest.mark.parametrize(
    "typed", ["+7 930 000-00-00", "89300000000", "+79300005000", "8 (930) 123 45 67", "9000000000", "7 999 999 99 99"]
)
def test_the_quick_way_says_what_the_library_says(typed):
    number = phonenumbers.parse(typed, "RU")
    if phonenumbers.is_valid_number(number):
        stored = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        assert PhoneNumbers("RU")("phone", typed) == stored
    else:
        with pytest.raises(Invalid):
            PhoneNumbers("RU")("phone", typed)


def test_elsewhere_a_number_without_a_country_is_not_russian():
    assert PhoneNumbers("US")("phone", "912 555 2368") == "+19125552368"
    assert PhoneNumbers("US")("phone", "+7 912 345-67-89") == "+79123456789"


@pytest.mark.parametrize(
    ("phone", "code", "zone"),
    [
        ("+79161234567", "916", "Europe/Moscow"),
        ("+79121234567", "912", "Asia/Yekaterinburg"),
        ("+74232123456", "423", "Asia/Vladivostok"),
        ("+78001234567", "800", None),
        ("+77011234567", None, "Asia/Almaty"),
        ("+442079460958", None, "Europe/London"),
        ("+18002345678", None, None),
    ],
)
def test_a_number_says_its_operator_code_and_proposes_a_time_zone(phone, code, zone):
    assert about(phone) == (code, zone)


@pytest.mark.parametrize(
    ("region", "typed", "begin"),
    [
        ("RU", "8 (916) 12", ["+891612", "+791612"]),
        ("RU", "916", ["+916", "+7916"]),
        ("RU", "7916", ["+7916"]),
        ("RU", "+44 20", ["+4420"]),
        ("US", "(212) 555", ["+212555", "+1212555"]),
        ("RU", "anna", []),
        ("RU", "+", []),
    ],
)
def test_the_beginning_of_a_number_is_that_of_its_stored_form(region, typed, begin):
    assert PhoneNumbers(region).beginnings(typed) == begin
