"""Collectors of the read model's metrics with literal values, or without any."""

from datetime import UTC, datetime, timedelta

from readmodel.store.manifest import Manifest, Part, StoredTable
from readmodel.store.metrics import ReadModelCollector, ReplicaFigures
from readmodel.store.run_log import Run, RunSummary, TableRun

AT = datetime(2026, 11, 21, 23, 10, tzinfo=UTC)
PARTS = (Part("a", 5, 1_000, 0, AT), Part("b", 7, 2_000, 0, AT))
MANIFEST = Manifest(AT, {"fpp_votes": StoredTable({}, PARTS, AT)})

ENDED_AT = AT + timedelta(minutes=10)
LAST = Run(
    ENDED_AT - timedelta(seconds=1.5),
    ENDED_AT,
    success=False,
    message="",
    tables={"fpp_votes": TableRun(rows_fetched=7)},
)

FULL = ReadModelCollector(
    manifest=lambda: MANIFEST,
    runs=lambda: RunSummary(LAST, AT, 1),
    interval=lambda: 600,
    replica=lambda: ReplicaFigures(
        "s3://b/f", AT, 60.0, 1_234, 2.5, ENDED_AT, None, None
    ),
)
EMPTY = ReadModelCollector(
    manifest=lambda: None, runs=lambda: None, interval=lambda: 600
)
