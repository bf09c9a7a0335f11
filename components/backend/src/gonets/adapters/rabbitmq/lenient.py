"""Reading properties that no library of ours would write.

pamqp gives up the connection over a text that is no UTF-8, a time out of range (in microseconds, say) or a header of a
kind it does not know. The message comes back with the next connection, so a single one would stop the queue for good.
"""

import struct
from typing import Any

from pamqp import decode


def install() -> None:
    """For all connections of this process."""
    decode.METHODS["shortstr"] = _short_string
    decode.METHODS["timestamp"] = decode.TABLE_MAPPING[b"T"] = _timestamp
    decode.METHODS["table"] = _table


def _short_string(value: bytes) -> tuple[int, str]:
    try:
        return decode.short_str(value)
    except UnicodeDecodeError:
        end = 1 + value[0]
        # What is replaced takes more room, and has to fit where it came from.
        return end, value[1:end].decode("utf-8", "replace").encode()[:255].decode("utf-8", "ignore")


def _timestamp(value: bytes) -> tuple[int, Any]:
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, None


def _table(value: bytes) -> tuple[int, Any]:
    try:
        return decode.field_table(value)
    except (ValueError, OverflowError, RecursionError, ArithmeticError):
        [length] = struct.unpack_from(">I", value)
        return 4 + length, {}
