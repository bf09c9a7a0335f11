"""Contacts in memory."""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gonets.core.contacts.audience import Audience, SavedAudience
from gonets.core.contacts.enrichment import Enrichment, EnrichmentStatus, PhoneFacts, Question
from gonets.core.contacts.model import MOST_TAGS, Contact, ContactPage, Field
from gonets.core.contacts.ports import Exported, Fields, Search
from gonets.core.shared.errors import Conflict, Invalid, Taken

_NAMES = {
    Field.NAME: "name",
    Field.PHONE: "phone",
    Field.EMAIL: "email",
    Field.TELEGRAM_CHAT_ID: "telegram_chat_id",
    Field.TAGS: "tags",
    Field.TIMEZONE: "timezone",
    Field.OPERATOR_CODE: "operator_code",
    Field.ATTRIBUTES: "attributes",
    Field.CONSENT: "consent",
    Field.CONSENT_AT: "consent_at",
}


def is_meant(contact: Contact, audience: Audience) -> bool:
    tags = set(contact.tags)
    return (
        (not audience.tags_any or bool(tags & set(audience.tags_any)))
        and tags >= set(audience.tags_all)
        and not tags & set(audience.tags_none)
        and (not audience.operator_codes or contact.operator_code in audience.operator_codes)
        and (not audience.timezones or contact.timezone in audience.timezones)
    )


def place_of(contact: Contact, search: Search) -> tuple[int, str, int] | None:
    """Where it is in the list of those that are found."""
    phone, email, name = contact.phone or "", (contact.email or "").lower(), contact.name.lower()
    for stage, beginning in enumerate(search.phones):
        if phone.startswith(beginning):
            return stage, phone, contact.id
    if email.startswith(search.text):
        return len(search.phones), email, contact.id
    return (len(search.phones) + 1, name, contact.id) if name.startswith(search.text) else None


class FakeContacts:
    """Implements ContactStore and ContactCrowd."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], Contact] = {}
        """By owner and id."""
        self._ids = itertools.count(1)
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def _tick(self) -> datetime:
        self._now += timedelta(microseconds=1)
        return self._now

    def _own(self, owner_id: int, audience: Audience) -> list[Contact]:
        own = [contact for (owner, _), contact in self.rows.items() if owner == owner_id]
        return [contact for contact in own if is_meant(contact, audience)]

    def _refuse_taken(self, owner_id: int, contact_id: int, fields: Fields) -> None:
        others = [contact for contact in self._own(owner_id, Audience()) if contact.id != contact_id]
        for field in (Field.PHONE, Field.EMAIL):
            value = fields.get(field)
            for other in others:
                if value and str(getattr(other, _NAMES[field])).lower() == str(value).lower():
                    raise Taken(field, other.id)

    async def add(self, owner_id: int, fields: Fields) -> Contact:
        self._refuse_taken(owner_id, 0, fields)
        now = self._tick()
        given = {_NAMES[field]: value for field, value in fields.items()}
        contact = Contact(**{"id": next(self._ids), "created_at": now, "updated_at": now} | given)
        self.rows[owner_id, contact.id] = contact
        return contact

    async def get(self, owner_id: int, contact_id: int) -> Contact | None:
        return self.rows.get((owner_id, contact_id))

    async def page(
        self, owner_id: int, audience: Audience, search: Search | None, *, cursor: str | None, limit: int
    ) -> ContactPage:
        if cursor and not cursor.isdecimal():
            raise Invalid("cursor", "must be a nextCursor of an earlier answer, unchanged")
        found = self._own(owner_id, audience)[::-1]
        if search is not None:
            found = [contact for contact in found if place_of(contact, search)]
            found.sort(key=lambda contact: place_of(contact, search))
        place = next((at for at, contact in enumerate(found, 1) if str(contact.id) == cursor), 0)
        rest = found[place:]
        return ContactPage(rest[:limit], str(rest[limit - 1].id) if len(rest) > limit else None)

    async def change(self, owner_id: int, contact_id: int, fields: Fields) -> Contact | None:
        if (owner_id, contact_id) not in self.rows:
            return None
        self._refuse_taken(owner_id, contact_id, fields)
        given = {_NAMES[field]: value for field, value in fields.items()}
        before = self.rows[owner_id, contact_id]
        if fields.get(Field.PHONE, before.phone) != before.phone:
            given |= {"operator": None, "quality_code": None}
        changed = replace(before, updated_at=self._tick(), **given)
        self.rows[owner_id, contact_id] = changed
        return changed

    async def delete(self, owner_id: int, contact_id: int) -> bool:
        return self.rows.pop((owner_id, contact_id), None) is not None

    async def tag(self, owner_id: int, ids: Sequence[int], add: Sequence[str], remove: Sequence[str]) -> Sequence[int]:
        changed = []
        for contact_id in ids:
            if contact := self.rows.get((owner_id, contact_id)):
                tags = tuple(tag for tag in dict.fromkeys([*contact.tags, *add]) if tag not in remove)
                if tags != contact.tags and len(tags) <= MOST_TAGS:
                    self.rows[owner_id, contact_id] = replace(contact, tags=tags, updated_at=self._tick())
                    changed.append(contact_id)
        return changed

    async def count(self, owner_id: int, audience: Audience) -> int:
        return len(self._own(owner_id, audience))

    async def ids(self, owner_id: int, audience: Audience, *, after: int, limit: int) -> Sequence[int]:
        return [contact.id for contact in self._own(owner_id, audience) if contact.id > after][:limit]

    @asynccontextmanager
    async def export(self, owner_id: int, audience: Audience) -> AsyncIterator[Exported]:
        own = self._own(owner_id, audience)

        async def portions() -> AsyncIterator[Sequence[Contact]]:
            for start in range(0, len(own), 2):
                yield own[start : start + 2]

        yield Exported(sorted({name for contact in own for name in contact.attributes}), portions())


class FakeEnrichment:
    """Implements EnrichmentStore, for the contacts of a FakeContacts."""

    def __init__(self, contacts: FakeContacts) -> None:
        self._contacts = contacts
        self._tasks = itertools.count(2**52)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self._asked: dict[int, tuple[Question, datetime | None, str | None]] = {}
        """Each with when it is due, None where it is over, and why it failed."""

    def _contact(self, contact_id: int) -> Contact | None:
        return next((one for (_, found), one in self._contacts.rows.items() if found == contact_id), None)

    async def ask(self, owner_id: int, ids: Sequence[int]) -> int:
        noted = 0
        for contact_id in ids:
            contact = self._contacts.rows.get((owner_id, contact_id))
            before, due_at, _ = self._asked.get(contact_id, (None, None, None))
            if contact and contact.phone and not (before and due_at and before.phone == contact.phone):
                self._asked[contact_id] = (Question(contact_id, next(self._tasks), contact.phone), self.now, None)
                noted += 1
        return noted

    async def get(self, owner_id: int, contact_id: int) -> Enrichment | None:
        if (owner_id, contact_id) not in self._contacts.rows:
            return None
        if contact_id not in self._asked:
            return Enrichment()
        question, due_at, failure = self._asked[contact_id]
        ended = EnrichmentStatus.DONE if failure is None else EnrichmentStatus.FAILED
        return Enrichment(EnrichmentStatus.ASKED if due_at else ended, question.task_id, failure)

    async def due(self, limit: int) -> Sequence[Question]:
        ready = [(at, question) for question, at, _ in self._asked.values() if at is not None and at <= self.now]
        found = []
        for _, question in sorted(ready, key=lambda pair: pair[0])[:limit]:
            if contact := self._contact(question.contact_id):
                found.append(replace(question, timezone=contact.timezone))
        return found

    def _open(self, question: Question) -> bool:
        found, due_at, _ = self._asked.get(question.contact_id, (question, None, None))
        return due_at is not None and found.task_id == question.task_id

    async def later(self, looked: Sequence[tuple[Question, timedelta]]) -> None:
        for question, delay in looked:
            if self._open(question):
                again = replace(question, looks=question.looks + 1)
                self._asked[question.contact_id] = (again, self.now + delay, None)

    async def answered(self, answers: Sequence[tuple[Question, str | None, PhoneFacts]]) -> None:
        for question, timezone, facts in answers:
            if not self._open(question):
                continue
            self._asked[question.contact_id] = (question, None, None)
            for place, contact in self._contacts.rows.items():
                if contact.id == question.contact_id and contact.phone == question.phone:
                    self._contacts.rows[place] = replace(
                        contact,
                        timezone=timezone or contact.timezone,
                        operator=facts.operator,
                        quality_code=facts.quality_code,
                    )

    async def failed(self, failures: Sequence[tuple[Question, str]]) -> None:
        for question, reason in failures:
            if self._open(question):
                self._asked[question.contact_id] = (question, None, reason)


class FakeAudiences:
    """Implements AudienceStore."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], SavedAudience] = {}
        self.campaigns: dict[int, int] = {}
        """By audience: one that has not started."""
        self._ids = itertools.count(1)
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def _refuse_taken(self, owner_id: int, audience_id: int, name: str | None) -> None:
        for (owner, other), saved in self.rows.items():
            if owner == owner_id and other != audience_id and saved.name == name:
                raise Taken("name", other)

    async def add(self, owner_id: int, name: str, audience: Audience) -> SavedAudience:
        self._refuse_taken(owner_id, 0, name)
        made = SavedAudience(id=next(self._ids), name=name, filter=audience, created_at=self._now, updated_at=self._now)
        self.rows[owner_id, made.id] = made
        return made

    async def get(self, owner_id: int, audience_id: int) -> SavedAudience | None:
        return self.rows.get((owner_id, audience_id))

    async def all(self, owner_id: int) -> Sequence[SavedAudience]:
        return [saved for (owner, _), saved in reversed(self.rows.items()) if owner == owner_id]

    async def change(
        self, owner_id: int, audience_id: int, name: str | None, audience: Audience | None
    ) -> SavedAudience | None:
        before = self.rows.get((owner_id, audience_id))
        if before is None:
            return None
        self._refuse_taken(owner_id, audience_id, name)
        self._now += timedelta(microseconds=1)
        changed = replace(
            before,
            name=before.name if name is None else name,
            filter=before.filter if audience is None else audience,
            updated_at=self._now,
        )
        self.rows[owner_id, audience_id] = changed
        return changed

    async def delete(self, owner_id: int, audience_id: int) -> bool:
        if (owner_id, audience_id) in self.rows and audience_id in self.campaigns:
            raise Conflict(f"is meant by campaigns that have not started: {self.campaigns[audience_id]}")
        return self.rows.pop((owner_id, audience_id), None) is not None
