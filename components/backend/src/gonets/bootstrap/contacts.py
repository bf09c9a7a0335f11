"""Contacts, put together."""

from dataclasses import dataclass
from datetime import UTC, datetime

from gonets.adapters.files.sheets import CsvSheet, XlsxSheet
from gonets.adapters.phones import PhoneNumbers, about
from gonets.adapters.postgres.audiences import PostgresAudiences
from gonets.adapters.postgres.contacts import PostgresContactCrowd, PostgresContacts
from gonets.adapters.postgres.pool import Pool
from gonets.bootstrap.identity import AuditOf
from gonets.core.contacts.crowds import ManageAudiences, TagContacts
from gonets.core.contacts.exports import ExportContacts, ExportFormat
from gonets.core.contacts.fields import CheckFields
from gonets.core.contacts.use_cases import ManageContacts
from gonets.core.identity.ports import Audit


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Doors:
    """What people can ask of contacts."""

    manage: ManageContacts
    export: ExportContacts
    tag: TagContacts
    audiences: ManageAudiences


def doors(pool: Pool, crowd_pool: Pool, phone: PhoneNumbers, audit: Audit) -> Doors:
    """`crowd_pool`: its statements may take minutes."""
    store, crowd, of_contacts = PostgresContacts(pool), PostgresContactCrowd(crowd_pool), AuditOf(audit, "contact")
    return Doors(
        manage=ManageContacts(store, CheckFields(phone, about, _now), phone.beginnings, of_contacts),
        export=ExportContacts(crowd, {ExportFormat.CSV: CsvSheet, ExportFormat.XLSX: XlsxSheet}),
        tag=TagContacts(PostgresContacts(crowd_pool), crowd, of_contacts),
        audiences=ManageAudiences(PostgresAudiences(pool), crowd, AuditOf(audit, "audience")),
    )
