"""CSV: disarmed texts, and every value as JSON has it; JSON with its definitions."""

import csv
import io
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from routers.formats.table import CHUNK_ROWS, TableAnswer
from routers.formats.text import csv_lines, json_document, json_rows, ndjson


def cells(table: TableAnswer) -> list[dict[str, str]]:
    """The rows that a strict CSV parser reads."""
    text = b"".join(csv_lines(table)).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize(
    "first",
    ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"],
)
def test_a_text_that_a_spreadsheet_would_compute_is_disarmed(first: str) -> None:
    """A line feed and full-width characters are skipped or converted by some of them."""
    frame = pl.DataFrame({"a": [f"{first}1"], "b": [f"x{first}1"]})
    assert cells(TableAnswer("x", frame)) == [{"a": f"'{first}1", "b": f"x{first}1"}]


def test_a_category_is_disarmed_like_a_text() -> None:
    """It is a text to its reader."""
    frame = pl.DataFrame({"a": pl.Series(["=1"], dtype=pl.Categorical())})
    assert cells(TableAnswer("x", frame)) == [{"a": "'=1"}]


def test_csv_equals_the_json(table: TableAnswer) -> None:
    """Null is an empty cell; lists and objects are JSON; formulas are disarmed."""
    rows = json.loads(b"".join(json_rows(table)), parse_float=Decimal)
    for shown, row in zip(cells(table), rows, strict=True):
        assert shown == {name: cell(value) for name, value in row.items()}


def cell(value: Any) -> str:
    """What a CSV cell shows for a value of the JSON."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list() | dict():
            return compact(value)
        case str() if value and value[0] in "=\uff1d":
            return f"'{value}"
        case float() | Decimal():
            return str(value).replace("E", "e") if "E" in str(value) else str(value)
    return str(value)


def compact(value: Any) -> str:
    """Compact JSON with the digits of its decimals."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k)}:{compact(v)}" for k, v in value.items())
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(compact, value))}]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def test_a_document_names_the_columns_and_the_data(table: TableAnswer) -> None:
    """Types, units and meanings stand before the rows."""
    document = json.loads(b"".join(json_document(table)))
    columns = {column["name"]: column for column in document["columns"]}
    assert columns["integer"] == {
        "name": "integer",
        "type": "integer",
        "unit": "things",
        "meaning": "Counts =things.",
    }
    assert [c["type"] for c in document["columns"]] == [
        *("text", "integer", "integer", "decimal(20,2)", "number", "number"),
        *("boolean", "date", "date", *["timestamp"] * 4, "time", "duration"),
        *("binary", "text", "list", "object"),
    ]
    assert document["data_updated_at"] == "2026-11-21T23:10:00Z"
    assert (document["zone"], document["range"]) == ("Europe/Berlin", None)
    assert (document["truncated"], document["next"]) == (False, None)
    assert document["rows"] == json.loads(b"".join(json_rows(table)))


@pytest.mark.parametrize("encode", [csv_lines, ndjson, json_rows])
@pytest.mark.parametrize("lazy", [False, True])
def test_all_rows_are_encoded_in_order(encode: Any, lazy: bool) -> None:
    """More than one chunk, of a frame and of a plan."""
    count = CHUNK_ROWS * 2 + 1
    frame = pl.DataFrame({"n": range(count)})
    text = b"".join(encode(TableAnswer("x", frame.lazy() if lazy else frame)))
    digits = "".join(c if c.isdecimal() else " " for c in text.decode()).split()
    assert digits == [str(n) for n in range(count)]
