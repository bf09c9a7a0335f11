"""Templates in memory."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gonets.core.shared.errors import Conflict, Invalid
from gonets.core.templates.model import Content, Template, TemplatePage, Version


class FakeTemplates:
    """Implements TemplateStore."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], Template] = {}
        """By owner and id."""
        self.said: dict[int, list[Version]] = {}
        self._ids = itertools.count(1)
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def _tick(self) -> datetime:
        self._now += timedelta(microseconds=1)
        return self._now

    def _own(self, owner_id: int) -> list[Template]:
        return [template for (owner, _), template in self.rows.items() if owner == owner_id]

    def _free(self, owner_id: int, name: str, template_id: int | None = None) -> None:
        if any(one.name == name and one.id != template_id for one in self._own(owner_id)):
            raise Conflict(f"there is a template with the name {name} already")

    def _keep(self, template: Template) -> None:
        said = Version(number=template.version, content=template.content, created_at=template.updated_at)
        self.said.setdefault(template.id, []).append(said)

    async def add(self, owner_id: int, name: str, content: Content) -> Template:
        self._free(owner_id, name)
        now, number = self._tick(), next(self._ids)
        template = Template(id=number, name=name, version=1, content=content, created_at=now, updated_at=now)
        self.rows[owner_id, number] = template
        self._keep(template)
        return template

    async def get(self, owner_id: int, template_id: int) -> Template | None:
        return self.rows.get((owner_id, template_id))

    async def named(self, owner_id: int, name: str) -> Template | None:
        return next((one for one in self._own(owner_id) if one.name == name), None)

    async def page(self, owner_id: int, *, cursor: str | None, limit: int) -> TemplatePage:
        if cursor and not cursor.isdecimal():
            raise Invalid("cursor", "must be a next_cursor of an earlier answer, unchanged")
        rest = [one for one in reversed(self._own(owner_id)) if cursor is None or one.id < int(cursor)]
        return TemplatePage(rest[:limit], str(rest[limit - 1].id) if len(rest) > limit else None)

    async def change(self, owner_id: int, old: Template, name: str, content: Content) -> Template | None:
        present = self.rows.get((owner_id, old.id))
        if present is None or present.version != old.version:
            return None
        self._free(owner_id, name, old.id)
        another = content != old.content
        changed = replace(
            present, name=name, content=content, version=present.version + another, updated_at=self._tick()
        )
        self.rows[owner_id, old.id] = changed
        if another:
            self._keep(changed)
        return changed

    async def delete(self, owner_id: int, template_id: int) -> bool:
        return self.rows.pop((owner_id, template_id), None) is not None

    async def version(self, owner_id: int, template_id: int, number: int) -> Version | None:
        found = await self.versions(owner_id, template_id, below=None, limit=1000)
        return next((one for one in found if one.number == number), None)

    async def versions(self, owner_id: int, template_id: int, *, below: int | None, limit: int) -> Sequence[Version]:
        if (owner_id, template_id) not in self.rows:
            return []
        return [one for one in reversed(self.said[template_id]) if below is None or one.number < below][:limit]
