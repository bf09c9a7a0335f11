"""Argon2id, in threads: a hash takes some 50 ms and 64 MiB."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

_MOST = 4  # at a time, for the memory they take


class Argon2Passwords:
    """Implements Passwords."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """`hasher`: a cheap one for tests."""
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._nobody: str | None = None
        self._free = asyncio.Semaphore(_MOST)

    async def hash(self, password: str) -> str:
        async with self._free:
            return await asyncio.to_thread(self._hasher.hash, _bytes(password))

    async def matches(self, password_hash: str | None, password: str) -> bool:
        if password_hash is None:
            # Made once, of what nobody can type.
            self._nobody = self._nobody or await self.hash("\0")
        async with self._free:
            matches = await asyncio.to_thread(self._verify, password_hash or self._nobody or "", password)
        return matches and password_hash is not None

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    def outdated(self, password_hash: str) -> bool:
        return self._hasher.check_needs_rehash(password_hash)


def _bytes(password: str) -> bytes:
    return password.encode(errors="surrogatepass")
