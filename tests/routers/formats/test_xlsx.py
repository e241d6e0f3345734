"""Workbooks, read back: every value equals the JSON, and what is cut is listed."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from openpyxl.utils.escape import unescape
from openpyxl.workbook import Workbook

from routers.formats import xlsx
from routers.formats.parquet import write_parquet
from routers.formats.table import TableAnswer, TableColumn
from routers.formats.text import json_rows
from routers.formats.xlsx import MAX_ROWS, MAX_TEXT, require_fit, write_xlsx
from routers.worker.refusals import SheetTooLarge
from tests.routers.formats.conftest import LONG


def workbook(table: TableAnswer, folder: Path) -> tuple[Workbook, int]:
    """*table* as a workbook, and how many of its texts were cut."""
    source, target = folder / "rows.parquet", folder / "rows.xlsx"
    write_parquet(table, source)
    cut = write_xlsx(source, target)
    return openpyxl.load_workbook(target), cut


def rows(sheet: Any) -> list[dict[str, Any]]:
    """The rows of a sheet by the names in its first one."""
    names, *found = (
        [unescape(v) if isinstance(v, str) else v for v in row]
        for row in sheet.iter_rows(values_only=True)
    )
    return [dict(zip(names, row, strict=True)) for row in found]


def as_json(value: Any) -> Any:
    """A cell's value as JSON has it."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return value


NUMBERS = {"number", "single"}
TEXT_NUMBERS = {"decimal"}
DATES = {"day"}
WHOLE_MILLISECONDS = {"whole"}


def expected(name: str, value: Any) -> Any:
    """What a workbook shows for the JSON's *value* of a column."""
    if value is None:
        return None
    if name in NUMBERS and not isinstance(value, str):
        return float(value)
    if name in DATES:
        return f"{value}T00:00:00"
    if name in WHOLE_MILLISECONDS:
        return value.replace("Z", "000")
    if isinstance(value, bool) or name in ("integer", "huge"):
        exact = isinstance(value, bool) or abs(value) <= 2**53
        return value if exact else str(value)
    if name in ("list", "^.*$"):
        return ...
    return str(value)


def test_a_workbook_equals_the_json(table: TableAnswer, tmp_path: Path) -> None:
    """Formulas and links are texts; large integers and decimals are texts, too."""
    book, cut = workbook(table, tmp_path)
    shown = rows(book["awkward"])
    published = json.loads(b"".join(json_rows(table)), parse_float=Decimal)
    assert cut == 0
    assert len(shown) == len(published)
    for cells, row in zip(shown, published, strict=True):
        for name, value in row.items():
            wanted = expected(name, value)
            if wanted is ...:
                assert json.loads(cells[name], parse_float=Decimal) == value
            else:
                assert repr(as_json(cells[name])) == repr(wanted), name


def test_nothing_is_a_formula_or_a_link(table: TableAnswer, tmp_path: Path) -> None:
    """Excel computes neither when it opens the file."""
    book, _ = workbook(table, tmp_path)
    for sheet in book:
        for line in sheet.iter_rows():
            for cell in line:
                assert cell.data_type != "f", cell.coordinate
                assert cell.hyperlink is None, cell.coordinate


def test_the_second_sheet_has_definitions_and_origin(
    table: TableAnswer, tmp_path: Path
) -> None:
    """Range, time zone, instant of the data, and a line per column."""
    book, _ = workbook(table, tmp_path)
    assert book.sheetnames == ["awkward", "Definitions"]
    lines = list(book["Definitions"].iter_rows(values_only=True))
    facts = {line[0]: line[1] for line in lines[:7]}
    assert facts["Range"] == "all"
    assert facts["Days begin in the time zone"] == "Europe/Berlin"
    assert facts["Data of (UTC)"] == "2026-11-21T23:10:00Z"
    assert facts["Rows"] == "16"
    found = {line[0]: line[1:] for line in lines[9:]}
    assert found["integer"] == ("integer", "things", "", "Counts =things.")
    assert found["instant"][2] == "stored as text"
    assert found["whole"][2] == "UTC"
    assert len(found) == len(table.schema())


def test_a_text_that_is_too_long_is_cut_and_listed(tmp_path: Path) -> None:
    """At 32,767 UTF-16 units, never within a character."""
    fits, too_long = "x" * MAX_TEXT, "y" * (MAX_TEXT + 1)
    frame = pl.DataFrame({"a": [fits, too_long, LONG]})
    book, cut = workbook(TableAnswer("x", frame), tmp_path)
    assert [row["a"] for row in rows(book["x"])] == [
        fits,
        "y" * MAX_TEXT,
        "🃏" * (MAX_TEXT // 2),
    ]
    assert cut == 2
    assert rows(book["Cut texts"]) == [
        {"Cell": "A3", "Column": "a", "Length (UTF-16)": MAX_TEXT + 1},
        {"Cell": "A4", "Column": "a", "Length (UTF-16)": 80_000},
    ]
    assert book["Definitions"]["B7"].value == "2"


def test_markup_of_the_writer_is_a_text(tmp_path: Path) -> None:
    """XlsxWriter copies <r>…</r> into the file as it is; a long one is cut."""
    long = f"<r>{'&' * 20_000}</r>"
    frame = pl.DataFrame({"a": ["<r><evil></r>", long]})
    book, cut = workbook(TableAnswer("<r>/x</r>", frame), tmp_path)
    first, second = rows(book["<r>-x<-r>"])
    assert first == {"a": "<r><evil></r>"}
    assert long.startswith(second["a"])
    assert cut == 1


def test_a_name_of_a_column_is_never_markup(tmp_path: Path) -> None:
    """Names and meanings come from SQL files."""
    name = "<r>=1</r>"
    table = TableAnswer("x", pl.DataFrame({name: [1]}), [TableColumn(name, name, name)])
    book, _ = workbook(table, tmp_path)
    assert rows(book["x"]) == [{name: 1}]
    assert book["Definitions"]["E10"].value == name


def test_the_same_rows_give_the_same_bytes(table: TableAnswer, tmp_path: Path) -> None:
    """No clock is in the file."""
    workbook(table, tmp_path)
    first = (tmp_path / "rows.xlsx").read_bytes()
    workbook(table, tmp_path)
    assert (tmp_path / "rows.xlsx").read_bytes() == first


@pytest.mark.parametrize("size", [(MAX_ROWS, 1), (1, 16_384), (0, 0)])
def test_a_table_of_the_largest_size_fits(size: tuple[int, int]) -> None:
    """A worksheet has 1,048,576 rows, the header included, and 16,384 columns."""
    require_fit(*size)


def test_a_larger_table_is_refused_with_its_size() -> None:
    """The message names formats without a limit."""
    with pytest.raises(SheetTooLarge, match=r"1,048,576 rows.*\.parquet or \.csv"):
        require_fit(MAX_ROWS + 1, 1)
    with pytest.raises(SheetTooLarge, match="16,385 columns"):
        require_fit(1, 16_385)


def test_a_table_that_does_not_fit_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is checked before the first row."""
    monkeypatch.setattr(xlsx, "MAX_ROWS", 2)
    frame = pl.DataFrame({"a": [1, 2, 3]})
    with pytest.raises(SheetTooLarge):
        workbook(TableAnswer("x", frame), tmp_path)
    assert not (tmp_path / "rows.xlsx").exists()
