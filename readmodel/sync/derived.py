"""Build derived tables into the next snapshot, between the mirror and its publishing.

A table whose fingerprint is unchanged is linked at no cost. A failed build affects only
its own state: the last good version stays, marked stale, as do the tables that read it.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from readmodel.store import snapshot
from readmodel.store.damage import checksum
from readmodel.store.manifest import DerivedState, Manifest, StoredTable
from readmodel.store.view_log import ViewRun
from readmodel.sync.derived_client import (
    DeadlineExceeded,
    DerivedWorker,
    MemoryExceeded,
    WorkerEnded,
)
from readmodel.sync.derived_messages import (
    BUILD_REPLY,
    CATALOGUE_REPLY,
    BuildOutcome,
    BuildReply,
    BuildRequest,
    CatalogueReply,
    CatalogueRequest,
    DefinitionFault,
    DerivedSpec,
)
from readmodel.sync.sampling import sample
from readmodel.sync.snapshot_writer import SnapshotWriter

CATALOGUE_SECONDS: Final = 60.0
FORMAT: Final = "1"
"""Bump when tables are built in another way; it makes every table be built again."""


@dataclass(frozen=True, slots=True)
class DerivedOptions:
    """Where the SQL files are, and what a build may use.

    `zone` is that of definitions without `@zone`. Each build may take `seconds`, use
    `memory_mb` of memory and `disk_mb` of temporary files.
    """

    views_dir: Path
    zone: ZoneInfo = ZoneInfo("UTC")
    memory_mb: int = 512
    disk_mb: int = 4096
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class DerivedReport:
    """What a run did about one definition. `is_new` is False for a known failure."""

    name: str
    type: str
    object: str
    file: str
    outcome: BuildOutcome
    message: str
    started_at: datetime
    ended_at: datetime
    rows: int = 0
    rows_read: int = 0
    sql_sha256: str = ""
    is_new: bool = True
    detail: str = ""

    @property
    def view_run(self) -> ViewRun:
        """The report as the view log stores it."""
        took = self.ended_at - self.started_at
        return ViewRun(
            self.name, self.type, self.object, self.file, self.started_at, self.ended_at,
            round(took / timedelta(milliseconds=1)), self.rows, self.outcome,
            self.message, self.sql_sha256,
        )  # fmt: skip

    @property
    def was_run(self) -> bool:
        """True if the run log should have it: something was computed or is new."""
        return self.is_new and self.outcome is not BuildOutcome.UNCHANGED


@dataclass(frozen=True, slots=True)
class PreviousDerived:
    """The derived tables of the last snapshot."""

    path: Path | None = None
    manifest: Manifest = field(default_factory=lambda: Manifest(datetime.now(UTC)))

    @classmethod
    def of(cls, data_dir: Path) -> "PreviousDerived":
        """Open the last snapshot of *data_dir*; empty if there is none."""
        last = snapshot.latest_readable(data_dir)
        return cls(last.path, last.manifest) if last and last.manifest else cls()

    def state(self, name: str) -> DerivedState | None:
        """The state of the derived table *name*."""
        return self.manifest.derived.get(name)

    def stored(self, name: str) -> StoredTable | None:
        """The record of the derived table *name*, if it was ever built."""
        return self.manifest.tables.get(name) if name in self.manifest.derived else None

    def folder(self, name: str) -> Path:
        """The folder of the parts of the table *name*."""
        assert self.path is not None
        return self.path / snapshot.table_folder(name)


def build_derived(
    writer: SnapshotWriter,
    options: DerivedOptions,
    full: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[DerivedReport]:
    """Add all derived tables to the snapshot that *writer* has mirrored.

    *full* builds what is unchanged, too. Never raises because of a definition.
    """
    previous = PreviousDerived.of(writer.data_dir)
    if not _has_files(options.views_dir) and not previous.manifest.derived:
        return []
    with DerivedWorker() as worker:
        return _Build(writer, options, previous, worker, full, clock).run()


def _has_files(views_dir: Path) -> bool:
    # Not `sqlfiles`: an updater without SQL files should not even import it.
    try:
        return views_dir.is_dir() and any(
            file
            for pattern in ("*.sql", "events/*.sql")
            for file in views_dir.glob(pattern)
        )
    except OSError:
        return True


def fingerprint(
    spec: DerivedSpec,
    inputs: Mapping[str, StoredTable],
    taken_at: datetime,
    duckdb_version: str,
) -> str:
    """SHA-256 of everything that the rows of a derived table depend on."""
    digest = hashlib.sha256(
        f"{FORMAT}\0{duckdb_version}\0{spec.sql_sha256}\0{spec.header_sha256}"
        f"\0{spec.zone}\0".encode()
    )
    if spec.uses_clock:
        digest.update(f"{taken_at.astimezone(ZoneInfo(spec.zone)):%Y-%m-%d}\0".encode())
    if spec.every_sync:
        digest.update(f"{taken_at.isoformat()}\0".encode())
    for name, stored in sorted(inputs.items()):
        digest.update(f"{name}\0{list(stored.columns.items())}\0".encode())
        for part in stored.parts:
            digest.update(f"{part.rows} {part.bytes} {part.crc32}\0".encode())
    return digest.hexdigest()


@dataclass(slots=True)
class _Build:
    """The derived tables of one run."""

    writer: SnapshotWriter
    options: DerivedOptions
    previous: PreviousDerived
    worker: DerivedWorker
    full: bool
    clock: Callable[[], datetime]
    duckdb_version: str = ""
    stale: dict[str, str] = field(default_factory=dict)
    reports: list[DerivedReport] = field(default_factory=list)

    def run(self) -> list[DerivedReport]:
        catalogue = self._catalogue()
        if isinstance(catalogue, str):
            self._keep_all(catalogue)
            return self.reports
        self.duckdb_version = catalogue.duckdb_version
        failed = self.writer.failed.items()
        self.stale |= {name: failure.failed_because for name, failure in failed}
        self._report_faults(catalogue)
        for spec in catalogue.specs:
            self._one(spec)
        return self.reports

    def _catalogue(self) -> CatalogueReply | str:
        """What the SQL files define, or why that cannot be found out."""
        views_dir = self.options.views_dir
        if not views_dir.is_dir():
            return f"VIEWS_DIR {views_dir} is no folder"
        request = CatalogueRequest(
            str(views_dir.absolute()), self.writer.mirrored, self.options.zone.key
        )
        try:
            return self.worker.ask(request, CATALOGUE_REPLY, CATALOGUE_SECONDS)
        except (DeadlineExceeded, MemoryExceeded):
            return f"reading the SQL files took more than {CATALOGUE_SECONDS:.0f} s or 1 GB"
        except (WorkerEnded, OSError) as error:
            return f"the SQL files cannot be read: {error}"

    def _keep_all(self, message: str) -> None:
        for name, state in self.previous.manifest.derived.items():
            spec = _spec_of_state(name, state)
            self._fail(
                spec, BuildReply(BuildOutcome.INVALID, message), None, self.clock()
            )
        if not self.reports:
            now = self.clock()
            folder = str(self.options.views_dir)
            self.reports.append(
                DerivedReport("", "", "", folder, BuildOutcome.ERROR, message, now, now)
            )

    def _report_faults(self, catalogue: CatalogueReply) -> None:
        """Report errors in files; tables that they may define stay, marked stale."""
        taken = {spec.object.lower() for spec in catalogue.specs}
        taken |= {name.lower() for name in self.writer.mirrored}
        for name, faults in _faults_by_object(
            catalogue.faults, taken, self.previous
        ).items():
            spec = _spec_of_fault(name, faults[0], self.previous.state(name))
            message = "; ".join(fault.text for fault in faults)
            self._fail(
                spec, BuildReply(BuildOutcome.INVALID, message), None, self.clock()
            )
        now = self.clock()
        self.reports += [
            DerivedReport(
                f.name or "",
                "",
                f.object or "",
                f.file,
                BuildOutcome.INVALID,
                f.text,
                now,
                now,
            )
            for f in catalogue.faults
            if f.object is None or f.object.lower() in taken
        ]

    def _one(self, spec: DerivedSpec) -> None:
        """Link, build or keep one derived table."""
        started_at = self.clock()
        late = [name for name in spec.inputs if name in self.stale]
        if late:
            message = f"its input {late[0]} is stale: {self.stale[late[0]]}"
            self._fail(
                spec, BuildReply(BuildOutcome.INPUT_STALE, message), None, started_at
            )
            return
        inputs = {name: self.writer.stored(name) for name in spec.inputs}
        print_ = fingerprint(spec, inputs, self.writer.taken_at, self.duckdb_version)
        state = self.previous.state(spec.object)
        if self._is_unchanged(spec, print_):
            self._link(spec, print_, started_at)
        elif state and not self.full and self._failed_before(state, print_):
            reply = BuildReply(BuildOutcome(state.outcome), state.failed_because or "")
            self._fail(spec, reply, print_, started_at, is_new=False)
        else:
            reply = self._ask(spec)
            if reply.table is None:
                self._fail(spec, reply, print_, started_at)
            else:
                self._add(spec, reply, reply.table, print_, started_at)

    def _is_unchanged(self, spec: DerivedSpec, print_: str) -> bool:
        """True if the last version has these rows, and its files are intact."""
        state, stored = (
            self.previous.state(spec.object),
            self.previous.stored(spec.object),
        )
        return (
            not self.full
            and state is not None
            and stored is not None
            and state.fingerprint == print_
            and self._is_intact(spec.object, stored)
        )

    def _is_intact(self, name: str, stored: StoredTable) -> bool:
        """True if all files have their size, and a sample of them its checksum."""
        is_sampled = sample(self.writer.id, stored.bytes)
        try:
            for part in stored.parts:
                file = self.previous.folder(name) / part.file
                if file.stat().st_size != part.bytes:
                    return False
                if is_sampled(f"{name} {part.file}") and checksum(file) != part.crc32:
                    return False
        except OSError:
            return False
        return True

    def _failed_before(self, state: DerivedState, print_: str) -> bool:
        """True if this very build failed, and would fail in the same way again."""
        return (
            state.failed_fingerprint == print_
            and BuildOutcome(state.outcome).is_repeatable
        )

    def _ask(self, spec: DerivedSpec) -> BuildReply:
        """Build in the other process; every failure is a reply."""
        options = self.options
        files = {n: tuple(map(str, self.writer.files(n))) for n in spec.inputs}
        request = BuildRequest(
            spec, files, str(self.writer.data_dir.absolute()), self.writer.taken_at,
            options.memory_mb, options.disk_mb,
        )  # fmt: skip
        try:
            reply = self.worker.ask(
                request, BUILD_REPLY, options.seconds, options.memory_mb
            )
        except DeadlineExceeded:
            reply = BuildReply(
                BuildOutcome.DEADLINE,
                f"it took more than VIEWS_SECONDS={options.seconds:g}",
            )
        except MemoryExceeded:
            reply = BuildReply(
                BuildOutcome.MEMORY,
                f"it needs more than VIEWS_MEMORY_MB={options.memory_mb}",
            )
        except (WorkerEnded, OSError) as error:
            reply = BuildReply(BuildOutcome.KILLED, str(error))
        if reply.table is None:
            self.writer.discard(spec.object)
        rows_read = sum(self.writer.stored(name).rows for name in spec.inputs)
        return replace(reply, rows_read=rows_read)

    def _link(self, spec: DerivedSpec, print_: str, started_at: datetime) -> None:
        state = self.previous.state(spec.object)
        assert state is not None
        stored = self._linked(spec.object, self.writer.taken_at)
        built_at = state.built_at or self.writer.taken_at
        self._good(spec, print_, built_at, stored)
        self._report(
            spec, BuildReply(BuildOutcome.UNCHANGED, rows=stored.rows), started_at
        )

    def _add(
        self,
        spec: DerivedSpec,
        reply: BuildReply,
        table: StoredTable,
        print_: str,
        started_at: datetime,
    ) -> None:
        """Add what was built; its content changed only if its bytes did."""
        last = self.previous.stored(spec.object)
        if last is not None and _contents(last) == _contents(table):
            table = replace(table, changed_at=last.changed_at)
        self._good(spec, print_, self.writer.taken_at, table)
        self._report(spec, reply, started_at)

    def _good(
        self, spec: DerivedSpec, print_: str, built_at: datetime, stored: StoredTable
    ) -> None:
        state = replace(_state_of(spec), fingerprint=print_, built_at=built_at)
        self.writer.add_derived(spec.object, state, stored)

    def _fail(
        self,
        spec: DerivedSpec,
        reply: BuildReply,
        failed: str | None,
        started_at: datetime,
        is_new: bool = True,
    ) -> None:
        """Keep the last good version, marked stale; later tables must not read it."""
        before = self.previous.state(spec.object)
        stored = self._kept(spec.object)
        state = replace(
            _state_of(spec),
            fingerprint=before.fingerprint if before and stored else None,
            built_at=before.built_at if before and stored else None,
            stale_since=(before and before.stale_since) or self.writer.taken_at,
            failed_because=reply.message,
            outcome=reply.outcome,
            failed_fingerprint=failed,
        )
        self.stale[spec.object] = reply.message
        self.writer.add_derived(spec.object, state, stored)
        is_known = bool(
            before
            and before.failed_because == reply.message
            and reply.outcome in (BuildOutcome.INVALID, BuildOutcome.INPUT_STALE)
        )
        self._report(spec, reply, started_at, is_new and not is_known)

    def _kept(self, name: str) -> StoredTable | None:
        """The last good version, linked; None if there is none or it is damaged."""
        stored = self.previous.stored(name)
        if stored is None or not self._is_intact(name, stored):
            return None
        return self._linked(name, None)

    def _linked(self, name: str, checked_at: datetime | None) -> StoredTable:
        """Link the last version of the table *name* into the snapshot."""
        stored = self.previous.stored(name)
        assert stored is not None
        folder = self.previous.folder(name)
        return self.writer.link_table(name, stored, folder, checked_at).stored

    def _report(
        self,
        spec: DerivedSpec,
        reply: BuildReply,
        started_at: datetime,
        is_new: bool = True,
    ) -> None:
        self.reports.append(
            DerivedReport(
                spec.name,
                spec.type,
                spec.object,
                spec.file,
                reply.outcome,
                reply.message,
                started_at,
                self.clock(),
                reply.rows,
                reply.rows_read,
                spec.sql_sha256,
                is_new,
                reply.detail,
            )
        )


def _state_of(spec: DerivedSpec) -> DerivedState:
    return DerivedState(
        spec.name, spec.type, spec.file, spec.inputs, spec.zone, spec.sql_sha256
    )


def _contents(stored: StoredTable) -> tuple[object, ...]:
    """What makes two versions of a table the same."""
    parts = tuple((part.rows, part.bytes, part.crc32) for part in stored.parts)
    return (tuple(stored.columns.items()), parts)


def _spec_of_state(name: str, state: DerivedState) -> DerivedSpec:
    """A definition that cannot be read, as far as the last snapshot knows it."""
    return DerivedSpec(
        state.name, state.type, name, state.file, 0, state.zone, state.inputs,
        sql="", order=(), tests=(), sql_sha256=state.sql_sha256, header_sha256="",
        uses_clock=False,
    )  # fmt: skip


def _spec_of_fault(
    name: str, fault: DefinitionFault, state: DerivedState | None
) -> DerivedSpec:
    """A definition with an error, as far as it is known."""
    unknown = DerivedState(fault.name or "", "materialized_view", fault.file)
    spec = _spec_of_state(name, state or unknown)
    return replace(spec, name=fault.name or spec.name, file=fault.file)


def _faults_by_object(
    faults: Iterable[DefinitionFault], taken: set[str], previous: PreviousDerived
) -> dict[str, list[DefinitionFault]]:
    """Faults by the table that they keep from being built, without tables in *taken*.

    A fault that names no table counts for all tables that came from its file and are
    no longer defined: their definitions may only be unreadable.
    """
    found: dict[str, list[DefinitionFault]] = {}
    for fault in faults:
        if fault.object is not None:
            names = [fault.object]
        else:
            states = previous.manifest.derived.items()
            names = [name for name, state in states if state.file == fault.file]
        for name in names:
            if name.lower() not in taken:
                found.setdefault(name, []).append(fault)
    return found
