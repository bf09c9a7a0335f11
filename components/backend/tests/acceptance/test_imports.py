"""Contacts from a file, as their owner sees it: real processes, and one of them killed in the middle."""

import csv
import io

import asyncpg
import pytest

from acceptance.clients import until
from acceptance.test_notifications import Service

ROWS = 150_000
BAD = 100
"""Every so many rows one has a phone that is none."""


class Imports(Service):
    """With files of contacts."""

    async def begin(self, content, **options):
        answer = await self.http.post("/api/v1/contacts/imports", files={"file": ("people.csv", content)}, data=options)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    async def look(self, number):
        answer = await self.http.get(f"/api/v1/contacts/imports/{number}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def finished(self, number):
        async def look():
            found = await self.look(number)
            return found if found["finishedAt"] else None

        return await until(look, f"the end of import {number}", timeout=240)

    async def report(self, number):
        answer = await self.http.get(f"/api/v1/contacts/imports/{number}/report")
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


@pytest.fixture
async def service(installation):
    found = Imports(installation, workers=2, SCHEDULER_DEAD_AFTER=5)
    await found.sign_up()
    yield found
    await found.close()


def _people(rows):
    lines = ["Имя;Телефон;E-mail;Теги"]
    for number in range(rows):
        phone = (
            "123" if number % BAD == 7 else f"8 (916) {number // 10_000:03}-{number // 100 % 100:02}-{number % 100:02}"
        )
        lines.append(f"Анна {number};{phone};anna{number}@example.com;vip, новые")
    return "\n".join(lines).encode()


async def _contacts(installation):
    connection = await asyncpg.connect(installation.servers.database.dsn)
    try:
        return await connection.fetchrow(
            "SELECT count(*) AS rows, count(DISTINCT phone) AS phones,"
            " count(*) FILTER (WHERE tags <> '{vip,новые}') AS odd FROM contact"
        )
    finally:
        await connection.close()


async def _working(installation):
    """The pid of the worker that has an import in hand."""
    connection = await asyncpg.connect(installation.servers.database.dsn)
    try:
        worker = await connection.fetchval(
            "SELECT worker FROM contact_import i JOIN worker_life w ON w.id = i.life WHERE i.status = 'running'"
        )
    finally:
        await connection.close()
    return int(worker.rpartition(":")[2]) if worker else None


async def test_a_worker_killed_in_the_middle_is_followed_by_another_that_repeats_and_loses_nothing(
    service, installation
):
    content = _people(ROWS)
    number = await service.begin(content)

    async def in_the_middle():
        found = await service.look(number)
        assert found["status"] in ("queued", "running"), found
        return found if found["rows"] else None

    half = await until(in_the_middle, "the first block")
    pid = await _working(installation)
    [victim] = [worker for worker in service.workers if worker.pid == pid]
    victim.kill()
    victim.exit_code()
    assert 0 < half["progress"] < 1
    found = await service.finished(number)
    good = ROWS - ROWS // BAD
    assert (found["status"], found["reason"], found["progress"]) == ("done", None, 1)
    assert (found["rows"], found["created"], found["rejected"], found["skipped"]) == (ROWS, good, ROWS - good, 0)
    assert tuple(await _contacts(installation)) == (good, good, 0)
    report = await service.report(number)
    assert [int(line["row"]) for line in report] == [row + 2 for row in range(ROWS) if row % BAD == 7]
    assert {(line["column"], line["value"], line["code"]) for line in report} == {("Телефон", "123", "phone")}

    # The same file again changes nothing.
    again = await service.finished(await service.begin(content))
    assert (again["status"], again["created"], again["skipped"], again["rejected"]) == ("done", 0, good, ROWS - good)
    assert tuple(await _contacts(installation)) == (good, good, 0)
    assert not [path for path in (installation.logs / "files").rglob("*") if path.is_file()]


async def test_an_import_is_cancelled_and_what_is_written_stays(service, installation):
    number = await service.begin(_people(ROWS))

    async def begun():
        found = await service.look(number)
        return found if found["rows"] else None

    await until(begun, "the first block")
    cancelled = await service.http.post(f"/api/v1/contacts/imports/{number}/cancel")
    assert cancelled.json()["status"] == "cancelled", cancelled.text
    found = await service.look(number)
    small = await service.begin(b"phone\n+79031234567\n", mode="update")
    assert (await service.finished(small))["created"] == 1
    assert (await service.look(number)) == found
    assert (await _contacts(installation))["rows"] == found["created"] + 1
    assert (await service.http.post(f"/api/v1/contacts/imports/{small}/cancel")).status_code == 409
