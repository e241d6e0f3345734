"""A drain that is killed at each of its steps, one after the other."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.spool_files import list_files
from readmodel.store import snapshot
from readmodel.store.event_tables import EVENTS, REJECTED
from readmodel.store.manifest import PartitionPosition, TopicPosition
from readmodel.sync.drain import drain
from readmodel.sync.spool_reader import rows_of
from readmodel.sync.stream_drain import PositionMoved, consumed_in, store_messages
from tests.support.events import AT, line, rejected_line, write_spool
from tests.support.killing import Killed, full_from, killed_before
from util.errors import StorageError


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read model with an event and a dead letter, and a spool with more of both."""
    folder = tmp_path_factory.mktemp("killed")
    write_spool(folder / "spool", [line("e1", 1), rejected_line("r1")], 1)
    drain(folder / "data", folder / "spool")
    again = [line("e1", 1), line("e1", 2), line("e2"), rejected_line("r1")]
    write_spool(folder / "spool", again, 2)
    write_spool(folder / "spool", [line("e3"), rejected_line("r2")], 3)
    return folder


def test_whenever_it_dies_each_event_is_there_once(
    template: Path, tmp_path: Path
) -> None:
    """Readers see the state before or after, and the next drain completes it."""
    step, finished, seen = 0, False, set()
    while not finished:
        step += 1
        folder = tmp_path / f"{step}"
        shutil.copytree(template, folder, symlinks=True)
        data, spool = folder / "data", folder / "spool"
        with killed_before(step):
            try:
                drain(data, spool)
            except Killed:
                pass
            else:
                finished = True
        seen.add(tuple(stored(data, EVENTS, "event_id")))
        drain(data, spool, lambda: datetime.now(UTC))
        assert stored(data, EVENTS, "event_id") == ["e1", "e2", "e3"], step
        assert stored(data, REJECTED, "rejection_id") == ["e1:conflict:2", "r1", "r2"]
        assert list_files(spool) == [], step
        assert not list((data / "snapshots").glob(".*")), step
        shutil.rmtree(folder)
    assert step > 20
    assert seen == {("e1",), ("e1", "e2", "e3")}


def test_whenever_the_disk_is_full_each_event_is_there_once(
    template: Path, tmp_path: Path
) -> None:
    """The drain fails with one message, readers see the state before or after it."""
    step, finished = 0, False
    while not finished:
        step += 1
        folder = tmp_path / f"{step}"
        shutil.copytree(template, folder, symlinks=True)
        data, spool = folder / "data", folder / "spool"
        with full_from(step):
            try:
                drain(data, spool)
            except StorageError as error:
                assert "No space left" in str(error)  # noqa: PT017 - the last step passes
            else:
                finished = True
        assert stored(data, EVENTS, "event_id") in (["e1"], ["e1", "e2", "e3"]), step
        drain(data, spool)
        assert stored(data, EVENTS, "event_id") == ["e1", "e2", "e3"], step
        assert stored(data, REJECTED, "rejection_id") == ["e1:conflict:2", "r1", "r2"]
        assert list_files(spool) == [], step
        shutil.rmtree(folder)
    assert step > 15


def test_whenever_it_dies_each_message_is_there_once(tmp_path: Path) -> None:
    """The next run stores what is after the recorded position."""
    step, finished, seen = 0, False, set()
    while not finished:
        step += 1
        data = tmp_path / f"{step}"
        store(data, 0, 2)
        with killed_before(step):
            try:
                store(data, 2, 5)
            except Killed:
                pass
            else:
                finished = True
        seen.add(len(stored(data, EVENTS, "event_id")))
        recorded = consumed_in(data).kafka["c/t"].partitions[0].offset
        store(data, recorded, 5)
        assert stored(data, EVENTS, "event_id") == [f"e{n}" for n in range(5)], step
        shutil.rmtree(data)
    assert step > 15
    assert seen == {2, 5}


def store(data: Path, start: int, end: int) -> None:
    """Store the messages from *start* to *end*, as read from the recorded position."""
    at = {n: TopicPosition("id", {0: PartitionPosition(n)}) for n in (start, end)}
    rows = rows_of([line(f"e{number}") for number in range(start, end)])
    store_messages(data, "c/t", at[start] if start else None, at[end], rows, AT)


def test_messages_after_another_position_are_not_stored(tmp_path: Path) -> None:
    """Another updater may have stored them."""
    store(tmp_path, 0, 2)
    for start in (0, 1, 3):
        with pytest.raises(PositionMoved):
            store(tmp_path, start, 4)
    assert stored(tmp_path, EVENTS, "event_id") == ["e0", "e1"]


def stored(data: Path, table: str, column: str) -> list[str]:
    """A column of a table, sorted."""
    return sorted(snapshot.latest(data).scan(table).collect()[column].to_list())
