"""A drain that is killed at each of its steps, one after the other."""

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
from tests.support.killing import at_each_step, full_from
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


def test_whenever_it_dies_each_event_is_there_once(template: Path) -> None:
    """Readers see the state before or after, and the next drain completes it."""
    seen = set()
    for step, folder in at_each_step(template, drain_folder):
        seen.add(tuple(stored(folder / "data", EVENTS, "event_id")))
        drain_folder(folder)
        require_all(folder, step)
        assert not list((folder / "data" / "snapshots").glob(".*")), step
    assert step > 20
    assert seen == {("e1",), ("e1", "e2", "e3")}


@pytest.mark.long("test_whenever_it_dies_each_event_is_there_once")
def test_whenever_the_disk_is_full_each_event_is_there_once(template: Path) -> None:
    """The drain fails with one message, readers see the state before or after it."""

    def drain_until_full(folder: Path) -> None:
        try:
            drain_folder(folder)
        except StorageError as error:
            assert "No space left" in str(error)  # noqa: PT017 - the last step passes
            raise

    steps = at_each_step(template, drain_until_full, full_from, StorageError)
    for step, folder in steps:
        seen = stored(folder / "data", EVENTS, "event_id")
        assert seen in (["e1"], ["e1", "e2", "e3"]), step
        drain_folder(folder)
        require_all(folder, step)
    assert step > 15


def drain_folder(folder: Path) -> None:
    """Drain the spool of a copy of the template."""
    drain(folder / "data", folder / "spool")


def require_all(folder: Path, step: int) -> None:
    """Every event and dead letter is there once, and the spool is empty."""
    data = folder / "data"
    assert stored(data, EVENTS, "event_id") == ["e1", "e2", "e3"], step
    letters = stored(data, REJECTED, "rejection_id")
    assert letters == ["e1:conflict:2", "r1", "r2"], step
    assert list_files(folder / "spool") == [], step


@pytest.mark.long("test_whenever_it_dies_each_event_is_there_once")
def test_whenever_it_dies_each_message_is_there_once(tmp_path: Path) -> None:
    """The next run stores what is after the recorded position."""
    store(tmp_path / "data", 0, 2)
    seen = set()
    for step, data in at_each_step(tmp_path / "data", lambda data: store(data, 2, 5)):
        seen.add(len(stored(data, EVENTS, "event_id")))
        recorded = consumed_in(data).kafka["c/t"].partitions[0].offset
        store(data, recorded, 5)
        assert stored(data, EVENTS, "event_id") == [f"e{n}" for n in range(5)], step
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
