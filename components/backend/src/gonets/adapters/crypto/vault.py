"""Secrets under AES-256-GCM (NIST SP 800-38D), each bound to its context as associated data.

A sealed secret reads `<key id>.<base64url of nonce and ciphertext>`: it says itself which key opens it.
"""

import base64
import binascii
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gonets.core.channels.ports import Unreadable

_NONCE = 12  # bytes, random: safe for 2**32 secrets under one key


class AesVault:
    """Implements Vault. `keys`: 32 bytes each by its id, the newest first; the others only open."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._newest = next(iter(keys))

    def seal(self, plain: str, context: str) -> str:
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._ciphers[self._newest].encrypt(nonce, plain.encode(), context.encode())
        return f"{self._newest}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        key_id, _, text = sealed.partition(".")
        if key_id not in self._ciphers:
            raise Unreadable(f"{context}: was encrypted with key {key_id!r}, which is not in SECRETS_KEYS")
        try:
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
            return self._ciphers[key_id].decrypt(raw[:_NONCE], raw[_NONCE:], context.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise Unreadable(f"{context}: what is stored is not what was encrypted with key {key_id!r}") from error

    def current(self, sealed: str) -> bool:
        return sealed.startswith(f"{self._newest}.")
