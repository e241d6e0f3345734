"""Pages: together they are the whole table, in order, each row once."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cmp_to_key
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routers.views.page import (
    Page,
    PageRequest,
    PageStart,
    parse_token,
    parse_value,
    select_page,
)
from sqlfiles.definition import OrderTerm

PATTERN = "^.*$"
"""A name of a column that Polars would read as a pattern, as it would ``*``."""

SCHEMA = pl.Schema({"a": pl.Int64(), "*": pl.String(), PATTERN: pl.Float64()})

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.one_of(st.none(), st.integers(-2, 2)),
            "*": st.one_of(st.none(), st.sampled_from(["", "x", "é"])),
            PATTERN: st.one_of(st.none(), st.sampled_from([0.5, -1.0, float("nan")])),
        }
    ),
    max_size=25,
)
NAIVE = datetime(2026, 11, 25, 10, tzinfo=UTC).replace(tzinfo=None)

TERMS = st.lists(
    st.builds(OrderTerm, st.sampled_from(list(SCHEMA)), st.booleans(), st.booleans()),
    max_size=3,
    unique_by=lambda term: term.column,
)


def pages(rows: pl.DataFrame, key: tuple[OrderTerm, ...], limit: int) -> list[Page]:
    """All pages, each requested by the token of the one before."""
    found, start = [], None
    while True:
        request = PageRequest(key=key, limit=limit, start=start)
        page = select_page(rows.lazy(), request)
        found.append(page)
        if page.token is None:
            return found
        start = parse_token(page.token, key, rows.schema)
        assert len(found) <= len(rows)


def expected(rows: list[dict[str, Any]], key: tuple[OrderTerm, ...]) -> list[Any]:
    """The rows in order, by comparing two at a time."""

    def compare(left: dict[str, Any], right: dict[str, Any]) -> int:
        for term in key:
            x, y = rank(left[term.column], term), rank(right[term.column], term)
            if x != y:
                return -1 if x < y else 1
        return 0

    return sorted(rows, key=cmp_to_key(compare))


def values(row: dict[str, Any]) -> str:
    """The values of a row, such that NaN equals NaN."""
    return repr([row[name] for name in SCHEMA])


def rank(value: Any, term: OrderTerm) -> tuple[int, Any]:
    """Where a value stands in the order of *term*: nulls first or last, NaN largest."""
    if value is None:
        return (0 if term.nulls_first else 2, 0)
    if isinstance(value, str):
        points = [ord(c) for c in value] + [-1]
        return (1, [-p for p in points] if term.descending else points)
    number = float("inf") if math.isnan(value) else value
    return (1, -number if term.descending else number)


@settings(deadline=None)
@given(ROWS, TERMS, st.integers(1, 4))
def test_the_pages_together_are_the_sorted_table(
    rows: list[dict[str, Any]], terms: list[OrderTerm], limit: int
) -> None:
    """With equal keys, nulls first or last, NaN, and without any order."""
    frame = pl.DataFrame(rows, schema=SCHEMA)
    key = tuple(terms)
    found = pages(frame, key, limit)
    shown = [row for page in found for row in page.rows.lazy().collect().to_dicts()]
    assert list(map(values, shown)) == list(map(values, expected(rows, key)))
    sizes = [len(page.rows.lazy().collect()) for page in found]
    assert all(size == limit for size in sizes[:-1])


def test_a_row_that_comes_or_goes_on_an_earlier_page_does_not_shift_the_next() -> None:
    """An offset would show a row twice, or never."""
    key = (OrderTerm("n"),)
    frame = pl.DataFrame({"n": [10, 20, 30, 40]})
    first = select_page(frame.lazy(), PageRequest(key=key, limit=2))
    assert first.token is not None
    start = parse_token(first.token, key, frame.schema)
    for changed in ([5, 10, 20, 30, 40], [20, 30, 40], [30, 40]):
        request = PageRequest(key=key, limit=9, start=start)
        page = select_page(pl.LazyFrame({"n": changed}), request)
        assert page.rows.lazy().collect()["n"].to_list() == [30, 40]


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    """Polars panics, which nothing but this would answer."""
    part = tmp_path / "part.parquet"
    pl.DataFrame({"n": range(100_000)}).write_parquet(part, row_group_size=10_000)
    plan = pl.scan_parquet(part)
    plan.collect_schema()
    part.write_bytes(part.read_bytes()[:-5000])
    with pytest.raises(RuntimeError, match="cannot be read"):
        select_page(plan, PageRequest(limit=100_000))


def test_without_a_limit_nothing_is_read() -> None:
    """The rows stay a plan, for formats that stream."""
    page = select_page(pl.LazyFrame({"n": [1]}), PageRequest())
    assert isinstance(page.rows, pl.LazyFrame)
    assert page.token is None


@pytest.mark.parametrize(
    "token", ["", "x", "!!!", "W10", "bnVsbA", "eyJhIjoxfQ", "WyIiLFtdLC0xXQ", "é"]
)
def test_a_token_of_no_page_is_refused(token: str) -> None:
    """Whatever its bytes are."""
    with pytest.raises(ValueError, match="token"):
        parse_token(token, (OrderTerm("a"),), SCHEMA)


def test_a_token_of_another_order_is_refused() -> None:
    """Its values belong to other columns."""
    key = (OrderTerm("a"),)
    frame = pl.DataFrame({"a": [1, 2], "*": ["x", "y"]})
    token = select_page(frame.lazy(), PageRequest(key=key, limit=1)).token
    assert token is not None
    assert parse_token(token, key, SCHEMA) == PageStart((1,), 1)
    for other in (OrderTerm("*"), OrderTerm("a", descending=True)):
        with pytest.raises(ValueError, match="same order"):
            parse_token(token, (other,), SCHEMA)


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [
        ("x", pl.String(), "x"),
        ("TRUE", pl.Boolean(), True),
        ("1.10", pl.Decimal(10, 2), Decimal("1.10")),
        ("2026-11-25", pl.Date(), date(2026, 11, 25)),
        (
            "2026-11-25T10:00:00Z",
            pl.Datetime("us", "UTC"),
            datetime(2026, 11, 25, 10, tzinfo=UTC),
        ),
        ("2026-11-25T10:00:00", pl.Datetime("us"), NAIVE),
        ("9007199254740993", pl.Int64(), 2**53 + 1),
        ("Infinity", pl.Float64(), float("inf")),
    ],
)
def test_values_are_parsed_by_the_dtype_of_their_column(
    text: str, dtype: pl.DataType, value: Any
) -> None:
    """The texts are those of all formats."""
    assert parse_value(text, dtype) == value
