"""Phone numbers as people type them."""

import pytest

from gonets.adapters.phones import PhoneNumbers, is_region
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
