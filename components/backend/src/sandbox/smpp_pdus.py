"""SMPP 3.4 as an SMS centre reads and writes it: SMPP 3.4 section 4, 3GPP TS 23.038 for the texts."""

import struct
from dataclasses import dataclass

BIND_TRANSCEIVER, BIND_TRANSMITTER, BIND_RECEIVER = 0x09, 0x02, 0x01
QUERY_SM, SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK, GENERIC_NACK = 0x03, 0x04, 0x05, 0x06, 0x15, 0x80000000
RESPONSE = 0x80000000
OK, INVALID_LENGTH, INVALID_COMMAND, WRONG_STATE = 0x00, 0x02, 0x03, 0x04
INVALID_SOURCE, INVALID_NUMBER, INVALID_PASSWORD, INVALID_SYSTEM_ID, QUERY_FAILED = 0x0A, 0x0B, 0x0E, 0x0F, 0x67
HEADER = struct.Struct(">IIII")

_MESSAGE_PAYLOAD, RECEIPTED_MESSAGE_ID, MESSAGE_STATE = 0x0424, 0x001E, 0x0427
_SAR_REFERENCE, _SAR_TOTAL, _SAR_NUMBER = 0x020C, 0x020E, 0x020F

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = dict(zip((0x0A, 0x14, 0x28, 0x29, 0x2F, 0x3C, 0x3D, 0x3E, 0x40, 0x65), "\f^{}\\[~]|€", strict=True))


class BrokenPduError(Exception):
    """What came is shorter than its fields."""


class Reader:
    """Fields of a body, in their order."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def octets(self, count: int) -> bytes:
        if self._at + count > len(self._body):
            raise BrokenPduError
        self._at += count
        return self._body[self._at - count : self._at]

    def octet(self) -> int:
        return self.octets(1)[0]

    def string(self) -> str:
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise BrokenPduError
        found = self._body[self._at : end].decode("latin-1")
        self._at = end + 1
        return found

    def parameters(self) -> dict[int, bytes]:
        found = {}
        while self._at < len(self._body):
            tag, length = struct.unpack(">HH", self.octets(4))
            found[tag] = self.octets(length)
        return found


@dataclass(frozen=True, slots=True)
class Submitted:
    """A submit_sm. `part`: reference, how many, which one; None where the text is whole."""

    sender: str
    number: str
    text: str
    registered: bool
    data_coding: int
    part: tuple[int, int, int] | None


def submitted(body: bytes) -> Submitted:
    """Raises BrokenPduError."""
    fields = Reader(body)
    fields.string()  # service_type
    fields.octets(2)
    sender = fields.string()
    fields.octets(2)
    number = fields.string()
    esm_class, _, _ = fields.octets(3)
    fields.string(), fields.string()  # times
    registered, _, coding, _ = fields.octets(4)
    content = fields.octets(fields.octet())
    parameters = fields.parameters()
    content = parameters.get(_MESSAGE_PAYLOAD, content)
    part = None
    if esm_class & 0x40:
        header, content = content[1 : content[0] + 1], content[content[0] + 1 :]
        if header[:2] == b"\x00\x03" and len(header) == 5:
            part = (header[2], header[3], header[4])
    elif _SAR_TOTAL in parameters:
        part = (
            int.from_bytes(parameters.get(_SAR_REFERENCE, b"\0"), "big"),
            parameters[_SAR_TOTAL][0],
            parameters.get(_SAR_NUMBER, b"\1")[0],
        )
    return Submitted(sender, number, decoded(content, coding), bool(registered & 0x03), coding, part)


def decoded(content: bytes, coding: int) -> str:
    if coding == 0x08:
        return content.decode("utf-16-be", "replace")
    if coding != 0x00:
        return content.decode("latin-1")
    found, escaped = "", False
    for octet in content:
        if octet == 0x1B and not escaped:
            escaped = True
            continue
        found += _EXTENDED.get(octet, "?") if escaped else _BASIC[octet] if octet < len(_BASIC) else "?"
        escaped = False
    return found


def pdu(command: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    return HEADER.pack(HEADER.size + len(body), command, status, sequence) + body


def receipt(message_id: str, state: str, number: int, *, sender: str, to: str, error: str) -> bytes:
    """The body of a deliver_sm; `number` is the message_state that `state` is the name of."""
    text = (
        f"id:{message_id} sub:001 dlvrd:{'001' if state == 'DELIVRD' else '000'} submit date:2605031200 "
        f"done date:2605031201 stat:{state} err:{error} text:"
    ).encode()
    parameters = parameter(RECEIPTED_MESSAGE_ID, message_id.encode() + b"\0") + parameter(
        MESSAGE_STATE, bytes([number])
    )
    addresses = b"\0\1\1" + sender.encode() + b"\0" + b"\5\0" + to.encode("latin-1", "replace") + b"\0"
    return addresses + b"\4\0\0" + b"\0\0" + b"\0\0\0\0" + bytes([len(text)]) + text + parameters


def message(text: str, *, sender: str, to: str) -> bytes:
    """The body of a deliver_sm: what a person wrote, in UCS-2, from an international number."""
    content = text.encode("utf-16-be")
    addresses = (
        b"\0\1\1" + sender.removeprefix("+").encode() + b"\0" + b"\5\0" + to.encode("latin-1", "replace") + b"\0"
    )
    return addresses + b"\0\0\0" + b"\0\0" + b"\0\0\x08\0" + bytes([len(content)]) + content


def parameter(tag: int, value: bytes) -> bytes:
    return struct.pack(">HH", tag, len(value)) + value
