"""Read the definitions of one SQL file, each on its own, with all that is wrong."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from sqlfiles import keys
from sqlfiles.definition import (
    ColumnNote,
    Definition,
    DefinitionError,
    DefinitionType,
    Filter,
    Parameter,
    Statement,
    TableTest,
    TestKind,
)
from sqlfiles.files import read_text
from sqlfiles.header import HeaderEntry, RawDefinition, split
from sqlfiles.parse_tree import parse
from sqlfiles.tree import SqlFault

UTC: Final = ZoneInfo("UTC")


@dataclass(slots=True)
class Draft:
    """A definition read on its own, and the lines of its keys, for later errors."""

    definition: Definition
    lines: Mapping[str, int]

    def error(self, message: str, key: str = "name") -> DefinitionError:
        """The error *message* at the line of *key*, or of the definition."""
        line = self.lines.get(key, self.definition.line)
        return self.definition.error(message, line)


def read_file(
    path: Path, zone: ZoneInfo = UTC, name: str | None = None
) -> list[Draft | DefinitionError]:
    """Read the definitions of one file, without regard to other definitions.

    They name it *name*, by default as the path does.
    """
    name = name or path.name
    try:
        text = read_text(path)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return [DefinitionError(name, line, "not UTF-8")]
    except OSError as error:
        return [DefinitionError(name, 1, f"cannot be read: {error.strerror}")]
    except ValueError as error:
        return [DefinitionError(name, 1, str(error))]
    raw_definitions, faults = split(text)
    found: list[Draft | DefinitionError] = [
        DefinitionError(name, fault.line, fault.message) for fault in faults
    ]
    for raw in raw_definitions:
        found.extend(_Reader(name, raw, zone).read())
    return found


class _Reader:
    """Reads one definition, and collects everything that is wrong with it."""

    def __init__(self, file: str, raw: RawDefinition, zone: ZoneInfo) -> None:
        self._file = file
        self._raw = raw
        self._zone = zone
        self._errors: list[DefinitionError] = []
        self._single: dict[str, HeaderEntry] = {}
        self._repeated: dict[str, list[HeaderEntry]] = {}

    def read(self) -> Sequence[Draft | DefinitionError]:
        for entry in self._raw.entries:
            self._sort(entry)
        self._require("name")
        self._require("type")
        kind = self._value("type", keys.definition_type)
        if kind is not None and kind is not DefinitionType.REPORT:
            self._require("object")
        statement = self._statement()
        definition = self._definition(kind or DefinitionType.REPORT, statement)
        if definition is not None and kind is not None:
            self._check(definition)
        if self._errors or definition is None:
            return self._errors
        lines = {entry.key: entry.line for entry in self._raw.entries}
        lines["sql"] = self._raw.sql_line
        return [Draft(definition, lines)]

    def _error(self, line: int, message: str) -> None:
        names = (
            keys.identifier_or_none(self._raw.first(k)) for k in ("name", "object")
        )
        self._errors.append(DefinitionError(self._file, line, message, *names))

    def _sort(self, entry: HeaderEntry) -> None:
        if entry.key not in keys.KEYS:
            self._error(entry.line, f"unknown key @{entry.key}")
        elif entry.key in keys.REPEATED:
            self._repeated.setdefault(entry.key, []).append(entry)
        elif entry.key in self._single:
            self._error(entry.line, f"@{entry.key} is given twice")
        else:
            self._single[entry.key] = entry

    def _require(self, key: str) -> None:
        if key not in self._single:
            self._error(self._raw.line, f"@{key} is missing")

    def _value[T](self, key: str, parse_value: Callable[[str], T]) -> T | None:
        """The value of a key that may be given once, parsed; None if it is not given."""
        entry = self._single.get(key)
        return None if entry is None else self._parsed(entry, parse_value)

    def _values[T](self, key: str, parse_value: Callable[[HeaderEntry], T]) -> list[T]:
        found = []
        for entry in self._repeated.get(key, []):
            try:
                found.append(parse_value(entry))
            except ValueError as error:
                self._error(entry.line, str(error))
        return found

    def _parsed[T](
        self, entry: HeaderEntry, parse_value: Callable[[str], T]
    ) -> T | None:
        if not entry.text:
            self._error(entry.line, f"@{entry.key} is empty")
            return None
        try:
            return parse_value(entry.text)
        except ValueError as error:
            self._error(entry.line, str(error))
            return None

    def _statement(self) -> Statement | None:
        raw = self._raw
        if not raw.sql.strip():
            self._error(raw.line, "there is no SELECT below the header")
            return None
        try:
            return parse(raw.sql)
        except SqlFault as fault:
            self._error(
                raw.sql_line + _lines_before(raw.sql, fault.offset), fault.message
            )
            return None

    def _definition(
        self, kind: DefinitionType, statement: Statement | None
    ) -> Definition | None:
        zone = self._value("zone", keys.zone) or self._zone
        name = self._value("name", keys.identifier)
        object_name = self._value("object", keys.identifier)
        units, tests = self._units(), self._tests()
        parameters = self._parameters(zone, units)
        for parameter in parameters:
            units.pop(parameter.name, None)
        definition = Definition(
            name=name or "",
            type=kind,
            object=object_name,
            file=self._file,
            line=self._raw.line,
            sql=self._raw.sql,
            sql_line=self._raw.sql_line,
            zone=zone,
            statement=statement or Statement("", (), (), (), False, ""),
            inputs=_inputs(statement, tests, object_name),
            description=self._value("description", str) or "",
            parameters=parameters,
            filters=self._filters(),
            limit=self._value("limit", keys.row_limit),
            order=self._value("order", keys.order) or (),
            route=self._value("route", keys.route),
            one="one" in self._single,
            one_with=self._one_with(),
            missing=self._value("missing", str),
            columns=self._columns(units),
            tests=tests,
            refresh_sql=self._value("refresh_sql", str),
            indexes="\n".join(e.text for e in self._repeated.get("indexes", []))
            or None,
            every_sync=self._flag("every_sync"),
            header_digest=self._digest(),
        )
        return definition if statement else None

    def _flag(self, key: str) -> bool:
        entry = self._single.get(key)
        if entry is not None and entry.text:
            self._error(entry.line, f"@{key} takes no value")
        return entry is not None

    def _one_with(self) -> str | None:
        entry = self._single.get("one")
        return self._value("one", keys.identifier) if entry and entry.text else None

    def _parameters(
        self, zone: ZoneInfo, units: Mapping[str, str]
    ) -> tuple[Parameter, ...]:
        found = self._values(
            "param", lambda e: keys.parameter(e.value, "\n".join(e.more), zone)
        )
        self._refuse_repeats("param", (p.name.lower() for p in found))
        return tuple(replace(p, unit=units.get(p.name, "")) for p in found)

    def _filters(self) -> tuple[Filter, ...]:
        found = self._values("filter", lambda e: keys.column_filter(e.text))
        self._refuse_repeats("filter", (f.name for f in found))
        return tuple(found)

    def _units(self) -> dict[str, str]:
        """Units by column or parameter."""
        units = self._values("unit", lambda e: keys.column_unit(e.text))
        self._refuse_repeats("unit", (name for name, _ in units))
        return dict(units)

    def _columns(self, units: Mapping[str, str]) -> tuple[ColumnNote, ...]:
        """Notes on columns, from `@column` and *units*."""
        notes = self._values("column", lambda e: keys.column_note(e.text))
        self._refuse_repeats("column", (note.name for note in notes))
        by_name = {note.name: note for note in notes}
        for name, unit in units.items():
            by_name[name] = replace(by_name.get(name, ColumnNote(name)), unit=unit)
        return tuple(by_name.values())

    def _tests(self) -> tuple[TableTest, ...]:
        found = self._values("test", lambda e: keys.table_test(e.text, e.line))
        return tuple(self._with_tables(test) for test in found)

    def _with_tables(self, test: TableTest) -> TableTest:
        """*test* with the tables that its query reads."""
        if test.kind is not TestKind.QUERY:
            return test
        try:
            return replace(test, tables=parse(test.text).tables)
        except SqlFault as fault:
            line = test.line + _lines_before(test.text, fault.offset)
            self._error(line, f"@test: {fault.message}")
            return test

    def _refuse_repeats(self, key: str, names: Iterable[str]) -> None:
        for name in keys.repeated(names):
            line = self._repeated[key][-1].line
            self._error(line, f"@{key} {name} is given twice")

    def _digest(self) -> str:
        """SHA-256 of the header's keys and values."""
        digest = hashlib.sha256()
        for entry in self._raw.entries:
            digest.update(f"{entry.key}\0{entry.text}\0".encode())
        return digest.hexdigest()

    def _check(self, definition: Definition) -> None:
        """Check what keys and statement say about each other."""
        if definition.is_table:
            self._check_table(definition)
        else:
            self._check_report(definition)
        if definition.route:
            self._check_route(definition, definition.route)
        self._check_one(definition)

    def _check_table(self, definition: Definition) -> None:
        if definition.parameters:
            line = self._repeated["param"][0].line
            self._error(line, "@param belongs to reports: a table is built without")
        elif definition.statement.parameters:
            names = ", ".join(f"${name}" for name in definition.statement.parameters)
            self._error(definition.sql_line, f"a table has no parameters: {names}")
        if (definition.object or "").lower() in definition.statement.tables:
            self._error(definition.sql_line, "the table reads itself")

    def _check_report(self, definition: Definition) -> None:
        declared = {p.name.lower() for p in definition.parameters}
        used = set(definition.statement.parameters)
        for name in sorted(used - declared):
            what = (
                "use $name, not ?" if name.isdecimal() else f"@param {name} is missing"
            )
            self._error(definition.sql_line, f"${name} is not declared: {what}")
        for name in sorted(declared - used):
            line = self._repeated["param"][0].line
            self._error(line, f"@param {name} is not used: there is no ${name}")
        for key in ("object", "refresh_sql", "every_sync"):
            if entry := self._single.get(key):
                self._error(entry.line, f"@{key} belongs to tables: a report has none")
        for key in ("test", "filter", "indexes"):
            for entry in self._repeated.get(key, []):
                self._error(
                    entry.line, f"@{key} belongs to tables: a report is not stored"
                )

    def _check_one(self, definition: Definition) -> None:
        names = {p.name for p in definition.parameters}
        names |= {f.name for f in definition.filters}
        name = definition.one_with
        if name is not None and name not in names:
            line = self._single["one"].line
            self._error(line, f"@one {name} is no parameter and no filter")

    def _check_route(self, definition: Definition, path: str) -> None:
        names = {p.name for p in definition.parameters}
        names |= {f.name for f in definition.filters if "=" in f.operators}
        for name in keys.placeholders(path):
            if name not in names:
                what = "filter with =" if definition.is_table else "parameter"
                self._error(
                    self._single["route"].line, f"@route {{{name}}} is no {what}"
                )


def _inputs(
    statement: Statement | None, tests: Iterable[TableTest], object_name: str | None
) -> tuple[str, ...]:
    """The tables that a definition and its tests read, in lower case, sorted."""
    own = (object_name or "").lower()
    found = set(statement.tables if statement else ())
    found |= {table for test in tests for table in test.tables if table != own}
    return tuple(sorted(found))


def _lines_before(text: str, offset: int) -> int:
    return text.encode()[:offset].count(b"\n")
