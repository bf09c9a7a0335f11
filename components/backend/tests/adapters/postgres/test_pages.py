"""A page looks at so many rows and no more, however many there are and however few of them are meant."""

import json

import pytest

from gonets.adapters.postgres import audit, contact_pages, contact_search
from gonets.adapters.postgres.audit import PostgresAudit
from gonets.adapters.postgres.identity import PostgresUsers
from gonets.adapters.postgres.suppression import PostgresSuppressions
from gonets.core.contacts.audience import EVERYBODY, Audience
from gonets.core.contacts.ports import Search
from gonets.core.contacts.suppression import Kind

FARTHEST, COUNT, LIMIT = 100, 3_000, 5

_FILL = """
INSERT INTO contact (owner_id, name, phone, email, tags, timezone, operator_code)
SELECT $1, 'Анна ' || n, '+79' || lpad(n::text, 9, '0'), '7' || n || '@example.com',
    ARRAY[CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END] || CASE WHEN n % 1000 = 0 THEN ARRAY['rare'] ELSE '{}' END,
    'Europe/Moscow', (900 + n % 100)::text
FROM generate_series(1, $2::bigint) n
"""

ODD_AND_EVEN = Audience(tags_all=("even", "odd"))
NEITHER = Audience(tags_none=("even", "odd"))
CODES = tuple(str(code) for code in range(900, 910))

FILTERS = {
    "everybody": EVERYBODY,
    "a rare tag": Audience(tags_any=("rare",)),
    "a tag of nobody": Audience(tags_any=("nobody's",)),
    "a rare tag, and a frequent one": Audience(tags_all=("even", "rare")),
    "a rare tag, or a frequent one": Audience(tags_any=("even", "rare")),
    "two tags that never meet": ODD_AND_EVEN,
    "none of two tags that all have": NEITHER,
    "an operator code": Audience(operator_codes=("916",)),
    "an operator code of nobody": Audience(operator_codes=("123",)),
    "an operator code without a tag": Audience(operator_codes=("916",), tags_none=("even",)),
    "a time zone": Audience(timezones=("Europe/Moscow",)),
    "ten codes without two tags": Audience(operator_codes=CODES, tags_none=("even", "odd")),
}
SEARCHES = {
    "a list": None,
    "a name of all": Search("анна"),
    "a name of some": Search("анна 29"),
    "a name of nobody": Search("борис"),
    "phones and addresses of all": Search("7", ("+7",)),
    "phones of some": Search("+7900000", ("+7900000",)),
    "addresses of all": Search("7"),
}


class _Counting:
    """A pool that counts the rows of tables and indexes that its statements come by."""

    def __init__(self, pool):
        self._pool = pool
        self.rows = 0

    async def fetch(self, statement, *values):
        async with self._pool.transaction() as connection:
            # Small as it is, the table would be read whole.
            await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
            if not statement.startswith("EXPLAIN"):
                plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
                self.rows += _read(json.loads(plan)[0]["Plan"])
            return await connection.fetch(statement, *values)


def _read(node):
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0) if "Relation Name" in node else 0
    return own * node["Actual Loops"] + sum(_read(part) for part in node.get("Plans", []))


@pytest.fixture
async def crowd(pool):
    """Their owner."""
    owner = (await PostgresUsers(pool).add("a@example.com", "hash", None)).id
    await pool.fetch(_FILL, owner, COUNT)
    for table in ("contact", "contact_tag"):
        await pool.fetch(f"ANALYZE {table}")
    return owner


@pytest.mark.parametrize("search", SEARCHES)
async def test_a_page_does_not_read_on_until_somebody_is_meant(search, pool, crowd, monkeypatch):
    monkeypatch.setattr(contact_pages, "FARTHEST", FARTHEST)
    wanted = SEARCHES[search]
    for name, audience in FILTERS.items():
        counting, cursor = _Counting(pool), None
        for number in range(10):
            counting.rows = 0
            if wanted is None:
                _, cursor = await contact_pages.page(counting, crowd, audience, cursor=cursor, limit=LIMIT)
            else:
                _, cursor = await contact_search.search(counting, crowd, audience, wanted, cursor=cursor, limit=LIMIT)
            # Once by the index and once by the table, and what the filters mean instead of what was searched.
            assert counting.rows <= 5 * FARTHEST, (name, number)
            if cursor is None:
                break


async def test_one_address_of_a_long_list_is_looked_up(pool, crowd):
    await pool.fetch(
        "INSERT INTO suppression (owner_id, kind, address, source)"
        " SELECT owner_id, 'phone', phone, 'import' FROM contact"
    )
    await pool.fetch("ANALYZE suppression")
    counting = _Counting(pool)
    only = [(Kind.PHONE, "+79000000007"), (Kind.TELEGRAM_CHAT_ID, "79000000007")]
    page = await PostgresSuppressions(counting).page(crowd, only, cursor=None, limit=LIMIT)
    assert [entry.address for entry in page.suppressions] == ["+79000000007"]
    assert counting.rows <= len(only)


@pytest.mark.parametrize("wanted", [{"object": "user", "user_id": None}, {"object": None, "user_id": 7}])
async def test_the_log_is_not_read_on_until_an_entry_is_asked_for(wanted, pool, monkeypatch):
    monkeypatch.setattr(audit, "FARTHEST", FARTHEST)
    await pool.fetch(
        "INSERT INTO audit_entry (action, object, object_id, detail)"
        " SELECT 'created', 'contact', n, '{}' FROM generate_series(1, $1::bigint) n",
        COUNT,
    )
    await pool.fetch("ANALYZE audit_entry")
    counting = _Counting(pool)
    page = await PostgresAudit(counting).page(**wanted, cursor=None, limit=LIMIT)
    assert (page.entries, page.next_cursor is None) == ([], False)
    assert counting.rows <= FARTHEST + 1


async def test_a_page_is_full_where_all_are_meant(pool, crowd, monkeypatch):
    monkeypatch.setattr(contact_pages, "FARTHEST", FARTHEST)
    audience = Audience(tags_any=("even", *(f"nobody's {number}" for number in range(99))))
    rows, cursor = await contact_pages.page(pool, crowd, audience, cursor=None, limit=LIMIT)
    assert ([row["name"] for row in rows], cursor is None) == ([f"Анна {COUNT - 2 * n}" for n in range(LIMIT)], False)
