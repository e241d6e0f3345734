"""The index of the ids of a part: what it must find, and what happens without it."""

import io
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readmodel.store import id_index, snapshot
from readmodel.store.event_tables import EVENTS
from readmodel.store.id_index import HashPlaces, IdIndex, encode, look_up
from readmodel.store.side_files import IDS
from readmodel.sync.drain import drain
from readmodel.sync.forget import UserForms, forget
from tests.support.effort import examples
from tests.support.events import line, write_spool
from tests.support.stored_events import NOW, event_ids, part_rows, store

HASHES = st.integers(-(2**63), 2**63 - 1) | st.sampled_from(
    [-(2**63), -1, 0, 1, 2**63 - 1]
)


def encoded(hashes: list[int]) -> bytes:
    """The content of the index of a part with *hashes*."""
    return encode(pl.LazyFrame({"id_hash": hashes}, {"id_hash": pl.Int64}), EVENTS)


def index_of(hashes: list[int]) -> IdIndex:
    """The index of a part with *hashes*."""
    return IdIndex(io.BytesIO(encoded(hashes)))


def unsigned(hashes: list[int]) -> list[int]:
    """The same bits."""
    return [each % 2**64 for each in hashes]


@settings(max_examples=examples(40))
@given(st.lists(HASHES, max_size=40), st.lists(HASHES, min_size=1, max_size=10))
def test_every_hash_is_found_and_no_other(stored: list[int], others: list[int]) -> None:
    """One that differs late may be found as well: only some of the bits are kept."""
    index = index_of(stored)
    assert index.rows == len(stored)
    asked = unsigned(stored + others)
    found = index.may_have(HashPlaces(asked))
    dropped = 64 - 6 - 32  # 64 blocks
    kept = {each >> dropped for each in unsigned(stored)}
    assert {each for each in asked if each in unsigned(stored)} <= set(found)
    assert all(each >> dropped in kept for each in found)


@settings(max_examples=examples(40))
@given(st.lists(HASHES, max_size=40))
def test_the_index_of_many_rows_is_the_same(stored: list[int]) -> None:
    """It is made by columns."""
    with patch.object(id_index, "_MANY_ROWS", 0):
        by_columns = encoded(stored)
    assert by_columns == encoded(stored)


def test_a_large_part_is_found_by_hash() -> None:
    """As many buckets as rows, each hash in its own."""
    hashes = pl.int_range(20_000, eager=True).hash(3).reinterpret(signed=True).to_list()
    index = index_of(hashes[:10_000])
    assert index.may_have(HashPlaces(unsigned(hashes))) == unsigned(hashes[:10_000])


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"abc", b"\xff" * 16])
def test_another_file_is_no_index(content: bytes, tmp_path: Path) -> None:
    """The part is read instead."""
    file = tmp_path / "part.index"
    hashes = pl.Series("id_hash", [1 << 40, 2 << 40, 9 << 40])
    to_read: tuple[list[object], list[Path]] = ([], [tmp_path])
    assert look_up([(tmp_path, str(file))], hashes) == to_read
    file.write_bytes(content)
    assert look_up([(tmp_path, str(file))], hashes) == to_read
    whole = encoded([1 << 40, 2 << 40, 3 << 40])
    file.write_bytes(whole)
    ((part, found),), others = look_up([(tmp_path, str(file))], hashes)
    assert (part, found.to_list(), others) == (tmp_path, [1 << 40, 2 << 40], [])
    begin = 12 + 2**13
    beyond = whole[:begin] + b"\xff" * 8 + whole[begin + 8 :]  # where blocks begin
    for damaged in (whole[:-4], whole[:-1], whole + b"\0\0\0\0", beyond):
        file.write_bytes(damaged)
        assert look_up([(tmp_path, str(file))], hashes) == to_read


def indexes(data_dir: Path) -> list[Path]:
    """The index of each part, whether or not it is there."""
    return [IDS.path(Path(each)) for each in snapshot.latest(data_dir).files(EVENTS)]


def test_each_part_has_an_index_that_is_linked_with_it(tmp_path: Path) -> None:
    """A publish links those of unchanged parts, and a rewritten part gets a new one."""
    data = tmp_path / "data"
    store(data, [line(f"e{n}", user_id=f"u{n}") for n in range(9)], [line("late")])
    assert part_rows(data) == [9, 1]
    first, _ = (file.stat().st_ino for file in indexes(data))
    store(data, [line("later"), line("latest")])
    linked, *others = (file.stat().st_ino for file in indexes(data))
    assert linked == first
    assert len(others) == len(part_rows(data)) - 1
    forget(data, UserForms({"u3"}, ("user_id",)), NOW)
    changed = indexes(data)[0]
    assert changed.stat().st_ino != first
    assert IdIndex(io.BytesIO(changed.read_bytes())).rows == 8


@pytest.mark.parametrize("fate", ["kept", "removed", "damaged"])
def test_a_repetition_is_recognised_in_any_case(fate: str, tmp_path: Path) -> None:
    """Also in a read model without indexes, such as one of an earlier version."""
    data = tmp_path / "data"
    store(data, [line(f"e{n}", n) for n in range(9)], [line("late", 7)])
    for file in indexes(data):
        if fate == "removed":
            file.unlink()
        elif fate == "damaged":
            file.write_bytes(b"not an index")
    write_spool(
        tmp_path / "more", [line("e3", 3), line("late", 8), line("new")], number=77
    )
    report = drain(data, tmp_path / "more", lambda: NOW)
    assert (report.accepted, report.repeated) == (1, 1)
    assert report.rejected == {"conflict": 1}
    assert event_ids(data) == [*(f"e{n}" for n in range(9)), "late", "new"]
