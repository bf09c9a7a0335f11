"""Keeping secrets out of what people read."""

import json
from base64 import b64encode
from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import quote

from gonets.core.shared.json import JSON

MASK = "***"

Key = TypeVar("Key", str, int)


class Masking:
    """Replaces secrets, and the forms they take in URLs, JSON, representations and base64.

    Those of fewer than `shortest` characters are left: they would be found inside of harmless words.
    """

    def __init__(self, secrets: Iterable[str], *, shortest: int = 4) -> None:
        found = {form for secret in secrets if len(secret) >= shortest for form in forms(secret)}
        self._forms = sorted(found, key=len, reverse=True)
        self._shortest = min(map(len, found), default=0)

    def text(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def json(self, value: JSON) -> JSON:
        """The value itself where it holds no secret, which costs next to nothing; keys are left."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            named = self._changed(value.items())
            return value | named if named else value
        if isinstance(value, list):
            changed = self._changed(enumerate(value))
            return [changed.get(place, old) for place, old in enumerate(value)] if changed else value
        return value

    def _changed(self, items: Iterable[tuple[Key, JSON]]) -> dict[Key, JSON]:
        changed: dict[Key, JSON] = {}
        for key, old in items:
            if isinstance(old, str):
                if len(old) < self._shortest:
                    continue
            elif not isinstance(old, (dict, list)):
                continue
            masked = self.json(old)
            if masked is not old:
                changed[key] = masked
        return changed


def forms(secret: str) -> set[str]:
    """Itself, and how it may be written elsewhere."""
    encoded = b64encode(secret.encode(errors="replace")).decode()
    return {secret, quote(secret, safe="", errors="replace"), json.dumps(secret)[1:-1], repr(secret)[1:-1], encoded}


NOTHING = Masking(())
