"""Files as people bring them, read by the process that the service starts for each."""

import csv
import io
import os
import zipfile
from datetime import date

import openpyxl
import pytest

from gonets.adapters.files import limits
from gonets.adapters.files.reader import ChildReader
from gonets.core.contacts.imports import FileRefused, Format, Wanted
from gonets.core.shared.errors import Invalid

READER = ChildReader(("-m", "gonets.entrypoints.read_file", "RU"))
PEOPLE = 'Имя;Телефон;E-mail\nАнна "Ёлка";8 916 123-45-67;anna@example.com\n;+79031234567;\n'


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "file"
        path.write_bytes(content)
        return path

    return write


async def _preview(path, rows=10, **wanted):
    return await READER.preview(path, Wanted(**wanted), rows)


async def _read(path, position=0, row=0, **wanted):
    """What the store would get: rows by their numbers, and faults."""
    layout = (await _preview(path, 0, **wanted)).layout
    blocks = [block async for block in READER.blocks(path, layout, position, row)]
    fresh = [line for block in blocks for line in block.fresh.decode().splitlines()]
    keys = [line.split("\t") for block in blocks for line in block.keys.decode().splitlines()]
    repeated = [line.split("\t") for block in blocks for line in block.repeated.decode().splitlines()]
    faults = [line.split("\t") for block in blocks for line in block.faults.decode().splitlines()]
    assert len(fresh) == len(keys)
    return blocks, [(int(row), phone) for row, phone, _ in keys], repeated, [(int(f[0]), f[3]) for f in faults]


@pytest.mark.parametrize(
    ("encoding", "recognised"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("cp1251", "cp1251"),
        ("utf-16", "utf-16-le"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
    ],
)
async def test_encodings_are_recognised(write, encoding, recognised):
    found = await _preview(write(PEOPLE.encode(encoding)))
    assert (found.layout.format, found.layout.encoding, found.layout.delimiter) == (Format.CSV, recognised, ";")
    assert [(row.row, row.values and row.values["phone"]) for row in found.rows] == [
        (2, "+79161234567"),
        (3, "+79031234567"),
    ]
    assert found.rows[0].values["name"] == 'Анна "Ёлка"'
    _, rows, _, _ = await _read(write(PEOPLE.encode(encoding)))
    assert rows == [(2, "+79161234567"), (3, "+79031234567")]


async def test_an_encoding_is_known_by_letters_far_behind_the_beginning(write):
    content = "phone,name\n" + "+79161234567,a\n" * 50_000
    assert (await _preview(write(f"{content}+79161234567,Анна\n".encode("cp1251")))).layout.encoding == "cp1251"
    broken = (content + "+79161234567,Анна\n" * 10).encode() + b"+79031234567,\xd0\n"
    _, _, _, faults = await _read(write(broken))
    assert faults == [(50_012, "encoding")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_delimiters_are_recognised(write, delimiter):
    content = PEOPLE.replace(";", delimiter)
    assert (await _preview(write(content.encode()))).layout.delimiter == delimiter


async def test_excels_hint_names_the_delimiter_and_is_a_row(write):
    found = await _preview(write(b"sep=|\nphone|name\n+79161234567|a\n"))
    assert (found.layout.delimiter, found.rows[0].row) == ("|", 3)


async def test_a_first_row_may_be_a_contact(write):
    content = write(b"Anna,+79161234567\nBoris,+79031234567\n")
    found = await _preview(content, has_header=False, columns={"1": "name", "2": "phone"})
    assert [(row.row, row.values["name"]) for row in found.rows] == [(1, "Anna"), (2, "Boris")]
    _, rows, _, _ = await _read(content, has_header=False, columns={"1": "name", "2": "phone"})
    assert [number for number, _ in rows] == [1, 2]


async def test_rows_have_the_numbers_of_a_spreadsheet(write):
    text = 'phone,name\n\n+79160000001,"two\nlines"\n+79160000002,b\n,,\n12,c\n+79160000002,d\n+79160000003,e\n'
    _, rows, repeated, faults = await _read(write(text.encode()))
    assert rows == [(3, "+79160000001"), (4, "+79160000002"), (8, "+79160000003")]
    assert [one[0] for one in repeated] == ["7"]
    assert faults == [(6, "phone")]


async def test_a_quotation_mark_that_is_not_closed_costs_its_own_row_only(write):
    rows = "".join(f"+7916{number:07},name\n" for number in range(5000))
    text = f'phone,name\n+79030000000,"open\n{rows}+79030000001,"also open'
    _, found, _, faults = await _read(write(text.encode()))
    assert len(found) == 5000
    assert faults == [(2, "quote"), (5003, "quote")]


async def test_long_cells_and_long_lines_cost_their_own_row_only(write):
    long_cell, long_line = "x" * (limits.CELL + 1), "y," * limits.LINE
    text = f"phone,name\n+79160000001,{long_cell}\n+79160000002,{long_line}\n+79160000003,a\n"
    _, found, _, faults = await _read(write(text.encode()))
    assert found == [(4, "+79160000003")]
    assert faults == [(2, "cellTooLong"), (3, "cellTooLong")]


async def test_reading_goes_on_where_a_block_ended(write):
    count = 45_000
    text = "phone;имя\n" + "".join(f"+7916{number:07};Анна\n" for number in range(count))
    for encoding in ("utf-8", "utf-16"):
        path = write(text.encode(encoding))
        blocks, rows, _, _ = await _read(path)
        assert [block.rows for block in blocks] == [10_000, 10_000, 10_000, 10_000, 5000]
        _, rest, _, _ = await _read(path, blocks[0].position, blocks[0].row)
        assert rest == rows[10_000:]
        assert blocks[-1].progress == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "no rows"),
        (b"x" * 1_000_000, "longer than"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 100, "old .xls, or under a password"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 100, "neither CSV nor XLSX"),
        (b"PK\x03\x04 and then nothing", "damaged archive"),
        (b"phone" + b",a" * 300, "more than 200 columns"),
    ],
)
async def test_what_is_no_table_is_refused_with_a_reason(write, content, words):
    with pytest.raises(FileRefused, match=words):
        await _preview(write(content))


async def test_what_is_asked_has_to_fit_the_file(write):
    with pytest.raises(Invalid, match="none holds phones"):
        await _preview(write(b"a,b\n1,2\n"))
    with pytest.raises(Invalid, match="no column"):
        await _preview(write(b"phone,b\n1,2\n"), columns={"c": "email"})
    with pytest.raises(Invalid, match="one character"):
        await _preview(write(b"phone,b\n1,2\n"), delimiter="::")


def _workbook(rows, **options):
    book = openpyxl.Workbook(**options)
    for row in rows:
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


PEOPLE_ROWS = [
    ["Имя", "Телефон", "Почта", "Согласие", "Дата", "Сумма"],
    ["Анна", 79161234567, "anna@example.com", True, date(2026, 1, 31), 12.5],
    ["Борис", "8 903 123-45-67", None, None, None, 3.0],
    [],
    ["=1+1", "+79031234568", None, None, None, None],
]


async def test_a_workbook_is_read_as_it_is_seen(write):
    path = write(_workbook(PEOPLE_ROWS))
    found = await _preview(path, columns={"*": "attributes"})
    assert (found.layout.format, found.layout.sheet) == (Format.XLSX, "Sheet")
    first, second, third = found.rows
    assert first.values["phone"] == "+79161234567"
    assert first.values["attributes"] == {"Дата": "2026-01-31", "Сумма": "12.5"}
    assert first.values["consent"] is True
    assert (second.row, second.values["attributes"]) == (3, {"Сумма": "3"})
    assert (third.row, third.fault["code"], third.fault["value"]) == (5, "formula", "=1+1")
    _, rows, _, faults = await _read(path)
    assert rows == [(2, "+79161234567"), (3, "+79031234567")]
    assert faults == [(5, "formula")]


async def test_reading_a_workbook_goes_on_behind_a_row(write):
    path = write(_workbook([["phone"], *([f"+7916{number:07}"] for number in range(25_000))]))
    blocks, rows, _, _ = await _read(path)
    _, rest, _, _ = await _read(path, blocks[0].position, blocks[0].row)
    assert [block.rows for block in blocks] == [10_000, 10_000, 5000]
    assert rest == rows[10_000:]


async def test_a_sheet_is_chosen_by_its_name(write):
    book = openpyxl.Workbook()
    book.active.append(["nothing"])
    other = book.create_sheet("Люди")
    other.append(["phone"])
    other.append(["+79161234567"])
    content = io.BytesIO()
    book.save(content)
    path = write(content.getvalue())
    assert len((await _preview(path, sheet="Люди")).rows) == 1
    with pytest.raises(FileRefused, match="no sheet 'Кто'; it has Sheet, Люди"):
        await _preview(path, sheet="Кто")


def _changed(parts):
    """A workbook with other parts in place of its own."""
    content = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(_workbook(PEOPLE_ROWS))) as old,
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            if name not in parts:
                new.writestr(name, old.read(name))
        for name, part in parts.items():
            with new.open(name, "w") as file:
                for chunk in part:
                    file.write(chunk)
    return content.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'


def _cell(reference, text):
    return b'<row r="%s"><c r="%s" t="inlineStr"><is><t>%s</t></is></c></row>' % (
        reference.lstrip(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        reference,
        text,
    )


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({SHEET: [b"\0" * 2**20] * 64}, "no table does so"),
        ({SHEET: [b'<!DOCTYPE a [<!ENTITY b "c">]><worksheet/>']}, "document type"),
        ({SHEET: [b"<worksheet><row"]}, "damaged"),
        ({SHEET: [HEAD, b'<c r="' + os.urandom(2**22).hex().encode() + b'"/>']}, "longer than any"),
        ({SHEET: [HEAD, b'<row r="1"><c r="A1" t="s"><v>99</v></c></row></sheetData></worksheet>']}, "does not hold"),
        ({"xl/workbook.xml": [b"<workbook/>"]}, "no sheets"),
    ],
)
async def test_bombs_and_broken_workbooks_are_refused(write, parts, words):
    with pytest.raises(FileRefused, match=words):
        await _preview(write(_changed(parts)))


async def test_a_cell_in_the_last_corner_costs_nothing_but_its_row(write):
    parts = [HEAD, _cell(b"A1", b"phone"), _cell(b"A2", b"+79161234567"), _cell(b"XFD1048576", b"far"), b"</sheetData>"]
    found = await _preview(write(_changed({SHEET: [*parts, b"</worksheet>"]})))
    assert [(row.row, row.fault and row.fault["code"]) for row in found.rows] == [
        (2, None),
        (1_048_576, "tooManyCells"),
    ]


async def test_what_is_written_can_be_read_again(write):
    """The lines of COPY are CSV enough to look at them."""
    text = io.StringIO()
    csv.writer(text).writerows([["phone", "name", "attributes.note"], ["+79161234567", "back\\slash", 'q"uote\\n']])
    blocks, _, _, _ = await _read(write(text.getvalue().encode()))
    [line] = blocks[0].fresh.decode().splitlines()
    assert "back\\\\slash" in line
    assert '{"note": "q\\\\"uote\\\\\\\\n"}' in line
