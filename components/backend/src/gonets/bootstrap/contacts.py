"""Contacts, put together."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gonets.adapters.files.sheets import CsvSheet, XlsxSheet
from gonets.adapters.phones import PhoneNumbers, about
from gonets.adapters.postgres.audiences import PostgresAudiences
from gonets.adapters.postgres.contacts import PostgresContactCrowd, PostgresContacts
from gonets.adapters.postgres.enrichment import PostgresEnrichment
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.postgres.queries import PostgresTaskQueries
from gonets.adapters.postgres.tasks import PostgresTaskIntake
from gonets.adapters.rabbitmq.announcements import RabbitAnnouncements
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.bootstrap.identity import AuditOf
from gonets.core.contacts.crowds import ManageAudiences, TagContacts
from gonets.core.contacts.enrichment import EnrichContacts, FollowQuestions, NoFacts, PhoneFacts, Question
from gonets.core.contacts.exports import ExportContacts, ExportFormat
from gonets.core.contacts.fields import CheckFields
from gonets.core.contacts.use_cases import ManageContacts
from gonets.core.identity.ports import Audit
from gonets.core.shared.errors import Conflict, Invalid
from gonets.core.shared.json import JSON
from gonets.core.tasks.model import Task, TaskRecord, TaskStatus, TaskType
from gonets.core.tasks.use_cases import SubmitTask


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Doors:
    """What people can ask of contacts."""

    manage: ManageContacts
    export: ExportContacts
    tag: TagContacts
    audiences: ManageAudiences
    enrich: EnrichContacts


def doors(pool: Pool, crowd_pool: Pool, phone: PhoneNumbers, audit: Audit) -> Doors:
    """`crowd_pool`: its statements may take minutes."""
    store, crowd, of_contacts = PostgresContacts(pool), PostgresContactCrowd(crowd_pool), AuditOf(audit, "contact")
    return Doors(
        manage=ManageContacts(store, CheckFields(phone, about, _now), phone.beginnings, of_contacts),
        export=ExportContacts(crowd, {ExportFormat.CSV: CsvSheet, ExportFormat.XLSX: XlsxSheet}),
        tag=TagContacts(PostgresContacts(crowd_pool), crowd, of_contacts),
        audiences=ManageAudiences(PostgresAudiences(pool), crowd, AuditOf(audit, "audience")),
        enrich=EnrichContacts(PostgresEnrichment(crowd_pool), crowd, of_contacts),
    )


class _NobodyWaits:
    """Implements ReplyInbox."""

    def open(self) -> None:
        return None


@dataclass(frozen=True)
class LookupsByTasks:
    """Implements Lookups: each question is a phone task."""

    submit: SubmitTask
    queries: PostgresTaskQueries

    async def look(self, questions: Sequence[Question]) -> Mapping[int, PhoneFacts | NoFacts]:
        known = await self.queries.those([one.task_id for one in questions])
        # Those handed on at one time share a commit.
        found = await asyncio.gather(*(self._look(one, known.get(one.task_id)) for one in questions))
        return {one.task_id: said for one, said in zip(questions, found, strict=True) if said is not None}

    async def _look(self, question: Question, record: TaskRecord | None) -> PhoneFacts | NoFacts | None:
        try:
            task = Task(question.task_id, TaskType.PHONE, question.phone)
            if record is None or record.task != task:
                await self.submit(task, timedelta(0))
                return None
        except (Conflict, Invalid) as error:
            return NoFacts(error.reason)
        if record.result_id is not None:
            return _facts(record.result)
        if record.status is TaskStatus.FAILED:
            return NoFacts(record.last_failure.reason if record.last_failure else "the task failed")
        return None


def _facts(result: JSON) -> PhoneFacts:
    """Dadata's words: https://dadata.ru/api/clean/phone/."""
    said = result if isinstance(result, dict) else {}
    zone, operator, quality = said.get("timezone"), said.get("provider"), said.get("qc")
    return PhoneFacts(
        timezone=str(zone) if zone else None,
        operator=str(operator) if operator else None,
        quality_code=quality if isinstance(quality, int) and 0 <= quality < 2**15 else None,
    )


def follow(pool: Pool, queries: PostgresTaskQueries, publisher: Publisher) -> FollowQuestions:
    """For the scheduler."""
    submit = SubmitTask(PostgresTaskIntake(pool), RabbitAnnouncements(publisher), _NobodyWaits())
    return FollowQuestions(PostgresEnrichment(pool), LookupsByTasks(submit, queries), about, _now)
