"""Filters, order and pages of a table, as lazy plans.

A page begins after the last row of the page before, which a token names by the values
of the order's columns. So rows that come or go on other pages do not shift it. Of rows
with equal values the token counts those already sent.
"""

import base64
import binascii
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import reduce
from typing import NamedTuple

import polars as pl

from routers.formats.values import texts
from sqlfiles.definition import OrderTerm
from util.columns import column_named


class PageStart(NamedTuple):
    """The row after which a page begins: values of the key, and equal rows to skip."""

    values: tuple[object, ...]
    skip: int


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which rows, in which order.

    `key` are the columns to continue by: those of the order, then those that make it
    unique. The stored order need not be sorted again, so it has `is_sorted`.
    """

    filters: tuple[pl.Expr, ...] = ()
    key: tuple[OrderTerm, ...] = ()
    is_sorted: bool = False
    limit: int | None = None
    start: PageStart | None = None


class Page(NamedTuple):
    """Rows, and the token of the page after them; None on the last page."""

    rows: pl.DataFrame | pl.LazyFrame
    token: str | None = None


def select_page(rows: pl.LazyFrame, request: PageRequest) -> Page:
    """Select a page of *rows*; reads them if there is a limit.

    Raises RuntimeError if a file is damaged.
    """
    try:
        return _select_page(rows, request)
    except pl.exceptions.PanicException as error:
        # It is no Exception, so nothing else would report and answer it.
        raise RuntimeError(f"The rows cannot be read: {error}") from error


def _select_page(rows: pl.LazyFrame, request: PageRequest) -> Page:
    plan = reduce(pl.LazyFrame.filter, request.filters, rows)
    if request.start is not None:
        plan = plan.filter(_from(request.key, request.start.values))
    if request.key and not request.is_sorted:
        plan = plan.sort(
            [column_named(term.column) for term in request.key],
            descending=[term.descending for term in request.key],
            nulls_last=[not term.nulls_first for term in request.key],
            maintain_order=True,
        )
    skip = _rows_to_skip(rows, request)
    if request.limit is None:
        return Page(plan.slice(skip) if skip else plan)
    found = plan.slice(skip, request.limit + 1).collect(engine=pl.StreamingEngine())
    if len(found) <= request.limit:
        return Page(found)
    shown = found.head(request.limit)
    return Page(shown, _token(shown, request))


def _rows_to_skip(rows: pl.LazyFrame, request: PageRequest) -> int:
    """How many rows, equal to the last one of the page before, were on it already.

    Some of them may be gone by now.
    """
    start = request.start
    if start is None or not start.skip or not request.key:
        return start.skip if start else 0
    values = zip(request.key, start.values, strict=True)
    equal = (column_named(term.column).eq_missing(pl.lit(v)) for term, v in values)
    filters = (*request.filters, pl.all_horizontal(*equal))
    found = reduce(pl.LazyFrame.filter, filters, rows).select(pl.len()).collect()
    return min(start.skip, int(found.item()))


def _from(key: Sequence[OrderTerm], values: Sequence[object]) -> pl.Expr:
    """Rows that are not before the row with *values*."""
    result = pl.lit(True)
    for term, value in zip(reversed(key), reversed(values), strict=True):
        equal = column_named(term.column).eq_missing(pl.lit(value))
        result = _after(term, value) | (equal & result)
    return result


def _after(term: OrderTerm, value: object) -> pl.Expr:
    """Rows whose column comes later than *value* in the order of *term*."""
    column = column_named(term.column)
    if value is None:
        return column.is_not_null() if term.nulls_first else pl.lit(False)
    later = column < pl.lit(value) if term.descending else column > pl.lit(value)
    return later.fill_null(not term.nulls_first)


def _token(shown: pl.DataFrame, request: PageRequest) -> str:
    """The token of the page after *shown*, which is not empty."""
    names = [term.column for term in request.key]
    last = texts(shown.tail(1).select(map(column_named, names))).row(0) if names else ()
    same = _equal_at_the_end(shown, names)
    start = request.start
    if start is not None and same == len(shown) and _is_same(shown, names, start):
        same += start.skip
    content = json.dumps([_signature(request.key), list(last), same])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _equal_at_the_end(shown: pl.DataFrame, names: Sequence[str]) -> int:
    """How many of the last rows have the last row's values of *names*."""
    if not names:
        return len(shown)
    equal = pl.all_horizontal(
        column_named(n).eq_missing(column_named(n).last()) for n in names
    )
    different = shown.select((~equal).alias("different"))["different"].arg_true()
    return len(shown) - (int(different[-1]) + 1 if len(different) else 0)


def _is_same(shown: pl.DataFrame, names: Sequence[str], start: PageStart) -> bool:
    """True if the page's rows equal the row that it begins after."""
    if not names:
        return True
    values = pl.DataFrame(
        [dict(zip(names, start.values, strict=True))],
        schema={n: shown.schema[n] for n in names},
    )
    return texts(values).row(0) == texts(
        shown.tail(1).select(map(column_named, names))
    ).row(0)


def parse_token(token: str, key: Sequence[OrderTerm], schema: pl.Schema) -> PageStart:
    """Parse the token of a page. Raises ValueError for one of another order."""
    try:
        padded = token + "=" * (-len(token) % 4)
        signature, values, skip = json.loads(base64.urlsafe_b64decode(padded))
        is_known = signature == _signature(key) and isinstance(skip, int) and skip >= 0
        dtypes = [schema[term.column] for term in key]
        parsed = [
            None if text is None else parse_value(text, dtype)
            for text, dtype in zip(values, dtypes, strict=True)
        ]
    except (ValueError, TypeError, KeyError, binascii.Error):
        is_known = False
    if not is_known:
        raise ValueError("use a token of an answer with the same order")
    return PageStart(tuple(parsed), skip)


def _signature(key: Sequence[OrderTerm]) -> str:
    return ",".join(term.sql for term in key)


def parse_value(text: str, dtype: pl.DataType) -> object:
    """A Python value of *dtype* from its text, see `values`. Raises ValueError."""
    match dtype:
        case pl.String() | pl.Categorical() | pl.Enum():
            return text
        case pl.Boolean():
            return _BOOLEANS[text.lower()]
        case pl.Decimal():
            return _decimal(text)
        case pl.Date():
            return dt.date.fromisoformat(text)
        case pl.Datetime():
            return _datetime(text, dtype)
        case pl.Time():
            return dt.time.fromisoformat(text)
        case _ if dtype.is_integer():
            return int(text)
        case _ if dtype.is_float():
            return float(text)
    raise ValueError(f"values of type {dtype} cannot be compared")


_BOOLEANS = {"true": True, "false": False}


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("no number") from None


def _datetime(text: str, dtype: pl.Datetime) -> dt.datetime:
    at = dt.datetime.fromisoformat(text)
    return at.astimezone(dt.UTC) if dtype.time_zone else at.replace(tzinfo=None)
