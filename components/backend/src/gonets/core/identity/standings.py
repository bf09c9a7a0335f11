"""What was found out about a credential a moment ago."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gonets.core.identity.model import Principal

_MOST = 10_000


@dataclass
class Standings:
    """Remembers principals for `lasting`, so that a program that asks often costs few looks at the database. Other
    processes learn of a disabled user, a revoked key or a logout within that time; this one at once, by `forget`."""

    lasting: timedelta = timedelta(seconds=1)
    _known: dict[Hashable, tuple[Principal, datetime]] = field(default_factory=dict)

    def get(self, key: Hashable, now: datetime) -> Principal | None:
        found = self._known.get(key)
        return found[0] if found and found[1] > now else None

    def put(self, key: Hashable, principal: Principal, now: datetime) -> None:
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = principal, now + self.lasting

    def forget(self, user_id: int) -> None:
        """Everything that was found out about this user's credentials."""
        self._known = {key: known for key, known in self._known.items() if known[0].user_id != user_id}
