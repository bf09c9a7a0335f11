"""Ending a TCP connection as a fault does."""

import contextlib
import os
import socket
import struct
from typing import Any


def reset(transport: Any) -> None:
    """A socket closed with a zero linger time sends RST, not FIN."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if transport.get_extra_info("sslcontext") is None:
        transport.abort()
        return
    # A TLS layer of asyncio cannot abort a transport of uvloop. The other side sees the end at once all the same.
    if raw is not None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(raw.fileno())) as below:
            below.shutdown(socket.SHUT_RDWR)
    transport.close()
