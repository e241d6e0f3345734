"""Load a folder of SQL files: definitions, what is wrong, and the order to build in."""

import graphlib
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from readmodel.tables import EVENT_TABLE_NAMES, TABLES
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
from sqlfiles.header import HeaderEntry, RawDefinition, split
from sqlfiles.parse_tree import parse
from sqlfiles.tree import SqlFault

UTC = ZoneInfo("UTC")
SUFFIX = ".sql"
EVENTS_FOLDER = "events"
LARGEST_FILE_BYTES = 1_000_000
AS_OF: Final = "as_of"
RESERVED_REPORTS: Final = frozenset({"daily"})
"""Names, in lower case, of reports at whose address the API answers something else."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a folder of SQL files defines.

    `definitions` are those without an error: derived tables in the order to build them
    in, then reports by name. `errors` are sorted by file and line, and so are the
    `unmirrored`: definitions that cannot be used because TABLES leaves out tables of
    the statistics, and why. Nothing is wrong with them.
    """

    definitions: tuple[Definition, ...] = ()
    errors: tuple[DefinitionError, ...] = ()
    unmirrored: tuple[DefinitionError, ...] = ()

    @property
    def tables(self) -> tuple[Definition, ...]:
        """The derived tables, each after its inputs."""
        return tuple(d for d in self.definitions if d.is_table)

    @property
    def reports(self) -> tuple[Definition, ...]:
        """The reports, by name."""
        return tuple(d for d in self.definitions if not d.is_table)

    def table(self, object_name: str) -> Definition | None:
        """The definition of the derived table *object_name*, if there is one."""
        return next((d for d in self.tables if d.object == object_name), None)

    def report(self, name: str) -> Definition | None:
        """The report called *name*, if there is one."""
        return next((d for d in self.reports if d.name == name), None)


def sql_files(
    views_dir: Path, tables: Collection[str] = EVENT_TABLE_NAMES
) -> dict[str, Path]:
    """The SQL files of *views_dir* by their names; none if there is no such folder.

    Those in its folder `events` are about events: ``events/top.sql``. They are left out
    unless the tables of events are among *tables*. Raises OSError if a folder cannot be
    read.
    """
    found = _files_in(views_dir)
    if set(EVENT_TABLE_NAMES) <= set(tables):
        folder = views_dir / EVENTS_FOLDER
        found |= {f"{EVENTS_FOLDER}/{n}": p for n, p in _files_in(folder).items()}
    return found


def _files_in(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    files = (path for path in folder.iterdir() if path.suffix == SUFFIX)
    return {path.name: path for path in sorted(files) if path.name[0] != "."}


def load(
    views_dir: Path, tables: Collection[str] = tuple(TABLES), zone: ZoneInfo = UTC
) -> Catalogue:
    """Read every SQL file of *views_dir*, anew at each call.

    *tables* are the names of the mirrored tables; *zone* is the time zone of
    definitions without `@zone`. One bad definition does not affect the others, except
    those that read it. Imports DuckDB if there is a file. Raises OSError if the folder
    cannot be listed; a file that cannot be read is an error in the catalogue.
    """
    drafts: list[_Draft] = []
    errors: list[DefinitionError] = []
    for name, path in sql_files(views_dir, tables).items():
        for found in read_file(path, zone, name):
            if isinstance(found, DefinitionError):
                errors.append(found)
            else:
                drafts.append(found)
    return _Linker(tables, drafts, errors).catalogue()


@dataclass(slots=True)
class _Draft:
    """A definition read on its own, and the lines of its keys, for later errors."""

    definition: Definition
    lines: Mapping[str, int]

    def error(self, message: str, key: str = "name") -> DefinitionError:
        definition = self.definition
        line = self.lines.get(key, definition.line)
        return DefinitionError(
            definition.file, line, message, definition.name, definition.object
        )


def read_file(
    path: Path, zone: ZoneInfo = UTC, name: str | None = None
) -> "list[_Draft | DefinitionError]":
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
    found: list[_Draft | DefinitionError] = [
        DefinitionError(name, fault.line, fault.message) for fault in faults
    ]
    for raw in raw_definitions:
        found.extend(_Reader(name, raw, zone).read())
    return found


def read_text(path: Path) -> str:
    """The text of a SQL file.

    Raises OSError, UnicodeDecodeError, and ValueError if the file is too large.
    """
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise ValueError(f"larger than {LARGEST_FILE_BYTES:,} bytes")
    return path.read_bytes().decode("utf-8-sig")


class _Reader:
    """Reads one definition, and collects everything that is wrong with it."""

    def __init__(self, file: str, raw: RawDefinition, zone: ZoneInfo) -> None:
        self._file = file
        self._raw = raw
        self._zone = zone
        self._errors: list[DefinitionError] = []
        self._single: dict[str, HeaderEntry] = {}
        self._repeated: dict[str, list[HeaderEntry]] = {}

    def read(self) -> "Sequence[_Draft | DefinitionError]":
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
        return [_Draft(definition, lines)]

    def _error(self, line: int, message: str) -> None:
        name, object_name = (
            keys.identifier_or_none(self._raw.first(k)) for k in ("name", "object")
        )
        self._errors.append(
            DefinitionError(self._file, line, message, name, object_name)
        )

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
        seen: set[str] = set()
        for name in names:
            if name in seen:
                entries = self._repeated[key]
                self._error(entries[-1].line, f"@{key} {name} is given twice")
            seen.add(name)

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
    found = set(statement.tables if statement else ())
    for test in tests:
        found |= {
            table for table in test.tables if table != (object_name or "").lower()
        }
    return tuple(sorted(found))


def _lines_before(text: str, offset: int) -> int:
    return text.encode()[:offset].count(b"\n")


@dataclass(slots=True)
class _Linker:
    """Relates definitions to each other: names, inputs, cycles, order."""

    mirrored: Collection[str]
    drafts: list[_Draft]
    errors: list[DefinitionError] = field(default_factory=list)
    unmirrored: list[DefinitionError] = field(default_factory=list)

    def catalogue(self) -> Catalogue:
        self._refuse_duplicates("name", lambda d: d.name)
        self._refuse_duplicates("object", lambda d: d.object)
        self._refuse_duplicates("route", lambda d: d.route and _shape(d.route))
        self._refuse_reserved()
        self._refuse_mirrored()
        self._link_inputs()
        order = self._order()
        tables = [draft.definition for draft in order]
        reports = [d.definition for d in self.drafts if not d.definition.is_table]
        return Catalogue(
            (*tables, *sorted(reports, key=lambda d: d.name)),
            _in_order(self.errors),
            _in_order(self.unmirrored),
        )

    def _reject(self, draft: _Draft, message: str, key: str = "name") -> None:
        self.errors.append(draft.error(message, key))
        self.drafts.remove(draft)

    def _refuse_duplicates(
        self, key: str, value_of: Callable[[Definition], str | None]
    ) -> None:
        """Reject all but the first definition with the same value of *key*."""
        first: dict[str, Definition] = {}
        for draft in list(self.drafts):
            value = value_of(draft.definition)
            if value is None:
                continue
            other = first.setdefault(value.lower(), draft.definition)
            if other is not draft.definition:
                where = f"{other.file}:{other.line}"
                self._reject(draft, f"@{key} {value} is taken by {where}", key)

    def _refuse_reserved(self) -> None:
        """Reject names of reports and of parameters that the API uses itself."""
        for draft in list(self.drafts):
            definition = draft.definition
            name = definition.name
            if not definition.is_table and name.lower() in RESERVED_REPORTS:
                reason = f"@name {name}: /reports/{name} is the daily report"
                self._reject(draft, reason)
            elif AS_OF in {parameter.name for parameter in definition.parameters}:
                reason = f"@param {AS_OF}: every answer has a parameter of that name"
                self._reject(draft, reason, "param")

    def _refuse_mirrored(self) -> None:
        mirrored = {name.lower() for name in self.mirrored}
        for draft in list(self.drafts):
            name = draft.definition.object
            if name is not None and name.lower() in mirrored:
                self._reject(draft, f"@object {name} is a mirrored table", "object")

    def _link_inputs(self) -> None:
        """Spell inputs as they are defined; reject what reads an unknown table."""
        rejected = True
        while rejected:
            known = {name.lower(): name for name in (*self.mirrored, *self._objects())}
            rejected = False
            for draft in list(self.drafts):
                unknown = [t for t in draft.definition.inputs if t.lower() not in known]
                if unknown:
                    self._reject_inputs(draft, unknown)
                    rejected = True
                    continue
                inputs = tuple(known[t.lower()] for t in draft.definition.inputs)
                draft.definition = replace(draft.definition, inputs=inputs)

    def _reject_inputs(self, draft: _Draft, unknown: Sequence[str]) -> None:
        """Reject *draft*, which reads the *unknown* tables."""
        left_out = {e.object.lower() for e in self.unmirrored if e.object}
        absent = [t for t in unknown if t in TABLES or t in left_out]
        if len(absent) < len(unknown):
            other = next(t for t in unknown if t not in absent)
            self._reject(draft, self._explain(other), "sql")
            return
        why = (
            "which TABLES does not mirror"
            if absent[0] in TABLES
            else "which is not built"
        )
        message = f"reads {absent[0]}, {why}"
        self.unmirrored.append(draft.error(message, "sql"))
        self.drafts.remove(draft)

    def _objects(self) -> list[str]:
        return [d.definition.object for d in self.drafts if d.definition.object]

    def _explain(self, table: str) -> str:
        for error in self.errors:
            if error.object and error.object.lower() == table:
                return f"its input {table} has an error: {error.file}:{error.line}"
        return f"unknown table {table}"

    def _order(self) -> list[_Draft]:
        """Derived tables, inputs first and otherwise by file and line; no cycles."""
        tables = {d.definition.object: d for d in self.drafts if d.definition.is_table}
        while True:
            sorter = graphlib.TopologicalSorter[str | None]()
            for name, draft in tables.items():
                inputs = (i for i in draft.definition.inputs if i in tables)
                sorter.add(name, *inputs)
            try:
                return [tables[name] for name in sorter.static_order()]
            except graphlib.CycleError as error:
                self._reject_cycle(tables, error.args[1])

    def _reject_cycle(
        self, tables: dict[str | None, _Draft], cycle: list[str | None]
    ) -> None:
        """Reject the definitions of *cycle*, and all that read them."""
        path = " -> ".join(str(name) for name in reversed(cycle))
        for name in set(cycle):
            self._reject(tables[name], f"a cycle: {path}", "object")
        self._link_inputs()
        for name in [n for n, draft in tables.items() if draft not in self.drafts]:
            del tables[name]


def _in_order(errors: Iterable[DefinitionError]) -> tuple[DefinitionError, ...]:
    return tuple(sorted(errors, key=lambda e: (e.file, e.line, e.message)))


def _shape(route: str) -> str:
    """*route* with anonymous placeholders: two of one shape are indistinguishable."""
    for name in keys.placeholders(route):
        route = route.replace(f"{{{name}}}", "{}")
    return route
