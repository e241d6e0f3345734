"""One whole sync: which tables, how often it is tried, and what it reports."""

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from readmodel.source.protocol import PassingFault, Unreachable
from readmodel.store import visits
from readmodel.store.damage import checksum
from readmodel.store.manifest import VisitsFile
from readmodel.store.side_files import VISITS
from readmodel.store.snapshot import MANIFEST
from readmodel.sync.drain import drain
from tests.support.events import line, write_spool
from tests.support.mirror import OTHERS, PAGE_VIEWS, THINGS, Mirror
from tests.support.snapshots import replace_bytes
from util.errors import SourceError, Stopped
from util.stopping import StopRequest


def test_only_the_named_tables_are_synced(mirror: Mirror) -> None:
    """The others stay in the read model as they were."""
    mirror.run("INSERT INTO others VALUES (1, 1)")
    mirror.sync(THINGS, OTHERS)
    before = mirror.manifest.tables["things"]
    mirror.run("UPDATE things SET n = 50 WHERE id = 5")
    mirror.run("UPDATE others SET n = 60")
    report = mirror.sync(THINGS, OTHERS, only=["others"])
    assert [table.name for table in report.tables] == ["others"]
    assert pl.read_parquet(mirror.data_dir / "others.parquet").rows() == [(1, 60)]
    assert mirror.snapshot.scan("things").filter(id=5).collect()["n"].item() == 5
    assert mirror.manifest.tables["things"] == before
    mirror.sync(THINGS, OTHERS)
    assert mirror.is_exact()


def pretend_another_hash(mirror: Mirror) -> None:
    """Rewrite the visits of the current snapshot as another Polars would have hashed."""
    path = mirror.snapshot.path
    manifest = json.loads((path / MANIFEST).read_bytes())
    for part in manifest["tables"][PAGE_VIEWS.name]["parts"]:
        file = VISITS.path(path / f"{PAGE_VIEWS.name}.parquet" / part["file"])
        replace_bytes(file, b"PAR1 other hashes, and of another length PAR1")
        part["visits"] = {
            "bytes": file.stat().st_size,
            "crc32": checksum(file),
            "hashing": "another",
        }
    (path / MANIFEST).write_text(json.dumps(manifest))


def test_a_table_that_is_carried_over_records_the_visits_that_were_written(
    mirror: Mirror,
) -> None:
    """After a change of the hash, manifest and disk agree and nothing is fetched."""
    mirror.run(
        "CREATE TABLE fpp_page_views"
        " (id INT, user_id TEXT, viewed_at DATETIME, route TEXT, source TEXT)"
    )
    mirror.run(
        "INSERT INTO fpp_page_views VALUES (1, 'ada', '2026-11-20 10:00:00', 'ROOM', NULL)"
    )
    mirror.sync(PAGE_VIEWS, OTHERS)
    pretend_another_hash(mirror)
    mirror.sync(PAGE_VIEWS, OTHERS, only=["others"])
    (part,) = mirror.manifest.tables[PAGE_VIEWS.name].parts
    (file,) = mirror.snapshot.side_files(PAGE_VIEWS.name, VISITS)
    assert part.visits == VisitsFile(
        file.stat().st_size, checksum(file), visits.version()
    )
    assert mirror.verify(PAGE_VIEWS).differences == ()
    assert mirror.sync(PAGE_VIEWS, OTHERS).rows_fetched == 0


def test_a_passing_fault_is_retried(mirror: Mirror) -> None:
    """Each fault is reported; the run succeeds in the end."""
    mirror.source.faults += [PassingFault("lost"), Unreachable("away")]
    reported: list[str] = []
    mirror.sync(on_retry=reported.append)
    assert [line.partition(";")[0] for line in reported] == ["lost", "away"]
    assert mirror.is_exact()


def test_events_are_taken_in_the_pauses(mirror: Mirror, tmp_path: Path) -> None:
    """A database that is away for minutes does not hold them back."""
    mirror.source.faults += [PassingFault("lost"), PassingFault("again")]
    spool, pauses = tmp_path / "spool", list[float]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        write_spool(spool, [line(f"e{len(pauses)}")], len(pauses))
        assert drain(mirror.data_dir, spool).accepted == 1

    mirror.sync(pause=pause)
    assert len(pauses) == 2
    assert mirror.is_exact()
    assert mirror.snapshot.scan("events").collect().height == 2


def test_a_lasting_fault_is_not_retried(mirror: Mirror) -> None:
    """Nor is a server that never answered, nor any fault after the patience is over."""
    for fault in (SourceError("denied"), Unreachable("nobody")):
        mirror.source.faults[:] = [fault]
        with pytest.raises(SourceError, match=str(fault)):
            mirror.sync()
    mirror.source.faults[:] = [PassingFault(f"fault {n}") for n in range(3)]
    with pytest.raises(PassingFault, match="fault 0"):
        mirror.sync(patience=timedelta(seconds=0.1))
    assert len(mirror.source.faults) == 2


def test_no_retry_begins_after_a_stop_was_requested(mirror: Mirror) -> None:
    """A signal that strikes inside a driver becomes an error of the driver."""
    stop = StopRequest(interrupt=False)
    mirror.source.faults += [PassingFault("lost"), PassingFault("again")]
    reported: list[str] = []

    def on_retry(fault: str) -> None:
        reported.append(fault)
        stop.request("Stopped by SIGTERM")

    with pytest.raises(Stopped):
        mirror.sync(on_retry=on_retry, check_stop=stop.check)
    assert len(reported) == len(mirror.source.faults) == 1


def test_progress_counts_up_to_the_rows_to_fetch(mirror: Mirror) -> None:
    """Those of the blocks that differ, not all."""
    calls: list[tuple[str, int, int]] = []
    mirror.run("UPDATE things SET n = 50 WHERE id = 5")
    mirror.sync(on_progress=lambda *call: calls.append(call))
    assert calls == [("things", 16_384, 16_384)]
    calls.clear()
    mirror.sync(full=True, on_progress=lambda *call: calls.append(call))
    assert [to_fetch for _, _, to_fetch in calls] == [100_000] * len(calls)
    assert calls[-1] == ("things", 100_000, 100_000)
    assert len(calls) > 1


def test_the_report_adds_up_its_tables(mirror: Mirror) -> None:
    """Rows there are, and rows fetched."""
    mirror.run("INSERT INTO others VALUES (1, 1)")
    report = mirror.sync(THINGS, OTHERS)
    assert (report.rows, report.rows_fetched) == (100_001, 1)
    assert (report.snapshot, report.taken_at) == (mirror.snapshot.id, mirror.now)
