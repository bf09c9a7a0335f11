"""Exports that nobody reads to their end."""

from contextlib import asynccontextmanager

from fakes.contacts import FakeContacts
from gonets.adapters.files.sheets import CsvSheet
from gonets.core.contacts.audience import EVERYBODY
from gonets.core.contacts.exports import ExportContacts, ExportFormat
from gonets.core.contacts.model import Field


class WatchedContacts(FakeContacts):
    """Knows how many exports are under way."""

    under_way = 0

    @asynccontextmanager
    async def export(self, owner_id, audience):
        self.under_way += 1
        try:
            async with super().export(owner_id, audience) as exported:
                yield exported
        finally:
            self.under_way -= 1


async def test_an_export_is_read_in_portions_and_lets_go_when_it_is_closed():
    contacts = WatchedContacts()
    for number in range(5):
        await contacts.add(1, {Field.NAME: f"number {number}"})
    export = ExportContacts(contacts, {ExportFormat.CSV: CsvSheet})
    portions = export(1, EVERYBODY, ExportFormat.CSV)
    assert b"name" in await anext(portions)
    assert (await anext(portions)).count(b"number") == 2
    assert contacts.under_way == 1
    await portions.aclose()
    assert contacts.under_way == 0
    whole = [portion async for portion in export(1, EVERYBODY, ExportFormat.CSV)]
    assert (len(whole), b"".join(whole).count(b"number"), contacts.under_way) == (4, 5, 0)
