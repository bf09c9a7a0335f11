"""Addresses that must not be written to, and the messages of people that were heeded, in memory."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from gonets.core.contacts.suppression import Entry, Kind, Source, Suppression, SuppressionPage, matching
from gonets.core.shared.errors import Invalid


class FakeSuppressions:
    """Implements SuppressionStore. `questions`: what was asked of `among`."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str, str], Suppression] = {}
        """By owner, kind and address."""
        self.questions: list[tuple[int, Mapping[str, Sequence[str]]]] = []
        self._ids = itertools.count(1)

    async def add(self, owner_id: int, entries: Sequence[Entry], source: Source) -> Sequence[tuple[Suppression, bool]]:
        return [self._add(owner_id, entry, source) for entry in entries]

    def _add(self, owner_id: int, entry: Entry, source: Source) -> tuple[Suppression, bool]:
        place = owner_id, entry.kind.value, entry.address
        if place in self.rows:
            return self.rows[place], False
        number = next(self._ids)
        self.rows[place] = Suppression(
            id=number,
            kind=entry.kind,
            address=entry.address,
            reason=entry.reason,
            source=source,
            created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        )
        return self.rows[place], True

    def _own(self, owner_id: int) -> list[Suppression]:
        return [row for (owner, _, _), row in self.rows.items() if owner == owner_id]

    async def get(self, owner_id: int, suppression_id: int) -> Suppression | None:
        return next((one for one in self._own(owner_id) if one.id == suppression_id), None)

    async def page(
        self, owner_id: int, only: Sequence[tuple[Kind, str]] | None, *, cursor: str | None, limit: int
    ) -> SuppressionPage:
        if cursor and not cursor.isdecimal():
            raise Invalid("cursor", "must be a next_cursor of an earlier answer, unchanged")
        rest = [
            one
            for one in sorted(self._own(owner_id), key=lambda one: -one.id)
            if (cursor is None or one.id < int(cursor)) and (only is None or (one.kind, one.address) in only)
        ]
        return SuppressionPage(rest[:limit], str(rest[limit - 1].id) if len(rest) > limit else None)

    async def delete(self, owner_id: int, suppression_id: int) -> bool:
        found = await self.get(owner_id, suppression_id)
        return found is not None and self.rows.pop((owner_id, found.kind.value, found.address)) is found

    async def lift(self, owner_id: int, kind: Kind, address: str, sources: frozenset[Source]) -> bool:
        found = self.rows.get((owner_id, kind.value, address))
        if found is None or found.source not in sources:
            return False
        del self.rows[owner_id, kind.value, address]
        return True

    async def among(self, owner_id: int, asked: Mapping[str, Sequence[str]]) -> Mapping[str, frozenset[str]]:
        self.questions.append((owner_id, asked))
        return {
            kind: frozenset(one for one in several if (owner_id, kind, matching(Kind(kind), one)) in self.rows)
            for kind, several in asked.items()
        }


class FakeHeeded:
    """Implements Heeded; what is kept is kept for ever."""

    def __init__(self) -> None:
        self.rows: set[tuple[int, str]] = set()

    async def has(self, channel_id: int, provider_id: str) -> bool:
        return (channel_id, provider_id) in self.rows

    async def add(self, channel_id: int, provider_id: str) -> None:
        self.rows.add((channel_id, provider_id))
