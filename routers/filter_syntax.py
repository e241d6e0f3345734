"""Syntax of filters: ``country:DE,source:!"Bing, etc."`` to a value, and back."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from calculations.filters import Condition, FilterDimension, Filters, RoomState
from calculations.sources import OTHER, SOURCES

MAX_TERMS: Final = 100

MAX_ID: Final = 2**32 - 1
"""Ids are unsigned 32-bit integers."""

_TERM: Final = re.compile(
    r'(?P<dimension>[^:,"]*):(?P<excluded>!?)(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^,"]*))'
    r"(?P<end>,|\Z)"
)

_CATEGORIES: Final = (*SOURCES, OTHER)


def parse_filters(text: str) -> Filters:
    """The conditions of *text*. Raises ValueError, which lists what is allowed."""
    values: dict[FilterDimension, tuple[set[str | None], set[str | None]]] = {}
    for dimension, excluded, value in _terms(text):
        values.setdefault(dimension, (set(), set()))[excluded].add(value)
    return Filters(
        tuple(
            Condition(dimension, *map(frozenset, values[dimension]))
            for dimension in FilterDimension
            if dimension in values
        )
    )


def format_filters(filters: Filters) -> str:
    """The text of *filters*, in an order of its own; `parse_filters` reads it."""
    return ",".join(
        format_term(condition.dimension, value, excluded=excluded)
        for condition in filters.conditions
        for excluded, values in (
            (False, condition.included),
            (True, condition.excluded),
        )
        for value in sorted(values, key=lambda value: (value is None, value or ""))
    )


def format_term(
    dimension: FilterDimension, value: str | None, *, excluded: bool = False
) -> str:
    """The term for *value* of *dimension*, quoted if necessary; None is ``null``."""
    return f"{dimension}:{'!' if excluded else ''}{_format_value(value)}"


def _terms(text: str) -> Iterator[tuple[FilterDimension, bool, str | None]]:
    position = 0
    for _ in range(MAX_TERMS):
        match = _TERM.match(text, position)
        if match is None:
            raise ValueError(
                f"cannot read {text[position:][:60]!r}, use dimension:value or "
                "dimension:!value, separated by commas; put a value with a comma or a "
                'quotation mark in quotation marks, as in room:"Sprint, 14"'
            )
        dimension = _parse_dimension(match["dimension"])
        yield dimension, bool(match["excluded"]), _parse_value(dimension, match)
        position = match.end()
        if not match["end"]:
            return
    raise ValueError(f"use at most {MAX_TERMS} terms")


def _parse_dimension(name: str) -> FilterDimension:
    if name not in set(FilterDimension):
        raise ValueError(f"unknown dimension {name!r}, use {_listed(FilterDimension)}")
    return FilterDimension(name)


def _parse_value(dimension: FilterDimension, match: re.Match[str]) -> str | None:
    value: str | None
    if match["quoted"] is not None:
        value = match["quoted"].replace('""', '"')
    elif match["plain"] == "null":
        value = None
    elif match["plain"] in ("", "!") or match["plain"][0] == "!":
        raise ValueError(
            f'{dimension} has no value, use null for a missing value, "" for an empty '
            "text, and quotation marks for one that begins with an exclamation mark"
        )
    else:
        value = match["plain"]
    return _validate_value(dimension, value)


def _validate_value(dimension: FilterDimension, value: str | None) -> str | None:
    match dimension:
        case FilterDimension.SOURCE if value not in (None, *_CATEGORIES):
            allowed = f"{_listed(_CATEGORIES)} or null"
        case FilterDimension.ROOM_STATE if value not in set(RoomState):
            allowed = _listed(RoomState)
        case FilterDimension.ROOM_ID if not _is_id(value):
            allowed = f"an integer from 1 to {MAX_ID}"
        case FilterDimension.ROOM_ID:
            return str(int(value or ""))
        case _:
            return value
    raise ValueError(f"unknown {dimension} {value!r}, use {allowed}")


def _is_id(value: str | None) -> bool:
    return bool(value and re.fullmatch("[0-9]{1,10}", value)) and (
        0 < int(value or "") <= MAX_ID
    )


def _format_value(value: str | None) -> str:
    if value is None:
        return "null"
    needs_quotes = value in ("", "null") or value[0] == "!" or value != value.strip()
    if needs_quotes or "," in value or '"' in value:
        return '"{}"'.format(value.replace('"', '""'))
    return value


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
