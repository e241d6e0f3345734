"""Parse the values of a header's keys. Every function raises ValueError, a sentence."""

import re
import shlex
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo, available_timezones

from sqlfiles.definition import (
    ColumnNote,
    DefinitionType,
    Filter,
    OrderTerm,
    Parameter,
    ParameterType,
    ParameterValue,
    RowLimit,
    TableTest,
    TestKind,
)

REPEATED = frozenset({"param", "filter", "column", "unit", "test", "indexes"})
"""Keys that may stand in a header more than once."""

KEYS = REPEATED | {
    "name",
    "type",
    "object",
    "description",
    "refresh_sql",
    "limit",
    "order",
    "route",
    "one",
    "missing",
    "every_sync",
    "zone",
}

OPERATORS = ("=", "!=", ">", ">=", "<", "<=", "in")
"""What a filter may compare by."""

RESERVED = ("order", "limit", "after", "as_of")
"""Parameters of every definition. A filter of a column of such a name ends in .eq."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_TYPE_ALIASES = {
    "string": ParameterType.TEXT,
    "int": ParameterType.INTEGER,
    "float": ParameterType.NUMBER,
    "bool": ParameterType.BOOLEAN,
    "datetime": ParameterType.TIMESTAMP,
}
_COLUMN_TEST = re.compile(r"(unique|not_null)\s*\(([^()]*)\)\s*;?", re.IGNORECASE)
_ROUTE = re.compile(r"(/([A-Za-z0-9._~-]+|\{[A-Za-z_][A-Za-z0-9_]*\}))+")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def identifier(text: str) -> str:
    """A name of letters, digits and underscores, of at most 63 characters."""
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError(
            f"{text!r} is no name: use letters, digits and _, at most 63, no digit first"
        )
    return text


def identifier_or_none(text: str | None) -> str | None:
    """*text* if it is a valid name."""
    return text if text is not None and _IDENTIFIER.fullmatch(text) else None


def definition_type(text: str) -> DefinitionType:
    """The value of `@type`."""
    try:
        return DefinitionType(text)
    except ValueError:
        known = ", ".join(DefinitionType)
        raise ValueError(f"unknown type {text!r}: use one of {known}") from None


def zone(text: str) -> ZoneInfo:
    """The value of `@zone`, an IANA name."""
    if text not in available_timezones() - {"Factory", "localtime"}:
        raise ValueError(f"unknown time zone {text!r}, use an IANA name")
    return ZoneInfo(text)


def parameter(value: str, meaning: str, in_zone: ZoneInfo) -> Parameter:
    """`name type [default] [min..max]`; the lines below it are its meaning."""
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"@param {value}: {error}") from None
    if len(words) < 2:
        raise ValueError("@param needs a name and a type")
    name, kind, rest = identifier(words[0]), _parameter_type(words[1]), words[2:]
    bounds = rest.pop() if kind.is_ordered and rest and ".." in rest[-1] else None
    if len(rest) > 1:
        raise ValueError(
            f"@param {name}: {' '.join(rest)!r} is neither default nor range"
        )
    open_parameter = Parameter(name, kind, meaning=meaning)
    low, high = _bounds(open_parameter, bounds, in_zone)
    bounded = Parameter(
        name, kind, not rest, None, minimum=low, maximum=high, meaning=meaning
    )
    if not rest or rest[0].lower() == "null":
        return bounded
    default = bounded.parse(rest[0], in_zone)
    return Parameter(name, kind, False, default, low, high, meaning)


def _parameter_type(text: str) -> ParameterType:
    lower = text.lower()
    if lower in _TYPE_ALIASES:
        return _TYPE_ALIASES[lower]
    try:
        return ParameterType(lower)
    except ValueError:
        known = ", ".join(ParameterType)
        raise ValueError(
            f"unknown parameter type {text!r}: use one of {known}"
        ) from None


def _bounds(
    kind: Parameter, text: str | None, in_zone: ZoneInfo
) -> tuple[ParameterValue | None, ParameterValue | None]:
    if text is None:
        return None, None
    low, _, high = text.partition("..")
    minimum = kind.parse(low, in_zone) if low else None
    maximum = kind.parse(high, in_zone) if high else None
    if minimum is not None and maximum is not None and minimum > maximum:  # type: ignore[operator]
        raise ValueError(f"@param {kind.name}: the range {text} is empty")
    return minimum, maximum


def column_filter(value: str) -> Filter:
    """`column [operators] [as parameter]`; without operators it is `=`."""
    value, alias = _alias(value)
    name, _, listed = value.partition(" ")
    # With or without the brackets of the documentation.
    operators = [op.lower() for op in re.split(r"[\s,\[\]]+", listed) if op]
    for operator in operators:
        if operator not in OPERATORS:
            known = ", ".join(OPERATORS)
            raise ValueError(
                f"@filter {name}: unknown operator {operator!r}: use {known}"
            )
    found = Filter(identifier(name), tuple(dict.fromkeys(operators)) or ("=",), alias)
    if alias is not None and len(found.operators) > 1:
        raise ValueError(f"@filter {name} as {alias}: use one operator for one name")
    return found


def _alias(value: str) -> tuple[str, str | None]:
    """Split `as parameter` from the end of a filter."""
    words = value.split()
    if len(words) < 3 or words[-2].lower() != "as":
        return value, None
    alias = identifier(words[-1])
    if alias in RESERVED:
        raise ValueError(f"@filter {words[0]} as {alias}: the name is reserved")
    return " ".join(words[:-2]), alias


def row_limit(value: str) -> RowLimit:
    """`default max`."""
    words = value.split()
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise ValueError("@limit needs two integers, the default and the maximum")
    default, maximum = map(int, words)
    if not 1 <= default <= maximum:
        raise ValueError("@limit needs 1 <= default <= maximum")
    return RowLimit(default, maximum)


def order(value: str) -> tuple[OrderTerm, ...]:
    """`column [asc|desc] [nulls first|last], …`, with NULL as the largest value."""
    terms = tuple(_order_term(term.split()) for term in value.split(","))
    _refuse_repeats("@order", (term.column for term in terms))
    return terms


def _order_term(words: list[str]) -> OrderTerm:
    if not words:
        raise ValueError("@order has an empty term")
    name, rest = identifier(words[0]), [word.lower() for word in words[1:]]
    descending = rest[:1] == ["desc"]
    if rest[:1] in (["desc"], ["asc"]):
        rest = rest[1:]
    if not rest:
        return OrderTerm(name, descending, nulls_first=descending)
    if rest in (["nulls", "first"], ["nulls", "last"]):
        return OrderTerm(name, descending, rest[1] == "first")
    raise ValueError(
        f"@order {name}: {' '.join(rest)!r} is not asc, desc or nulls first|last"
    )


def route(value: str) -> str:
    """A path, with `{placeholders}` as whole segments."""
    if not _ROUTE.fullmatch(value):
        raise ValueError(
            f"@route {value!r} is no path: use /words and /{{parameters}}, no slash last"
        )
    _refuse_repeats("@route", placeholders(value))
    return value


def placeholders(path: str) -> list[str]:
    """The names in braces of a route."""
    return _PLACEHOLDER.findall(path)


def column_note(value: str) -> ColumnNote:
    """`column meaning`."""
    name, _, meaning = value.partition(" ")
    if not meaning.strip():
        raise ValueError("@column needs a column and its meaning")
    return ColumnNote(identifier(name), meaning.strip())


def column_unit(value: str) -> tuple[str, str]:
    """`column unit`."""
    name, _, unit = value.partition(" ")
    if not unit.strip():
        raise ValueError("@unit needs a column and its unit")
    return identifier(name), unit.strip()


def table_test(value: str, line: int) -> TableTest:
    """`unique(a, b)`, `not_null(a)` or a SELECT that may return no row."""
    if found := _COLUMN_TEST.fullmatch(value):
        columns = tuple(identifier(name.strip()) for name in found[2].split(","))
        _refuse_repeats("@test", columns)
        return TableTest(TestKind(found[1].lower()), value, line, columns)
    if not value:
        raise ValueError("@test needs unique(…), not_null(…) or a SELECT")
    return TableTest(TestKind.QUERY, value, line)


def _refuse_repeats(key: str, names: Iterable[str]) -> None:
    for name in repeated(names):
        raise ValueError(f"{key} names {name} twice")


def repeated(names: Iterable[str]) -> Iterator[str]:
    """Yield each of *names* that was there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)
