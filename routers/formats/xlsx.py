"""A workbook from a Parquet file of `write_parquet`: rows, definitions, cut texts.

XlsxWriter is pure Python and takes two minutes for a million rows, so this runs in a
process of its own, see `routers.worker`. It is imported when it is used.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

import polars as pl

from routers.formats.parquet import read_context
from routers.formats.table import count_rows, plan_batches
from routers.formats.values import texts
from routers.worker.refusals import SheetTooLarge
from util.columns import column_named
from util.json_types import JsonMapping

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

MAX_ROWS: Final = 1_048_575
"""Rows of a worksheet below its header."""

MAX_COLUMNS: Final = 16_384

MAX_TEXT: Final = 32_767
"""UTF-16 units of a cell's text."""

MAX_EXACT_INTEGER: Final = 2**53
"""Integers beyond it are text, since a cell's number is a double."""

MAX_LISTED_CUTS: Final = 100_000

NO_INSTANT: Final = "1980-01-01"
"""The creation date of a workbook whose data has no instant."""

DATE_FORMAT: Final = "yyyy-mm-dd"
INSTANT_FORMAT: Final = "yyyy-mm-dd hh:mm:ss.000"
FIRST_DATE: Final = date(1900, 3, 1)
"""Excel believes in 29 February 1900, so earlier dates are ambiguous."""

_SHEET_NAME: Final = re.compile(r"[\[\]:*?/\\']")


@dataclass(slots=True)
class CutText:
    """A text that was longer than a cell can hold."""

    cell: str
    column: str
    units: int


@dataclass(slots=True)
class _Cuts:
    listed: list[CutText] = field(default_factory=list)
    number: int = 0

    def add(self, cell: str, column: str, units: int) -> None:
        self.number += 1
        if len(self.listed) < MAX_LISTED_CUTS:
            self.listed.append(CutText(cell, column, units))


def require_fit(rows: int, columns: int) -> None:
    """Raise SheetTooLarge if a worksheet cannot hold a table of this size."""
    if rows > MAX_ROWS:
        raise SheetTooLarge(
            f"The answer has {rows:,} rows, and a worksheet holds {MAX_ROWS:,}: use "
            ".parquet or .csv"
        )
    if columns > MAX_COLUMNS:
        raise SheetTooLarge(
            f"The answer has {columns:,} columns, and a worksheet holds "
            f"{MAX_COLUMNS:,}: use .parquet or .csv"
        )


def write_xlsx(source: Path, target: Path) -> int:
    """Write the rows of the Parquet file *source* as a workbook; return the cut texts.

    The first sheet has the rows, the second one the definitions, the range, the time
    zone and the instant of the data; a third one lists texts that were cut. Texts are
    never computed: no formulas, links or numbers are made of them. Needs constant
    memory, and space for the unpacked sheet beside *target*. Raises SheetTooLarge.
    """
    from xlsxwriter import Workbook

    context = read_context(source)
    plan = pl.scan_parquet(source, glob=False)
    schema = plan.collect_schema()
    rows = count_rows(plan)
    require_fit(rows, len(schema))
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "tmpdir": str(target.parent),
        "use_zip64": True,
    }
    with Workbook(str(target), options) as book:
        _set_created(book, context)
        writer = _SheetWriter(book, _columns(plan, schema))
        cuts = writer.write(str(context["title"]), plan_batches(plan))
        _write_definitions(book, context, rows, cuts, writer.columns)
        if cuts.number:
            _write_cuts(book, cuts)
    return cuts.number


def _set_created(book: "Workbook", context: JsonMapping) -> None:
    """The same data gives the same bytes."""
    created = datetime.fromisoformat(context["data_updated_at"] or NO_INSTANT)
    properties = {"title": context["title"], "created": created.replace(tzinfo=None)}
    book.set_properties(properties)


type _WriteCell = Callable[[int, int, Any], None]


@dataclass(frozen=True, slots=True)
class _SheetColumn:
    """How a column is stored: `kind` is count, number, boolean, date, instant or text."""

    name: str
    kind: str
    note: str = ""

    def values(self, column: pl.Series) -> list[Any]:
        match self.kind:
            case "date" | "boolean":
                return column.to_list()
            case "instant":
                return _in_utc(column).to_list()
            case "number" if column.dtype == pl.Float32:
                return column.cast(pl.String).cast(pl.Float64).to_list()
            case "number" | "count":
                return column.to_list()
        return texts(column.to_frame()).to_series().to_list()


def _columns(plan: pl.LazyFrame, schema: pl.Schema) -> list[_SheetColumn]:
    """How each column is stored; reads the columns of dates and timestamps."""
    temporal = [
        name
        for name, dtype in schema.items()
        if isinstance(dtype, pl.Date | pl.Datetime)
    ]
    checks = {name: _fits_excel(name, schema[name]) for name in temporal}
    fits = plan.select(**checks).collect().row(0, named=True) if checks else {}
    return [_column(name, dtype, fits) for name, dtype in schema.items()]


def _fits_excel(name: str, dtype: pl.DataType) -> pl.Expr:
    """True if Excel stores all values of a column of dates or timestamps exactly."""
    column = column_named(name)
    late_enough = column.dt.date().min() >= FIRST_DATE
    early_enough = column.dt.year().max() <= 9999
    fits = (late_enough & early_enough).fill_null(True)
    if isinstance(dtype, pl.Datetime):
        fits &= (column.dt.nanosecond() % 1_000_000 == 0).all()
    return fits


def _column(name: str, dtype: pl.DataType, fits: Mapping[str, bool]) -> _SheetColumn:
    match dtype:
        case pl.Boolean():
            return _SheetColumn(name, "boolean")
        case pl.Date() if fits[name]:
            return _SheetColumn(name, "date")
        case pl.Datetime() if fits[name]:
            return _SheetColumn(name, "instant", "UTC" if dtype.time_zone else "")
        case _ if dtype.is_integer():
            return _SheetColumn(name, "count")
        case _ if dtype.is_float():
            return _SheetColumn(name, "number")
        case pl.String():
            return _SheetColumn(name, "text")
    return _SheetColumn(name, "text", "stored as text")


def _in_utc(column: pl.Series) -> pl.Series:
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column


class _SheetWriter:
    """Writes the sheet of rows."""

    def __init__(self, book: "Workbook", columns: Sequence[_SheetColumn]) -> None:
        self.columns = columns
        self._book = book
        self._cuts = _Cuts()
        self._bold = book.add_format({"bold": True})
        self._date = book.add_format({"num_format": DATE_FORMAT})
        self._instant = book.add_format({"num_format": INSTANT_FORMAT})

    def write(self, title: str, batches: Iterator[pl.DataFrame]) -> _Cuts:
        """Write header and rows; return the texts that were cut."""
        sheet = self._sheet = self._book.add_worksheet(_sheet_name(title))
        sheet.freeze_panes(1, 0)
        for index, column in enumerate(self.columns):
            sheet.set_column(index, index, _width(column))
            self._text(0, index, column.name, self._bold)
        writers = [self._writer(column) for column in self.columns]
        numbers = count(1)
        for batch in batches:
            lists = [c.values(batch[c.name]) for c in self.columns]
            for number, row in zip(numbers, zip(*lists, strict=True), strict=False):
                if all(value is None for value in row):
                    # A row without any cell would not be there at all.
                    sheet.write_blank(number, 0, None, self._bold)
                for index, value in enumerate(row):
                    if value is not None:
                        writers[index](number, index, value)
        return self._cuts

    def _writer(self, column: _SheetColumn) -> _WriteCell:
        sheet = self._sheet
        match column.kind:
            case "boolean":
                return lambda row, index, value: _done(
                    sheet.write_boolean(row, index, value)
                )
            case "date":
                return lambda row, index, value: _done(
                    sheet.write_datetime(row, index, value, self._date)
                )
            case "instant":
                return lambda row, index, value: _done(
                    sheet.write_datetime(row, index, value, self._instant)
                )
            case "count":
                return self._integer
            case "number":
                return self._number
        return self._text

    def _integer(self, row: int, index: int, value: int) -> None:
        if -MAX_EXACT_INTEGER <= value <= MAX_EXACT_INTEGER:
            self._sheet.write_number(row, index, value)
        else:
            self._sheet.write_string(row, index, str(value))

    def _number(self, row: int, index: int, value: float) -> None:
        if math.isfinite(value):
            self._sheet.write_number(row, index, _ExactFloat(value))
        else:
            word = "NaN" if math.isnan(value) else "Infinity"
            self._sheet.write_string(row, index, f"-{word}" if value < 0 else word)

    def _text(
        self, row: int, index: int, value: str, style: "Format | None" = None
    ) -> None:
        if value.startswith("<r>") and value.endswith("</r>"):
            self._markup(row, index, value, style)
            return
        if len(value) > MAX_TEXT // 2:
            value = self._cut(row, index, value)
        self._sheet.write_string(row, index, value, style)

    def _cut(self, row: int, index: int, value: str) -> str:
        units = utf16_units(value)
        if units <= MAX_TEXT:
            return value
        self._cuts.add(_cell(row, index), self.columns[index].name, units)
        return cut_text(value, MAX_TEXT)

    def _markup(self, row: int, index: int, value: str, style: "Format | None") -> None:
        """Write a text that XlsxWriter would take for its own XML of rich text.

        It is given as rich text that consists of this text; a longer one loses its
        end, which is counted like any other cut.
        """
        text = value
        while utf16_units(rich := _rich(text)) > MAX_TEXT:
            text = text[: len(text) // 2]
        if text != value:
            cell = _cell(row, index)
            self._cuts.add(cell, self.columns[index].name, utf16_units(value))
        self._sheet.write_string(row, index, rich, style)


class _ExactFloat(float):
    """A float that XlsxWriter formats with all its digits instead of 16 of them."""

    __slots__ = ()

    def __format__(self, _spec: str) -> str:
        return float.__repr__(self)


def _done(_status: int) -> None:
    """Ignore XlsxWriter's status: sizes were checked before."""


def _rich(text: str) -> str:
    return f'<r><t xml:space="preserve">{escape(text)}</t></r>'


def utf16_units(text: str) -> int:
    """Length of *text* as Excel counts: characters beyond U+FFFF are two."""
    return len(text) + sum(character > "\uffff" for character in text)


def cut_text(text: str, units: int) -> str:
    """The start of *text* with at most *units* UTF-16 units; no character is split."""
    encoded = text.encode("utf-16-le")[: units * 2]
    return encoded.decode("utf-16-le", errors="ignore")


def _cell(row: int, column: int) -> str:
    """The name of a cell: row 0, column 27 is AB1."""
    name = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        name = chr(ord("A") + letter) + name
    return f"{name}{row + 1}"


def _sheet_name(title: str) -> str:
    """*title* without the characters that a sheet's name cannot have, at most 31."""
    return _SHEET_NAME.sub("-", title)[:31] or "Rows"


def _width(column: _SheetColumn) -> int:
    least = {"date": 11, "instant": 23}.get(column.kind, 9)
    return max(least, min(len(column.name) + 2, 40))


def _write_definitions(
    book: "Workbook",
    context: JsonMapping,
    rows: int,
    cuts: _Cuts,
    columns: Sequence[_SheetColumn],
) -> None:
    days = context["range"]
    facts = [
        ("Content", context["title"]),
        ("Description", context["description"]),
        ("Rows", f"{rows:,}"),
        ("Range", f"{days['from']} to {days['to']}" if days else "all"),
        ("Days begin in the time zone", context["zone"]),
        ("Data of (UTC)", context["data_updated_at"] or "unknown"),
        ("Texts cut", f"{cuts.number:,}"),
    ]
    bold = book.add_format({"bold": True})
    sheet = book.add_worksheet("Definitions")
    sheet.set_column(0, 0, 28)
    sheet.set_column(1, 3, 14)
    sheet.set_column(4, 4, 90)
    lines: list[tuple[str, ...]] = [*facts, ()]
    lines.append(("Column", "Type", "Unit", "In this file", "Meaning"))
    for column, definition in zip(columns, context["columns"], strict=True):
        stored = column.note
        texts_of = (definition[key] for key in ("name", "type", "unit"))
        lines.append((*texts_of, stored, definition["meaning"]))
    for number, line in enumerate(lines):
        for index, value in enumerate(line):
            style = bold if index == 0 or number == len(facts) + 1 else None
            _write_plain(sheet, number, index, value, style)


def _write_cuts(book: "Workbook", cuts: _Cuts) -> None:
    sheet = book.add_worksheet("Cut texts")
    sheet.set_column(0, 2, 20)
    for index, name in enumerate(("Cell", "Column", "Length (UTF-16)")):
        sheet.write_string(0, index, name)
    for number, cut in enumerate(cuts.listed, start=1):
        sheet.write_string(number, 0, cut.cell)
        _write_plain(sheet, number, 1, cut.column, None)
        sheet.write_number(number, 2, cut.units)
    if cuts.number > len(cuts.listed):
        more = f"and {cuts.number - len(cuts.listed):,} more"
        sheet.write_string(len(cuts.listed) + 1, 0, more)


def _write_plain(
    sheet: "Worksheet", row: int, column: int, text: str, style: "Format | None"
) -> None:
    """Write a short text of our own or of a definition."""
    text = cut_text(text, MAX_TEXT)
    is_markup = text.startswith("<r>") and text.endswith("</r>")
    shown = _rich(cut_text(text, MAX_TEXT // 8)) if is_markup else text
    sheet.write_string(row, column, shown, style)
