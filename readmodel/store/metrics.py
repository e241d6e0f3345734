"""Metrics of the read model: the current snapshot and the runs, for Prometheus."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from readmodel.store import run_log, snapshot
from readmodel.store.manifest import Manifest
from readmodel.store.run_log import RunSummary
from util.errors import ReadModelMissing, StorageError

REPLICA_STATE: Final = "replica.json"
"""As in `replica_state`, which is imported only where there is such a file."""


def current_manifest(data_dir: Path) -> Manifest | None:
    """The current snapshot's manifest; None without a complete snapshot.

    For the earlier system's plain files it has an instant and no tables. Never raises.
    """
    try:
        current = snapshot.current(data_dir)
    except (ReadModelMissing, OSError):
        return None
    return current.manifest or Manifest(current.taken_at)


def run_summary(data_dir: Path) -> RunSummary | None:
    """Summarise the run log; None before the first run or if it cannot be read."""
    try:
        return run_log.read_summary(data_dir)
    except StorageError:
        return None


class ReplicaFigures(NamedTuple):
    """How far the replica of a DATA_DIR is, on the host that writes or follows it.

    Attributes:
        snapshot_at: when the last snapshot that was transferred was published; None
            before the first one.
        lag_seconds: by how much it is older than the newest one.
        bytes: what was transferred for it.
        seconds: how long that took.
        at: when it was transferred.
        failed_because: why the last attempt failed; None if it did not.
    """

    url: str
    snapshot_at: datetime | None
    lag_seconds: float | None
    bytes: int
    seconds: float
    at: datetime | None
    failing_since: datetime | None
    failed_because: str | None


def replica_figures(data_dir: Path) -> ReplicaFigures | None:
    """What is known about the replica; None without one. Never raises."""
    if not (data_dir / REPLICA_STATE).exists():
        return None
    from readmodel.store.replica_state import read_state

    state = read_state(data_dir)
    if state is None:
        return None
    return ReplicaFigures(
        state.url,
        state.snapshot_at,
        state.lag_seconds(data_dir),
        state.bytes,
        state.seconds,
        state.at,
        state.failing_since,
        state.failed_because,
    )


class ReadModelCollector(Collector):
    """Gauges of the current snapshot and of the runs, read at each scrape.

    They are timestamps, never ages: an exporter that hangs must not look fresh. An
    unknown value is absent.
    """

    def __init__(
        self,
        manifest: Callable[[], Manifest | None],
        runs: Callable[[], RunSummary | None],
        interval: Callable[[], float],
        replica: Callable[[], ReplicaFigures | None] = lambda: None,
    ) -> None:
        """Read the snapshot by *manifest*, the run log by *runs*, the *replica*.

        *interval* is SYNC_INTERVAL_SECONDS, which the alerts compare ages with.
        """
        self._replica = replica
        self._interval = interval
        self._manifest = manifest
        self._runs = runs

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing, so that registering does not read the disk."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; of the read model none before the first sync."""
        yield _gauge(
            "fpp_sync_interval_seconds",
            "SYNC_INTERVAL_SECONDS, the time from one sync to the next.",
            self._interval(),
        )
        if manifest := self._manifest():
            yield from _snapshot_gauges(manifest)
        if runs := self._runs():
            yield from _run_gauges(runs)
        if replica := self._replica():
            yield from _replica_gauges(replica)


def _snapshot_gauges(manifest: Manifest) -> Iterator[GaugeMetricFamily]:
    tables = manifest.tables
    yield _gauge(
        "fpp_snapshot_timestamp_seconds",
        "When the snapshot that is served was taken.",
        manifest.taken_at.timestamp(),
    )
    yield _by_table(
        "fpp_table_rows",
        "Rows of a table in the snapshot.",
        {name: table.rows for name, table in tables.items()},
    )
    yield _by_table(
        "fpp_table_parts",
        "Files of a table in the snapshot.",
        {name: len(table.parts) for name, table in tables.items()},
    )
    yield _by_table(
        "fpp_table_size_bytes",
        "Bytes of a table's files in the snapshot.",
        {name: table.bytes for name, table in tables.items()},
    )
    yield _by_table(
        "fpp_table_verified_timestamp_seconds",
        "Since when every part of a table is known to equal the database.",
        {
            name: table.checked_at.timestamp()
            for name, table in tables.items()
            if name not in manifest.derived and name not in manifest.event_tables
        },
    )
    yield _by_label(
        "fpp_view_stale",
        "1 if the last build of a derived table failed, else 0.",
        "view",
        {name: float(state.is_stale) for name, state in manifest.derived.items()},
    )
    yield from _failure_gauges(manifest.configured or (), manifest.failed)


def _failure_gauges(
    names: Iterable[str], failed: Container[str]
) -> Iterator[GaugeMetricFamily]:
    """Gauges of tables that may fail alone: none, if only the statistics' are there."""
    yield _by_table(
        "fpp_table_stale",
        "1 if the last sync could not read a table, else 0.",
        {name: float(name in failed) for name in names},
    )


def _run_gauges(runs: RunSummary) -> Iterator[GaugeMetricFamily]:
    yield _gauge(
        "fpp_sync_last_run_timestamp_seconds",
        "When the last run ended, whatever its result.",
        runs.last.ended_at.timestamp(),
    )
    if runs.last_success_at:
        yield _gauge(
            "fpp_sync_last_success_timestamp_seconds",
            "When the last successful run ended.",
            runs.last_success_at.timestamp(),
        )
    yield _gauge(
        "fpp_sync_last_duration_seconds",
        "How long the last run took.",
        runs.last.took.total_seconds(),
    )
    yield _gauge(
        "fpp_sync_failures_in_a_row",
        "Failed runs since the last successful one.",
        runs.failures_in_a_row,
    )
    yield _by_table(
        "fpp_sync_rows_fetched",
        "Rows of a table that the last run fetched.",
        {name: table.rows_fetched for name, table in runs.last.tables.items()},
    )


def _replica_gauges(replica: ReplicaFigures) -> Iterator[GaugeMetricFamily]:
    yield _gauge(
        "fpp_replica_failing",
        "1 if the last transfer to or from the replica failed, else 0.",
        float(replica.failed_because is not None),
    )
    if replica.snapshot_at is None or replica.lag_seconds is None:
        return
    yield _gauge(
        "fpp_replica_snapshot_timestamp_seconds",
        "When the last snapshot that was transferred was published.",
        replica.snapshot_at.timestamp(),
    )
    yield _gauge(
        "fpp_replica_lag_seconds",
        "By how much that snapshot is older than the newest one that is known.",
        replica.lag_seconds,
    )
    yield _gauge(
        "fpp_replica_transfer_bytes",
        "Bytes that were transferred for that snapshot.",
        replica.bytes,
    )
    yield _gauge(
        "fpp_replica_transfer_seconds",
        "How long that took.",
        replica.seconds,
    )


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value)


def _by_table(
    name: str, help_text: str, values: Mapping[str, float]
) -> GaugeMetricFamily:
    return _by_label(name, help_text, "table", values)


def _by_label(
    name: str, help_text: str, label: str, values: Mapping[str, float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value_of, value in sorted(values.items()):
        family.add_metric([value_of], value)
    return family
