"""How long pages of contacts take: `make bench ARGS=contacts`.

As many contacts as you say, of one owner, as an import leaves them. For each filter the first page and the last one, in
turns, by the statements of the API: milliseconds, 95th percentile. The last page begins half a page before the oldest
contact that the filter means.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop

from benchmarks.__main__ import machine, progress
from benchmarks.report import Line
from benchmarks.stage import Stage
from benchmarks.statistics import percentile
from gonets.adapters.postgres.audience import condition
from gonets.adapters.postgres.contact_pages import to_cursor
from gonets.adapters.postgres.contacts import PostgresContacts
from gonets.adapters.postgres.pool import Pool
from gonets.core.contacts.audience import EVERYBODY, Audience
from gonets.core.contacts.ports import Search

LIMIT = 50
AT_MOST = 2.0
_BLOCK = 100_000

# Tags of half, a tenth, a hundredth and a hundred thousandth of all, and one that only the oldest contacts have.
_FILL = """
INSERT INTO contact (owner_id, name, phone, email, tags, timezone, operator_code, attributes)
SELECT $1, (ARRAY['Анна', 'Борис', 'Вера', 'Глеб', 'Ёлка'])[1 + n % 5] || ' ' || md5(n::text),
    '+79' || lpad(n::text, 9, '0'), md5(n::text) || '@example.com',
    array_remove(ARRAY[
        CASE WHEN hashint8(n) % 2 = 0 THEN 'half' END, CASE WHEN hashint8(n) % 10 = 1 THEN 'tenth' END,
        CASE WHEN hashint8(n) % 100 = 2 THEN 'hundredth' END, CASE WHEN n % 100000 = 3 THEN 'rare' END,
        CASE WHEN n < 5000 THEN 'oldest' END
    ], NULL),
    (ARRAY['Europe/Moscow', 'Europe/Moscow', 'Europe/Samara', 'Asia/Omsk', 'Asia/Tokyo'])[1 + abs(hashint8(n + 1)) % 5],
    (900 + abs(hashint8(n + 2)) % 100)::text, jsonb_build_object('city', 'Москва', 'orders', n % 100)
FROM generate_series($2::bigint, $3::bigint) n
"""

FILTERS: Mapping[str, tuple[Audience, Search | None]] = {
    "everybody": (EVERYBODY, None),
    "tag: half of them": (Audience(tags_any=("half",)), None),
    "tag: a hundredth": (Audience(tags_any=("hundredth",)), None),
    "tag: one of 100 000": (Audience(tags_any=("rare",)), None),
    "tag: the oldest 5 000": (Audience(tags_any=("oldest",)), None),
    "tag: any of three": (Audience(tags_any=("tenth", "hundredth", "rare")), None),
    "tag: both of two": (Audience(tags_all=("half", "oldest")), None),
    "tag: none of two": (Audience(tags_none=("half", "tenth")), None),
    "operator code": (Audience(operator_codes=("916",)), None),
    "operator code: any of five": (Audience(operator_codes=("916", "917", "918", "919", "920")), None),
    "time zone": (Audience(timezones=("Europe/Moscow",)), None),
    "tag, operator code and time zone": (
        Audience(tags_any=("tenth",), operator_codes=("916",), timezones=("Europe/Moscow",)),
        None,
    ),
    "search: phone": (EVERYBODY, Search("+79000", ("+79000",))),
    "search: e-mail address": (EVERYBODY, Search("ab")),
    "search: name": (EVERYBODY, Search("анна")),
    "search: every phone": (EVERYBODY, Search("7", ("+7",))),
    "search: nobody": (EVERYBODY, Search("nobody")),
    "search: name, tag of one of 100 000": (Audience(tags_any=("rare",)), Search("глеб")),
    "search: name, tag of the oldest 5 000": (Audience(tags_any=("oldest",)), Search("глеб")),
    "search: name, operator code": (Audience(operator_codes=("916",)), Search("глеб")),
    "search: name, tag of nobody": (Audience(tags_any=("nobody",)), Search("глеб")),
    "search: name, none of two tags": (Audience(tags_none=("half", "tenth")), Search("глеб")),
    "search: e-mail address, time zone": (Audience(timezones=("Asia/Tokyo",)), Search("ab")),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS='contacts …'", description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=100, help="of each page")
    return parser.parse_args()


async def fill(pool: Pool, count: int) -> tuple[int, float]:
    """The owner, and how long it took."""
    [row] = await pool.fetch(
        "INSERT INTO users (email, email_key, password_hash, role) VALUES ('a', 'a', 'x', 'member') RETURNING id"
    )
    owner = int(row["id"])
    began = time.perf_counter()
    for first in range(1, count + 1, _BLOCK):
        await pool.fetch(_FILL, owner, first, min(count, first + _BLOCK - 1))
    took = time.perf_counter() - began
    for table in ("contact", "contact_tag"):
        await pool.fetch(f"ANALYZE {table}")
    return owner, took


async def last_cursor(pool: Pool, owner: int, audience: Audience, search: Search | None) -> str | None:
    """Where the last half page begins."""
    if search is None:
        sql, values = condition(audience, 2)
        query = f"SELECT id FROM contact WHERE owner_id = $1 AND {sql} ORDER BY id OFFSET {LIMIT // 2} LIMIT 1"
        rows = await pool.fetch(query, owner, *values)
        return to_cursor(rows[0]["id"]) if rows else None
    stage, key = (0, "phone") if search.phones else (1, 'lower(name) COLLATE "C"')
    if search.text.isascii() and not search.phones:
        stage, key = 0, "lower(email)"
    sql, values = condition(audience, 4)
    query = (
        f"SELECT {key} AS key, id FROM contact WHERE owner_id = $1 AND {key} >= $2 AND {key} < $3 AND {sql}"
        f" ORDER BY {key} DESC, id DESC OFFSET {LIMIT // 2} LIMIT 1"
    )
    beginning = search.phones[0] if search.phones else search.text
    rows = await pool.fetch(query, owner, beginning, beginning + "\U0010ffff", *values)
    return to_cursor(stage, rows[0]["key"], rows[0]["id"]) if rows else None


async def timed(
    contacts: PostgresContacts, owner: int, wanted: tuple[Audience, Search | None], cursor: str | None
) -> float:
    began = time.perf_counter()
    await contacts.page(owner, *wanted, cursor=cursor, limit=LIMIT)
    return (time.perf_counter() - began) * 1000


async def measure(pool: Pool, owner: int, samples: int) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """Of each filter: first pages, and last ones."""
    contacts, found = PostgresContacts(pool), {}
    for name, wanted in FILTERS.items():
        progress(name)
        last = await last_cursor(pool, owner, *wanted)
        pages = [
            (await timed(contacts, owner, wanted, None), await timed(contacts, owner, wanted, last))
            for _ in range(samples + 5)
        ]
        # The first ones find their pages of the disk cold.
        found[name] = ([first for first, _ in pages[5:]], [end for _, end in pages[5:]])
    return found


def table(count: int, took: float, found: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    lines = [
        machine(),
        "",
        f"  {count} contacts written in {took:.1f} s, {count / took:.0f}/s, with their indexes and tags",
        "",
        f"  {'p95, ms':<48} {'first':>9} {'last':>9}",
    ]
    ratios = []
    for name, (first, last) in found.items():
        one, other = percentile(first, 95), percentile(last, 95)
        ratios.append(other / one)
        lines.append(f"  {name:<48} {one:>9.2f} {other:>9.2f}")
    return "\n".join(
        [*lines, "", str(Line("the last page against the first, worst", max(ratios), "x", AT_MOST, False))]
    )


async def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with Stage(Path(directory), {}) as stage:
            pool = Pool(stage.database.dsn, size=2, timeout=600)
            await pool.open()
            progress(f"filling {options.contacts} contacts")
            owner, took = await fill(pool, options.contacts)
            found = await measure(pool, owner, options.samples)
            await pool.close()
            print(table(options.contacts, took, found))


if __name__ == "__main__":
    uvloop.run(main(arguments()))
