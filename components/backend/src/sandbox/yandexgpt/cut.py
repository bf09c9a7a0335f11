"""Cutting a gRPC client's connection.

gRPC's server offers no way to drop a connection, so the socket is looked up among this process's own descriptors by the
address of its peer. Every call on that connection is lost, as it would be with a real network.
"""

import os
import socket
import stat
from urllib.parse import unquote


def cut_connection(peer: str) -> bool:
    """`peer` as gRPC names it: `ipv4:127.0.0.1:40000`, `ipv6:%5B::1%5D:40000`. False: no socket has that peer."""
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    wanted = (host.strip("[]"), int(port))
    return any(_shut(int(name), wanted) for name in os.listdir("/dev/fd"))


def _shut(descriptor: int, wanted: tuple[str, int]) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            host, port = connection.getpeername()[:2]
            if (host.removeprefix("::ffff:"), port) != wanted:  # gRPC listens on IPv6 sockets, for IPv4 too
                return False
            connection.shutdown(socket.SHUT_RDWR)
            return True
    except (OSError, ValueError):  # not of a network, not connected, or closed meanwhile
        return False
