"""Contacts to a file, which an import reads back."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gonets.core.contacts.audience import Audience
from gonets.core.contacts.model import Attribute, Contact
from gonets.core.contacts.ports import ContactCrowd

Cell = Attribute | None

_HEADERS = (
    "id",
    "name",
    "phone",
    "email",
    "telegramChatId",
    "tags",
    "timezone",
    "operatorCode",
    "operator",
    "consent",
    "consentAt",
    "qualityCode",
    "createdAt",
)


class ExportFormat(StrEnum):
    """What kind of file is written."""

    CSV = "csv"
    XLSX = "xlsx"


class Sheet(Protocol):
    """A file that is being written, one after the other from any thread. No cell of it may be run as a formula by the
    program that opens it, and an import MUST read every cell as it was given."""

    def rows(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """What can be sent so far; perhaps nothing."""

    def end(self) -> Iterator[bytes]:
        """The rest."""

    def close(self) -> None:
        """Lets go of what it holds, ended or not."""


class Sheets(Protocol):
    """Begins a file."""

    def __call__(self) -> Sheet: ...


@dataclass(frozen=True, slots=True)
class ExportContacts:
    """An owner's contacts as a file, in portions, so that any number of them fits."""

    crowd: ContactCrowd
    sheets: Mapping[ExportFormat, Sheets]

    async def __call__(self, owner_id: int, audience: Audience, wanted: ExportFormat) -> AsyncGenerator[bytes, None]:
        """The first portion comes as soon as there is nothing more to refuse. To be closed, where it is not read to its
        end. Raises Unavailable."""
        sheet = self.sheets[wanted]()
        try:
            async with self.crowd.export(owner_id, audience) as found:
                attributes = found.attributes
                yield sheet.rows([[*_HEADERS, *(f"attributes.{name}" for name in attributes)]])
                async for portion in found.portions:
                    # Beside the event loop: a workbook's thousand rows take a tenth of a second.
                    yield await asyncio.to_thread(sheet.rows, [_cells(contact, attributes) for contact in portion])
            rest = sheet.end()
            while chunk := await asyncio.to_thread(next, rest, b""):
                yield chunk
        finally:
            sheet.close()


def _cells(contact: Contact, attributes: Sequence[str]) -> Sequence[Cell]:
    return [
        contact.id,
        contact.name,
        contact.phone,
        contact.email,
        contact.telegram_chat_id,
        ",".join(contact.tags),
        contact.timezone,
        contact.operator_code,
        contact.operator,
        contact.consent,
        contact.consent_at.isoformat() if contact.consent_at else None,
        contact.quality_code,
        contact.created_at.isoformat(),
        *(contact.attributes.get(name) for name in attributes),
    ]
