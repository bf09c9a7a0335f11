"""How fast contacts come in from a file: `make bench ARGS=imports`.

In each round by turns: `psql \\copy` of the clean rows into the table of contacts, with all its indexes and triggers;
and our worker's import of a file in which one row of a hundred is to be rejected. Then a workbook, beside what reading
it alone takes.
"""

import argparse
import asyncio
import itertools
import random
import subprocess
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.__main__ import machine, progress
from benchmarks.report import Line
from benchmarks.stage import BenchError, Child, Contestant, Stage, until
from gonets.adapters.files.storage import FolderStorage
from gonets.adapters.postgres.imports import PostgresImports
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.imports import RabbitImportNews
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.bootstrap.imports import reader
from gonets.core.contacts.imports import Import, Mode, NewImport, Wanted
from gonets.settings import Settings

WORKER = Contestant("import worker", "gonets.entrypoints.cli", ("worker",))
OWNER = 1
COLUMNS = "owner_id, name, phone, email, tags, timezone, operator_code, attributes"
HEADERS = ("Имя", "Фамилия", "Телефон", "E-mail", "Метки", "Город")
BAD = 100


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS='imports …'", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sheet-rows", type=int, default=300_000, help="of the workbook; 0: without one")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


@dataclass
class Found:
    """Seconds, and megabytes."""

    copied: list[float] = field(default_factory=list)
    imported: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    sheets: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="gonets-bench-") as directory:
        found = uvloop.run(run(options, Path(directory)))
    print("\n".join(table(found, options)))


async def run(options: argparse.Namespace, directory: Path) -> Found:
    found = Found()
    csv_file, sheet, clean = directory / "people.csv", directory / "people.xlsx", directory / "clean.tsv"
    write_csv(csv_file, options.rows)
    async with Stage(directory, {"static": "http://127.0.0.1:9"}) as stage:
        await stage.sql.execute(
            "INSERT INTO users (id, email, email_key, password_hash, role) VALUES ($1, 'a@b.c', 'a@b.c', '', 'member')",
            OWNER,
        )
        pool, publisher = Pool(stage.database.dsn, size=2, timeout=60), Publisher(stage.rabbit.url, timeout=5)
        await pool.open()
        importing = Importing(stage, pool, publisher, directory / "files", found)
        for number in range(options.rounds):
            # The first import makes the clean rows.
            for turn in ("import", "copy") if number % 2 == 0 else ("copy", "import"):
                await empty(stage)
                if turn == "copy":
                    found.copied.append(await asyncio.to_thread(copy, stage, clean))
                    progress(f"round {number + 1}: psql: {options.rows / found.copied[-1]:,.0f} rows/s")
                    continue
                done, seconds = await importing(csv_file)
                found.imported.append(seconds)
                progress(f"round {number + 1}: import: {options.rows / seconds:,.0f} rows/s; {done.counts}")
                if not clean.exists():
                    await asyncio.to_thread(
                        psql, stage, f"\\copy (SELECT {COLUMNS} FROM contact ORDER BY id) TO '{clean}'"
                    )
        if options.sheet_rows:
            write_xlsx(sheet, options.sheet_rows)
            for number in range(options.rounds):
                await empty(stage)
                found.read.append(await read(sheet))
                _, seconds = await importing(sheet)
                found.sheets.append(seconds)
                progress(f"round {number + 1}: workbook: read in {found.read[-1]:.1f} s, imported in {seconds:.1f} s")
        await publisher.close()
        await pool.close()
    return found


class Importing:
    """A worker's import, from the wake-up to the end in the table."""

    def __init__(self, stage: Stage, pool: Pool, publisher: Publisher, folder: Path, found: Found) -> None:
        self._stage = stage
        self._store = PostgresImports(pool)
        self._storage = FolderStorage(folder)
        self._news = RabbitImportNews(publisher)
        self._found = found
        environment = {"FILES_FOLDER": str(folder)}
        self._worker = Contestant(WORKER.name, WORKER.module, WORKER.arguments, environment=environment)
        self._keys = (f"imports/{number}" for number in itertools.count())

    async def __call__(self, path: Path) -> tuple[Import, float]:
        with self._stage.running(self._worker) as worker:

            async def taking() -> bool:
                worker.check()
                return await self._stage.consumers(topology.CONTACT_IMPORTS) > 0

            await self._stage.channel.queue_declare(topology.CONTACT_IMPORTS, durable=True, arguments=QUORUM)
            await until(taking, 60, "the worker takes imports")
            layout, size = (await reader(Settings()).preview(path, Wanted(), 0)).layout, _size(path)
            key = next(self._keys)
            await self._storage.put(key, _chunks(path))
            new = NewImport(OWNER, path.name, key, size, Mode.SKIP, False, layout)
            begun = await self._store.add(new)
            resident = asyncio.create_task(self._watch(worker))
            started = time.perf_counter()
            await self._news.wake(begun.id)

            async def over() -> bool:
                worker.check()
                current = await self._store.get(OWNER, begun.id)
                return current is not None and current.ended

            await until(over, 1800, "the import ends")
            seconds = time.perf_counter() - started
            resident.cancel()
        done = await self._store.get(OWNER, begun.id)
        if done is None or done.reason or done.counts.created < 0.98 * done.counts.rows:
            raise BenchError(f"the import did not go well: {done}")
        return done, seconds

    async def _watch(self, worker: Child) -> None:
        """What the worker and its children have resident, together."""
        while True:
            self._found.resident.append(worker.megabytes + sum(map(_megabytes, _children(worker.process.pid))))
            await asyncio.sleep(0.2)


QUORUM = {"x-queue-type": "quorum"}


def _children(pid: int) -> list[int]:
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


def _megabytes(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:")), 0.0)


def _size(path: Path) -> int:
    return path.stat().st_size


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            yield chunk


async def empty(stage: Stage) -> None:
    await stage.sql.execute("TRUNCATE contact, contact_tag, contact_import RESTART IDENTITY CASCADE")
    await stage.sql.execute("CHECKPOINT")


async def read(path: Path) -> float:
    """Seconds to read, check and encode the file, with nobody who writes it."""
    files = reader(Settings())
    layout = (await files.preview(path, Wanted(), 0)).layout
    started = time.perf_counter()
    async for _ in files.blocks(path, layout, 0, 0):
        pass
    return time.perf_counter() - started


def psql(stage: Stage, command: str) -> None:
    asked = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", stage.database.dsn, "-c", command]
    subprocess.run(asked, check=True, stdin=subprocess.DEVNULL)


def copy(stage: Stage, clean: Path) -> float:
    started = time.perf_counter()
    psql(stage, f"\\copy contact ({COLUMNS}) FROM '{clean}'")
    return time.perf_counter() - started


def people(count: int) -> Iterator[tuple[str, ...]]:
    """Numbers in the forms in which people write them; one row of a hundred has none."""
    dice = random.Random(1)
    first, last = ("Анна", "Иван", "Пётр", "Мария", "Ольга", "Сергей"), ("Смирнова", "Иванов", "Петров", "Кузнецова")
    for number in range(count):
        digits = f"9{16 + number % 10}{number // 10 * 7919 % 10_000_000:07}"
        phone = (
            f"+7{digits}",
            f"8{digits}",
            f"8 ({digits[:3]}) {digits[3:6]}-{digits[6:8]}-{digits[8:]}",
            f"7{digits}",
        )[number % 4]
        yield (
            dice.choice(first),
            dice.choice(last),
            "12345" if number % BAD == 7 else phone,
            f"user{number}@example{number % 50}.com",
            "vip" if number % 5 == 0 else "",
            "Москва",
        )


def write_csv(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in itertools.chain([HEADERS], people(count)):
            file.write(";".join(row) + "\r\n")


_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def write_xlsx(path: Path, count: int) -> None:
    """With shared strings, as spreadsheet programs write them."""
    strings: dict[str, int] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets><sheet name="A" sheetId="1" r:id="r"/></sheets>'
            "</workbook>",
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r"'
            f' Type="{_RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        )
        with book.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(f'<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
            for number, row in enumerate(itertools.chain([HEADERS], people(count)), start=1):
                cells = "".join(
                    f'<c r="{letter}{number}" t="s"><v>{strings.setdefault(cell, len(strings))}</v></c>'
                    for letter, cell in zip("ABCDEF", row, strict=True)
                    if cell
                )
                sheet.write(f'<row r="{number}">{cells}</row>'.encode())
            sheet.write(b"</sheetData></worksheet>")
        with book.open("xl/sharedStrings.xml", "w", force_zip64=True) as shared:
            shared.write(f'<sst xmlns="{_MAIN}">'.encode())
            for text in strings:
                shared.write(f"<si><t>{text}</t></si>".encode())
            shared.write(b"</sst>")


def table(found: Found, options: argparse.Namespace) -> list[str]:
    ratios = [ours / theirs for ours, theirs in zip(found.imported, found.copied, strict=True)]
    lines = ["", f"{options.rounds} rounds of {options.rows} rows, by turns; {machine()}", ""]
    lines += [
        str(Line("import of CSV / psql \\copy (times)", median(ratios), "", 1.4, at_least=False)),
        str(Line("import of CSV, seconds", median(found.imported), " s", 60, at_least=False)),
        str(Line("worker and its child, most resident", max(found.resident), " MB", 300, at_least=False, digits=0)),
    ]
    if found.sheets:
        alone = [ours / theirs for ours, theirs in zip(found.sheets, found.read, strict=True)]
        lines.append(str(Line("import of XLSX / reading it alone", median(alone), "", 2.5, at_least=False)))
    for name, times, rows in (
        ("psql \\copy", found.copied, options.rows),
        ("import of CSV", found.imported, options.rows),
        ("reading XLSX", found.read, options.sheet_rows),
        ("import of XLSX", found.sheets, options.sheet_rows),
    ):
        if times:
            spread = f"{min(times):.1f} - {max(times):.1f} s"
            lines.append(f"  {name:<48} {rows / median(times):>9,.0f} rows/s   {spread}")
    return lines


if __name__ == "__main__":
    main()
