"""Query parameters of a definition: typed, bounded, with defaults; others are refused."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import polars as pl
from fastapi.exceptions import RequestValidationError

from routers.formats.table import type_name
from routers.views.page import PageRequest, parse_token, parse_value
from sqlfiles.definition import (
    Definition,
    Filter,
    OrderTerm,
    Parameter,
    ParameterType,
    ParameterValue,
    TestKind,
)
from sqlfiles.keys import RESERVED
from util.columns import column_named
from util.json_types import JsonMapping, JsonObject

SUFFIXES: Final[Mapping[str, str]] = {
    "=": "",
    "!=": ".ne",
    ">": ".gt",
    ">=": ".gte",
    "<": ".lt",
    "<=": ".lte",
    "in": ".in",
}
"""Operator of a filter -> end of its parameter's name, as in ``hour.gte=8``."""

MAX_LIMIT: Final = 1_000_000
"""Of definitions that state no limit."""

NO_VALUES: Final[Mapping[str, str]] = MappingProxyType({})

_OPERATIONS: Final[Mapping[str, Callable[[pl.Expr, Any], pl.Expr]]] = {
    "=": lambda column, value: column == pl.lit(value),
    "!=": lambda column, value: column.ne_missing(pl.lit(value)),
    ">": lambda column, value: column > pl.lit(value),
    ">=": lambda column, value: column >= pl.lit(value),
    "<": lambda column, value: column < pl.lit(value),
    "<=": lambda column, value: column <= pl.lit(value),
}

_EXPECTED: Final[Mapping[str, str]] = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date such as 2026-11-25",
    "timestamp": "a timestamp such as 2026-11-25T10:00:00Z",
    "time": "a time such as 10:00:00",
}


class FilterParameter(NamedTuple):
    """The query parameter of a filter with one of its operators.

    `name_in_path` is what a `@route` calls it.
    """

    name: str
    column: str
    operator: str
    name_in_path: str


class ReportRequest(NamedTuple):
    """The values of a report's parameters, and the page of its rows."""

    values: Mapping[str, ParameterValue | None]
    page: PageRequest


class _Problems:
    """Collects invalid parameters, in the shape of those of the other routes."""

    def __init__(self, place: tuple[str, ...]) -> None:
        self._place = place
        self._found: list[JsonObject] = []

    def add(
        self, name: str, value: object, allowed: str, kind: str = "value_error"
    ) -> None:
        loc = (*self._place, name)
        self._found.append({"type": kind, "loc": loc, "msg": allowed, "input": value})

    def raise_if_any(self) -> None:
        """Raise RequestValidationError (422)."""
        if self._found:
            raise RequestValidationError(self._found)


def filter_parameters(definition: Definition) -> Iterator[FilterParameter]:
    """The query parameters by which a derived table can be filtered."""
    for each in definition.filters:
        for operator in each.operators:
            name = filter_name(each, operator)
            yield FilterParameter(name, each.column, operator, each.name)


def filter_name(column_filter: Filter, operator: str) -> str:
    """The name of a filter's parameter: ``hour``, ``hour.gte``, ``order.eq``."""
    if column_filter.alias is not None:
        return column_filter.alias
    suffix = SUFFIXES[operator]
    if not suffix and column_filter.column in RESERVED:
        suffix = ".eq"
    return column_filter.column + suffix


def table_page(
    definition: Definition,
    schema: pl.Schema,
    sent: Mapping[str, str],
    path_values: Mapping[str, str] = NO_VALUES,
) -> PageRequest:
    """The page of a derived table that the parameters *sent* and the path select.

    Raises RequestValidationError (422).
    """
    problems = _Problems(("query",))
    known = {each.name: each for each in filter_parameters(definition)}
    _refuse_unknown(sent, (*known, *RESERVED), problems)
    filters = []
    equalities = {
        each.name_in_path: each for each in known.values() if each.operator == "="
    }
    given = [(known[n], text) for n, text in sent.items() if n in known]
    given += [(equalities[name], text) for name, text in path_values.items()]
    for each, text in given:
        try:
            filters.append(_expression(each, text, schema[each.column], definition))
        except ValueError as error:
            problems.add(each.name, text, str(error))
    page = _page(definition, schema, sent, problems)
    problems.raise_if_any()
    return replace(page, filters=tuple(filters))


def report_request(
    definition: Definition,
    schema: pl.Schema,
    sent: Mapping[str, str],
    path_values: Mapping[str, str] = NO_VALUES,
) -> ReportRequest:
    """Values and page of a report. Raises RequestValidationError (422)."""
    problems = _Problems(("query",))
    reserved = _reserved_of(definition)
    names = [p.name for p in definition.parameters if p.name not in path_values]
    _refuse_unknown(sent, (*names, *reserved), problems)
    values = _values(definition, {**sent, **path_values}, problems)
    controls = {name: text for name, text in sent.items() if name in reserved}
    page = _page(definition, schema, controls, problems)
    problems.raise_if_any()
    return ReportRequest(values, page)


def template_request(
    definition: Definition, schema: pl.Schema, params: JsonMapping
) -> ReportRequest:
    """Values and page for ``POST /report``: unneeded parameters are ignored.

    Raises RequestValidationError (422).
    """
    problems = _Problems(("body", "params"))
    texts = {
        name: _as_text(value) for name, value in params.items() if value is not None
    }
    values = _values(definition, texts, problems)
    page = _page(definition, schema, {}, problems)
    problems.raise_if_any()
    return ReportRequest(values, page)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reserved_of(definition: Definition) -> tuple[str, ...]:
    """Reserved names, without those that are parameters of a report's own."""
    own = {parameter.name for parameter in definition.parameters}
    return tuple(name for name in RESERVED if name not in own)


def _refuse_unknown(
    sent: Iterable[str], known: Iterable[str], problems: _Problems
) -> None:
    known = list(known)
    for name in sent:
        if name not in known:
            allowed = f"unknown parameter, use {', '.join(known)}"
            problems.add(name, "", allowed, "extra_forbidden")


def _values(
    definition: Definition, sent: Mapping[str, str], problems: _Problems
) -> dict[str, ParameterValue | None]:
    values: dict[str, ParameterValue | None] = {}
    for parameter in definition.parameters:
        name, text = parameter.name, sent.get(parameter.name)
        if text is None:
            values[name] = parameter.default
            if parameter.required:
                problems.add(name, None, f"{name} is required", "missing")
            continue
        try:
            values[name] = parameter.parse(text, definition.zone)
        except ValueError as error:
            problems.add(name, text, str(error))
    return values


def _page(
    definition: Definition,
    schema: pl.Schema,
    sent: Mapping[str, str],
    problems: _Problems,
) -> PageRequest:
    order, is_sorted = definition.order, definition.is_table
    if "order" in sent:
        try:
            order = _order(sent["order"], schema)
            is_sorted = is_sorted and order == definition.order
        except ValueError as error:
            problems.add("order", sent["order"], str(error))
    key = _key(definition, order)
    limit = _limit(definition, sent.get("limit"), problems)
    start = None
    if "after" in sent:
        try:
            start = parse_token(sent["after"], key, schema)
        except ValueError as error:
            problems.add("after", sent["after"], str(error))
    return PageRequest(
        key=key,
        is_sorted=is_sorted and key == definition.order,
        limit=limit,
        start=start,
    )


def _order(text: str, schema: pl.Schema) -> tuple[OrderTerm, ...]:
    """Parse ``-votes,name``: descending by votes, then ascending by name."""
    terms = []
    for part in text.split(","):
        descending = part.startswith("-")
        column = part.removeprefix("-")
        if column not in schema or schema[column].is_nested():
            names = ", ".join(n for n, dtype in schema.items() if not dtype.is_nested())
            raise ValueError(
                f"unknown column {column!r}, use {names}, each also with -"
            )
        terms.append(OrderTerm(column, descending, nulls_first=descending))
    if len({term.column for term in terms}) < len(terms):
        raise ValueError("name each column once")
    return tuple(terms)


def _key(definition: Definition, order: tuple[OrderTerm, ...]) -> tuple[OrderTerm, ...]:
    """The order, continued by the columns that identify a row, if any are known."""
    tests = (test for test in definition.tests if test.kind is TestKind.UNIQUE)
    unique = next((test.columns for test in tests), ())
    named = {term.column for term in order}
    return (*order, *(OrderTerm(name) for name in unique if name not in named))


def _limit(definition: Definition, text: str | None, problems: _Problems) -> int | None:
    maximum = definition.limit.maximum if definition.limit else MAX_LIMIT
    if text is None:
        return definition.limit.default if definition.limit else None
    parameter = Parameter("limit", ParameterType.INTEGER, minimum=1, maximum=maximum)
    try:
        value = parameter.parse(text)
    except ValueError as error:
        problems.add("limit", text, str(error))
        return None
    return int(value) if isinstance(value, int) else None


def _expression(
    each: FilterParameter, text: str, dtype: pl.DataType, definition: Definition
) -> pl.Expr:
    """The filter of one parameter. Raises ValueError."""
    column = column_named(each.column)
    if each.operator != "in":
        value = _filter_value(each.column, text, dtype, definition)
        return _OPERATIONS[each.operator](column, value)
    (items,) = csv.reader(io.StringIO(text, newline=""), strict=True)
    equal = (
        column == pl.lit(_filter_value(each.column, item, dtype, definition))
        for item in items
    )
    return pl.any_horizontal(pl.lit(False), *equal)


def _filter_value(
    name: str, text: str, dtype: pl.DataType, definition: Definition
) -> Any:
    try:
        value = parse_value(text, dtype)
    except (ValueError, KeyError):
        kind = type_name(dtype)
        expected = _EXPECTED.get(kind, f"a value of type {kind}")
        raise ValueError(f"{name} must be {expected}") from None
    if isinstance(dtype, pl.Datetime) and isinstance(value, datetime):
        return _in_zone(text, dtype, definition)
    return value


def _in_zone(text: str, dtype: pl.Datetime, definition: Definition) -> datetime:
    """A timestamp; without an offset it is in the definition's time zone."""
    at = datetime.fromisoformat(text)
    if dtype.time_zone is None:
        return at.astimezone(definition.zone).replace(tzinfo=None) if at.tzinfo else at
    return at if at.tzinfo else at.replace(tzinfo=definition.zone)
