"""Files that are exported, and what an import reads in them."""

import csv
import io

import openpyxl
import pytest

from gonets.adapters.files.sheets import CsvSheet, XlsxSheet, defused, plain
from gonets.adapters.phones import PhoneNumbers, about
from gonets.core.contacts.columns import assign
from gonets.core.contacts.rows import CheckRow

HEADERS = ["id", "name", "phone", "email", "telegramChatId", "tags", "timezone", "consent", "attributes.note"]
PEOPLE = [
    [1, "Анна", "+79161234567", "anna@example.com", "-1001234567890", "vip,new", "Asia/Omsk", True, "it's"],
    [2, '=HYPERLINK("x")', "+442079460958", None, "@anna_channel", "", "Europe/London", False, "+1 (2)"],
    [3, "-", "+79161234568", None, None, "", "Europe/Moscow", None, "'=1"],
    [4, "@x", "+79161234569", None, None, "", "Europe/Moscow", None, "''-a"],
    [5, "+плюс", "+79161234570", None, None, "", "Europe/Moscow", None, "-5"],
]


def _written(sheet, rows):
    content = sheet.rows(rows[:2]) + sheet.rows(rows[2:]) + b"".join(sheet.end())
    sheet.close()
    return content


def _of_csv(content):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def _of_xlsx(content):
    rows = openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True)
    words = {None: "", True: "true", False: "false"}
    return [[words[cell] if isinstance(cell, bool | None) else str(cell) for cell in row] for row in rows]


@pytest.mark.parametrize(("sheet", "read"), [(CsvSheet, _of_csv), (XlsxSheet, _of_xlsx)])
def test_an_import_reads_what_was_exported(sheet, read):
    header, *rows = read(_written(sheet(), [HEADERS, *PEOPLE]))
    check = CheckRow(header, assign(header, {}), PhoneNumbers("RU"), about)
    for cells, person in zip(rows, PEOPLE, strict=True):
        found = check(cells)
        values = (found.name, found.phone, found.email, found.telegram_chat_id, found.timezone, found.consent)
        assert values == (*person[1:5], person[6], person[7])
        assert ",".join(found.tags or ()) == person[5]
        assert found.attributes["note"] == person[8]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "'=1", "''=1", "'", "''", "'a", "a", ""])
def test_what_is_defused_is_no_formula_and_comes_back(text):
    assert not defused(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert plain(defused(text)) == text


def test_a_workbook_goes_on_in_the_next_sheet(monkeypatch):
    monkeypatch.setattr("gonets.adapters.files.sheets._MOST_ROWS", 3)
    book = openpyxl.load_workbook(io.BytesIO(_written(XlsxSheet(), [["id"], [1], [2], [3], [4], [5]])))
    assert [[row[0] for row in sheet.values] for sheet in book] == [["id", 1, 2], ["id", 3, 4], ["id", 5]]


def test_a_file_that_nobody_waits_for_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sheet = XlsxSheet()
    sheet.rows([["id"], [1]])
    assert list(tmp_path.iterdir())
    sheet.close()
    assert not list(tmp_path.iterdir())
