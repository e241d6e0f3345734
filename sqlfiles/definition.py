"""Definitions of derived tables and reports, as frozen data."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

type ParameterValue = str | int | float | bool | date | datetime


class DefinitionType(StrEnum):
    """The values of `@type`."""

    MATERIALIZED_VIEW = "materialized_view"
    INCREMENTAL_INSERT = "incremental_insert"
    REPORT = "report"


class ParameterType(StrEnum):
    """The types of `@param`, as their names are written in a header."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    DURATION = "duration"

    @property
    def is_ordered(self) -> bool:
        """True if a range may limit values of this type."""
        unordered = (ParameterType.TEXT, ParameterType.BOOLEAN, ParameterType.DURATION)
        return self not in unordered


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a report: `$name` in its SQL.

    Without `required`, a missing value is `default`, which may be None (NULL).
    """

    name: str
    type: ParameterType
    required: bool = True
    default: ParameterValue | None = None
    minimum: ParameterValue | None = None
    maximum: ParameterValue | None = None
    meaning: str = ""
    unit: str = ""

    def parse(self, text: str, zone: ZoneInfo = ZoneInfo("UTC")) -> ParameterValue:
        """Parse *text*; timestamps without an offset are in *zone*.

        Raises ValueError, a sentence that names the parameter.
        """
        try:
            value = _parse(self.type, text, zone)
        except ValueError:
            raise ValueError(f"{self.name} must be {_EXPECTED[self.type]}") from None
        self.check(value)
        return value

    def check(self, value: ParameterValue) -> None:
        """Raise ValueError if *value* is outside the parameter's range."""
        low, high = self.minimum, self.maximum
        if low is not None and value < low:  # type: ignore[operator]
            raise ValueError(f"{self.name} must be at least {low}")
        if high is not None and value > high:  # type: ignore[operator]
            raise ValueError(f"{self.name} must be at most {high}")


_EXPECTED: Mapping[ParameterType, str] = {
    ParameterType.TEXT: "text",
    ParameterType.INTEGER: "an integer of at most 64 bits",
    ParameterType.NUMBER: "a finite number",
    ParameterType.BOOLEAN: "true or false",
    ParameterType.DATE: "a date such as 2026-11-25",
    ParameterType.TIMESTAMP: "a timestamp such as 2026-11-25T10:00:00Z",
    ParameterType.DURATION: "a duration such as 30m, 24h or 7d",
}


def _parse(kind: ParameterType, text: str, zone: ZoneInfo) -> ParameterValue:
    match kind:
        case ParameterType.TEXT:
            if "\0" in text:
                raise ValueError("NUL in a text")
            return text
        case ParameterType.INTEGER:
            return _integer(text)
        case ParameterType.NUMBER:
            return _number(text)
        case ParameterType.BOOLEAN:
            return _BOOLEANS[text.lower()] if text.lower() in _BOOLEANS else _refuse()
        case ParameterType.DATE:
            return date.fromisoformat(text)
        case ParameterType.TIMESTAMP:
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
        case ParameterType.DURATION:
            if not DURATION.fullmatch(text):
                raise ValueError("no duration")
            return text


DURATION = re.compile(r"[1-9][0-9]{0,4}[mhd]")
"""Minutes, hours or days."""
"""Minutes, hours or days, as text: the statement computes with it."""

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def _refuse() -> bool:
    raise ValueError("neither true nor false")


def _integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (value := int(text)) < 2**63:
        raise ValueError("beyond 64 bits")
    return value


def _number(text: str) -> float:
    value = Decimal(text) if len(text) <= 400 and text.isascii() else Decimal("NaN")
    if not value.is_finite() or abs(result := float(value)) == float("inf"):
        raise ValueError("not finite")
    return result


@dataclass(frozen=True, slots=True)
class Filter:
    """A column that callers may narrow a table by, and the operators they may use.

    `alias` is the name of the parameter if it is not that of the column; then there is
    one operator.
    """

    column: str
    operators: tuple[str, ...] = ("=",)
    alias: str | None = None

    @property
    def name(self) -> str:
        """The name of its parameter; in a path, and the beginning of it in a query."""
        return self.alias or self.column


@dataclass(frozen=True, slots=True)
class RowLimit:
    """How many rows an answer has: by default, and at most."""

    default: int
    maximum: int


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """A column to sort by. NULL sorts as the largest value unless stated otherwise."""

    column: str
    descending: bool = False
    nulls_first: bool = False

    @property
    def sql(self) -> str:
        """The term of an ORDER BY clause."""
        direction = "DESC" if self.descending else "ASC"
        nulls = "FIRST" if self.nulls_first else "LAST"
        return f"{quoted(self.column)} {direction} NULLS {nulls}"


JSON_UNIT: Final = "json"
"""The unit of a column whose texts are JSON, and are values in answers in JSON."""


@dataclass(frozen=True, slots=True)
class ColumnNote:
    """What a column means, and the unit of its values."""

    name: str
    meaning: str = ""
    unit: str = ""


class TestKind(StrEnum):
    """What a table test checks."""

    __test__ = False  # pytest would collect the class by its name

    UNIQUE = "unique"
    NOT_NULL = "not_null"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class TableTest:
    """A test of a derived table: it passes if its query returns no row.

    `text` is the test as written, `columns` those of `unique(…)` and `not_null(…)`,
    `tables` what a query reads, in lower case.
    """

    kind: TestKind
    text: str
    line: int
    columns: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    def sql(self, table: str) -> str:
        """The query whose rows are failures; *table* is the name of the result."""
        names = ", ".join(map(quoted, self.columns))
        match self.kind:
            case TestKind.UNIQUE:
                return (
                    f"SELECT {names}, count(*) AS rows FROM {quoted(table)}"
                    f" GROUP BY {names} HAVING count(*) > 1"
                )
            case TestKind.NOT_NULL:
                missing = " OR ".join(f"{quoted(n)} IS NULL" for n in self.columns)
                return f"SELECT * FROM {quoted(table)} WHERE {missing}"
            case TestKind.QUERY:
                return self.text


@dataclass(frozen=True, slots=True)
class Statement:
    """One SELECT, as DuckDB's parser sees it.

    `tables`, `functions` and `parameters` are its names in lower case, sorted.
    `digest` is the SHA-256 of the parse tree: white space and remarks do not count.
    """

    text: str
    tables: tuple[str, ...]
    functions: tuple[str, ...]
    parameters: tuple[str, ...]
    uses_clock: bool
    digest: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A derived table or a report: its header and its statement.

    `inputs` are the tables that it reads, as they are spelled where they are defined.
    Derived tables have an `object`, the name of the table; reports have none. With
    `one`, the address of `route` gives the first row; if `one_with` is set, only to
    callers who send the parameter of that name.
    """

    name: str
    type: DefinitionType
    object: str | None
    file: str
    line: int
    sql: str
    sql_line: int
    zone: ZoneInfo
    statement: Statement
    inputs: tuple[str, ...] = ()
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    filters: tuple[Filter, ...] = ()
    limit: RowLimit | None = None
    order: tuple[OrderTerm, ...] = ()
    route: str | None = None
    one: bool = False
    one_with: str | None = None
    missing: str | None = None
    columns: tuple[ColumnNote, ...] = ()
    tests: tuple[TableTest, ...] = ()
    refresh_sql: str | None = None
    indexes: str | None = None
    every_sync: bool = False
    header_digest: str = ""

    @property
    def is_table(self) -> bool:
        """True if the updater builds it."""
        return self.type is not DefinitionType.REPORT

    @property
    def is_order_unique(self) -> bool:
        """True if a test `unique(…)` ensures that no two rows are equal in the order."""
        ordered = {term.column for term in self.order}
        unique = (t.columns for t in self.tests if t.kind is TestKind.UNIQUE)
        return any(ordered.issuperset(columns) for columns in unique)

    def gives_one(self, sent: Container[str]) -> bool:
        """True if the answer to callers who send the parameters *sent* is one row."""
        return self.one and (self.one_with is None or self.one_with in sent)

    def error(self, message: str, line: int) -> "DefinitionError":
        """The error *message* at *line* of the file."""
        return DefinitionError(self.file, line, message, self.name, self.object)

    def note(self, column: str) -> ColumnNote:
        """The note on *column*, empty if the header has none."""
        notes = {note.name: note for note in self.columns}
        return notes.get(column, ColumnNote(column))


@dataclass(frozen=True, slots=True)
class DefinitionError:
    """What is wrong with a definition, or with a file as a whole.

    `name` and `object` are those of the definition, as far as they could be read.
    """

    file: str
    line: int
    message: str
    name: str | None = None
    object: str | None = None

    def __str__(self) -> str:
        whose = f"{self.name}: " if self.name else ""
        return f"{self.file}:{self.line}: {whose}{self.message}"


def quoted(identifier: str) -> str:
    """*identifier* quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'
