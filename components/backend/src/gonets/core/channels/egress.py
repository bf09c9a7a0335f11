"""Which addresses a user's channel may lead to: not to the inside. Decisions only; an adapter looks names up.

Sources: the IANA special-purpose address registries (RFC 6890, and its updates).
"""

import ipaddress
from dataclasses import dataclass

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Whatever is not here is an address of the public internet.
_INSIDE_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT, some clouds' metadata
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's metadata, on an address that looks public
            "169.254.0.0/16",  # link-local, most clouds' metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments, some clouds' metadata
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
# Of IPv6 only this is public: no loopback, mapped or compatible IPv4, NAT64, unique local, link-local, multicast...
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
# ... and of that, not these.
_INSIDE_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: leads to any IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is allowed in spite of all: a name or a network, on one port or on any."""

    target: str | Network
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "Allowance":
        """host, host:port, IP, IP:port, [IPv6]:port or a network in CIDR form. Raises ValueError."""
        try:
            return cls(ipaddress.ip_network(text.strip("[]"), strict=False), None)
        except ValueError:
            host, colon, port = text.rpartition(":")
        if not colon:
            host, port = text, ""
        if colon and not (port.isdecimal() and 1 <= int(port) <= 65535):
            raise ValueError(f"{text!r} is no host, host:port, IP address or network")
        number = int(port) if colon else None
        try:
            return cls(ipaddress.ip_network(host.strip("[]"), strict=False), number)
        except ValueError:
            name = _name(host)
        if not name or set(name) & set("/[]:@ "):
            raise ValueError(f"{text!r} is no host, host:port, IP address or network")
        return cls(name, number)

    def allows(self, host: str, ip: IP, port: int) -> bool:
        """Whether it may be connected to, found under this name; a name that is allowed may lead anywhere."""
        if self.port not in (None, port):
            return False
        # A network holds no address of the other version.
        return self.target == _name(host) if isinstance(self.target, str) else ip in self.target


def _name(host: str) -> str:
    return host.strip().rstrip(".").lower()


def is_public(ip: IP) -> bool:
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _INSIDE_4)
    return ip in _PUBLIC_6 and not any(ip in network for network in _INSIDE_6)
