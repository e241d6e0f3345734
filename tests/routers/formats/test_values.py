"""Values as text: the documented form of each dtype, and JSON that loses nothing."""

import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routers.formats.table import TableAnswer
from routers.formats.text import json_rows, ndjson

FIRST_ROW = {
    "text": "plain",
    "integer": 9007199254740993,
    "huge": 18446744073709551615,
    "decimal": Decimal("0.10"),
    "number": Decimal("0.30000000000000004"),
    "single": Decimal("0.1"),
    "flag": True,
    "day": "2026-01-01",
    "*": "1899-12-31",
    "instant": "2026-03-29T01:30:00.123456Z",
    "whole": "2026-03-29T01:30:00.123Z",
    "local": "2026-03-29T03:30:00.123456+02:00",
    "naive": "2026-03-29T01:30:00.123456",
    "time": "01:02:03.000004",
    "length": "P1DT1H0.005S",
    "bytes": "AP8=",
    "category": "=x",
    "list": [1, None],
    "^.*$": {
        "a": Decimal("1.50"),
        "b": "NaN",
        "c": ["2026-03-29T01:30:00.123456Z"],
        "d": 'x"',
    },
}


def loads(text: bytes) -> Any:
    """JSON with all digits of its numbers."""
    return json.loads(text, parse_float=Decimal)


def test_every_dtype_has_its_documented_form(table: TableAnswer) -> None:
    """Integers and decimals keep all digits; NaN is a text, since JSON has none."""
    first, *rest = loads(b"".join(json_rows(table)))
    assert first == FIRST_ROW
    assert str(first["decimal"]) == "0.10"
    assert [row["number"] for row in rest[3:6]] == ["NaN", "Infinity", "-Infinity"]
    assert set(rest[-1].values()) == {None}


def test_texts_of_json_equal_the_rows(table: TableAnswer) -> None:
    """No character is lost or changed."""
    rows = loads(b"".join(json_rows(table)))
    assert isinstance(table.rows, pl.DataFrame)
    assert [row["text"] for row in rows] == table.rows["text"].to_list()


def test_a_line_of_ndjson_is_an_object_of_the_json(table: TableAnswer) -> None:
    """A line feed in a text does not end a line."""
    lines = b"".join(ndjson(table)).splitlines()
    assert [loads(line) for line in lines] == loads(b"".join(json_rows(table)))


@pytest.mark.parametrize("rows", [0, 1])
def test_an_empty_table_is_an_empty_array(rows: int) -> None:
    """Without rows there is no separator either."""
    frame = pl.DataFrame({"n": list(range(rows))}, schema={"n": pl.Int64()})
    assert loads(b"".join(json_rows(TableAnswer("x", frame)))) == [
        {"n": n} for n in range(rows)
    ]


# Polars would read the first two as patterns of names.
NAMES = st.sampled_from(["*", "^.*$"]) | st.text(min_size=1, max_size=5)
VALUES = st.one_of(st.none(), st.text(max_size=20))


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_json_is_what_pythons_parser_reads_back(row: dict[str, str | None]) -> None:
    """For any names of columns and any texts."""
    frame = pl.DataFrame([row], schema=dict.fromkeys(row, pl.String()))
    assert loads(b"".join(json_rows(TableAnswer("x", frame)))) == [row]


@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=9))
def test_numbers_are_read_back_exactly(values: list[float]) -> None:
    """Every finite float has digits that give it again."""
    frame = pl.DataFrame({"n": values}, schema={"n": pl.Float64()})
    rows = json.loads(b"".join(json_rows(TableAnswer("x", frame))))
    read = [
        float(row["n"].replace("Infinity", "inf"))
        if isinstance(row["n"], str)
        else row["n"]
        for row in rows
    ]
    assert list(map(repr, read)) == list(map(repr, values))
