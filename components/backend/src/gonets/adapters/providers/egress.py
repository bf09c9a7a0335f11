"""Connecting to addresses that users typed.

A name is looked up once, every address it has is checked, and it is those that are connected to: a name server that
changes its mind changes nothing.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult

from gonets.core.channels.egress import IP, Allowance, is_public

HINT = "use an address of the public internet; an operator can allow others with EGRESS_ALLOWED"


class EgressError(Exception):
    """It certainly was not connected. The reason is for a person, and says nothing of what is inside."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class ForbiddenAddress(EgressError):
    """The address leads inside, or is none: only its owner can mend it."""


class Unreachable(EgressError):
    """The name cannot be looked up now, or nobody answers at its address."""


@dataclass(frozen=True, slots=True)
class Address:
    """One that was checked."""

    ip: IP
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET if self.ip.version == 4 else socket.AF_INET6


Lookup = Callable[[str, int], Awaitable[Sequence[str]]]


async def system_lookup(host: str, port: int) -> Sequence[str]:
    """The addresses, as text, that the system's resolver knows."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class Egress:
    """Checks addresses, and connects to them. `allowed`: exceptions to the rule that only public ones are."""

    def __init__(self, allowed: Sequence[Allowance] = (), lookup: Lookup = system_lookup) -> None:
        self._allowed = allowed
        self._lookup = lookup

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """Where to connect to, at least one; all of them checked. Raises ForbiddenAddress and Unreachable."""
        literal = host.strip("[]")
        try:
            found: Sequence[str] = [str(ipaddress.ip_address(literal))]
        except ValueError:
            if ":" in literal:  # no name has one, and a resolver might still make something of it
                raise ForbiddenAddress(f"{host} is no name of a host", "check its spelling") from None
            found = await self._look_up(host, port)
        checked = []
        for text in dict.fromkeys(found):
            ip = ipaddress.ip_address(text)
            if not is_public(ip) and not any(one.allows(host, ip, port) for one in self._allowed):
                raise ForbiddenAddress(f"{host} leads to a private, local or reserved address", HINT)
            checked.append(Address(ip, port))
        return checked

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        try:
            found = await self._lookup(host, port)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise Unreachable(f"the name {host} cannot be looked up now") from None
            raise ForbiddenAddress(f"nobody knows the name {host}", "check its spelling") from None
        except (OSError, ValueError):  # the latter: a label that is empty or too long
            raise ForbiddenAddress(f"{host} is no name of a host", "check its spelling") from None
        if not found:
            raise ForbiddenAddress(f"{host} has no address", "check its spelling")
        return found

    async def connect(self, host: str, port: int, *, timeout: float) -> socket.socket:
        """A connected socket, not blocking, for a library that brings its own protocol; TLS is to name `host`.

        The addresses share the time. Raises ForbiddenAddress and Unreachable."""
        reason = "no answer in time"
        try:
            async with asyncio.timeout(timeout):
                addresses = await self.addresses(host, port)
                for address in addresses:
                    connected = socket.socket(address.family, socket.SOCK_STREAM)
                    connected.setblocking(False)
                    try:
                        async with asyncio.timeout(timeout / len(addresses)):
                            await asyncio.get_running_loop().sock_connect(connected, (str(address.ip), address.port))
                    except (OSError, TimeoutError) as error:
                        connected.close()
                        reason = _words(error)
                    except BaseException:
                        connected.close()
                        raise
                    else:
                        return connected
        except TimeoutError:
            pass
        raise Unreachable(f"cannot connect to {host}:{port}: {reason}")


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return {errno.ECONNREFUSED: "nobody listens there", errno.EHOSTUNREACH: "no way leads there"}.get(
        error.errno or 0, error.strerror or "the connection failed"
    )


class CheckedResolver(AbstractResolver):
    """Gives aiohttp the checked addresses of a name, under the name that TLS is to see. It asks for names only: the
    address in a URL that has no name is to be checked beforehand."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address.ip),
                port=port,
                family=address.family,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await self._egress.addresses(host, port)
            if family in (socket.AF_UNSPEC, address.family)
        ]

    async def close(self) -> None:
        """Nothing is held."""
