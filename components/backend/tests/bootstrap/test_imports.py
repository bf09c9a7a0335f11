"""Imports from the file to the report: over REST, on a real database, the worker's part run here."""

import csv
import io
import os
import time

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from gonets.adapters.files.storage import FolderStorage
from gonets.adapters.postgres.imports import PostgresImports, PostgresImportWork
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.telemetry.imports import ImportMetrics, MeteredImportWork
from gonets.bootstrap import imports
from gonets.core.contacts.importing import RunImport, WakeImports
from gonets.settings import load

URL = "/api/v1/contacts/imports"
FIRST = "name,phone,email,tags\nАнна,8 916 123-45-67,anna@example.com,vip\nБорис,+79031234567,,\n"


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
async def worker(container, pool, registry):
    """Does what a wake-up asks for; returns the import as it is then."""
    lifeline = PostgresLifeline(pool, fresh_for=60)
    await lifeline.beat()
    work = MeteredImportWork(PostgresImportWork(pool, lifeline), ImportMetrics(registry))
    settings = load()
    run = RunImport(work, imports.storage(settings.files), imports.reader(settings))

    async def do(number):
        claimed = await work.claim(number)
        assert claimed is not None
        assert await work.claim(number) is None
        await run(claimed)

    return do


@pytest.fixture
def load_file(http, worker):
    async def load_file(content, **options):
        content = content if isinstance(content, bytes) else content.encode()
        answer = await http.post(URL, files={"file": ("people.csv", content)}, data=options)
        assert answer.status_code == 202, answer.text
        begun = answer.json()
        assert (begun["status"], begun["rows"], answer.headers["location"]) == ("queued", 0, f"{URL}/{begun['id']}")
        await worker(begun["id"])
        return (await http.get(answer.headers["location"])).json()

    return load_file


async def _contacts(http):
    found = (await http.get("/api/v1/contacts", params={"limit": 500})).json()["contacts"]
    return {contact["name"]: contact for contact in found}


async def _report(http, number):
    answer = await http.get(f"{URL}/{number}/report")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))


def _counts(found):
    return tuple(found[name] for name in ("created", "updated", "unchanged", "skipped", "rejected"))


async def test_a_file_that_no_import_names_is_removed_after_a_day(http, pool):
    settings = load()
    storage, folder = imports.storage(settings.files), imports.Path(settings.files.folder)

    async def put(key):
        async def content():
            yield b"x"

        await storage.put(key, content())
        return folder / key

    answer = await http.post(URL, content=FIRST.encode(), headers={"Content-Type": "text/csv"})
    [row] = await pool.fetch("SELECT file_key FROM contact_import WHERE id = $1", answer.json()["id"])
    named = folder / row["file_key"]
    orphan, young = await put("imports/orphan"), await put("imports/young")
    yesterday = time.time() - 86_401
    for path in (named, orphan):
        os.utime(path, (yesterday, yesterday))
    forget = WakeImports(PostgresImports(pool), None, storage, None).forget
    await forget()
    assert [path.exists() for path in (named, orphan, young)] == [True, False, True]
    await pool.fetch("UPDATE contact_import SET file_gone = true")
    await forget()
    assert [path.exists() for path in (named, young)] == [False, True]
    young.unlink()


async def test_rows_and_ends_are_counted_by_what_became_of_them(load_file, registry):
    await load_file(FIRST, dryRun="true")

    def figures():
        samples = [sample for family in registry.collect() for sample in family.samples]
        rows = {s.labels["outcome"]: s.value for s in samples if s.name == "gonets_import_rows_total"}
        ends = {s.labels["status"]: s.value for s in samples if s.name == "gonets_import_duration_seconds_count"}
        return rows, ends

    assert figures() == ({}, {"done": 1})
    await load_file(FIRST + "В,12,,\n")
    assert figures() == ({"created": 2, "rejected": 1}, {"done": 2})
    await load_file(FIRST.replace("vip", "new"), mode="update")
    assert figures() == ({"created": 2, "rejected": 1, "updated": 1, "unchanged": 1}, {"done": 3})
    await load_file(FIRST)
    await load_file(FIRST, mode="fail")
    assert figures()[0] == {"created": 2, "rejected": 1, "updated": 1, "unchanged": 1, "skipped": 2}
    assert figures()[1] == {"done": 4, "failed": 1}


@pytest.mark.parametrize("dry_run", ["false", "true"])
async def test_a_row_that_would_give_a_contact_too_many_tags_is_rejected(http, load_file, dry_run):
    tags = [f"t{n}" for n in range(49)]
    for name, phone in (("Анна", "+79161234567"), ("Борис", "+79031234567")):
        await http.post("/api/v1/contacts", json={"name": name, "phone": phone, "tags": tags})
    content = "phone,name,labels\n+79161234567,Другая,t1;new;newer\n+79031234567,Борис,t1;new\n"
    found = await load_file(content, mode="update", columns='{"labels": "tags"}', dryRun=dry_run)
    assert _counts(found) == (0, 1, 0, 0, 1)
    _, line = await _report(http, found["id"])
    people = await _contacts(http)
    number = people["Анна"]["id"]
    assert line == ["2", "labels", "t1, new, newer", "tags", f"contact {number} would have more than 50 tags"]
    assert people["Анна"]["tags"] == tags
    assert people["Борис"]["tags"] == (tags if dry_run == "true" else [*tags, "new"])


async def test_a_row_that_would_give_a_contact_too_many_attributes_is_rejected(http, load_file):
    attributes = {f"a{n}": n for n in range(99)}
    for name, phone in (("Анна", "+79161234567"), ("Борис", "+79031234567")):
        await http.post("/api/v1/contacts", json={"name": name, "phone": phone, "attributes": attributes})
    head = "phone,attributes.a1,attributes.b1,attributes.b2\n"
    found = await load_file(f"{head}+79161234567,1,2,3\n+79031234567,1,2,\n", mode="update")
    assert _counts(found) == (0, 1, 0, 0, 1)
    _, line = await _report(http, found["id"])
    people = await _contacts(http)
    number = people["Анна"]["id"]
    assert line == ["2", "", "", "attribute", f"contact {number} would have more than 100 attributes"]
    assert (len(people["Анна"]["attributes"]), len(people["Борис"]["attributes"])) == (99, 100)


async def test_a_file_becomes_contacts_and_a_report(http, load_file):
    found = await load_file(FIRST + "В,12,,\nГ,,,\n=1+1,+79031234568,,\n")
    assert (found["status"], found["progress"], found["rows"], _counts(found)) == ("done", 1, 5, (2, 0, 0, 0, 3))
    assert found["layout"]["columns"][1] == {"number": 2, "header": "phone", "target": "phone"}
    people = await _contacts(http)
    assert people["Анна"]["phone"] == "+79161234567"
    assert people["Анна"]["tags"] == ["vip"]
    assert (people["Анна"]["operatorCode"], people["Анна"]["timezone"]) == ("916", "Europe/Moscow")
    header, *lines = await _report(http, found["id"])
    assert header == ["row", "column", "value", "code", "reason"]
    assert [line[:4] for line in lines] == [
        ["4", "phone", "12", "phone"],
        ["5", "phone", "", "noAddress"],
        ["6", "name", "'=1+1", "formula"],
    ]
    assert (await http.get(URL)).json()["imports"] == [found]


async def test_duplicates_are_skipped_and_named(http, load_file):
    await load_file(FIRST)
    file = "phone,email,name\n+79161234567,,Again\n+79990000001,ANNA@example.com,Again\n+79990000002,,New\n"
    found = await load_file(file + "+79990000002,,Twice\n+79031234567,anna@example.com,Both\n")
    assert _counts(found) == (1, 0, 0, 3, 1)
    people = await _contacts(http)
    assert set(people) == {"Анна", "Борис", "New"}
    _, *lines = await _report(http, found["id"])
    assert [line[:4] for line in lines] == [
        ["2", "phone", "+79161234567", "duplicate"],
        ["3", "email", "ANNA@example.com", "duplicate"],
        ["5", "phone", "+79990000002", "duplicate"],
        ["6", "email", "anna@example.com", "twoContacts"],
    ]
    assert f"contact {people['New']['id']} " in lines[2][4]


async def test_those_who_are_known_in_one_block_are_found_there(http, load_file):
    """Blocks before and after it hold nobody who is known, and are written without a look for each row."""
    await load_file(FIRST)
    rows = [f"+7999{number:07},,N\n" for number in range(45_000)]
    rows[30_000] = "+79161234567,,Again\n"
    rows[30_001] = ",ANNA@example.com,Again\n"
    found = await load_file("phone,email,name\n" + "".join(rows))
    assert _counts(found) == (44_998, 0, 0, 2, 0)
    _, *lines = await _report(http, found["id"])
    assert [line[:4] for line in lines] == [
        ["30002", "phone", "+79161234567", "duplicate"],
        ["30003", "email", "ANNA@example.com", "duplicate"],
    ]


async def test_duplicates_are_updated_by_what_the_file_says(http, load_file):
    await load_file(FIRST)
    before = await _contacts(http)
    file = "phone,email,name,tags,Согласие\n8 916 123 45 67,,,новые;vip,да\n,anna@example.com,Анна С.,,\n"
    file += "+79031234567,boris@example.com,,,\n+79990000001,new@example.com,New,,\n+79990000001,,New 2,,\n"
    file += "+79031234567,anna@example.com,Both,,\n"
    found = await load_file(file, mode="update")
    assert _counts(found) == (1, 4, 0, 0, 1)
    people = await _contacts(http)
    anna = people["Анна С."]
    assert (anna["id"], anna["tags"], anna["consent"]) == (before["Анна"]["id"], ["vip", "новые"], True)
    assert (anna["email"], people["Борис"]["email"]) == ("anna@example.com", "boris@example.com")
    assert people["New 2"]["email"] == "new@example.com"
    again = await load_file(FIRST, mode="update")
    assert _counts(again) == (0, 1, 1, 0, 0)
    file = "phone,name\n+79161234567,Анна\n+79031234567,Борис\n"
    assert _counts(await load_file(file, mode="update")) == (0, 0, 2, 0, 0)


async def test_an_address_that_one_row_frees_is_the_next_ones(http, load_file):
    await load_file(FIRST)
    found = await load_file(
        "phone,email\n+79161234567,other@example.com\n+79990000001,anna@example.com\n", mode="update"
    )
    assert _counts(found) == (1, 1, 0, 0, 0)


async def test_rows_of_one_contact_are_taken_in_their_order(http, load_file):
    rows = "".join(f"+79161234567,{number}\n" for number in range(20))
    assert _counts(await load_file(f"phone,name\n{rows}", mode="update")) == (1, 19, 0, 0, 0)
    assert list(await _contacts(http)) == ["19"]


async def test_one_duplicate_fails_everything_where_that_is_asked(http, load_file):
    await load_file(FIRST)
    found = await load_file("phone\n+79990000001\n+79161234567\n+79990000001\n12\n", mode="fail")
    assert (found["status"], found["reason"]) == ("failed", "2 rows are duplicates: nothing was imported")
    assert set(await _contacts(http)) == {"Анна", "Борис"}
    _, *lines = await _report(http, found["id"])
    assert [(line[0], line[3]) for line in lines] == [("3", "duplicate"), ("4", "duplicate"), ("5", "phone")]
    found = await load_file("phone,name\n+79990000001,New\n12,\n", mode="fail")
    assert (found["status"], _counts(found)) == ("done", (1, 0, 0, 0, 1))
    assert "New" in await _contacts(http)


async def test_a_dry_run_says_what_would_be_and_changes_nothing(http, load_file):
    await load_file(FIRST)
    before = await _contacts(http)
    file = "phone,name\n+79161234567,Other\n+79990000001,New\n+79990000001,Newer\n12,\n"
    assert _counts(await load_file(file, mode="update", dryRun="true")) == (1, 2, 0, 0, 1)
    found = await load_file(file, dryRun="true")
    assert (found["status"], found["dryRun"], _counts(found)) == ("done", True, (1, 0, 0, 2, 1))
    assert await _contacts(http) == before


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
async def test_what_was_exported_is_read_back(http, load_file, kind):
    people = [
        {"name": "=1+1", "phone": "+79161234567", "tags": ["=a", "b"], "attributes": {"city": "'+x", "note": "@y"}},
        {"name": 'Ё, \\ "', "email": "+anna@example.com", "consent": True, "timezone": "Asia/Omsk"},
        {"name": "-", "phone": "+79031234567", "telegramChatId": "@someone", "consent": False},
    ]
    made = [(await http.post("/api/v1/contacts", json=person)).json() for person in people]
    exported = await http.get("/api/v1/contacts/export", params={"format": kind})
    for contact in made:
        await http.delete(f"/api/v1/contacts/{contact['id']}")
    assert _counts(await load_file(exported.content)) == (3, 0, 0, 0, 0)
    found = await _contacts(http)
    own = ("id", "createdAt", "updatedAt", "consentAt")
    for contact in made:
        back = found[contact["name"]]
        assert {key: value for key, value in back.items() if key not in own} == {
            key: value for key, value in contact.items() if key not in own
        }


async def test_a_preview_keeps_nothing(http):
    content = FIRST.replace(",", ";").encode("cp1251")
    answer = await http.post(f"{URL}/preview?rows=1", content=content, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    layout = found["layout"]
    assert (layout["format"], layout["encoding"], layout["delimiter"]) == ("csv", "cp1251", ";")
    assert found["rows"] == [
        {
            "row": 2,
            "cells": ["Анна", "8 916 123-45-67", "anna@example.com", "vip"],
            "values": {
                "name": "Анна",
                "phone": "+79161234567",
                "email": "anna@example.com",
                "tags": ["vip"],
                "timezone": "Europe/Moscow",
                "operatorCode": "916",
            },
            "error": None,
        }
    ]
    assert (await http.get(URL)).json()["imports"] == []


@pytest.mark.parametrize(
    ("content", "options", "field"),
    [
        (b"", {}, "file"),
        (b"a,b\n1,2\n", {}, "columns"),
        (b"\xd0\xcf\x11\xe0", {}, "file"),
        (b"phone\n1\n", {"mode": "other"}, "mode"),
        (b"phone\n1\n", {"encoding": "koi8-r"}, "encoding"),
        (b"phone\n1\n", {"columns": "[1]"}, "columns"),
        (b"phone\n1\n", {"dryRun": "maybe"}, "dryRun"),
        (b"phone\n1\n", {"colour": "red"}, "colour"),
        (b"phone\n1\n", {"columns": '{"other": "email"}'}, "columns"),
    ],
)
async def test_what_cannot_be_is_refused_before_it_is_stored(http, content, options, field, tmp_path):
    answer = await http.post(URL, files={"file": ("a.csv", content)}, data=options)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field
    assert not (tmp_path / "files").exists()


async def test_what_is_no_file_is_refused(http):
    for request in ({"json": {"a": 1}}, {"data": {"file": "no file"}}, {"files": {"other": ("a", b"phone\n1")}}):
        assert (await http.post(URL, **request)).status_code == 422
    assert (await http.post(URL, content=b"--", headers={"Content-Type": "multipart/form-data"})).status_code == 400


async def test_a_file_that_is_too_large_is_refused(http, monkeypatch):
    answer = await http.post(URL, headers={"Content-Type": "text/csv", "Content-Length": "600000000"}, content=b"")
    assert answer.status_code == 413


async def test_a_dead_workers_import_is_taken_back_but_not_for_ever(http, container, pool):
    answer = await http.post(URL, content=b"phone\n+79161234567\n", headers={"Content-Type": "text/csv"})
    number = answer.json()["id"]
    store = PostgresImports(pool)
    for death in range(3):
        lifeline = PostgresLifeline(pool, fresh_for=60)
        await lifeline.beat()
        assert (await PostgresImportWork(pool, lifeline).claim(number)).id == number
        assert await store.orphans() == 0
        await pool.fetch("DELETE FROM worker_life WHERE id = $1", lifeline.life)
        assert await store.orphans() == 1
        assert [one for one, _ in await store.due(10)] == ([number] if death < 2 else [])
    found = (await http.get(f"{URL}/{number}")).json()
    assert found["status"] == "failed"
    assert "ended, one after another" in found["reason"]


async def test_what_changes_between_two_passes_is_not_lost(http, container, pool, load_file, monkeypatch):
    """Somebody writes a contact of the file while it is written: he is looked for; and once more: the block is tried
    again."""
    copy, raced, phones = asyncpg.Connection.copy_to_table, [], ["+79161234567", "+79031234567"]

    async def race(self, table, **options):
        if table == "contact" and phones:
            raced.append(await http.post("/api/v1/contacts", json={"name": "Раньше", "phone": phones.pop()}))
        return await copy(self, table, **options)

    monkeypatch.setattr(asyncpg.Connection, "copy_to_table", race)
    answer = await http.post(URL, content=FIRST.encode(), headers={"Content-Type": "text/csv"})
    number = answer.json()["id"]
    lifeline = PostgresLifeline(pool, fresh_for=60)
    await lifeline.beat()
    settings = load()
    work = PostgresImportWork(pool, lifeline)
    run = RunImport(work, FolderStorage(imports.Path(settings.files.folder)), imports.reader(settings))
    await run(await work.claim(number))
    assert [one.status_code for one in raced] == [201, 201]
    assert (await http.get(f"{URL}/{number}")).json()["created"] == 0
    await pool.fetch("UPDATE contact_import SET life = NULL")
    await run(await work.claim(number))
    found = (await http.get(f"{URL}/{number}")).json()
    assert (found["status"], _counts(found)) == ("done", (0, 0, 0, 2, 0))
