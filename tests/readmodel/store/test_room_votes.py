"""Votes by room: the same votes as a filter finds, from one chunk per file."""

import errno
import io
import os
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from readmodel.store import room_votes
from readmodel.store.room_votes import COLUMNS, RoomVotes
from readmodel.store.side_files import ROOMS
from readmodel.store.votes import open_room_votes, open_votes
from tests.support.frames import EMPTY, at, frame, vote
from tests.support.oracle import Row
from tests.support.snapshots import link_all, publish

TAKEN_AT = at("2024-06-10 12:00")


@pytest.fixture
def tmp_path(disk_path: Path) -> Path:
    """A folder on a disk."""
    return disk_path


def votes_of(rooms: list[int | None]) -> list[Row]:
    """A vote in each of *rooms*, told apart by its duration."""
    return [vote(room_id=room, duration=n) for n, room in enumerate(rooms)]


def opened(folder: Path, *parts: list[int | None]) -> RoomVotes:
    """The votes by room of files with these rooms, one vote each."""
    files = []
    for number, rooms in enumerate(parts):
        file = folder / f"{number}.arrows"
        file.write_bytes(room_votes.encode(frame("votes", votes_of(rooms))))
        files.append(file)
    schema = frame("votes", []).collect_schema()
    return RoomVotes(files, schema, schema)


def durations(votes: pl.LazyFrame | None) -> list[int]:
    """Those of all *votes*, in order."""
    assert votes is not None
    return votes.select("duration").collect()["duration"].to_list()


rooms = st.lists(st.none() | st.integers(1, 6), max_size=30)


@given(first=rooms, second=rooms, chunk_rows=st.integers(1, 8))
def test_the_votes_of_a_room_are_those_that_a_filter_finds(
    disk_folder: Path,
    first: list[int | None],
    second: list[int | None],
    chunk_rows: int,
) -> None:
    """In the order of the parts, whatever the chunks; those without a room are nobody's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room_votes, "CHUNK_ROWS", chunk_rows)
        votes = opened(Path(mkdtemp(dir=disk_folder)), first, second)
    parts = [frame("votes", votes_of(rooms)) for rooms in (first, second)]
    for room in range(8):
        wanted = durations(pl.concat(parts).filter(pl.col("room_id") == room))
        assert durations(votes.of_room(room)) == wanted
        assert durations(votes.of_room_in_memory(room)) == wanted


def test_a_request_decodes_one_chunk_of_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Votes of few other rooms, however many there are; one room is never divided."""
    many = [room for room in range(1, 3_000) for _ in range(3)]
    votes = opened(tmp_path, [*many, *[5_000] * 2_000], [7])
    read: list[int] = []
    original = pl.read_ipc_stream

    def note(source: io.BytesIO) -> pl.DataFrame:
        chunk = original(source)
        read.append(chunk.height)
        return chunk

    monkeypatch.setattr(pl, "read_ipc_stream", note)
    assert len(durations(votes.of_room(1_500))) == 3
    assert sum(read) <= room_votes.CHUNK_ROWS + 3 + 1
    assert len(durations(votes.of_room(5_000))) == 2_000


def test_columns_and_dtypes_are_those_of_the_votes(tmp_path: Path) -> None:
    """Also for a room without votes, and where a sum of decimals could overflow."""
    published = publish(tmp_path, {**EMPTY, "votes": votes_of([2])}, TAKEN_AT)
    votes = open_votes(published)
    by_room = open_room_votes(published, votes.cast({"avg_estimation": pl.Float64}))
    assert by_room is not None
    for room in (1, 2):
        found = by_room.of_room(room).collect_schema()
        assert list(found) == list(COLUMNS)
        assert found["avg_estimation"] == pl.Float64
        assert found["voted_at"] == votes.collect_schema()["voted_at"]


def test_many_bytes_are_not_read_at_once(tmp_path: Path) -> None:
    """Decoding them would hold up others."""
    votes = opened(tmp_path, [1, 1, 2])
    assert votes.of_room_in_memory(1) is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room_votes, "FEW_BYTES", 100)
        assert votes.of_room_in_memory(1) is None


@pytest.mark.parametrize("reason", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_a_file_that_is_not_in_memory_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """The disk may be slow, or the file system may not know; another error is one."""
    votes = opened(tmp_path, [1])

    def refuse(*_: object) -> int:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "preadv", refuse)
    assert votes.of_room_in_memory(1) is None
    with pytest.raises(OSError, match=os.strerror(reason)):
        votes.of_room(1)


def test_a_system_without_such_reads_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only Linux has them."""
    votes = opened(tmp_path, [1])
    monkeypatch.setattr(room_votes, "_NOWAIT", None)
    assert votes.of_room_in_memory(1) is None
    assert durations(votes.of_room(1)) == [0]


def test_bytes_that_are_not_all_in_memory_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may return the first of them."""
    votes = opened(tmp_path, [1])
    monkeypatch.setattr(os, "preadv", lambda *_: 5)
    assert votes.of_room_in_memory(1) is None


def test_a_table_without_the_columns_has_no_votes_by_room() -> None:
    """A source may lack one."""
    assert room_votes.applies_to("fpp_votes", ["id", *COLUMNS])
    assert not room_votes.applies_to("fpp_votes", COLUMNS[1:])
    assert not room_votes.applies_to("fpp_users", COLUMNS)


def test_a_snapshot_of_an_earlier_version_gets_them_with_the_next(
    tmp_path: Path,
) -> None:
    """From its parts. Until then there are none; a file that is gone is written again."""
    rooms: list[int | None] = [3, 1, 3]
    before = publish(tmp_path, {**EMPTY, "votes": votes_of(rooms)}, TAKEN_AT)
    (file,) = before.side_files("fpp_votes", ROOMS)
    content = file.read_bytes()
    file.unlink()
    assert open_room_votes(before, open_votes(before)) is None
    after = link_all(tmp_path)
    (written,) = after.side_files("fpp_votes", ROOMS)
    assert written.read_bytes() == content
    (linked,) = link_all(tmp_path).side_files("fpp_votes", ROOMS)
    assert linked.samefile(written)


def test_wide_decimals_stay_as_they_are_in_the_file(tmp_path: Path) -> None:
    """They are cast when they are read, as those of the parts."""
    rows = frame("votes", [vote(avg_estimation=Decimal("2.50"))])
    wide = rows.cast({"avg_estimation": pl.Decimal(38, 2)})
    file = tmp_path / "0.arrows"
    file.write_bytes(room_votes.encode(wide))
    stored = wide.collect_schema()
    wanted = rows.cast({"avg_estimation": pl.Float64}).collect_schema()
    assert_frame_equal(
        RoomVotes([file], stored, stored).of_room(1), wide.select(COLUMNS)
    )
    found = RoomVotes([file], stored, wanted).of_room(1).collect()
    assert found["avg_estimation"].to_list() == [2.5]
