"""Output of the command `views`: list and check SQL files, plan and test changes."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from config import Settings
from readmodel.source.connect import tables_from_settings
from readmodel.store import metrics, snapshot
from readmodel.store.manifest import DerivedState, Manifest, StoredTable
from readmodel.store.snapshot import Snapshot
from readmodel.sync.derived import DerivedOptions, DerivedReport, build_derived
from readmodel.sync.derived_messages import BuildOutcome
from readmodel.sync.disk import replace_link
from readmodel.sync.snapshot_writer import SnapshotWriter
from sqlfiles.catalogue import Catalogue, load
from sqlfiles.definition import Definition, TableTest, quoted
from sqlfiles.files import EVENTS_FOLDER, sql_files
from sqlfiles.session import SessionOptions, add_tables, bind, connect
from util.errors import ReadModelMissing, SettingsError

SHOWN_DIFFERENCES = 3
"""Rows shown of those that only the old or only the new version has."""


_NOTHING = Manifest(datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class ViewFinding:
    """A line of output; `failed` if it is a problem."""

    text: str
    failed: bool = False

    def __str__(self) -> str:
        return self.text


def read_catalogue(settings: Settings) -> Catalogue:
    """Load VIEWS_DIR with the tables and the time zone of the settings."""
    names = [table.name for table in tables_from_settings(settings)]
    if manifest := metrics.current_manifest(settings.data_dir):
        names += manifest.event_tables
    return load(settings.views_dir, names, settings.timezone)


def list_views(settings: Settings) -> Iterator[ViewFinding]:
    """List every definition with its state, then everything that is wrong."""
    manifest = metrics.current_manifest(settings.data_dir) or _NOTHING
    catalogue = read_catalogue(settings)
    schemas = {name: table.columns for name, table in manifest.tables.items()}
    for definition in catalogue.definitions:
        yield ViewFinding(_listed(definition, manifest))
        yield from _binding(definition, schemas)
        for warning in definition.statement.warnings:
            yield ViewFinding(f"  ! {_place(definition)}: {warning}")
        state = manifest.derived.get(definition.object or "")
        if state and state.is_stale:
            yield ViewFinding(f"  ✗ stale: {state.failed_because}", failed=True)
    for error in catalogue.errors:
        yield ViewFinding(f"✗ {error}", failed=True)
    yield from (ViewFinding(f"- {found}") for found in catalogue.unmirrored)
    if not (catalogue.definitions or catalogue.errors or catalogue.unmirrored):
        yield ViewFinding(f"There are no SQL files in {settings.views_dir}.")


def _listed(definition: Definition, manifest: Manifest) -> str:
    place = _place(definition)
    if not definition.is_table:
        names = ", ".join(p.name for p in definition.parameters) or "no parameters"
        return f"{definition.name:<24} report  {place:<28} {names}"
    state = manifest.derived.get(definition.object or "")
    stored = manifest.tables.get(definition.object or "")
    built = f"{stored.rows:>12,} rows" if stored else f"{'not built yet':>17}"
    at = f"  built {state.built_at:%Y-%m-%d %H:%M}" if state and state.built_at else ""
    return f"{definition.object:<24} table   {place:<28} {built}{at}"


def _place(definition: Definition) -> str:
    return f"{definition.file}:{definition.line}"


def _binding(
    definition: Definition, schemas: dict[str, Mapping[str, str]]
) -> Iterator[ViewFinding]:
    """Check the statement against the tables' columns; adds the result's to *schemas*."""
    missing = [name for name in definition.inputs if name not in schemas]
    if missing:
        yield ViewFinding(f"  ! not checked: {missing[0]} is not in the read model yet")
        return
    try:
        columns = bind(definition, schemas)
    except ValueError as error:
        yield ViewFinding(f"  ✗ {_place(definition)}: {error}", failed=True)
        return
    if definition.object:
        schemas[definition.object] = {c.name: c.dtype for c in columns}


def plan_changes(settings: Settings, file: Path | None) -> Iterator[ViewFinding]:
    """Say what the SQL files would change at the next sync; changes nothing.

    *file* takes the place of the file of its name in VIEWS_DIR. Raises
    ReadModelMissing without a snapshot, SettingsError for a missing file.
    """
    with _scratch(settings, file) as scratch:
        before, after = scratch.before.manifest, scratch.after.manifest
        assert before is not None
        assert after is not None
        for report in scratch.reports:
            yield from _planned(report, scratch)
        for name in before.derived.keys() - after.derived.keys():
            yield ViewFinding(f"- {name}: would be removed")
        if not scratch.reports and not before.derived:
            yield ViewFinding("There are no derived tables.")


def run_file_tests(settings: Settings, file: Path) -> Iterator[ViewFinding]:
    """Build the tables of *file* aside and run their tests; changes nothing.

    *file* takes the place of the file of its name in VIEWS_DIR. Raises as `plan` does.
    """
    with _scratch(settings, file) as scratch:
        mine = [
            report for report in scratch.reports if report.file == _name_in_views(file)
        ]
        for report in mine:
            yield from _tested(report, scratch.catalogue)
        if not mine:
            yield ViewFinding(f"{file.name} defines no derived table.")


def _tested(report: DerivedReport, catalogue: Catalogue) -> Iterator[ViewFinding]:
    definition = catalogue.table(report.object)
    tests: tuple[TableTest, ...] = definition.tests if definition else ()
    if not report.outcome.is_good:
        detail = f"; the first: {report.detail}" if report.detail else ""
        text = f"✗ {report.object or report.file}: {report.message}{detail}"
        yield ViewFinding(text, failed=True)
        return
    yield ViewFinding(
        f"✓ {report.object}: {report.rows:,} rows, {len(tests)} tests pass"
    )
    yield from (ViewFinding(f"  ✓ {' '.join(test.text.split())}") for test in tests)


@dataclass(frozen=True, slots=True)
class _Scratch:
    """A copy of the read model into which all derived tables were built."""

    before: Snapshot
    after: Snapshot
    reports: list[DerivedReport]
    catalogue: Catalogue
    zone: ZoneInfo


@contextmanager
def _scratch(settings: Settings, file: Path | None) -> Iterator[_Scratch]:
    """Build the derived tables in a copy of hard links, removed afterwards."""
    if file is not None and not file.is_file():
        raise SettingsError(f"{file} is no file")
    before = snapshot.current(settings.data_dir)
    if before.manifest is None:
        raise ReadModelMissing("There is no snapshot yet: run update_readmodel.py")
    with tempfile.TemporaryDirectory(prefix=".plan-", dir=settings.data_dir) as folder:
        data_dir, views_dir = Path(folder, "data"), Path(folder, "views")
        _copy_views(settings.views_dir, file, views_dir)
        copy = _linked_copy(before, data_dir)
        options = DerivedOptions(
            views_dir, settings.timezone, settings.views_memory_mb,
            settings.views_disk_mb, settings.views_seconds,
        )  # fmt: skip
        with SnapshotWriter(data_dir, before.taken_at) as writer:
            _link_mirrored(copy, before.manifest, writer)
            reports = build_derived(writer, options)
            writer.publish()
        after = snapshot.latest(data_dir)
        names = writer.mirrored
        catalogue = load(views_dir, names, settings.timezone)
        yield _Scratch(copy, after, reports, catalogue, settings.timezone)


def _copy_views(views_dir: Path, file: Path | None, target: Path) -> None:
    (target / EVENTS_FOLDER).mkdir(parents=True)
    for name, source in sql_files(views_dir).items():
        shutil.copy(source, target / name)
    if file is not None:
        shutil.copy(file, target / _name_in_views(file))


def _name_in_views(file: Path) -> str:
    """The name of *file* below VIEWS_DIR: ``events/top.sql`` if that is its folder."""
    is_of_events = file.absolute().parent.name == EVENTS_FOLDER
    return f"{EVENTS_FOLDER}/{file.name}" if is_of_events else file.name


def _linked_copy(before: Snapshot, data_dir: Path) -> Snapshot:
    """The snapshot again, below *data_dir*, by hard links."""
    path = data_dir / snapshot.SNAPSHOTS / before.id
    shutil.copytree(
        before.path, path, copy_function=lambda old, new: Path(new).hardlink_to(old)
    )
    replace_link(data_dir / snapshot.CURRENT, f"{snapshot.SNAPSHOTS}/{before.id}")
    return snapshot.latest(data_dir)


def _link_mirrored(copy: Snapshot, manifest: Manifest, writer: SnapshotWriter) -> None:
    writer.configured = manifest.configured
    for name, failure in manifest.failed.items():
        writer.add_failure(name, failure)
    for name, stored in manifest.tables.items():
        if name not in manifest.derived:
            writer.link_table(name, stored, copy.path / snapshot.table_folder(name))


def _planned(report: DerivedReport, scratch: _Scratch) -> Iterator[ViewFinding]:
    before, after = scratch.before.manifest, scratch.after.manifest
    assert before is not None
    assert after is not None
    name = report.object
    old, new = before.tables.get(name), after.tables.get(name)
    state: DerivedState | None = before.derived.get(name)
    if not report.outcome.is_good:
        kept = "; its last good version stays" if state and old else ""
        text = f"✗ {name or report.file}: {report.message}{kept}"
        yield ViewFinding(text, failed=True)
    elif report.outcome is BuildOutcome.UNCHANGED or new is None:
        yield ViewFinding(f"= {name}: unchanged, {report.rows:,} rows")
    elif old is None:
        columns = ", ".join(new.columns)
        yield ViewFinding(f"+ {name}: new, {report.rows:,} rows of {columns}")
    else:
        yield ViewFinding(f"~ {name}: {old.rows:,} rows become {new.rows:,}")
        yield from map(ViewFinding, _column_changes(old, new))
        yield from map(ViewFinding, _row_changes(name, scratch))


def _column_changes(old: StoredTable, new: StoredTable) -> Iterator[str]:
    for column, dtype in new.columns.items():
        if column not in old.columns:
            yield f"  + column {column}, {dtype}"
        elif old.columns[column] != dtype:
            yield f"  ~ column {column}: {old.columns[column]} becomes {dtype}"
    for column in old.columns.keys() - new.columns.keys():
        yield f"  - column {column}, which readers may use"


def _row_changes(name: str, scratch: _Scratch) -> Iterator[str]:
    """How many rows only one version has, over the common columns, and the first."""
    before, after = scratch.before, scratch.after
    assert before.manifest is not None
    assert after.manifest is not None
    new_columns = after.manifest.tables[name].columns
    common = [c for c in before.manifest.tables[name].columns if c in new_columns]
    if not common:
        return
    options = SessionOptions(scratch.zone, after.taken_at)
    connection = connect(options)
    try:
        files = {"old": before.files(name), "new": after.files(name)}
        add_tables(connection, {n: list(map(Path, f)) for n, f in files.items()})
        columns = ", ".join(map(quoted, common))
        for sign, one, other in (("-", "old", "new"), ("+", "new", "old")):
            connection.execute(
                f"CREATE OR REPLACE TEMP VIEW difference AS SELECT {columns} FROM {one}"
                f" EXCEPT ALL SELECT {columns} FROM {other}"
            )
            rows = connection.execute(
                f"SELECT difference::VARCHAR, count(*) OVER () FROM difference"
                f" ORDER BY ALL LIMIT {SHOWN_DIFFERENCES}"
            ).fetchall()
            if rows:
                yield f"  {sign} {rows[0][1]:,} rows only in the {one} version:"
            yield from (f"      {row}" for row, _ in rows)
    finally:
        connection.close()
