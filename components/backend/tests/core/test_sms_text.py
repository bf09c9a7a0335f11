"""Texts as SMS: the limits of 3GPP TS 23.038 and 23.040, from both sides of each."""

import pytest

from gonets.core.channels.sms_text import Alphabet, alphabet_of, encoded, segmented


@pytest.mark.parametrize(
    ("text", "alphabet"),
    [
        ("Hello, world! 100 % @ $ £", Alphabet.GSM7),
        ("{[~]} € ^ | \\", Alphabet.GSM7),
        ("Привет", Alphabet.UCS2),
        ("naïve", Alphabet.UCS2),
        ("`", Alphabet.UCS2),
        ("ç", Alphabet.UCS2),
        ("\x1b", Alphabet.UCS2),
        ("", Alphabet.GSM7),
    ],
)
def test_the_alphabet(text, alphabet):
    assert alphabet_of(text) is alphabet


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("", [0]),
        ("a" * 160, [160]),
        ("a" * 161, [153, 8]),
        ("a" * 306, [153, 153]),
        ("a" * 307, [153, 153, 1]),
        ("€" * 80, [80]),
        ("€" * 81, [76, 5]),
        ("a" * 152 + "€" * 10, [152, 10]),
        ("я" * 70, [70]),
        ("я" * 71, [67, 4]),
        ("я" * 134, [67, 67]),
        ("😀" * 35, [35]),
        ("😀" * 36, [33, 3]),
        ("я" * 66 + "😀" * 3, [66, 3]),
    ],
)
def test_the_parts(text, lengths):
    parts = segmented(text).parts
    assert [len(part) for part in parts] == lengths
    assert "".join(parts) == text


def test_no_part_is_longer_than_an_sms():
    for text in ("a€" * 300, "я😀" * 300):
        found = segmented(text)
        assert all(len(encoded(part, found.alphabet)) <= 153 for part in found.parts)


def test_the_octets():
    assert encoded("@A€", Alphabet.GSM7) == b"\x00A\x1be"
    assert encoded("жx", Alphabet.GSM7) == b"?x"
    assert encoded("Ж😀", Alphabet.UCS2) == "Ж😀".encode("utf-16-be")
    assert encoded("\ud800", Alphabet.UCS2) == b"\xff\xfd"
