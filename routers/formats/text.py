"""Tables as JSON, NDJSON and CSV, encoded in pieces outside of the interpreter."""

import io
import json
from collections.abc import Collection, Iterator
from typing import Final

import polars as pl
import polars.selectors as cs
from pydantic_core import to_json

from routers.formats.table import TableAnswer
from routers.formats.values import json_texts, texts
from util.columns import column_named

FORMULA: Final = "^([=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n])"
"""Start of a text that a spreadsheet would compute, also in full-width characters."""

_CSV_ITSELF: Final = (pl.Boolean, pl.Date, pl.Decimal, pl.String)
"""Dtypes besides integers and finite floats whose text in Polars' CSV is ours."""

_CATEGORIES: Final = cs.categorical() | cs.enum()


def json_rows(table: TableAnswer) -> Iterator[bytes]:
    """The rows alone: a JSON array with an object per row."""
    yield b"["
    before = b""
    for batch in table.batches():
        # JSON escapes line feeds in texts, so those here only end the objects.
        yield before + _objects(batch, table.json_columns).rstrip(b"\n").replace(
            b"\n", b","
        )
        before = b","
    yield b"]"


def json_document(table: TableAnswer) -> Iterator[bytes]:
    """A JSON object: the definitions and the range, then the rows."""
    members = to_json(table.context())
    yield members.removesuffix(b"}") + b',"rows":'
    yield from json_rows(table)
    rest = {"truncated": table.truncated, "next": table.next}
    yield b"," + to_json(rest).removeprefix(b"{")


def one_object(
    rows: pl.DataFrame, json_columns: Collection[str] = frozenset()
) -> bytes:
    """The only row of *rows* as a JSON object; texts of *json_columns* are JSON."""
    return _objects(rows, json_columns).rstrip(b"\n")


def ndjson(table: TableAnswer) -> Iterator[bytes]:
    """A JSON object per line."""
    for batch in table.batches():
        yield _objects(batch, table.json_columns)


def csv_lines(table: TableAnswer) -> Iterator[bytes]:
    """RFC 4180 with a header line, in UTF-8.

    A null is an empty cell, an empty text a quoted one. A text that a spreadsheet
    would compute gets a leading apostrophe: ``=1+1`` becomes ``'=1+1``. Numbers are
    not changed.
    """
    yield _csv(_csv_cells(table.empty()), header=True)
    for batch in table.batches():
        yield _csv(_csv_cells(batch), header=False)


def _objects(batch: pl.DataFrame, json_columns: Collection[str]) -> bytes:
    """A JSON object per row, each with a line feed.

    Texts of *json_columns* are JSON themselves; there, line feeds are white space.
    """
    parts: list[pl.Expr] = []
    separator = "{"
    for name in batch.columns:
        parts += [
            pl.lit(f"{separator}{json.dumps(name, ensure_ascii=False)}:"),
            column_named(name),
        ]
        separator = ","
    line = pl.concat_str(*parts, pl.lit("}"))
    values = json_texts(batch).with_columns(
        column.str.replace_all(r"[\r\n]", " ").fill_null("null")
        for column in batch
        if column.name in json_columns and column.dtype == pl.String
    )
    rows = values.select(line.alias("line"))
    out = io.BytesIO()
    rows.write_csv(out, include_header=False, quote_style="never", separator="\x1f")
    return out.getvalue()


def _csv_cells(batch: pl.DataFrame) -> pl.DataFrame:
    """*batch* with columns whose CSV by Polars is as documented in `values`."""
    disarmed = batch.cast({_CATEGORIES: pl.String}).with_columns(
        pl.col(pl.String).str.replace(FORMULA, "'${1}")
    )
    other = [column.name for column in disarmed if not _is_csv_itself(column)]
    return disarmed.with_columns(texts(disarmed.select(map(column_named, other))))


def _is_csv_itself(column: pl.Series) -> bool:
    if column.dtype.is_float():
        return bool(column.is_finite().fill_null(True).all())
    return column.dtype.is_integer() or isinstance(column.dtype, _CSV_ITSELF)


def _csv(frame: pl.DataFrame, *, header: bool) -> bytes:
    out = io.BytesIO()
    frame.write_csv(out, include_header=header, line_terminator="\r\n")
    return out.getvalue()
