"""Who did what: a port that every feature has alike."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gonets.core.shared.json import JSON


class Actor(Protocol):
    """Who does it: the user, and the API key where a program does it in their name. A Principal is one."""

    @property
    def user_id(self) -> int: ...

    @property
    def api_key_id(self) -> int | None: ...


class Audit(Protocol):
    """Who changed what of a feature's objects, for admins to read."""

    async def note(self, actor: Actor | None, action: str, object_id: int, detail: Mapping[str, JSON]) -> None:
        """To be called when it is done, before it is answered. `action` is a word such as "started"; `actor` None: what
        came from outside did it. `detail` MUST hold no secret and no address."""


class AuditOfMany(Audit, Protocol):
    """The same, where many are changed at one time."""

    async def note_each(
        self, actor: Actor | None, action: str, object_ids: Sequence[int], detail: Mapping[str, JSON]
    ) -> None:
        """As `note` for each of them; MUST cost one step, however many they are."""
