"""Names of spool files, and which of them are taken."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, flock
from pathlib import Path
from threading import Event

import pytest

from events import spool_files
from events.ids import new_id, repeatable_id
from events.spool_files import (
    LINES_SUFFIX,
    SpoolFile,
    advance,
    complete_files,
    file_name,
    is_taken,
    list_files,
    new_instance,
    read_complete,
)

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def test_two_processes_never_have_the_same_name() -> None:
    """Even if they start at the same moment."""
    assert len({new_instance(NOW) for _ in range(1000)}) == 1000


def test_files_are_listed_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Hidden files are incomplete; other files and unknown formats are not ours."""
    for number in (10, 2, 1):
        (tmp_path / file_name("a", number)).write_text("x")
    for name in (f".{file_name('a', 3)}", "a.000000000004.v3.jsonl", "README"):
        (tmp_path / name).touch()
    names = [file.name for file in list_files(tmp_path)]
    assert names == [file_name("a", number) for number in (1, 2, 10)]


def test_files_of_earlier_versions_are_listed(tmp_path: Path) -> None:
    """In the order of their numbers, too."""
    made = [file_name("a", 1, LINES_SUFFIX), file_name("a", 2)]
    made += [file_name("b", 1, LINES_SUFFIX), file_name("b", 2, LINES_SUFFIX)]
    for name in made:
        (tmp_path / name).touch()
    assert [file.name for file in list_files(tmp_path)] == made


def test_the_last_file_taken_includes_all_before_it(tmp_path: Path) -> None:
    """Each instance counts for itself."""
    for instance, number in [("a", 1), ("a", 2), ("a", 3), ("b", 1)]:
        (tmp_path / file_name(instance, number)).touch()
    first, second, third, other = list_files(tmp_path)
    consumed = advance({}, [second, first])
    assert consumed == {"a": second.name}
    assert [is_taken(file, consumed) for file in (first, second, third, other)] == [
        True,
        True,
        False,
        False,
    ]


def test_new_ids_sort_by_time() -> None:
    """They are UUIDs of version 7, and two of one instant differ."""
    ids = [new_id(1_795_655_094_167_000 + 1_000 * step) for step in range(50)]
    assert ids == sorted(ids)
    assert {(text[14], text[19] in "89ab") for text in ids} == {("7", True)}
    assert new_id(1_000_000) != new_id(1_000_000)


def test_ids_of_an_idempotency_key_belong_to_its_sender_and_place() -> None:
    """The same request repeated has the same ids; no other request has them."""
    assert repeatable_id("a", "key", 0) == repeatable_id("a", "key", 0)
    others = [("b", "key", 0), ("a", "kex", 0), ("a", "key", 1)]
    assert repeatable_id("a", "key", 0) not in {repeatable_id(*o) for o in others}


@contextmanager
def appending(file: Path) -> Iterator[None]:
    """Hold *file* as a collector does that appends to it."""
    with file.open("ab") as stream:
        flock(stream, LOCK_EX)
        yield


def test_a_listing_waits_for_the_file_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has all that was acknowledged before; whatever begins later is for the next one."""
    is_waiting, complete = Event(), spool_files._complete

    def recorded(folder: Path, file: SpoolFile) -> SpoolFile | None:
        found = complete(folder, file)
        if found is None:
            is_waiting.set()
        return found

    monkeypatch.setattr(spool_files, "_complete", recorded)
    monkeypatch.setattr(spool_files, "PATIENCE", timedelta(seconds=30))
    first, second = (tmp_path / file_name("a", number) for number in (1, 2))
    with ThreadPoolExecutor() as pool, ExitStack() as later:
        with appending(first):
            first.write_bytes(b"one\n")
            listing = pool.submit(complete_files, tmp_path)
            assert is_waiting.wait(10)
            later.enter_context(appending(second))
            assert read_complete(first) is None
            assert not listing.done()
            first.write_bytes(b"one\ntwo\n")
        files, is_all = listing.result()
        assert [file.name for file in files][:1] == [first.name]
        assert files[0].bytes == 8
        assert not is_all


def test_a_file_that_stays_locked_holds_back_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk may be frozen."""
    monkeypatch.setattr(spool_files, "PATIENCE", timedelta(0))
    names = [file_name("a", 1), file_name("a", 2), file_name("b", 1)]
    for name in names:
        (tmp_path / name).touch()
    with appending(tmp_path / names[1]):
        files, is_all = complete_files(tmp_path)
    assert ([file.name for file in files], is_all) == ([names[0], names[2]], False)
    assert complete_files(tmp_path) == (list_files(tmp_path), True)
