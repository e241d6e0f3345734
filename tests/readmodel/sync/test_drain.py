"""The drain: each accepted event once, every rejected one kept, nothing else touched."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, flock
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from events.spool_files import checksum, list_files
from readmodel.spool import folder
from readmodel.store import snapshot
from readmodel.store.event_tables import (
    EVENT_SCHEMA,
    EVENTS,
    REJECTED,
    REJECTED_SCHEMA,
)
from readmodel.store.manifest import Manifest
from readmodel.sync import event_publish
from readmodel.sync.drain import DrainReport, drain
from readmodel.sync.lock import exclusive_lock
from tests.support.events import line, rejected_line, write_spool
from tests.support.snapshots import (
    TEN,
    damage_manifest,
    flip_a_bit,
    plain_files,
    publish_frames,
    replace_bytes,
)
from util.errors import StorageError, SyncRunning

FIRST = "20261121T100000000000-00000000"
OTHER = "20261121T110000000000-11111111"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "spool"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A DATA_DIR with the six tables."""
    publish_frames(tmp_path / "data")
    return tmp_path / "data"


def clock() -> Callable[[], datetime]:
    """A clock that moves on by a second."""
    now = TEN

    def tick() -> datetime:
        nonlocal now
        now += timedelta(seconds=1)
        return now

    return tick


def rows(data: Path, table: str = EVENTS) -> pl.DataFrame:
    """All rows of a table of the current snapshot."""
    return snapshot.latest(data).scan(table).collect()


def ids(data: Path) -> list[str]:
    """The ids of the stored events."""
    return rows(data)["event_id"].to_list()


def manifest(data: Path) -> Manifest:
    """The current snapshot's."""
    found = snapshot.latest(data).manifest
    assert found
    return found


def test_a_file_is_taken_only_when_it_is_complete(
    data: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if a listing has it: a copied machine may write between the last two files."""
    first = write_spool(spool, [line("e1")], 1)
    write_spool(spool, [line("e3")], 2)
    monkeypatch.setattr(folder, "complete_files", lambda path: (list_files(path), True))
    with first.open("ab") as appended:
        flock(appended, LOCK_EX)
        drain(data, spool)
        assert ids(data) == []
        appended.write(json.dumps(line("e2")).encode() + b"\n")
    drain(data, spool)
    assert ids(data) == ["e1", "e2", "e3"]
    assert list_files(spool) == []


def test_the_first_drain_creates_both_tables(data: Path, spool: Path) -> None:
    """Queries of an empty table work from the start, and a second drain does nothing."""
    assert drain(data, spool, clock()).snapshot
    assert rows(data).schema == EVENT_SCHEMA
    assert rows(data, REJECTED).schema == REJECTED_SCHEMA
    assert drain(data, spool, clock()) == DrainReport()
    for name in (EVENTS, REJECTED):
        assert pl.read_parquet(data / f"{name}.parquet").is_empty()


def test_events_and_dead_letters_become_rows(data: Path, spool: Path) -> None:
    """Any tool finds them under DATA_DIR; the files of the spool are gone."""
    sent = [
        line("e1", properties='{"a":"\\u0000é"}', user_id="u", sent_at=1, app_id="p"),
        rejected_line("r1", event_id="e2", schema="s.json"),
        line("e3", content=-(2**63)),
    ]
    write_spool(spool, sent)
    report = drain(data, spool, clock())
    assert (report.accepted, report.repeated, report.rejected) == (2, 0, {"name": 1})
    stored = pl.read_parquet(data / "events.parquet")
    assert stored["event_id"].to_list() == ["e1", "e3"]
    first = stored.row(0, named=True)
    assert (first["at"], first["user_id"]) == (
        datetime(2026, 11, 21, 10, tzinfo=UTC),
        "u",
    )
    assert first["properties"] == '{"a":"\\u0000é"}'
    assert stored["content_hash"].to_list() == [0, -(2**63)]
    assert rows(data, REJECTED)["rejection_id"].to_list() == ["r1"]
    assert list_files(spool) == []


def test_only_the_tables_of_events_differ(data: Path, spool: Path) -> None:
    """All others are hard links, and the instant of the mirrored tables is theirs."""
    before = snapshot.latest(data)
    write_spool(spool, [line("e1")])
    drain(data, spool, clock())
    after = snapshot.latest(data)
    assert after.id != before.id
    assert after.taken_at == before.taken_at
    assert before.manifest
    for name, table in before.manifest.tables.items():
        assert manifest(data).tables[name] == table
        for old, new in zip(before.files(name), after.files(name), strict=True):
            assert Path(old).samefile(new)


def test_a_repetition_adds_nothing(data: Path, spool: Path) -> None:
    """In the same drain or a later one, with another arrival; a dead letter, too."""
    sent = [line("e1"), line("e1", second=1), rejected_line("r1"), rejected_line("r1")]
    for number in (1, 2):
        write_spool(spool, sent, number)
        drain(data, spool, clock())
    assert ids(data) == ["e1"]
    assert rows(data, REJECTED)["rejection_id"].to_list() == ["r1"]


def test_another_content_under_the_same_id_is_a_conflict(
    data: Path, spool: Path
) -> None:
    """The first event stays; the other one is a dead letter, once."""
    write_spool(spool, [line("e1", content=1)])
    drain(data, spool, clock())
    for number in (2, 3):
        write_spool(spool, [line("e1", content=2, name="other")], number)
        drain(data, spool, clock())
    assert rows(data)["content_hash"].to_list() == [1]
    (letter,) = rows(data, REJECTED).rows(named=True)
    assert (letter["code"], letter["event_id"]) == ("conflict", "e1")
    assert json.loads(letter["raw"])["name"] == "other"


def test_several_collectors_are_taken_side_by_side(data: Path, spool: Path) -> None:
    """Each has its own position; one without files is forgotten."""
    write_spool(spool, [line("a1")])
    write_spool(spool, [line("b1", second=1)], instance=OTHER)
    drain(data, spool, clock())
    consumed = manifest(data).consumed
    assert consumed
    assert len(consumed.spool) == 2
    write_spool(spool, [line("b2")], 2, OTHER)
    drain(data, spool, clock())
    assert ids(data) == ["a1", "b1", "b2"]
    consumed = manifest(data).consumed
    assert consumed
    assert [*consumed.spool] == [OTHER]


def test_files_that_a_killed_drain_took_are_only_removed(
    data: Path, spool: Path
) -> None:
    """They are not stored a second time: not even counted as repeated."""
    content = write_spool(spool, [line("e1")]).read_bytes()
    last = write_spool(spool, [line("e2")], 2).read_bytes()
    drain(data, spool, clock())
    write_spool(spool, [], 1).write_bytes(content)
    write_spool(spool, [], 2).write_bytes(last)
    assert drain(data, spool, clock()) == DrainReport()
    assert ids(data) == ["e1", "e2"]
    assert list_files(spool) == []
    recorded = manifest(data).consumed
    assert recorded
    assert recorded.checksums == {FIRST: checksum(last)}


def test_the_position_of_an_earlier_version_is_believed(
    data: Path, spool: Path
) -> None:
    """It has no checksum."""
    file = write_spool(spool, [line("e1")])
    content = file.read_bytes()
    drain(data, spool, clock())
    recorded = manifest(data)
    assert recorded.consumed
    earlier = replace(recorded, consumed=replace(recorded.consumed, checksums={}))
    text = earlier.to_json()
    assert b"checksums" not in text
    (snapshot.latest(data).path / "snapshot.json").write_bytes(text)
    file.write_bytes(content)
    assert drain(data, spool, clock()) == DrainReport()
    assert list_files(spool) == []


def test_an_outage_is_taken_in_bounded_pieces(data: Path, spool: Path) -> None:
    """One snapshot after the other, in order."""
    for number in range(1, 8):
        write_spool(spool, [line(f"e{number}")], number)
    report = drain(data, spool, clock(), max_bytes=500)
    assert (report.accepted, report.files) == (7, 7)
    assert ids(data) == [f"e{number}" for number in range(1, 8)]


def test_parts_stay_few(
    data: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts are merged like the digits of a binary counter, up to a size."""
    monkeypatch.setattr(event_publish, "PART_ROWS", 8)
    now = clock()
    for number in range(1, 24):
        write_spool(spool, [line(f"e{number:02}")], number)
        drain(data, spool, now)
    parts = [part.rows for part in manifest(data).tables[EVENTS].parts]
    assert parts == [8, 8, 4, 2, 1]
    assert ids(data) == [f"e{number:02}" for number in range(1, 24)]


def test_a_damaged_part_is_not_copied(data: Path, spool: Path) -> None:
    """Merging would give broken rows a valid checksum."""
    write_spool(spool, [line("e1")])
    drain(data, spool, clock())
    flip_a_bit(Path(snapshot.latest(data).files(EVENTS)[0]))
    write_spool(spool, [line("e2")], 2)
    try:
        drain(data, spool, clock())
    except StorageError:
        assert len(list_files(spool)) == 1
    else:
        assert len(manifest(data).tables[EVENTS].parts) == 2


@pytest.mark.parametrize(
    "damaged",
    [b"garbage", b"5", b'{"event_id":"x"}', b"\xff", b"{}", b"", b'{"code":"name"}'],
)
def test_a_damaged_line_is_a_dead_letter_and_holds_nothing_back(
    damaged: bytes, data: Path, spool: Path
) -> None:
    """The lines around it are taken."""
    file = write_spool(spool, [line("e1"), line("e2")])
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + damaged + b"\n" + second)
    drain(data, spool, clock())
    assert ids(data) == ["e1", "e2"]
    (letter,) = rows(data, REJECTED).rows(named=True)
    assert letter["code"] == "unreadable"
    assert letter["raw"].encode() in {damaged + b"\n", "�\n".encode()}
    assert letter["received_at"]


def test_a_file_that_was_cut_off_loses_only_its_last_line(
    data: Path, spool: Path
) -> None:
    """Only a disk that lies about fsync does this."""
    file = write_spool(spool, [line("e1"), line("e2")])
    replace_bytes(file, file.read_bytes()[:-40])
    drain(data, spool, clock())
    assert ids(data) == ["e1"]
    assert rows(data, REJECTED)["code"].to_list() == ["unreadable"]


def test_without_a_snapshot_events_are_taken_all_the_same(
    tmp_path: Path, spool: Path
) -> None:
    """The database may be down for the first sync."""
    write_spool(spool, [line("e1")])
    drain(tmp_path / "new", spool, clock())
    assert ids(tmp_path / "new") == ["e1"]


def test_the_earlier_systems_files_stay_served(tmp_path: Path, spool: Path) -> None:
    """A snapshot without the six tables would hide them, so the first sync goes first."""
    data = tmp_path / "old"
    data.mkdir()
    plain_files(data)
    write_spool(spool, [line("e1")])
    assert drain(data, spool, clock()) == DrainReport()
    assert len(list_files(spool)) == 1
    assert snapshot.latest(data).manifest is None


def test_a_damaged_snapshot_with_events_is_not_replaced(
    data: Path, spool: Path
) -> None:
    """Its rows are nowhere else, so somebody must decide."""
    write_spool(spool, [line("e1")])
    drain(data, spool, clock())
    damage_manifest(data / "current")
    write_spool(spool, [line("e2")], 2)
    with pytest.raises(StorageError, match="holds events, which are nowhere else"):
        drain(data, spool, clock())
    assert len(list_files(spool)) == 1


def test_two_updaters_do_not_drain_together(data: Path, spool: Path) -> None:
    """The second one leaves the files to the first."""
    write_spool(spool, [line("e1")])
    with exclusive_lock(data), pytest.raises(SyncRunning):
        drain(data, spool, clock())
    drain(data, spool, clock())
    assert ids(data) == ["e1"]


def test_a_snapshot_of_an_older_version_is_continued(data: Path, spool: Path) -> None:
    """Without events snapshot.json has no new key, and reading it needs none."""
    text = (data / "current" / "snapshot.json").read_text()
    assert "consumed" not in text
    before = rows(data, "fpp_votes")
    write_spool(spool, [line("e1")])
    drain(data, spool, clock())
    assert_frame_equal(rows(data, "fpp_votes"), before)
    assert "consumed" in (data / "current" / "snapshot.json").read_text()
