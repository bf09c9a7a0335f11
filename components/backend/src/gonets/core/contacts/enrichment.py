"""What a provider knows of contacts' phones, asked by tasks.

A question is a row beside its contact, and the row alone decides: the sweep hands it on as a task of its own, again if
nobody knows that task, and looks for the answer until there is one. So nothing is lost whoever dies, and nothing is
asked twice, for the task's id is in the row before the task is.
"""

import logging
import re
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from gonets.core.contacts.audience import Audience
from gonets.core.contacts.ports import About, ContactCrowd
from gonets.core.shared.audit import Actor, Audit
from gonets.core.shared.errors import Conflict, NotFound

log = logging.getLogger(__name__)

_AT_ONCE = 1_000
_LONGEST_WAIT = timedelta(minutes=5)
_OFFSET = re.compile(r"UTC(?:([+-]\d{1,2})(?::?(\d\d))?)?")
_RUSSIAN_ZONES = (
    "Europe/Kaliningrad",
    "Europe/Moscow",
    "Europe/Samara",
    "Asia/Yekaterinburg",
    "Asia/Omsk",
    "Asia/Novosibirsk",
    "Asia/Irkutsk",
    "Asia/Yakutsk",
    "Asia/Vladivostok",
    "Asia/Magadan",
    "Asia/Kamchatka",
)


class EnrichmentStatus(StrEnum):
    """How far a question about a contact is."""

    NONE = "none"
    """Nobody has asked."""
    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, as the task `task_id`. `looks`: how often its answer was looked for in vain."""

    contact_id: int
    task_id: int
    phone: str
    timezone: str | None = None
    """The contact's, so far."""
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Enrichment:
    """How far the last question about a contact is. `reason`: why it failed, for a person."""

    status: EnrichmentStatus = EnrichmentStatus.NONE
    task_id: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PhoneFacts:
    """What a provider says of a phone. `timezone` is in its own words, such as UTC+3."""

    timezone: str | None
    operator: str | None
    quality_code: int | None


@dataclass(frozen=True, slots=True)
class NoFacts:
    """The provider will not answer; the reason is for a person."""

    reason: str


class Lookups(Protocol):
    """Those who ask the provider."""

    async def look(self, questions: Sequence[Question]) -> Mapping[int, PhoneFacts | NoFacts]:
        """By task id; what has no answer yet is left out. MUST hand a question on, durably, if nobody knows it under
        its id, and MUST cost a few steps, however many they are. Raises Unavailable."""


class EnrichmentStore(Protocol):
    """Questions about contacts. Raises Unavailable."""

    async def ask(self, owner_id: int, ids: Sequence[int]) -> int:
        """Notes a question for each of these that is the owner's, has a phone, and of whose phone none is under way.
        Returns how many were noted."""

    async def get(self, owner_id: int, contact_id: int) -> Enrichment | None:
        """None where the contact is not there."""

    async def due(self, limit: int) -> Sequence[Question]:
        """Those whose time has come, longest overdue first."""

    async def later(self, looked: Sequence[tuple[Question, timedelta]]) -> None:
        """MUST count the look."""

    async def answered(self, answers: Sequence[tuple[Question, str | None, PhoneFacts]]) -> None:
        """Ends each question, and tells its contact the time zone and the facts in the same step, unless it has another
        phone by now or is asked about anew."""

    async def failed(self, failures: Sequence[tuple[Question, str]]) -> None:
        """Ends each question with the reason, unless it was asked anew."""


@dataclass(frozen=True, slots=True)
class EnrichContacts:
    """Ask a provider about contacts' phones."""

    store: EnrichmentStore
    crowd: ContactCrowd
    audit: Audit

    async def one(self, actor: Actor, contact_id: int) -> Enrichment:
        """Asked again while a question is under way, it is that one. Raises NotFound, and Conflict where the contact
        has no phone."""
        await self.read(actor.user_id, contact_id)
        noted = await self.store.ask(actor.user_id, [contact_id])
        found = await self.read(actor.user_id, contact_id)
        if found.status is not EnrichmentStatus.ASKED and not noted:
            raise Conflict(f"the contact {contact_id} has no phone to ask about")
        if noted:
            await self.audit.note(actor, "enriched", contact_id, {})
        return found

    async def many(self, actor: Actor, whom: Audience | Sequence[int]) -> int:
        """Returns how many questions were noted. Ids that are none of the owner's count for nothing."""
        noted = 0
        if isinstance(whom, Audience):
            after = 0
            while ids := await self.crowd.ids(actor.user_id, whom, after=after, limit=_AT_ONCE):
                after = ids[-1]
                noted += await self.store.ask(actor.user_id, ids)
        else:
            noted = await self.store.ask(actor.user_id, sorted(set(whom)))
        await self.audit.note(actor, "enriched", 0, {"contacts": noted})
        return noted

    async def read(self, owner_id: int, contact_id: int) -> Enrichment:
        """Raises NotFound."""
        found = await self.store.get(owner_id, contact_id)
        if found is None:
            raise NotFound(f"no contact has the id {contact_id}")
        return found


@dataclass(frozen=True, slots=True)
class FollowQuestions:
    """The sweep: hand questions on, and bring their answers home."""

    store: EnrichmentStore
    lookups: Lookups
    about: About
    now: Callable[[], datetime]
    limit: int = 200

    async def __call__(self) -> int:
        """Returns the number of questions that ended. Raises Unavailable; a later sweep does the rest."""
        questions = await self.store.due(self.limit)
        found = await self.lookups.look(questions) if questions else {}
        answered, failed, later = [], [], []
        for question in questions:
            match found.get(question.task_id):
                case None:
                    later.append((question, min(timedelta(seconds=2**question.looks), _LONGEST_WAIT)))
                case NoFacts(reason=reason):
                    log.warning("contact not enriched", extra={"contact_id": question.contact_id, "reason": reason})
                    failed.append((question, reason))
                case PhoneFacts() as facts:
                    answered.append((question, self._zone(question, facts), facts))
        if answered:
            await self.store.answered(answered)
        if failed:
            await self.store.failed(failed)
        if later:
            await self.store.later(later)
        return len(answered) + len(failed)

    def _zone(self, question: Question, facts: PhoneFacts) -> str | None:
        _, proposed = self.about(question.phone)
        return zone_of(facts.timezone, (question.timezone, proposed), self.now())


def zone_of(said: str | None, likely: Sequence[str | None], now: datetime) -> str | None:
    """The IANA zone for an offset such as UTC+3: the first likely one that has it now, else one of Russia's, else a
    zone that has no more than the offset. Where it says none, the first likely one."""
    known = [zone for zone in likely if zone]
    found = _OFFSET.fullmatch((said or "").strip())
    if found is None:
        return known[0] if known else None
    hours, minutes = int(found[1] or 0), int(found[2] or 0)
    offset = timedelta(hours=hours, minutes=-minutes if (found[1] or "").startswith("-") else minutes)
    for zone in (*known, *_RUSSIAN_ZONES):
        if zoneinfo.ZoneInfo(zone).utcoffset(now) == offset:
            return zone
    # POSIX: the sign is the other way round.
    whole = f"Etc/GMT{-hours:+d}" if hours else "Etc/UTC"
    if not minutes and whole in zoneinfo.available_timezones():
        return whole
    return known[0] if known else None
