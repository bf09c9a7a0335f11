"""How a text travels as SMS: which alphabet, and in how many parts (3GPP TS 23.038 and 23.040)."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Alphabet(StrEnum):
    """GSM7: Latin, with a few Greek capitals; UCS2: everything else, and fewer characters in a part."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"


_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE = 0x1B
# These take two places: an escape comes first.
_EXTENDED = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}
_GSM7 = {character: bytes([code]) for code, character in enumerate(_BASIC) if code != _ESCAPE} | {
    character: bytes([_ESCAPE, code]) for character, code in _EXTENDED.items()
}

# Alone, and as one of several: six octets go for the header that joins them.
_ALONE = {Alphabet.GSM7: 160, Alphabet.UCS2: 70}
_JOINED = {Alphabet.GSM7: 153, Alphabet.UCS2: 67}
MOST_PARTS = 255


@dataclass(frozen=True, slots=True)
class Segmented:
    """`parts` joined are the text; no character and no escape is cut in two."""

    alphabet: Alphabet
    parts: tuple[str, ...]


def alphabet_of(text: str) -> Alphabet:
    return Alphabet.GSM7 if all(character in _GSM7 for character in text) else Alphabet.UCS2


def segmented(text: str, alphabet: Alphabet | None = None) -> Segmented:
    """What the text is charged as. An empty text is one part. `alphabet`: where it is not to be found out."""
    alphabet = alphabet or alphabet_of(text)
    if sum(_places(character, alphabet) for character in text) <= _ALONE[alphabet]:
        return Segmented(alphabet, (text,))
    return Segmented(alphabet, tuple(_cut(text, alphabet)))


def _cut(text: str, alphabet: Alphabet) -> Iterator[str]:
    start = used = 0
    for index, character in enumerate(text):
        places = _places(character, alphabet)
        if used + places > _JOINED[alphabet]:
            yield text[start:index]
            start, used = index, 0
        used += places
    yield text[start:]


def _places(character: str, alphabet: Alphabet) -> int:
    if alphabet is Alphabet.GSM7:
        return 2 if character in _EXTENDED else 1
    return 2 if character > "\uffff" else 1


def encoded(text: str, alphabet: Alphabet) -> bytes:
    """GSM7: one character in an octet, unpacked; what it lacks becomes "?". UCS2: big-endian, a surrogate pair for what
    lies beyond; a lone surrogate becomes U+FFFD."""
    if alphabet is Alphabet.GSM7:
        return b"".join(_GSM7.get(character, b"?") for character in text)
    return text.encode("utf-16-be", errors="surrogatepass").decode("utf-16-be", errors="replace").encode("utf-16-be")


_UCS2_CODING = 8
_TEXT_CODINGS = {1: "ascii", 3: "latin-1", 6: "iso-8859-5", 7: "iso-8859-8"}


def decoded(octets: bytes, data_coding: int) -> str:
    """What came from a phone, by the data_coding of SMPP 3.4 (5.2.19). What cannot be read becomes U+FFFD."""
    if data_coding == _UCS2_CODING:
        return octets.decode("utf-16-be", "replace")
    if data_coding in _TEXT_CODINGS:
        return octets.decode(_TEXT_CODINGS[data_coding], "replace")
    shown, escaped = "", False
    for octet in octets:
        if escaped:
            shown += _OF_ESCAPED.get(octet, "\N{REPLACEMENT CHARACTER}")
            escaped = False
        elif octet == _ESCAPE:
            escaped = True
        else:
            shown += _BASIC[octet] if octet < len(_BASIC) else "\N{REPLACEMENT CHARACTER}"
    return shown


_OF_ESCAPED = {code: character for character, code in _EXTENDED.items()}
