"""Cutting a gRPC client's connection.

gRPC's server offers no way to drop a connection, so the socket is looked up among this process's own descriptors by the
address of its peer. Every call on that connection is lost, as it would be with a real network.
"""

import os
import socket
from urllib.parse import unquote


def cut_connection(peer: str) -> bool:
    """`peer` as gRPC names it: `ipv4:127.0.0.1:40000`, `ipv6:%5B::1%5D:40000`. False: no socket has that peer."""
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    wanted = (host.strip("[]"), int(port))
    return any(_shut(int(name), wanted) for name in os.listdir("/dev/fd"))


def _shut(descriptor: int, wanted: tuple[str, int]) -> bool:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            if connection.getpeername()[:2] != wanted:
                return False
            connection.shutdown(socket.SHUT_RDWR)
            return True
    except OSError:  # not a socket, not connected, or closed meanwhile
        return False
