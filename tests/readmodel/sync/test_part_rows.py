"""The rows of a part are those of its frames, by key, in memory once."""

import weakref
from collections.abc import Sequence
from operator import itemgetter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from readmodel.source.blocking import choose_blocking
from readmodel.source.wire import Column
from readmodel.sync.part_rows import take_rows
from readmodel.sync.table_spec import TableSpec
from readmodel.tables import Table

NAMES = ("key", "key index")
COLUMNS = [Column(name, pl.Int64(), "", pl.Int64()) for name in NAMES]
THINGS = Table("things", key="key")
SPEC = TableSpec(THINGS, COLUMNS, choose_blocking(THINGS, COLUMNS))
ROWS = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 99)), max_size=8)


def frame(rows: Sequence[tuple[int, int]]) -> pl.DataFrame:
    """A frame with both columns."""
    return pl.DataFrame(rows, schema=dict.fromkeys(NAMES, pl.Int64), orient="row")


@given(st.lists(ROWS, max_size=4))
def test_rows_of_all_frames_are_sorted_and_equal_keys_keep_their_order(
    parts: list[list[tuple[int, int]]],
) -> None:
    """As Python sorts them; also if there are none."""
    frames = [frame(rows) for rows in parts]
    taken = take_rows(SPEC, frames)
    together = [row for rows in parts for row in rows]
    assert taken.rows() == sorted(together, key=itemgetter(0))
    assert taken.columns == list(NAMES)


def test_no_frame_outlives_the_part_that_it_went_into() -> None:
    """It would keep the columns that were sorted: the part would be there twice."""
    frames = [frame([(2, 0)]), frame([(1, 0)])]
    kept = [weakref.ref(each) for each in frames]
    assert take_rows(SPEC, frames).height == 2
    assert not frames
    assert not any(each() for each in kept)
